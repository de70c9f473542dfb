"""A small SDXL that ships: its world, its recipe, its judge and its weights."""
