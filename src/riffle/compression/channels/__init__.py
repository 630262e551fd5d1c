"""Where a network's channels come from, which order they may have, and the network that has them in that order."""
