"""From data and a network to a run: a folder with everything that came of it."""
