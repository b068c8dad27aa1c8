"""The column that computes what: explicit hypotheses, weighed by their likelihood."""
