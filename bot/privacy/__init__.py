"""A person's data: exported, and purged."""
