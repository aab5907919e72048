"""Models: one file per kind of task; what a user does with a trained network."""
