"""The cortex: columns that learn maps of objects, weigh hypotheses, and vote. Arrays only, no simulator."""
