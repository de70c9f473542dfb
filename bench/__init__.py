"""Measurements, drawings and screenshots: what docs/ shows of them is made here."""
