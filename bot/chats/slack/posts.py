"""First posts of cards, each once: where it may be there already, the bot looks first."""

import time
from dataclasses import dataclass

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.cards.card import Card
from bot.cards.card_text import LEARNING, short
from bot.chats.interface import CardRefused
from bot.chats.slack.cards import blocks, fallback
from bot.chats.slack.errors import CLOSED, error_of
from bot.chats.slack.history import CARD, THREAD, History, metadata
from bot.chats.slack.mrkdwn import JSON, QUIET, escape, section
from bot.chats.slack.workspace import account
from engine.messages import JobId

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A message, and the thread that it stands in or that hangs from it."""

    channel: str
    ts: str
    thread: str = ""  # empty while it is not known

    @property
    def key(self) -> str:
        """What the card's row calls the message."""
        return f"{self.channel}-{self.ts}"

    @classmethod
    def of(cls, key: str) -> "Place":
        channel, _, ts = key.partition("-")
        return cls(channel=channel, ts=ts)


class Posts:
    """Posts cards, in the channel or where that is closed to their people."""

    def __init__(self, client: AsyncWebClient, history: History) -> None:
        self._client = client
        self._history = history
        self._since = time.time()
        self._tried: set[tuple[JobId, str]] = set()  # posts of which nobody knows whether they came through
        self._places: dict[JobId, Place] = {}  # where cards are that their rows do not know of yet

    def forget_place(self, job: JobId) -> None:
        """Forget the place, since the job's row has it now."""
        self._places.pop(job, None)

    async def post_first(self, channel: str, card: Card) -> tuple[Place, bool]:
        """Post the card for the first time; where it is, and whether it is complete but for its images."""
        if card.job in self._places:
            return self._places[card.job], False
        try:
            place, complete = await self._post(channel, card)
        except SlackApiError as error:
            if error_of(error) not in CLOSED:
                raise
            place, complete = await self.post_directly(card, error_of(error))
        self._places[card.job] = place
        return place, complete

    async def post_directly(self, card: Card, reason: str, gone: Place | None = None) -> tuple[Place, bool]:
        """Post the card to its owner directly, since its channel does not take it. Raises CardRefused."""
        place = self._places.get(card.job)
        if place is not None and place != gone:
            return place, False
        log.info("Card rejected by its channel", job=card.job, reason=reason)
        try:
            opened = await self._client.conversations_open(users=account(card.person_key))
            place, new = await self._post(opened["channel"]["id"], card)
        except SlackApiError as error:
            if error_of(error) not in CLOSED:
                raise
            raise CardRefused(
                f"Neither its channel ({reason}) nor your direct messages ({error_of(error)}) accept it."
            ) from error
        self._places[card.job] = place
        return place, new

    async def _post(self, channel: str, card: Card) -> tuple[Place, bool]:
        """Post the card; that of a training in its own thread."""
        thread = None
        if card.kind == "train":
            thread, _ = await self._post_once(channel, card, THREAD, None, _starter(card))
        body = {"text": fallback(card), "blocks": blocks(card, ())}
        ts, complete = await self._post_once(channel, card, CARD, thread, body)
        return Place(channel=channel, ts=ts, thread=thread or ts), complete

    async def _post_once(
        self, channel: str, card: Card, part: str, thread: str | None, body: JSON
    ) -> tuple[str, bool]:
        """Post the message; its ts, and whether it is new.

        Slack knows no key against posting twice: where the message may be there already, look first.
        """
        tried = (card.job, part)
        if tried in self._tried or card.at < self._since:
            ts = await self._history.find(channel, thread, card, part)
            if ts is not None:
                return ts, False
        self._tried.add(tried)
        response = await self._client.chat_postMessage(
            channel=channel,
            metadata=metadata(card.job, part),
            thread_ts=thread,
            **body,
            **QUIET,
        )
        self._tried.discard(tried)
        return str(response["ts"]), True


def _starter(card: Card) -> JSON:
    """The message in the channel from which a training's thread hangs."""
    text = f"{LEARNING} {card.person} trains a LoRA: {short(card.title, 500)}. The thread shows how it goes."
    return {"text": escape(text), "blocks": [section(text)]}
