"""Which cell for my data? Candidates of equal size or training time, judged beside the baselines."""
