"""What Slack tells twice is done once: envelopes and events that come again, and jobs made from them."""

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from bot.chats.slack.mrkdwn import JSON
from engine.messages import JobId
from storage.ids import LENGTH, LETTERS

REMEMBERED = 10_000  # envelopes
FOR = 3600.0  # seconds; Slack tells an event again within the hour


class Once:
    """Answers to what was heard, by its key: whoever comes again waits for the same answer."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, tuple[float, asyncio.Future[JSON]]] = OrderedDict()

    async def answer(self, key: str, work: Callable[[], Awaitable[JSON]]) -> JSON:
        """The answer to this, worked out the first time; what failed is worked out again."""
        self._forget()
        known = self._answers.get(key)
        if known is None:
            task = asyncio.ensure_future(work())
            self._answers[key] = known = (time.monotonic(), task)
            task.add_done_callback(lambda done: self._drop_failed(key, done))
        return await asyncio.shield(known[1])

    def _drop_failed(self, key: str, done: "asyncio.Future[JSON]") -> None:
        if done.cancelled() or done.exception() is not None:
            self._answers.pop(key, None)

    def _forget(self) -> None:
        oldest = time.monotonic() - FOR
        while self._answers:
            at, _ = next(iter(self._answers.values()))
            if at >= oldest and len(self._answers) < REMEMBERED:
                return
            self._answers.popitem(last=False)


def key_of(body: JSON) -> str:
    """What stays the same when Slack tells something again: an event's id, or a click's trigger."""
    return str(body.get("event_id") or body.get("trigger_id") or "")


def job_of(secret: str, key: str) -> JobId:
    """The id that the job made from this always gets; nobody who lacks the secret can guess it."""
    digest = hmac.new(secret.encode(), key.encode(), hashlib.sha256).digest()
    return JobId("".join(LETTERS[byte % len(LETTERS)] for byte in digest[:LENGTH]))
