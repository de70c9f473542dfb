"""How OpenMP's threads wait for each other, which must be set before torch is imported."""

import os


def limit_spinning() -> None:
    """Let them spin for a short time only.

    By default it is so long that two programs on the same cores nearly stop: two pictures in two processes
    took 60 s, and take 3.4 s with this.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
