"""The bot's Discord client: its handlers of commands, forms, buttons, reactions and guilds."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import discord
import structlog
from discord import app_commands

from bot.chats.discord import buttons, context_menus, reactions
from bot.chats.discord.attachments import Attachments, attached_file
from bot.chats.discord.command_sync import sync
from bot.chats.discord.definitions import PRIVATE, attachments_for, form_values, slash_commands
from bot.chats.discord.ephemeral import say, try_answer
from bot.chats.discord.file_dm import SENT
from bot.chats.discord.interactions import CHAT, SORRY, Interactions
from bot.chats.discord.modal_submit import Submission, is_form, parse_modal
from bot.chats.discord.pending import Interaction
from bot.chats.discord.undocumented import silence_voice_warnings
from bot.chats.interface import Caller, CardReply, FormReply, RefusalReply, Reply, TextReply
from commands.actions import button_id
from commands.answers import Form
from commands.forms import check_needed, pictures_of
from commands.registry import AnyCommand, opens_form, posts
from engine.messages import InvalidRequest, JobId
from storage.database import CannotStore
from storage.ids import new_job_id

FORGOTTEN = "The picture of that message is no longer here. Choose it again."
GUILDS_COME = 0.5  # seconds without another guild, after which all are known

log = structlog.get_logger(__name__)


class Tree(app_commands.CommandTree[discord.Client]):
    """The commands; one that fails says so to whoever asked."""

    async def on_error(self, interaction: Interaction, error: app_commands.AppCommandError, /) -> None:
        """Tell the person: the command has just changed, or something is wrong with the bot."""
        changed = (app_commands.CommandNotFound, app_commands.CommandSignatureMismatch)
        if isinstance(error, changed):
            text = "This command has just changed. Try again."
        else:
            log.error("Unexpected error", what="discord command", exc_info=error)
            text = SORRY
        if interaction.type is not discord.InteractionType.autocomplete:
            await try_answer(say(interaction, text))


class Atelier(discord.AutoShardedClient):
    """Hears commands, forms, buttons and reactions, and no messages: it asks for no privileged intent."""

    def __init__(self, interactions: Interactions, attachments: Attachments) -> None:
        silence_voice_warnings()
        super().__init__(
            intents=discord.Intents(guilds=True, guild_reactions=True, dm_reactions=True),
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=GUILDS_COME,
        )
        self.interactions = interactions
        self.attachments = attachments
        self.tree = Tree(self)
        for command in slash_commands(self._handle_command):
            self.tree.add_command(command)
        buttons.register(self)
        for entry in context_menus.Menus(interactions, attachments).entries():
            self.tree.add_command(entry)

    async def sync(self) -> None:
        """Register our commands with Discord, unless it has them."""
        await sync(self, self.tree)

    async def on_interaction(self, interaction: Interaction) -> None:
        """Handle submitted forms, even those opened before a restart, and forged buttons."""
        if interaction.type is not discord.InteractionType.modal_submit:
            await buttons.answer_forged(interaction)
            return
        if not is_form(interaction.custom_id or ""):
            return
        try:
            form = parse_modal(dict(interaction.data or {}))
        except InvalidRequest as error:
            await try_answer(say(interaction, str(error)))
        else:
            await self._submit(interaction, form)

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        """Do what the reaction means under a card."""
        await reactions.handle_reaction(self, self.interactions, payload, added=True)

    async def on_raw_reaction_remove(self, payload: discord.RawReactionActionEvent) -> None:
        """Take a star back."""
        await reactions.handle_reaction(self, self.interactions, payload, added=False)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """Delete all data of a guild that removed the bot. Discord does not send this for an outage."""
        try:
            await self.interactions.dispatch.forget_space(CHAT, str(guild.id))
        except CannotStore as error:
            log.error("Data of a guild without the bot not deleted", reason=str(error))

    async def forget_left(self) -> None:
        """Delete the data of guilds that removed the bot while it was off."""
        if not self.is_ready():
            return
        try:
            await self.interactions.dispatch.forget_left(CHAT, {str(guild.id) for guild in self.guilds})
        except CannotStore as error:
            log.error("Data of guilds without the bot not deleted", reason=str(error))
        except Exception:
            log.exception("Guilds without the bot not checked")

    async def _handle_command(
        self, interaction: Interaction, command: AnyCommand, given: Mapping[str, Any]
    ) -> None:
        """Carry out a slash command with the given options."""
        try:
            values = form_values(command, given)
        except InvalidRequest as error:
            await try_answer(say(interaction, str(error)))
            return
        files = {
            option.name: [attached_file(file) for file in attachments_for(command, option, given)]
            for option in command.files
        }
        form = Submission(command=command, values=values, files=files)
        attached = any(files.values())
        if given.get(PRIVATE):
            await self._submit_privately(interaction, form)
        elif command.submit and not (values or attached or opens_form(command)):
            await self._open_form(interaction, command)
        else:
            await self._submit(interaction, form, may_form=opens_form(command) and not attached)

    async def _open_form(self, interaction: Interaction, command: AnyCommand) -> None:
        """Open the form of a command that was said alone."""

        async def act(caller: Caller, job: JobId) -> Reply:
            return FormReply(form=Form(command=command.name, values={}))

        await self.interactions.ask(interaction, act, may_form=True, makes_card=posts(command))

    async def _submit_privately(self, interaction: Interaction, form: Submission) -> None:
        """Submit it with the card in the person's direct messages, unseen by others."""

        async def act(caller: Caller, job: JobId) -> Reply:
            direct = await interaction.user.create_dm()
            there = replace(caller, channel=str(direct.id), direct=True)
            reply = await self._carry_out(there, form, new_job_id(), [])
            if not isinstance(reply, CardReply):
                return reply
            self.interactions.pending.note(reply.job, interaction)
            return TextReply(text=f"{SENT}\n{reply.text}".strip())

        await self.interactions.ask(interaction, act, makes_card=False)

    async def _submit(self, interaction: Interaction, form: Submission, *, may_form: bool = False) -> None:
        """Take in the files, then carry out the command; what was left out is told after the card.

        A form that came back twice files once.
        """
        notes: list[str] = []
        await self.interactions.ask(
            interaction,
            lambda caller, job: self._carry_out(caller, form, job, notes),
            may_form=may_form,
            makes_card=posts(form.command),
            job=form.job,
            note=lambda: "\n".join(notes),
        )

    async def _carry_out(self, caller: Caller, form: Submission, job: JobId, notes: list[str]) -> Reply:
        command = form.command
        attached = self.attachments.files_for(caller, form.source)
        source = None if attached else form.source
        earlier = await self._read_earlier_values(caller, command, source)
        if form.held and not attached:
            return RefusalReply(text=FORGOTTEN)
        files = dict(form.files)
        for parameter in pictures_of(command):
            files[parameter.name] = (*attached, *files[parameter.name])
        uploaded = [name for name, given in files.items() if given or earlier.get(name)]
        try:
            if form.job is not None:
                check_needed(command, form.values, uploaded)
            sent = await self.attachments.take(caller, command, files, earlier)
        except InvalidRequest as error:
            return RefusalReply(text=str(error))
        notes += filter(None, [sent.note])
        hidden = [parameter.name for parameter in command.parameters if parameter.option.hidden]
        values = {**{name: earlier.get(name, "") for name in hidden}, **form.values, **sent.texts}
        return await self.interactions.dispatch.fill(caller, command.name, values, job=job, origin=source)

    async def _read_earlier_values(
        self, caller: Caller, command: AnyCommand, source: JobId | None
    ) -> Mapping[str, str]:
        """Read what no form brings back from the job that it was opened for; only its owner may."""
        unseen = [option for option in command.parameters if option.is_file or option.option.hidden]
        if source is None or not unseen:
            return {}
        reply = await self.interactions.dispatch.press(caller, button_id("edit", source))
        return reply.form.values if isinstance(reply, FormReply) else {}
