"""Columns and worlds joined: the loop, policies, learning, runs, pictures, the command line."""
