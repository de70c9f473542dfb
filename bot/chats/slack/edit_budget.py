"""The budget of message edits in a workspace, in which cards that have ended come first."""

import time
from collections import deque

PER_MINUTE = 50  # edits that Slack takes: chat.update is of Tier 3, 2026-11-30
RESERVED = 30  # of them for cards that have ended: progress waits, and is shown later or never
MINUTE = 60.0


class Budget:
    """The edits of the last minute."""

    def __init__(self) -> None:
        self._edits: deque[float] = deque()

    def take(self, *, last: bool) -> float:
        """Seconds until there is room for an edit; 0.0 when it may be made, and then it counts.

        last: it shows how a job ended, or what its person has to decide.
        """
        now = time.monotonic()
        while self._edits and now - self._edits[0] >= MINUTE:
            self._edits.popleft()
        room = PER_MINUTE if last else PER_MINUTE - RESERVED
        if len(self._edits) >= room:
            return MINUTE - (now - self._edits[len(self._edits) - room])
        self._edits.append(now)
        return 0.0

    def give_back(self) -> None:
        """The edit that was taken last was not made."""
        if self._edits:
            self._edits.pop()
