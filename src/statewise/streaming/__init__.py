"""Live wing: one observation in, one forecast out; NumPy only, the network is an `Engine` handed in."""
