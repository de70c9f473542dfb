"""How a program of ours ends: its exit status, and one sentence on stderr where something was wrong."""

import sys

FINE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def say(sentence: str, status: int) -> int:
    """Tell whoever started the program; the status to end with."""
    sys.stderr.write(f"{sentence}\n")
    return status
