"""Scores as pure functions of arrays: no frames, no models, no state."""
