"""How often things are done: growing pauses between tries, and one line of a kind in the log."""
