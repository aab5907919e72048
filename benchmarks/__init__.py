"""Commands behind every number in the README: `python -m benchmarks.quality.etth1_day_ahead` and so on."""
