"""Training of a LoRA."""
