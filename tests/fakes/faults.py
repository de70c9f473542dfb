"""What goes wrong on the way to a platform: a table of routes and faults, and the record of all calls."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Fault(Enum):
    """What happens to a call. Before: the platform did nothing. After: it did it and could not say so."""

    ERROR_BEFORE = "500 before commit"
    ERROR_AFTER = "500 after commit"
    CUT_BEFORE = "cut before commit"
    CUT_AFTER = "cut after commit"
    LIMITED = "429 with Retry-After"
    BANNED = "429 of a proxy, in HTML"
    REFUSED = "400"
    TOO_LARGE = "413"
    FORBIDDEN = "403"
    MISSING = "404"
    SLOW = "slow"
    SLOW_AFTER = "slow to say that it is done"

    @property
    def cuts(self) -> bool:
        """Whether nobody gets an answer."""
        return self in (Fault.CUT_BEFORE, Fault.CUT_AFTER)


STATUS = {
    Fault.ERROR_BEFORE: 500,
    Fault.ERROR_AFTER: 500,
    Fault.LIMITED: 429,
    Fault.BANNED: 429,
    Fault.REFUSED: 400,
    Fault.TOO_LARGE: 413,
    Fault.FORBIDDEN: 403,
    Fault.MISSING: 404,
}
AFTER = (Fault.ERROR_AFTER, Fault.CUT_AFTER)


@dataclass(kw_only=True)
class Planned:
    """A fault that waits for its route; `seconds` is how slow it is, or the Retry-After."""

    method: str
    route: re.Pattern[str]
    fault: Fault
    times: int
    skip: int
    seconds: float


@dataclass(kw_only=True)
class Call:
    """One call that reached the platform; `status` is None while it runs and for good when it was cut."""

    method: str
    path: str
    json: Any = None
    files: dict[str, bytes] = field(default_factory=dict)
    at: float = field(default_factory=time.monotonic)
    fault: Fault | None = None
    status: int | None = None
    code: int = 0  # the platform's own, where it refused


CALL = web.RequestKey("call", Call)  # where a server keeps what was sent, for its handlers
Refusal = Callable[[Fault, int, float], web.Response]


class Faults:
    """The table. A platform runs its handlers through `through` and says how its refusals look."""

    def __init__(self, refusal: Refusal) -> None:
        self._planned: list[Planned] = []
        self._refusal = refusal

    def add(
        self, method: str, route: str, fault: Fault, *, times: int = 1, skip: int = 0, seconds: float = 0.3
    ) -> None:
        """The next `times` calls of this route, after `skip` good ones, fail so.

        The route is a pattern that the path ends with, such as `/channels/\\d+/messages`; method "*" is any.
        """
        pattern = re.compile(f"(?:{route})$")
        planned = Planned(
            method=method.upper(), route=pattern, fault=fault, times=times, skip=skip, seconds=seconds
        )
        self._planned.append(planned)

    def clear(self) -> None:
        """Everything works from now on."""
        self._planned.clear()

    @property
    def waiting(self) -> int:
        """How many faults have not happened yet."""
        return sum(planned.times for planned in self._planned)

    def _take(self, method: str, path: str) -> Planned | None:
        for planned in self._planned:
            if planned.method not in ("*", method) or not planned.route.search(path) or not planned.times:
                continue
            if planned.skip:
                planned.skip -= 1
                continue
            planned.times -= 1
            return planned
        return None

    async def through(self, request: web.Request, handler: Handler, call: Call) -> web.StreamResponse:
        """Answer the call, with what is planned for it."""
        planned = self._take(request.method, request.path)
        if planned is None:
            return await handler(request)
        call.fault = planned.fault
        if planned.fault is Fault.SLOW:
            await asyncio.sleep(planned.seconds)
            return await handler(request)
        if planned.fault is Fault.SLOW_AFTER:
            answer = await handler(request)
            await asyncio.sleep(planned.seconds)
            return answer
        if planned.fault in AFTER:
            await handler(request)
        if planned.fault.cuts:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()  # nobody is there to read it
        return self._refusal(planned.fault, STATUS[planned.fault], planned.seconds)


async def read_call(request: web.Request, path: str) -> Call:
    """What was sent: JSON, a form, or JSON beside files in several parts."""
    if request.content_type == "application/json":
        return Call(method=request.method, path=path, json=json.loads(await request.text() or "null"))
    if request.content_type not in ("multipart/form-data", "application/x-www-form-urlencoded"):
        return Call(method=request.method, path=path)
    files: dict[str, bytes] = {}
    fields: dict[str, str] = {}
    for name, part in (await request.post()).items():
        if isinstance(part, web.FileField):
            files[part.filename] = part.file.read()
            part.file.seek(0)
        elif isinstance(part, str):
            fields[name] = part
    sent = json.loads(fields["payload_json"]) if "payload_json" in fields else fields
    return Call(method=request.method, path=path, json=sent, files=files)
