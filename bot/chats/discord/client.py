"""The bot's own client: what Discord tells it goes to whom it concerns."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import discord
import structlog
from discord import app_commands

from bot.chats.discord import buttons, context_menus, reactions
from bot.chats.discord.attachments import Attachments, attached, told
from bot.chats.discord.command_sync import sync
from bot.chats.discord.definitions import PICTURES, PRIVATE, ZIP, slash_commands, texts
from bot.chats.discord.ephemeral import say, tried
from bot.chats.discord.file_dm import SENT
from bot.chats.discord.interactions import CHAT, SORRY, Asking
from bot.chats.discord.modal_submit import Attached, Filled, filled, is_form
from bot.chats.discord.pending import Interaction
from bot.chats.interface import Caller
from bot.dispatch.apply import Reply
from commands.imagine import imagine
from commands.registry import Known
from commands.show import show
from commands.syntax.form_files import examples, written_examples
from commands.train import train
from commands.training_runs import training
from engine.messages import Example, InvalidRequest, JobId
from storage.database import CannotStore

GUILDS_COME = 0.5  # seconds without another guild, after which all are known
CARDS = (imagine, train, show, training)  # what may end in a card that all can see

log = structlog.get_logger(__name__)


class Tree(app_commands.CommandTree[discord.Client]):
    """The commands; one that fails says so to whoever asked."""

    async def on_error(self, interaction: Interaction, error: app_commands.AppCommandError, /) -> None:
        """A command that is not what Discord believes was just changed; anything else is our fault."""
        changed = (app_commands.CommandNotFound, app_commands.CommandSignatureMismatch)
        if isinstance(error, changed):
            text = "this command has just been changed: please say it again."
        else:
            log.error("unexpected error", what="discord command", exc_info=error)
            text = SORRY
        if interaction.type is not discord.InteractionType.autocomplete:
            await tried(say(interaction, text))


class Atelier(discord.AutoShardedClient):
    """Hears commands, forms, buttons and reactions, and no messages: it asks for no privileged intent."""

    def __init__(self, asking: Asking, attachments: Attachments) -> None:
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # nobody talks here
        super().__init__(
            intents=discord.Intents(guilds=True, guild_reactions=True, dm_reactions=True),
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=GUILDS_COME,
        )
        self.asking = asking
        self.attachments = attachments
        self.tree = Tree(self)
        for command in slash_commands(self._heard):
            self.tree.add_command(command)
        buttons.register(self)
        for entry in context_menus.Menus(asking, attachments).entries():
            self.tree.add_command(entry)

    async def sync(self) -> None:
        """Let Discord know our commands, unless it does."""
        await sync(self, self.tree)

    async def on_interaction(self, interaction: Interaction) -> None:
        """Forms come back here, even those that were opened before a restart."""
        if interaction.type is not discord.InteractionType.modal_submit:
            await buttons.forged(interaction)
            return
        if not is_form(interaction.custom_id or ""):
            return
        try:
            form = filled(dict(interaction.data or {}))
        except InvalidRequest as error:
            await tried(say(interaction, str(error)))
        else:
            await self._filled(interaction, form)

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        """A reaction under a card is a button."""
        await reactions.reacted(self, self.asking, payload, added=True)

    async def on_raw_reaction_remove(self, payload: discord.RawReactionActionEvent) -> None:
        """A star that is taken back is one less."""
        await reactions.reacted(self, self.asking, payload, added=False)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """The bot was removed: nothing of the guild stays. One that is only not available is not meant."""
        try:
            await self.asking.dispatch.forget_space(CHAT, str(guild.id))
        except CannotStore as error:
            log.error("a guild that the bot has left could not be forgotten", reason=str(error))

    async def forget_left(self) -> None:
        """Nothing stays of the guilds in which the bot is no more and of which it was not told."""
        if not self.is_ready():
            return
        try:
            await self.asking.dispatch.forget_left(CHAT, {str(guild.id) for guild in self.guilds})
        except CannotStore as error:
            log.error("guilds that the bot has left could not be forgotten", reason=str(error))
        except Exception:
            log.exception("guilds that the bot has left could not be looked for")

    async def _heard(self, interaction: Interaction, command: Known, given: Mapping[str, Any]) -> None:
        """A slash command, with what was given."""
        files = [attached(given[name]) for name in (*PICTURES, ZIP) if name in given]
        try:
            values = texts(command, given)
        except InvalidRequest as error:
            await tried(say(interaction, str(error)))
            return
        lora = next((one for one in given.values() if isinstance(one, discord.Attachment)), None)
        if files:
            await self._train(interaction, values, files)
        elif lora is not None:
            await self._bring(interaction, command, values, attached(lora))
        elif given.get(PRIVATE):
            await self._in_private(interaction, command, values)
        else:
            await self.asking.ask(
                interaction,
                lambda caller, job: self.asking.dispatch.fill(caller, command.name, values, job=job),
                may_form=command is train,
                makes_card=command in CARDS,
            )

    async def _bring(
        self, interaction: Interaction, command: Known, values: Mapping[str, str], file: Attached
    ) -> None:
        """The file first, then what it is to be called."""

        async def act(caller: Caller, job: JobId) -> Reply:
            try:
                sha256 = await self.attachments.take_lora(caller, file)
            except InvalidRequest as error:
                return Reply(ok=False, text=str(error))
            named = next(one.name for one in command.parameters if one.kind == "lora_file")
            return await self.asking.dispatch.fill(caller, command.name, {**values, named: sha256}, job=job)

        await self.asking.ask(interaction, act, makes_card=False)

    async def _in_private(self, interaction: Interaction, command: Known, values: Mapping[str, str]) -> None:
        """The card goes to the person's direct messages, and nobody else sees that they asked."""

        async def act(caller: Caller, job: JobId) -> Reply:
            direct = await interaction.user.create_dm()
            reply = await self.asking.dispatch.fill(
                replace(caller, channel=str(direct.id), direct=True), command.name, values
            )
            if not reply.ok or reply.job is None:
                return reply
            self.asking.pending.note(reply.job, interaction)
            return Reply(text=f"{SENT}\n{reply.text}".strip())

        await self.asking.ask(interaction, act, makes_card=False)

    async def _filled(self, interaction: Interaction, form: Filled) -> None:
        """A form that came back; sent twice, it files once."""
        if form.command is train:
            await self._train(interaction, form.values, form.files, form.source, form.job)
            return
        await self.asking.ask(
            interaction,
            lambda caller, job: self.asking.dispatch.fill(
                caller, form.command.name, form.values, job=job, origin=form.source
            ),
            makes_card=form.command in CARDS,
            job=form.job,
        )

    async def _train(
        self,
        interaction: Interaction,
        values: Mapping[str, str],
        files: "list[Attached] | tuple[Attached, ...]",
        source: JobId | None = None,
        job: JobId | None = None,
    ) -> None:
        """Pictures first, then the draft; what was left out is told once its card is there."""
        left_out: list[tuple[str, str]] = []

        async def act(caller: Caller, job: JobId) -> Reply:
            held = self.attachments.held(caller, source)
            draft = None if held else source
            earlier = {} if draft is None else await self._earlier(caller, draft)
            kept, refused = await self.attachments.take(caller, (*held, *files))
            left_out.extend(refused)
            sent = [Example(sha256=one.sha256, name=one.name, caption=one.caption) for one in kept]
            pictures = (*examples(earlier.get("pictures") or "[]"), *sent)
            if not pictures:
                return Reply(
                    ok=False, text=told(refused) if refused else "there is no picture to learn from."
                )
            told_values = {
                **values,
                "pictures": written_examples(pictures),
                "draft": earlier.get("draft", ""),
            }
            return await self.asking.dispatch.fill(caller, train.name, told_values, job=job, origin=draft)

        await self.asking.ask(interaction, act, job=job, note=lambda: told(left_out) if left_out else "")

    async def _earlier(self, caller: Caller, source: JobId) -> Mapping[str, str]:
        """What the job has that the form was opened from: its own person alone is told."""
        reply = await self.asking.dispatch.press(caller, f"edit:{source}")
        return {} if reply.form is None else reply.form.values
