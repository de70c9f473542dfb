"""Measures of pictures: CLIP scores, safety, sharpness, near-duplicates."""
