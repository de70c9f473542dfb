"""Measurements: each file prints one table of docs/measurements.md."""
