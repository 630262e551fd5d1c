"""Weights: what Riffle saves, and what it takes over from elsewhere."""
