"""Interactions: each is passed to the dispatcher and answered within the three seconds Discord waits."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import discord
import structlog
from cachetools import FIFOCache

from bot.chats import router
from bot.chats.discord.ephemeral import answer_or_explain, follow_up, say, try_answer
from bot.chats.discord.file_dm import send_privately
from bot.chats.discord.lora_embeds import show_lora_cards
from bot.chats.discord.modals import modal_of
from bot.chats.discord.pending import Interaction, Pending, WaitingInteraction
from bot.chats.discord.permissions import is_adult, is_member, refusal
from bot.chats.interface import (
    Caller,
    CardReply,
    FilesReply,
    FormReply,
    ImageReply,
    LorasReply,
    RefusalReply,
    Reply,
    TextReply,
)
from bot.config import DiscordSettings
from bot.dispatch.dispatcher import Dispatcher
from engine.messages import JobId
from storage.files import Files
from storage.ids import new_job_id

CHAT = "discord"
PATIENCE = 0.25  # seconds before Discord is told that the answer takes a while
BUSY = 10  # interactions at once, above which Discord is told so before anything is done
FORM_PATIENCE = 2.0  # the same where a form may be the answer: it has to be the first
CARD_CHECK = 0.3  # seconds between looks whether a card that is on its way has answered
CARD = 60.0  # seconds that a card may take until what is beside it is not told any more
LAST = 2.8  # seconds after which Discord takes no first answer any more
REMEMBERED = 10_000  # interactions that are known again when the gateway tells them twice
SORRY = "Something went wrong. The log has the details."
SLOW = "That took too long to open a form. Try again."
TAKEN = "This form was already sent."


class Somebody(Protocol):
    """A person on Discord, as far as we need to know them."""

    @property
    def id(self) -> int:
        """Their key."""

    @property
    def display_name(self) -> str:
        """What they are called here."""


Act = Callable[[Caller, JobId], Awaitable[Reply]]

log = structlog.get_logger(__name__)


class Interactions:
    """Between discord.py's interactions and the dispatcher."""

    def __init__(
        self, *, dispatch: Dispatcher, pending: Pending, files: Files, settings: DiscordSettings
    ) -> None:
        self.dispatch = dispatch
        self.pending = pending
        self.files = files
        self.settings = settings
        self._heard: FIFOCache[int, None] = FIFOCache(REMEMBERED)
        self._in_flight = 0  # interactions that are being answered

    def caller_of(self, interaction: Interaction) -> Caller:
        """Who asks, and where. In private, and without the bot as a member, all have their own space."""
        guild = interaction.guild if is_member(interaction) else None
        direct = interaction.guild_id is None and isinstance(interaction.channel, discord.DMChannel)
        return self.caller_for(
            interaction.user,
            channel=str(interaction.channel_id),
            guild=guild,
            admin=guild is not None and interaction.permissions.manage_guild,
            direct=direct and not interaction.context.private_channel,
            adult=is_adult(interaction.channel),
        )

    def caller_for(
        self,
        user: Somebody,
        *,
        channel: str,
        guild: discord.Guild | None,
        admin: bool = False,
        direct: bool = False,
        adult: bool = False,
    ) -> Caller:
        """This person in this channel, of this guild or of none."""
        return Caller(
            chat=CHAT,
            space=f"user-{user.id}" if guild is None else str(guild.id),
            space_name=user.display_name if guild is None else guild.name,
            channel=channel,
            person=str(user.id),
            person_name=user.display_name,
            admin=admin,
            direct=direct,
            adult=adult,
            roles=tuple(str(role.id) for role in user.roles) if isinstance(user, discord.Member) else (),
        )

    async def ask(
        self,
        interaction: Interaction,
        act: Act,
        *,
        may_form: bool = False,
        makes_card: bool = True,
        job: JobId | None = None,
        note: Callable[[], str] | None = None,
    ) -> None:
        """Carry this out for the caller, and answer them. A given job is made once at most.

        `makes_card`: the answer is a card that all can see; otherwise a late one is for its person alone.
        `note` is told to the person when the card is there.
        """
        if not self._is_new(interaction.id):
            return
        reason = refusal(interaction, self.settings, makes_card=makes_card)
        if reason or (job is not None and self.pending.waits(job)):
            await try_answer(say(interaction, reason or TAKEN))
            return
        new = job or new_job_id()
        waiting = self.pending.expect(new, interaction)
        sink = InteractionSink(
            job=new, waiting=waiting, pending=self.pending, files=self.files, public=makes_card, note=note
        )
        reply = self._ask_once(self.caller_of(interaction), new, act, once=job is not None)
        patience = FORM_PATIENCE if may_form else PATIENCE if self._in_flight < BUSY else 0.0
        self._in_flight += 1
        try:
            await router.answer(reply, sink, patience)
        except Exception:
            log.exception("Unexpected error", what="discord", number=new)
            self.pending.forget(new)
            await try_answer(say(interaction, SORRY))
        finally:
            self._in_flight -= 1

    async def _ask_once(self, caller: Caller, job: JobId, act: Act, *, once: bool) -> Reply:
        """Ask the dispatcher, unless this form was sent already."""
        if once and await self.dispatch.find_card(caller, job) is not None:
            return RefusalReply(text=TAKEN)
        return await act(caller, job)

    def _is_new(self, number: int) -> bool:
        """Whether this interaction is new: a resumed gateway may send it again."""
        if number in self._heard:
            return False
        self._heard[number] = None
        return True


