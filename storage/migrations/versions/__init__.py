"""The steps: each is one file, and none changes once it was released."""
