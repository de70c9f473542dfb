"""The pictures of a training: which are used, their crops, masks and latents, and the shards of these."""
