"""From a network to a file that runs without torch, proven to give the same answers."""
