"""Searches in Slack for the bot's own messages, by the job in their metadata."""

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
        """Find the ts of the job's message in a channel or in a thread."""
        wanted = metadata(card.job, part)
        cursor = ""
        for _ in range(PAGES):
            page = await self._read_page(channel, thread, f"{card.at - EARLIER:.6f}", cursor)
            for message in page["messages"]:
                if message.get("metadata") == wanted:
                    return str(message["ts"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                break
        return None

    async def read_message(self, channel: str, ts: str) -> JSON | None:
        """Read a message of a channel or of a thread in it; None if it is gone."""
        return next((reply for reply in await self._read_thread(channel, ts) if reply["ts"] == ts), None)

    async def find_thread_parent(self, channel: str, ts: str) -> str | None:
        """Find the ts of the message above the thread in which this one shared a picture, or None."""
        message = await self.read_message(channel, ts)
        if message is None or not message.get("files") or _job_of(message) is not None:
            return None
        return message.get("thread_ts")

    async def list_files(self, channel: str, ts: str) -> list[str]:
        """List the files of a card: in its message, and shared by the bot in its thread."""
        ids: list[str] = []
        for message in await self._list_own(channel, ts):
            ids.extend(str(file["id"]) for file in message.get("files", ()))
            ids.extend(str(block["slack_file"]["id"]) for block in pictures(message))
        return list(dict.fromkeys(ids))

    async def list_messages(self, channel: str, ts: str) -> list[str]:
        """List the messages of a card, itself first: a training has one above its thread, too."""
        own = [message["ts"] for message in await self._list_own(channel, ts) if _job_of(message) is not None]
        return list(dict.fromkeys([ts, *reversed(own)]))

    async def _list_own(self, channel: str, ts: str) -> list[JSON]:
        """List the card's message and what the bot posted in the same thread."""
        card = await self.read_message(channel, ts)
        if card is None:
            return []
        thread = await self._read_thread(channel, str(card.get("thread_ts") or ts), whole=True)
        return [reply for reply in thread if reply.get("user") == card.get("user")]

    async def _read_thread(self, channel: str, ts: str, *, whole: bool = False) -> list[JSON]:
        bounds: dict[str, Any] = {} if whole else {"oldest": ts, "latest": ts, "inclusive": True}
        try:
            response = await self._client.conversations_replies(
                channel=channel, ts=ts, limit=PAGE, include_all_metadata=True, **bounds
            )
        except SlackApiError as error:
            if error_of(error) not in ALREADY_GONE:
                raise
            return []
        return list(response["messages"])

    async def _read_page(self, channel: str, thread: str | None, oldest: str, cursor: str) -> Any:
        query: JSON = {"channel": channel, "oldest": oldest, "limit": PAGE, "include_all_metadata": True}
        if cursor:
            query["cursor"] = cursor
        if thread is not None:
            return await self._client.conversations_replies(ts=thread, **query)
        return await self._client.conversations_history(**query)


def pictures(message: JSON) -> Iterator[JSON]:
    """The image blocks of a message that show files in Slack."""
    for block in message.get("blocks", ()):
        if block.get("type") == "image" and "id" in (block.get("slack_file") or {}):
            yield block


async def ignore_gone(call: Awaitable[object]) -> None:
    """Await a removal; what is gone already is no error."""
    try:
        await call
    except SlackApiError as error:
        if error_of(error) not in ALREADY_GONE:
            raise


def _job_of(message: JSON) -> str | None:
    metadata = message.get("metadata") or {}
    return metadata.get("event_payload", {}).get("job") if metadata.get("event_type") == EVENT else None
