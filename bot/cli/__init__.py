"""Commands of `python -m bot` in a terminal."""
