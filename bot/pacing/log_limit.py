"""Limits the log to one line of a kind in a minute."""

import time

import structlog

EVERY = 60.0  # seconds between two events of a kind
MOST_KINDS = 100


class LogLimit:
    """Lets one event of a kind through in a minute: a flood of bad requests must not flood the log."""

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._last: dict[str, float] = {}
        self._kept_back: dict[str, int] = {}

    def due(self, kind: str) -> int | None:
        """How many of this kind were kept back since the last; None: this one is kept back, too."""
        now = time.monotonic()
        if now - self._last.get(kind, -self._every) < self._every:
            self._kept_back[kind] = self._kept_back.get(kind, 0) + 1
            return None
        if len(self._last) >= MOST_KINDS:
            self._last.clear()
            self._kept_back.clear()
        self._last[kind] = now
        return self._kept_back.pop(kind, 0)

    def warn(self, log: structlog.stdlib.BoundLogger, event: str, **fields: object) -> None:
        """Log it, unless the same was logged within the minute."""
        more = self.due(event)
        if more is not None:
            log.warning(event, more=more, **fields)
