"""Weights: what Riffle saves, and what it takes over from elsewhere."""

from riffle.weights import adopt, native, sources

__all__ = ["adopt", "native", "sources"]
