"""What a network costs: counts from shapes, and measured time."""
