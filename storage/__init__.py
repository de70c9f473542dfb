"""What is remembered: files by content hash."""
