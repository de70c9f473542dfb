"""The process that owns the GPU: it paints, one small step at a time."""
