"""The small SDXL that ships: its drawings, its training recipe, the judge of its pictures, its weights."""
