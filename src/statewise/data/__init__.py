"""Numbers to batches, and the catalogue of public data sets."""
