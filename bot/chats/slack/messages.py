"""Messages with cards: each posted once, edited as its job goes on, its pictures in its thread."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog
from cachetools import FIFOCache
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.cards.card import Card
from bot.cards.card_text import short
from bot.chats.interface import CardRefused, NotYet
from bot.chats.slack.cards import SlackImage, blocks, fallback
from bot.chats.slack.edit_budget import Budget
from bot.chats.slack.errors import CLOSED, GONE, TROUBLES, card_refusal, error_of, is_final
from bot.chats.slack.history import History, ignore_gone, pictures
from bot.chats.slack.mrkdwn import QUIET, messages
from bot.chats.slack.posts import Place, Posts
from bot.chats.slack.slash_names import SlashNames
from bot.chats.slack.upload import NotShared, Uploads
from bot.chats.slack.workspace import account
from bot.images.card_images import CardImage, CardImages
from bot.images.encode import TooLarge

LARGEST = 50 * 2**20  # bytes of a picture; Slack takes 1 GB, and shows PNG and JPEG
BLOCK_TRIES = 3  # how often a message is tried whose picture Slack still works on
PAUSE = 3.0  # seconds between such tries, as between all edits of a message
REMEMBERED = 2000  # messages whose images are known without asking
GOING_ON = ("queued", "running")  # states of cards that change again by themselves
ROUNDS = 8  # of such tries, some minutes in all, after which the card stays without its picture
UNSEEN = "Slack has the picture but does not show it."
UNSHARED = "Slack took the picture but shows it nowhere."
LARGE = "The picture is larger than what Slack accepts."
NOTE = "The picture could not be uploaded to Slack yet. ✉️ sends it to you."

log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class State:
    """What is known of a message: its thread, and the files that it shows by their drawings' keys."""

    thread: str
    files: dict[str, str] = field(default_factory=dict)


class StillWorking(Exception):
    """Slack has the picture and cannot show it yet."""


