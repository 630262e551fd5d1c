"""Building blocks: they know torch, and no network."""
