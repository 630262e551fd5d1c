"""Pages for people: the report of a training."""
