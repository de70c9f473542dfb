"""Random job ids of six letters and digits."""

import secrets

from engine.messages import JobId

LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o or u to mistake
LENGTH = 6


def new_job_id() -> JobId:
    """Six random letters and digits, such as k3f9qa."""
    bits = secrets.randbits(5 * LENGTH)
    return JobId("".join(LETTERS[bits >> 5 * place & 31] for place in range(LENGTH)))
