"""The limit of open files, and how many connections it leaves room for."""

import resource
from contextlib import suppress

LIMITS = (65_536, 10_240)  # tried one after the other: some systems allow no more than the second
RESERVED = 384  # for the store, the database, the engine, the other chats, and callers not yet counted


def raise_limit() -> None:
    """Take as many as may be had."""
    for limit in LIMITS:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def max_connections() -> int:
    """How many connections each of two servers may have, of which one opens a file for each, too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = LIMITS[0] if soft == resource.RLIM_INFINITY else soft
    return max((soft - RESERVED) // 3, soft // 8)
