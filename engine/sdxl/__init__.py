"""SDXL: the model, its prompts, samplers, and the painting of a picture."""
