"""Distributions to answers: sampling, and the search for the likeliest."""
