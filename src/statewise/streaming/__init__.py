"""Live wing: one observation in, one event out; NumPy only, the network is an `Engine` handed in."""
