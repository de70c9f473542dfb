"""Short tasks beside painting and training."""
