"""LoRAs: their files, and their weights in the model."""