class InteractionSink:
    """Answers an interaction, for its person alone; a job's card answers it by itself, for all to see.

    `public`: all may see that the answer takes a while, since a card is to take its place. `note` is told
    when the card is there.
    """

    def __init__(
        self,
        *,
        job: JobId,
        waiting: WaitingInteraction,
        pending: Pending,
        files: Files,
        public: bool,
        note: Callable[[], str] | None = None,
    ) -> None:
        self._job = job
        self._waiting = waiting
        self._interaction = waiting.interaction
        self._pending = pending
        self._files = files
        self._public = public
        self._note = note
        self._began = asyncio.get_running_loop().time()

    async def defer(self) -> None:
        """Tell Discord that the answer takes a while; check again, since a card under way may fail."""
        while self._left > 0 and not self._interaction.response.is_done():
            await try_answer(self._waiting.defer(ephemeral=not self._public))
            await asyncio.sleep(CARD_CHECK)

    async def show_text(self, reply: TextReply) -> None:
        """Tell them; a button under a card need not be told that it is done."""
        if reply.text:
            await self._answer(say(self._interaction, reply.text))
        elif self._interaction.type is discord.InteractionType.component:
            await self._answer(self._acknowledge())
        else:
            await self._answer(say(self._interaction, "Done."))

    async def show_refusal(self, reply: RefusalReply) -> None:
        """Tell them why."""
        await self._answer(say(self._interaction, reply.text))

    async def open_form(self, reply: FormReply) -> None:
        """Open the modal, which must be the first answer."""
        await self._answer(self._open(reply))

    async def send_files(self, reply: FilesReply) -> None:
        """Send them by direct message, or here."""
        await self._answer(send_privately(self._files, self._interaction, reply.files, reply.text))

    async def show_image(self, reply: ImageReply) -> None:
        """Send the picture with its words."""
        picture = discord.File(io.BytesIO(reply.content), filename=reply.name)
        await self._answer(say(self._interaction, reply.text, [picture]))

    async def show_loras(self, reply: LorasReply) -> None:
        """Show them as embeds; where there are files about them, send these."""
        if reply.files:
            await self._answer(send_privately(self._files, self._interaction, reply.files, reply.text))
        elif reply.loras:
            await self._answer(show_lora_cards(self._files, self._interaction, reply))
        else:
            await self._answer(say(self._interaction, reply.text))

    async def show_card(self, reply: CardReply) -> None:
        """Wait for the card, then tell what it does not: an earlier message would take its place."""
        if reply.job != self._job:  # an older card, which comes back as a new message
            self._pending.pass_on(self._job, reply.job)
        text = "\n".join(filter(None, (reply.text, self._note() if self._note else "")))
        with suppress(TimeoutError):
            async with asyncio.timeout(CARD if text else max(self._left, 0.0)):
                await self._waiting.has_answer.wait()
            if text:
                await try_answer(follow_up(self._interaction, text))

    @property
    def _left(self) -> float:
        """The seconds in which Discord still takes a first answer."""
        return self._began + LAST - asyncio.get_running_loop().time()

    async def _answer(self, answer: Awaitable[object]) -> None:
        """Answer with this, and with no card."""
        async with self._waiting.answering:
            self._waiting.taken = True
        self._pending.forget(self._job)
        await answer_or_explain(self._interaction, answer)

    async def _acknowledge(self) -> None:
        if not self._interaction.response.is_done():
            await self._interaction.response.defer()

    async def _open(self, reply: FormReply) -> None:
        if self._interaction.response.is_done():
            await say(self._interaction, SLOW)
            return
        await self._interaction.response.send_modal(modal_of(reply.form, self._interaction))
        if reply.text:
            await say(self._interaction, reply.text)
