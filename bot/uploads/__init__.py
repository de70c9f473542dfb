"""Files that people send: checked, made anew, and stored."""
