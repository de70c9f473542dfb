"""Uploaded files: checked, re-encoded, and stored."""
