"""Exit statuses, and the sentence on stderr that goes with one."""

import sys

FINE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def say(sentence: str, status: int) -> int:
    """Write a sentence to stderr; returns the status to exit with."""
    sys.stderr.write(f"{sentence}\n")
    return status