class Messages:
    """Shows cards and takes them away."""

    def __init__(
        self,
        *,
        client: AsyncWebClient,
        uploads: Uploads,
        images: CardImages,
        history: History,
        slash_names: SlashNames,
        address: str,
    ) -> None:
        self._client = client
        self._uploads = uploads
        self._card_images = images
        self._history = history
        self._slash_names = slash_names
        self._address = address  # of the workspace, "" where Slack does not tell it
        self._posts = Posts(client, history)
        self._budget = Budget()
        self._states: FIFOCache[str, State] = FIFOCache(REMEMBERED)
        self._unseen: dict[str, int] = {}  # how often a message's picture was not shown in the end

    async def show(self, channel: str, message: str | None, card: Card) -> str:
        """Make the message show the card, or post it. Raises CardRefused, NotYet, and what Slack raises."""
        try:
            linked = self._add_links(self._slash_names.rename_in(card))
            return await self._show(channel, message, linked)
        except SlackApiError as error:
            if not is_final(error):
                raise
            raise card_refusal(error) from error

    def _add_links(self, card: Card) -> Card:
        """The card with the addresses of the messages of what it started from."""
        links = [
            f"{self._address}archives/{place.channel}/p{place.ts.replace('.', '')}"
            if self._address and origin.message
            else ""
            for origin in card.origins
            for place in [Place.of(origin.message)]
        ]
        origins = [replace(origin, link=link) for origin, link in zip(card.origins, links, strict=True)]
        return replace(card, origins=tuple(origins))

    async def remove(self, channel: str, message: str) -> None:
        """Take the message away, with the pictures in its thread. Raises CardRefused."""
        place = Place.of(message)
        self._states.pop(place.key, None)
        try:
            for file in await self._history.list_files(place.channel, place.ts):
                await ignore_gone(self._uploads.remove(file))
            for ts in await self._history.list_messages(place.channel, place.ts):
                await ignore_gone(self._client.chat_delete(channel=place.channel, ts=ts))
        except SlackApiError as error:
            if not is_final(error):
                raise
            raise card_refusal(error) from error

    async def tell(self, card: Card, text: str) -> None:
        """Tell the job's owner by direct message, if Slack lets it through."""
        try:
            opened = await self._client.conversations_open(users=account(card.person_key))
            for content in messages(self._slash_names.rename(text)):
                await self._client.chat_postMessage(channel=opened["channel"]["id"], **content, **QUIET)
        except SlackApiError as error:
            log.warning("Owner not told", job=card.job, reason=error_of(error))

    async def _show(self, channel: str, message: str | None, card: Card) -> str:
        images = [
            image for image in self._card_images.of(card) if image.what != "preview" and not image.hidden
        ]
        if message is None:
            place, complete = await self._posts.post_first(channel, card)
        else:
            place, complete = Place.of(message), False
        if complete:
            self._states[place.key] = State(thread=place.thread)
        if images or not complete:
            place = await self._show_or_post_directly(place, card, images)
        self._posts.forget_place(card.job)
        return place.key

    async def _show_or_post_directly(self, place: Place, card: Card, images: Sequence[CardImage]) -> Place:
        """Show the card, or post it directly if its message is gone; where it is."""
        wait = self._budget.take(last=card.state not in GOING_ON)
        if wait:
            raise NotYet(min(wait, PAUSE))
        try:
            await self._edit(place, card, images)
        except SlackApiError as error:
            if error_of(error) not in (*CLOSED, *GONE):
                raise
            place, new = await self._posts.post_directly(card, error_of(error), gone=place)
            if new:
                self._states[place.key] = State(thread=place.thread)
            await self._edit(place, card, images)
        return place

    async def _edit(self, place: Place, card: Card, images: Sequence[CardImage]) -> None:
        """Edit the message, and delete files that it no longer shows."""
        state = self._states.get(place.key)
        if state is None:
            state = await self._read_state(place) if images else State(thread=place.ts)
        note, trouble = "", None
        try:
            note = await self._upload(place, state, images)
        except (*TROUBLES, NotShared, TooLarge) as error:
            log.warning("Picture not shared", job=card.job, reason=error_of(error))
            if error_of(error) in CLOSED:
                raise
            if isinstance(error, NotShared | TooLarge) or is_final(error):
                self._budget.give_back()
                raise _without_picture(error) from error
            note, trouble = NOTE, error
        there = [image for image in images if image.key in state.files]
        await self._update(place, card, [_image(image, state.files[image.key]) for image in there], note)
        if trouble is not None:
            raise trouble
        for key in state.files.keys() - {image.key for image in images} if images else ():
            await ignore_gone(self._uploads.remove(state.files.pop(key)))

    async def _upload(self, place: Place, state: State, images: Sequence[CardImage]) -> str:
        """Upload those images that Slack does not have; a note about them."""
        new = [image for image in images if image.key not in state.files]
        if not new:
            return ""
        drawn = [await image.draw(LARGEST) for image in new]
        named = [
            (
                f"{image.key}.{fit.name.rpartition('.')[2]}",
                short(image.title, 200) or image.what,
                fit.content,
            )
            for image, fit in zip(new, drawn, strict=True)
        ]
        ids = await self._uploads.share(place.channel, state.thread, named)
        state.files |= dict(zip((image.key for image in new), ids, strict=True))
        self._states[place.key] = state  # should the message fail, they are not shared again
        return " ".join(filter(None, (image.note for image in drawn)))

    async def _update(self, place: Place, card: Card, images: Sequence[SlackImage], note: str) -> None:
        """Update the message; a picture that Slack still works on is tried again, then left out."""
        for _ in range(BLOCK_TRIES):
            try:
                await self._say(place, card, images, note)
            except SlackApiError as error:
                if error_of(error) != "invalid_blocks" or not images:
                    raise
                log.info("Picture not shown by Slack yet", job=card.job)
                await asyncio.sleep(PAUSE)
                self._budget.take(last=True)
            else:
                self._unseen.pop(place.key, None)
                return
        await self._say(place, card, (), NOTE)
        self._unseen[place.key] = self._unseen.get(place.key, 0) + 1
        if self._unseen[place.key] >= ROUNDS:
            del self._unseen[place.key]
            raise CardRefused(UNSEEN, bare=True)
        raise StillWorking

    async def _say(self, place: Place, card: Card, images: Sequence[SlackImage], note: str) -> None:
        await self._client.chat_update(
            channel=place.channel,
            ts=place.ts,
            text=fallback(card),
            blocks=blocks(card, images, note),
            link_names=False,
        )

    async def _read_state(self, place: Place) -> State:
        """Read from Slack, after a restart, what the message shows."""
        shown = await self._history.read_message(place.channel, place.ts)
        if shown is None:
            return State(thread=place.ts)
        files = {block["block_id"]: block["slack_file"]["id"] for block in pictures(shown)}
        return State(thread=str(shown.get("thread_ts") or place.ts), files=files)


def _without_picture(error: BaseException) -> CardRefused:
    """Why the card has no picture for good."""
    if isinstance(error, NotShared):
        return CardRefused(UNSHARED, bare=True)
    return CardRefused(LARGE, bare=True) if isinstance(error, TooLarge) else card_refusal(error)


def _image(image: CardImage, file: str) -> SlackImage:
    return SlackImage(key=image.key, what=image.what, title=image.title, file=file)
