"""Evaluation that cannot flatter: rolling origins, baselines on the same rows, leak and recency checks."""
