"""Ordinals, rough durations and plurals, as people write them."""

MINUTE, HOUR = 60, 3600


def ordinal(number: int) -> str:
    """A place in a queue: 1st, 2nd, 3rd, 11th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def duration(seconds: float) -> str:
    """A rough time: "1 s", "40 s", "3 min", "2 h"."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if round(seconds / 5) * 5 < MINUTE:
        return f"{round(seconds / 5) * 5} s"
    if round(seconds / MINUTE) < 60:
        return f"{round(seconds / MINUTE)} min"
    return f"{round(seconds / HOUR)} h"


def pluralize(number: int, noun: str) -> str:
    """A number and its noun: "1 job", "2 jobs"."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"
