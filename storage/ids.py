"""Job ids of six letters and digits."""

import secrets

from engine.messages import JobId

DIGITS = "0123456789"
LETTERS = "abcdefghjkmnpqrstvwxyz"  # as in Crockford's base 32: no i, l, o or u to mistake
ALPHABETS = (LETTERS, DIGITS, *4 * [DIGITS + LETTERS])  # the symbols at each place


def new_job_id() -> JobId:
    """A random id, such as k3f9qa."""
    return job_id_of(secrets.randbits(64))


def job_id_of(number: int) -> JobId:
    """The id that this number, 0 or more, gives.

    It begins with a letter and a digit, so that it can be read neither as a word nor as a number or a size.
    """
    symbols = []
    for alphabet in ALPHABETS:
        number, place = divmod(number, len(alphabet))
        symbols.append(alphabet[place])
    return JobId("".join(symbols))
