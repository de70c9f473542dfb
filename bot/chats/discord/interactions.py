"""An interaction becomes what the dispatcher is asked, and the reply its answer, within three seconds."""

import asyncio
import io
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import discord
import structlog

from bot.chats.discord.ephemeral import answered, say, tried, whisper
from bot.chats.discord.file_dm import Giftable, gift, give
from bot.chats.discord.lora_embeds import show
from bot.chats.discord.modals import modal_of
from bot.chats.discord.pending import Interaction, Pending, Waiting
from bot.chats.discord.permissions import is_adult, is_member, refusal
from bot.chats.interface import Caller
from bot.config import DiscordSettings
from bot.dispatch.apply import Reply
from bot.dispatch.dispatcher import Dispatch
from engine.messages import JobId, Sha256
from storage.files import Files
from storage.ids import new_job_id

CHAT = "discord"
PATIENCE = 0.25  # seconds before Discord is told that the answer takes a while
CROWD = 10  # interactions at once, above which Discord is told so before anything is done
FORM_PATIENCE = 2.0  # the same where a form may be the answer: it has to be the first
LOOK = 0.3  # seconds between looks whether a card that is on its way has answered
CARD = 60.0  # seconds that a card may take until what is beside it is not told any more
LAST = 2.8  # seconds after which Discord takes no first answer any more
HEARD = 10_000  # interactions that are known again when the gateway tells them twice
SORRY = "sorry, something went wrong: the log has it."
SLOW = "that took too long for a form: please say it again."
TAKEN = "this form was sent already."


class Somebody(Protocol):
    """Whom Discord tells of, as much as we need to know."""

    @property
    def id(self) -> int:
        """Their key."""

    @property
    def display_name(self) -> str:
        """What they are called here."""


Act = Callable[[Caller, JobId], Awaitable[Reply]]

log = structlog.get_logger(__name__)


class Asking:
    """Between discord.py's interactions and the dispatcher."""

    def __init__(
        self, *, dispatch: Dispatch, pending: Pending, files: Files, settings: DiscordSettings
    ) -> None:
        self.dispatch = dispatch
        self.pending = pending
        self.files = files
        self.settings = settings
        self._heard: OrderedDict[int, None] = OrderedDict()
        self._asking = 0  # interactions that are being answered

    def caller_of(self, interaction: Interaction) -> Caller:
        """Who asks, and where. Where the bot is no member, and in private, everybody is on their own."""
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
            roles=tuple(str(one.id) for one in user.roles) if isinstance(user, discord.Member) else (),
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
        """Carry this out for whoever is asking, and answer them. A job that is given is filed once at most.

        `makes_card`: the answer is a card that all can see; otherwise a late one is for its person alone.
        `note` is told to the person when the card is there.
        """
        if not self._is_new(interaction.id):
            return
        no = refusal(interaction, self.settings, makes_card=makes_card)
        if no or (job is not None and self.pending.waits(job)):
            await tried(say(interaction, no or TAKEN))
            return
        new = job or new_job_id()
        waiting = self.pending.expect(new, interaction)
        patience = FORM_PATIENCE if may_form else PATIENCE
        watch = asyncio.create_task(_defer_in_time(waiting, patience, ephemeral=not makes_card))
        self._asking += 1
        try:
            if self._asking > CROWD and not may_form:
                await tried(waiting.defer(ephemeral=not makes_card))
            reply = await self._carried_out(self.caller_of(interaction), new, act, once=job is not None)
            if not await self._replied(waiting, new, reply):
                beside = (reply.text if reply.job == new else "", note() if note else "")
                await self._beside(waiting, "\n".join(filter(None, beside)))
                await watch
        except Exception:
            log.exception("unexpected error", what="discord", number=new)
            self.pending.forget(new)
            await tried(say(interaction, SORRY))
        finally:
            self._asking -= 1
            watch.cancel()

    async def answer(self, interaction: Interaction, reply: Reply) -> None:
        """Tell the person what the dispatcher replied, and nobody else."""
        if reply.form is not None:
            if interaction.response.is_done():
                await say(interaction, SLOW)
            else:
                await interaction.response.send_modal(modal_of(reply.form, interaction))
                if reply.text:
                    await say(interaction, reply.text)
        elif reply.files:
            await give(self.files, interaction, reply)
        elif reply.drawn:
            name, content = reply.drawn
            await say(interaction, reply.text, [discord.File(io.BytesIO(content), filename=name)])
        elif reply.loras:
            await show(self.files, interaction, reply)
        elif reply.text:
            await say(interaction, reply.text)
        elif not interaction.response.is_done():
            if interaction.type is discord.InteractionType.component:
                await interaction.response.defer()
            else:
                await say(interaction, "done.")

    async def gift(self, user: Giftable, text: str, files: Sequence[tuple[str, Sha256]]) -> None:
        """Send these to the person by direct message. Raises CardRefused when they take none."""
        await gift(self.files, user, text, files)

    async def _carried_out(self, caller: Caller, job: JobId, act: Act, *, once: bool) -> Reply:
        """What the dispatcher replies; to a form that was sent already, that it was."""
        if once and await self.dispatch.card(caller, job) is not None:
            return Reply(ok=False, text=TAKEN)
        return await act(caller, job)

    async def _replied(self, waiting: Waiting, job: JobId, reply: Reply) -> bool:
        """Say what there is to say, and whether that was all: a card answers by itself."""
        if reply.job == job:
            return False
        if reply.job is not None and not reply.text:  # an older card, which comes back as a new message
            self.pending.pass_on(job, reply.job)
            return False
        async with waiting.answering:
            waiting.taken = True
        self.pending.forget(job)
        await answered(waiting.interaction, self.answer(waiting.interaction, reply))
        return True

    async def _beside(self, waiting: Waiting, note: str) -> None:
        """Tell what the card does not, after it: what comes first would take its place."""
        if note:
            with suppress(TimeoutError):
                async with asyncio.timeout(CARD):
                    await waiting.answered.wait()
                await tried(whisper(waiting.interaction, note))

    def _is_new(self, number: int) -> bool:
        """Whether this interaction is heard for the first time: a resumed gateway may repeat itself."""
        if number in self._heard:
            return False
        self._heard[number] = None
        while len(self._heard) > HEARD:
            self._heard.popitem(last=False)
        return True


async def _defer_in_time(waiting: Waiting, patience: float, *, ephemeral: bool) -> None:
    """Discord waits three seconds for an answer. A card that is being sent may yet fail: look again."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(patience)
    while loop.time() - began < LAST and not waiting.interaction.response.is_done():
        await tried(waiting.defer(ephemeral=ephemeral))
        await asyncio.sleep(LOOK)
