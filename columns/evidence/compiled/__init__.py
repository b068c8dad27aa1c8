"""The hot loops of the evidence column, compiled for a CPU; each has a plain reference beside it."""
