"""Deduplication of what Slack sends twice: envelopes, events, and the jobs made from them."""

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable

from cachetools import TTLCache

from bot.chats.slack.mrkdwn import JSON
from engine.messages import JobId
from storage.ids import job_id_of

REMEMBERED = 10_000  # envelopes
FOR = 3600.0  # seconds; Slack tells an event again within the hour


class Deduplication:
    """Answers by the key of what was received: a repeated one waits for the same answer."""

    def __init__(self) -> None:
        self._answers: TTLCache[str, asyncio.Future[JSON]] = TTLCache(REMEMBERED, FOR)

    async def answer(self, key: str, work: Callable[[], Awaitable[JSON]]) -> JSON:
        """Work out the answer once for all who ask; what failed is tried again."""
        answer = self._answers.get(key)
        if answer is None:
            self._answers[key] = answer = asyncio.ensure_future(work())
            answer.add_done_callback(lambda done: self._drop_failed(key, done))
        return await asyncio.shield(answer)

    def _drop_failed(self, key: str, done: "asyncio.Future[JSON]") -> None:
        if done.cancelled() or done.exception() is not None:
            self._answers.pop(key, None)


def key_of(body: JSON) -> str:
    """What stays the same when Slack tells something again: an event's id, or a click's trigger."""
    return str(body.get("event_id") or body.get("trigger_id") or "")


def job_of(secret: str, key: str) -> JobId:
    """The id that the job made from this always gets; nobody who lacks the secret can guess it."""
    digest = hmac.new(secret.encode(), key.encode(), hashlib.sha256).digest()
    return job_id_of(int.from_bytes(digest))
