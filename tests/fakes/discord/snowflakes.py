"""Ids as Discord makes them: the time, then a number, so that newer ones are greater."""

import time
from itertools import count

EPOCH = 1_420_070_400_000  # 2015, in milliseconds; the library reads a message's age out of its id
NUMBERS = count(1)


def snowflake() -> int:
    """An id of its own, of this moment."""
    return (int(time.time() * 1000) - EPOCH << 22) + next(NUMBERS) % (1 << 22)
