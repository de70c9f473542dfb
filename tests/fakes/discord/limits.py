"""Rate limits, where a test wants them: so many calls of a route in so many seconds, said in headers."""

import re
import time
from dataclasses import dataclass, field

from tests.fakes.faults import Call

MAJOR = re.compile(r"/(?:channels|guilds)/\d+|/webhooks/\d+/[^/]+")


@dataclass(kw_only=True, eq=False)
class Limit:
    """One bucket's rule, and the times of its calls by channel, guild or webhook."""

    method: str
    route: re.Pattern[str]
    count: int
    seconds: float
    calls: dict[str, list[float]] = field(default_factory=dict)

    def recent(self, call: Call) -> list[float]:
        """When this bucket was called within its window."""
        match = MAJOR.match(call.path)
        calls = self.calls.setdefault(match.group() if match else "", [])
        calls[:] = [at for at in calls if call.at - at < self.seconds]
        return calls


class Limits:
    """All rules; without any, everything is allowed at any pace."""

    def __init__(self) -> None:
        self._limits: list[Limit] = []
        self.exceeded = 0

    def add(self, method: str, route: str, count: int, seconds: float) -> None:
        """At most so many calls of this route in so many seconds, counted by channel or webhook."""
        pattern = re.compile(f"(?:{route})$")
        self._limits.append(Limit(method=method, route=pattern, count=count, seconds=seconds))

    def wait(self, call: Call) -> float:
        """How long this call has to wait; 0.0 when it may pass, and then it counts."""
        limit = self._of(call)
        if limit is None:
            return 0.0
        recent = limit.recent(call)
        if len(recent) >= limit.count:
            self.exceeded += 1
            return max(0.01, limit.seconds - (call.at - recent[0]))
        recent.append(call.at)
        return 0.0

    def headers(self, call: Call) -> dict[str, str]:
        """What Discord says of the bucket with every answer."""
        limit = self._of(call)
        if limit is None:
            return {}
        recent = limit.recent(call)
        left = limit.seconds - (time.monotonic() - recent[0]) if recent else limit.seconds
        return {
            "X-RateLimit-Bucket": f"{limit.method}-{id(limit):x}",
            "X-RateLimit-Limit": str(limit.count),
            "X-RateLimit-Remaining": str(max(0, limit.count - len(recent))),
            "X-RateLimit-Reset": str(time.time() + left),
            "X-RateLimit-Reset-After": str(max(0.01, left)),
        }

    def _of(self, call: Call) -> Limit | None:
        fits = (
            limit for limit in self._limits if limit.method == call.method and limit.route.search(call.path)
        )
        return next(fits, None)
