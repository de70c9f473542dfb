"""What can be told from a picture: CLIP scores, safety, sharpness, duplicates."""
