"""Fair share: a person's recent engine time as one number that decays with time.

Forward decay (Cormode, Shkapenyuk, Srivastava and Xu, ICDE 2009): every charge is weighted by
2^(time / HALF_LIFE) once, when it is made, so that yesterday's seconds shrink against today's by themselves.
Kept as a logarithm, for 2^(time / HALF_LIFE) has 145,000 digits.
"""

from math import inf, log2

HALF_LIFE = 3600.0  # seconds until a charge counts half as much


def charge(used: float, seconds: float, now: float) -> float:
    """The account after so many engine seconds more, or fewer when negative; at least 0, an unused account.

    used: log2 of the sum of seconds * 2^(time / HALF_LIFE) so far. Whoever has the least goes first.
    """
    if seconds == 0:
        return used
    change = log2(abs(seconds)) + now / HALF_LIFE
    high, low = max(used, change), min(used, change)
    if seconds > 0:
        return high + _log2_1p(2.0 ** (low - high))
    return max(0.0, used + _log2_1p(-(2.0 ** (change - used)))) if change < used else 0.0


def _log2_1p(x: float) -> float:
    return log2(1 + x) if x > -1 else -inf
