"""The hot loops of sparse layers, compiled for a CPU; each has a plain reference beside it."""
