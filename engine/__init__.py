"""The engine: the process that owns the GPU, and paints and trains in small steps."""
