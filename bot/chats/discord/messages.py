"""Messages with cards: one for each job, whatever happens between the bot and Discord."""

import time
from contextlib import suppress
from functools import partial

import discord
import structlog

from bot.cards.card import Card
from bot.chats.discord.cards import starter_embed
from bot.chats.discord.ephemeral import follow_up, say, try_answer, write
from bot.chats.discord.errors import ANSWERED, NO_DIRECT, card_refusal, is_final, is_late, is_shut
from bot.chats.discord.interactions import CHAT
from bot.chats.discord.payload import Payload, Payloads, key_of
from bot.chats.discord.pending import Interaction, Pending
from bot.chats.discord.posts import Place, Posts
from bot.chats.discord.threads import open_thread
from bot.chats.interface import CardRefused
from bot.images.card_images import CardImages
from storage import jobs
from storage.database import Database

log = structlog.get_logger(__name__)


OLD_AFTER, OLD_PAUSE = 3600.0, 60.0  # seconds: from that age on progress is shown so seldom
CLOSED = "The bot can write neither in the channel nor to you directly."


class _TooLate(Exception):
    """The interaction cannot be answered any more: the channel has the card instead."""


class Messages:
    """Shows cards and takes them away, as a chat does."""

    def __init__(
        self, client: discord.Client, images: CardImages, pending: Pending, database: Database
    ) -> None:
        self._client = client
        self._database = database
        self._pending = pending
        self._payloads = Payloads(images)
        self._posts = Posts(client)
        self._progress: dict[str, float] = {}  # when that of jobs with old messages was shown last

    async def show(self, channel: str, message: str | None, card: Card) -> str:
        """Make this message show the card, or post it; the message's key. Raises CardRefused."""
        await self._client.wait_until_ready()  # which channels there are is known by then
        try:
            return await self._show_or_send_directly(channel, message, card)
        except discord.HTTPException as error:
            if not is_final(error):
                raise
            raise card_refusal(error) from error

    async def remove(self, channel: str, message: str) -> None:
        """Delete the message, with its thread's starter message, and the thread if that is empty.

        Raises CardRefused.
        """
        where, number = _split(message)
        self._pending.drop(message)
        self._payloads.forget(message)
        try:
            await self._posts.delete(where, number)
            if str(where) != channel:  # a thread is called like the message that it began with
                await self._posts.delete(int(channel), where)
                if not await self._has_cards(where):
                    await self._posts.close_thread(where)
        except discord.HTTPException as error:
            if not is_final(error):
                raise
            raise card_refusal(error) from error

    async def _has_cards(self, where: int) -> bool:
        """Whether other jobs have cards there, or soon will: a draft is changed in its thread."""
        async with self._database.reading() as session:
            return await jobs.has_cards(session, CHAT, str(where))

    async def tell(self, channel: str, card: Card, text: str) -> None:
        """Tell the job's owner alone: where they asked while they can be answered there, else directly."""
        waiting = await self._pending.take(card.job)
        interaction = waiting or self._pending.interaction_of_job(card.job)
        if interaction is not None:
            is_first = waiting is not None or not interaction.response.is_done()
            if await try_answer((say if is_first else follow_up)(interaction, text)):
                self._pending.mark_answered(interaction)
                return
        with suppress(discord.Forbidden, discord.NotFound):
            await write(await self._open_dm(card), text)

    async def _show_or_send_directly(self, channel: str, message: str | None, card: Card) -> str:
        try:
            if message is None:
                return self._note_posted(card, await self._show_first(channel, card))
            return await self._edit(message, card)
        except discord.HTTPException as error:
            if not is_shut(error):
                raise
            if error.code == NO_DIRECT:
                raise card_refusal(error) from error
            log.info("Channel closed to the bot", job=card.job, channel=channel, reason=str(error))
        return self._note_posted(card, await self._send_directly(card))

    async def _show_first(self, channel: str, card: Card) -> discord.Message:
        """Answer the waiting interaction with the new card, or post it."""
        interaction = await self._pending.take(card.job)
        if interaction is None:
            return await self._post_to_channel(int(channel), card)
        try:
            return await self._answer_with_card(interaction, int(channel), card)
        except _TooLate:
            return await self._post_to_channel(int(channel), card)
        except BaseException:
            self._pending.give_back(card.job, interaction)
            raise

    async def _answer_with_card(self, interaction: Interaction, channel: int, card: Card) -> discord.Message:
        """Answer this interaction with the card, or with its thread's starter message. Raises _TooLate."""
        if self._in_thread(channel, card):
            above = await _answer(interaction, _thread_starter(card))
            self._pending.mark_answered(interaction)
            return await self._post_in_thread(above, card)
        answer = partial(_answer, interaction)
        sent = await self._payloads.send(card, None, interaction.filesize_limit, answer)
        self._pending.remember(key_of(sent), interaction)
        return sent

    async def _post_to_channel(self, channel: int, card: Card) -> discord.Message:
        """Post it to its channel with the bot's token."""
        place = self._posts.place_for(channel)
        if not self._in_thread(channel, card):
            return await self._post(place, card)
        return await self._post_in_thread(
            await self._posts.post(place, card, _thread_starter(card), "above"), card
        )

    async def _post_in_thread(self, above: discord.Message, card: Card) -> discord.Message:
        """Post the card in a thread under this message, or in its place where there can be no thread."""
        thread = await open_thread(above, card)
        if thread is not None:
            return await self._post(self._posts.place_for(thread), card)
        limit = self._posts.file_limit(above.channel.id)
        return await self._payloads.send(
            card, None, limit, lambda payload: above.edit(**payload.edit_arguments)
        )

    async def _post(self, place: Place, card: Card) -> discord.Message:
        limit = self._posts.file_limit(place.id)
        return await self._payloads.send(card, None, limit, partial(self._posts.post, place, card))

    async def _edit(self, message: str, card: Card) -> str:
        """Edit it with the interaction's token while that is valid, else with the bot's own."""
        if self._can_wait(message, card):
            return message
        if not await self._edit_by_token(message, card):
            where, number = _split(message)
            edit = partial(self._posts.edit, where, number)
            await self._payloads.send(card, message, self._posts.file_limit(where), edit)
        return message

    def _can_wait(self, message: str, card: Card) -> bool:
        """Whether this is progress that can wait: old messages may be edited only so often."""
        age = discord.utils.utcnow() - discord.utils.snowflake_time(_split(message)[1])
        if card.state != "running" or age.total_seconds() < OLD_AFTER:
            self._progress.pop(message, None)
            return False
        now = time.monotonic()
        if now - self._progress.get(message, -OLD_PAUSE) < OLD_PAUSE:
            return True
        self._progress[message] = now
        return False

    async def _edit_by_token(self, message: str, card: Card) -> bool:
        """Edit it with its interaction's token; whether that was still valid."""
        interaction = self._pending.interaction_of_message(message)
        if interaction is None:
            return False

        async def edit(payload: Payload) -> discord.Message:
            return await interaction.edit_original_response(**payload.edit_arguments)

        try:
            await self._payloads.send(card, message, interaction.filesize_limit, edit)
        except discord.HTTPException as error:
            if not is_late(error):
                raise
            self._pending.drop(message)
            return False
        return True

    async def _send_directly(self, card: Card) -> discord.Message:
        """Send it to the job's owner by direct message. Raises CardRefused."""
        try:
            return await self._post(await self._open_dm(card), card)
        except discord.HTTPException as error:
            if not is_shut(error):
                raise
            raise CardRefused(CLOSED) from error

    async def _open_dm(self, card: Card) -> discord.DMChannel:
        """Open the job's owner's direct messages."""
        return await self._client.create_dm(discord.Object(int(card.person_key)))

    def _note_posted(self, card: Card, sent: discord.Message) -> str:
        self._posts.mark_posted(card)
        return key_of(sent)

    def _in_thread(self, channel: int, card: Card) -> bool:
        """Whether the card gets a thread of its own there."""
        return card.kind == "train" and isinstance(self._client.get_channel(channel), discord.TextChannel)


async def _answer(interaction: Interaction, payload: Payload) -> discord.Message:
    """Send the first answer, or change it if Discord has one already. Raises _TooLate."""
    try:
        sent = None if interaction.response.is_done() else await _respond(interaction, payload)
        return sent or await interaction.edit_original_response(**payload.edit_arguments)
    except discord.HTTPException as error:
        if is_late(error):
            raise _TooLate from error
        raise


async def _respond(interaction: Interaction, payload: Payload) -> discord.Message | None:
    """Send the first answer; None if Discord has one, perhaps this very one before a lost connection."""
    try:
        response = await interaction.response.send_message(**payload.send_arguments)
    except discord.HTTPException as error:
        if error.code != ANSWERED:
            raise
        return None
    if isinstance(response.resource, discord.InteractionMessage):
        return response.resource
    return await interaction.original_response()


def _thread_starter(card: Card) -> Payload:
    """The starter message of a training's thread."""
    view = discord.ui.View(timeout=None)
    view.stop()
    return Payload(embeds=[starter_embed(card)], view=view)


def _split(message: str) -> tuple[int, int]:
    where, _, number = message.partition("-")
    return int(where), int(number)
