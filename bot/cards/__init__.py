"""Cards: what the message of a job shows, made from its row."""
