"""A package that adds a catalogue, a sensor, a kind of column and a policy to cortical. See README.md."""
