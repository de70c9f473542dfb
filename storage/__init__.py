"""What is remembered: jobs and people in tables, files by content hash."""
