"""Ephemeral messages: to a response URL, in a channel for one person, or by direct message."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.chats.interface import Caller
from bot.chats.slack.errors import CLOSED, TROUBLES, error_of
from bot.chats.slack.mrkdwn import JSON, QUIET, messages
from bot.chats.slack.workspace import account

USES, SECONDS = 5, 1750.0  # that Slack gives an address of an answer: half an hour
UNSEEN = (*CLOSED, "user_not_in_channel")  # where nothing can be shown beside the channel

log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Recipient:
    """Who is answered. `url` came with what they did: what is sent there is seen where the bot is not."""

    caller: Caller
    url: str = ""
    thread: str | None = None
    uses: int = USES
    since: float = field(default_factory=time.monotonic)

    @property
    def answerable(self) -> bool:
        """Whether the address is good for one more answer."""
        return bool(self.url) and self.uses > 0 and time.monotonic() - self.since < SECONDS


def recipient(caller: Caller, body: JSON) -> Recipient:
    """Whoever caused this. Events and forms come without an address."""
    thread = (body.get("container") or {}).get("thread_ts")
    return Recipient(caller=caller, url=str(body.get("response_url") or ""), thread=thread)


class Ephemerals:
    """Sends each message by the first way that is open."""

    def __init__(self, client: AsyncWebClient, session: aiohttp.ClientSession) -> None:
        self._client = client
        self._session = session

    async def say(self, to: Recipient, text: str) -> None:
        """Send these words, in as many messages as they need."""
        await self.send(to, messages(text))

    async def send(self, to: Recipient, contents: Sequence[JSON]) -> None:
        """Send these messages in order. Raises what Slack raises if nothing works."""
        for content in contents:
            if not await self._send_to_address(to, content) and not await self._send_beside(to, content):
                await self._send_directly(to, content)

    async def _send_to_address(self, to: Recipient, content: JSON) -> bool:
        """Send it to the response URL; whether that took it."""
        if not to.answerable:
            return False
        to.uses -= 1
        thread = {"thread_ts": to.thread} if to.thread else {}
        answer = {"response_type": "ephemeral", "replace_original": False, **thread, **content}
        try:
            async with self._session.post(to.url, json=answer, proxy=self._client.proxy) as response:
                taken = response.status == 200
                reason = "" if taken else await response.text()
        except TROUBLES as error:
            taken, reason = False, error_of(error)
        if not taken:
            log.info("Response URL rejected an answer", reason=reason[:200])
        return taken

    async def _send_beside(self, to: Recipient, content: JSON) -> bool:
        """Show it in the channel; whether that worked, since the bot must be a member."""
        caller = to.caller
        try:
            await self._client.chat_postEphemeral(
                channel=caller.channel, user=account(caller.person), thread_ts=to.thread, **content
            )
        except SlackApiError as error:
            if error_of(error) not in UNSEEN:
                raise
            return False
        return True

    async def _send_directly(self, to: Recipient, content: JSON) -> None:
        opened = await self._client.conversations_open(users=account(to.caller.person))
        await self._client.chat_postMessage(channel=opened["channel"]["id"], **content, **QUIET)
