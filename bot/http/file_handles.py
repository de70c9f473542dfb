"""File handles: as many as this user may have, and some kept back for all that is no connection."""

import resource
from contextlib import suppress

WANTED = (65_536, 10_240)  # one after the other: some systems allow no more than the second
KEPT_BACK = 384  # for the store, the database, the engine, the other chats, and callers not yet counted


def raise_limit() -> None:
    """Take as many as may be had."""
    for wanted in WANTED:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft == resource.RLIM_INFINITY or soft >= most:
            return
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def spare() -> int:
    """How many connections each of two doors may have: one of them opens a file for each, too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = WANTED[0] if soft == resource.RLIM_INFINITY else soft
    return max((soft - KEPT_BACK) // 3, soft // 8)
