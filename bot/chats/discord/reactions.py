"""Reactions under cards, which do what buttons do, also on messages from before a restart."""

from contextlib import suppress
from dataclasses import dataclass, replace

import discord
import structlog

from bot.chats import router
from bot.chats.discord.ephemeral import TROUBLES, write
from bot.chats.discord.file_dm import send_directly
from bot.chats.discord.interactions import Interactions
from bot.chats.discord.permissions import is_adult, place_refusal
from bot.chats.interface import (
    Caller,
    CardRefused,
    CardReply,
    FilesReply,
    FormReply,
    ImageReply,
    LorasReply,
    RefusalReply,
    TextReply,
)
from commands.reactions import find_action
from storage.files import Files


@dataclass(frozen=True)
class _Somebody:
    """A person of whom only the number is known."""

    id: int
    display_name: str = ""


Person = discord.User | discord.Member

log = structlog.get_logger(__name__)


async def handle_reaction(
    client: discord.Client,
    interactions: Interactions,
    payload: discord.RawReactionActionEvent,
    *,
    added: bool,
) -> None:
    """Do what this reaction means under this message, if it means anything there."""
    emoji = payload.emoji.name
    if not payload.emoji.is_unicode_emoji() or not emoji or find_action(emoji, added=added) is None:
        return
    if _is_ours(client, payload):
        return
    dispatch, key = interactions.dispatch, f"{payload.channel_id}-{payload.message_id}"
    caller = _caller(client, interactions, payload)
    if await dispatch.card_of_message(caller, key) is None:
        return
    try:
        person = await _fetch_person(client, payload)
        if person.bot or _is_misplaced(client, interactions, payload):
            return
        caller = replace(caller, person_name=person.display_name)
        reply = await dispatch.react(caller, key, emoji, added)
        if reply is not None:
            await router.show(reply, DirectSink(interactions.files, person))
    except TROUBLES as error:
        log.warning("Reaction not answered", reason=repr(error))


def _is_ours(client: discord.Client, payload: discord.RawReactionActionEvent) -> bool:
    """Whether it is the bot's own, or on somebody else's message."""
    me = client.user
    author = payload.message_author_id
    return me is None or payload.user_id == me.id or (author is not None and author != me.id)


def _caller(
    client: discord.Client, interactions: Interactions, payload: discord.RawReactionActionEvent
) -> Caller:
    """Who reacts, and where, as far as the event tells."""
    guild = None if payload.guild_id is None else client.get_guild(payload.guild_id)
    channel = client.get_channel(payload.channel_id)
    return interactions.caller_for(
        payload.member or client.get_user(payload.user_id) or _Somebody(payload.user_id),
        channel=str(payload.channel_id),
        guild=guild,
        admin=payload.member is not None and payload.member.guild_permissions.manage_guild,
        direct=payload.guild_id is None,
        adult=is_adult(channel),
    )


async def _fetch_person(client: discord.Client, payload: discord.RawReactionActionEvent) -> Person:
    """Fetch the person, whom only events of added reactions in a guild contain."""
    if payload.member is not None:
        return payload.member
    guild = None if payload.guild_id is None else client.get_guild(payload.guild_id)
    if guild is not None:
        return await guild.fetch_member(payload.user_id)
    return await client.fetch_user(payload.user_id)


def _is_misplaced(
    client: discord.Client, interactions: Interactions, payload: discord.RawReactionActionEvent
) -> bool:
    """Whether the guild's rules let this person ask for nothing there; a star can always be taken back."""
    if payload.member is None:
        return False
    channel = client.get_channel(payload.channel_id)
    return bool(place_refusal(interactions.settings, payload.member, channel, payload.channel_id))


class DirectSink:
    """Tells a person by direct message what no card shows: that something was refused, and files."""

    def __init__(self, files: Files, person: Person) -> None:
        self._files = files
        self._person = person

    async def defer(self) -> None:
        """Nobody waits for the answer to a reaction."""

    async def show_text(self, reply: TextReply) -> None:
        """The card shows it."""

    async def show_refusal(self, reply: RefusalReply) -> None:
        """Tell them why."""
        await self._write(reply.text)

    async def open_form(self, reply: FormReply) -> None:
        """Discord opens a form to an interaction only, and no reaction asks for one."""

    async def send_files(self, reply: FilesReply) -> None:
        """Send them, or tell why they cannot be sent."""
        try:
            await send_directly(self._files, self._person, reply.text, reply.files)
        except CardRefused as refusal:
            await self._write(f"This cannot be sent. {refusal}")

    async def show_image(self, reply: ImageReply) -> None:
        """No reaction asks for one."""

    async def show_loras(self, reply: LorasReply) -> None:
        """No reaction asks for them."""

    async def show_card(self, reply: CardReply) -> None:
        """It comes to the channel."""

    async def _write(self, text: str) -> None:
        with suppress(discord.Forbidden):
            await write(self._person, text)
