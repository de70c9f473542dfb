"""What stands in Slack already: the bot's messages found again by the job in their metadata."""

from collections.abc import Awaitable, Iterator
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.cards.card import Card
from bot.chats.slack.errors import error_of
from bot.chats.slack.mrkdwn import JSON
from engine.messages import JobId

EVENT = "atelier_card"
CARD, THREAD = "card", "thread"  # the parts of a job: its card, and the message that a thread hangs from
PAGE = 200  # messages
PAGES = 5  # that are looked through, newest first
EARLIER = 600.0  # seconds that Slack's clock may be behind ours
ALREADY_GONE = (
    "message_not_found",
    "channel_not_found",
    "thread_not_found",
    "file_not_found",
    "file_deleted",
    "not_in_channel",
    "is_archived",
)


def metadata(job: JobId, part: str) -> JSON:
    """What makes a message known again."""
    return {"event_type": EVENT, "event_payload": {"job": job, "part": part}}


class History:
    """Looks for messages where they would be."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client

    async def find(self, channel: str, thread: str | None, card: Card, part: str) -> str | None:
        """The ts of the job's message in a channel or in a thread, if it is there."""
        wanted = metadata(card.job, part)
        cursor = ""
        for _ in range(PAGES):
            told = await self._page(channel, thread, f"{card.at - EARLIER:.6f}", cursor)
            for message in told["messages"]:
                if message.get("metadata") == wanted:
                    return str(message["ts"])
            cursor = (told.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                break
        return None

    async def message(self, channel: str, ts: str) -> JSON | None:
        """A message of a channel or of a thread in it; None when it is gone."""
        return next((one for one in await self._thread(channel, ts) if one["ts"] == ts), None)

    async def above(self, channel: str, ts: str) -> str | None:
        """The ts of the message in whose thread a picture was shared by this one; None for any other."""
        told = await self.message(channel, ts)
        if told is None or not told.get("files") or _job_of(told) is not None:
            return None
        return told.get("thread_ts")

    async def files(self, channel: str, ts: str) -> list[str]:
        """The files that belong to a card: in its message, and shared by the bot in its thread."""
        found: list[str] = []
        for one in await self._own(channel, ts):
            found.extend(str(file["id"]) for file in one.get("files", ()))
            found.extend(str(block["slack_file"]["id"]) for block in pictures(one))
        return list(dict.fromkeys(found))

    async def parts(self, channel: str, ts: str) -> list[str]:
        """The messages that a card consists of, itself first: a training has the one above its thread."""
        own = [one["ts"] for one in await self._own(channel, ts) if _job_of(one) is not None]
        return list(dict.fromkeys([ts, *reversed(own)]))

    async def _own(self, channel: str, ts: str) -> list[JSON]:
        """The card's message and what the bot has said in the same thread."""
        card = await self.message(channel, ts)
        if card is None:
            return []
        thread = await self._thread(channel, str(card.get("thread_ts") or ts), whole=True)
        return [one for one in thread if one.get("user") == card.get("user")]

    async def _thread(self, channel: str, ts: str, *, whole: bool = False) -> list[JSON]:
        bounds: dict[str, Any] = {} if whole else {"oldest": ts, "latest": ts, "inclusive": True}
        try:
            told = await self._client.conversations_replies(
                channel=channel, ts=ts, limit=PAGE, include_all_metadata=True, **bounds
            )
        except SlackApiError as error:
            if error_of(error) not in ALREADY_GONE:
                raise
            return []
        return list(told["messages"])

    async def _page(self, channel: str, thread: str | None, oldest: str, cursor: str) -> Any:
        told: JSON = {"channel": channel, "oldest": oldest, "limit": PAGE, "include_all_metadata": True}
        if cursor:
            told["cursor"] = cursor
        if thread is not None:
            return await self._client.conversations_replies(ts=thread, **told)
        return await self._client.conversations_history(**told)


def pictures(message: JSON) -> Iterator[JSON]:
    """The image blocks of a message that show files in Slack."""
    for block in message.get("blocks", ()):
        if block.get("type") == "image" and "id" in (block.get("slack_file") or {}):
            yield block


async def gently(call: Awaitable[object]) -> None:
    """Remove something; what is gone already is no error."""
    try:
        await call
    except SlackApiError as error:
        if error_of(error) not in ALREADY_GONE:
            raise


def _job_of(message: JSON) -> str | None:
    told = message.get("metadata") or {}
    return told.get("event_payload", {}).get("job") if told.get("event_type") == EVENT else None
