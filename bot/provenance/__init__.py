"""Where pictures came from: marks that are set into them, and what is read from pictures."""
