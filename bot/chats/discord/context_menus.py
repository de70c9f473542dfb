"""Entries in the menu of a message: its recipe, painting like it or from it, training on its pictures."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import discord
from discord import app_commands

from bot.cards.card import Card
from bot.chats.discord.attachments import Attachments, attached_file
from bot.chats.discord.interactions import Interactions
from bot.chats.discord.modal_submit import HELD
from bot.chats.interface import Caller, FormReply, RefusalReply, Reply, TextReply
from bot.uploads.file_fields import is_picture, start_note
from bot.uploads.png_text import HEAD, recipe_in
from commands.actions import button_id
from commands.answers import Form
from commands.imagine import imagine
from commands.pasted_recipe import read_recipe
from commands.train import train
from engine.messages import JobId

Act = Callable[[Caller, discord.Message, JobId], Awaitable[Reply]]

RECIPE, LIKE_THIS = "Recipe of this picture", "Paint like this"
FROM_THIS, TRAIN = "Paint from this", "Train on these pictures"
NOT_LIKE = "This message shows none of the bot's pictures and has no PNG with a readable recipe."
NOT_MINE = "This message shows none of the bot's pictures. Choose one that was painted here."
NO_RECIPE = "There is nothing here to paint with yet."
NOT_YOURS = "This message is not yours. You can train only on your own pictures."
NO_PICTURES = "This message has no files. Choose one where you posted pictures or a zip of them."
NOTHING_FROM = "This message shows no picture. Choose one that does."


@dataclass(frozen=True)
class Menus:
    """The entries of the menu of a message."""

    interactions: Interactions
    attachments: Attachments

    def entries(self) -> list[app_commands.ContextMenu]:
        """The entries, for wherever the bot is or was brought along."""
        return [
            self._entry(RECIPE, self._show_recipe),
            self._entry(LIKE_THIS, self._paint_like, may_form=True),
            self._entry(FROM_THIS, self._paint_from, may_form=True),
            self._entry(TRAIN, self._train_on, may_form=True),
        ]

    def _entry(self, name: str, act: Act, *, may_form: bool = False) -> app_commands.ContextMenu:
        async def run_entry(interaction: discord.Interaction[Any], message: discord.Message) -> None:
            await self.interactions.ask(
                interaction,
                lambda caller, job: act(caller, message, job),
                may_form=may_form,
                makes_card=False,
            )

        return app_commands.ContextMenu(
            name=name,
            callback=run_entry,
            type=discord.AppCommandType.message,
            allowed_contexts=app_commands.AppCommandContext(
                guild=True, dm_channel=True, private_channel=True
            ),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=True),
        )

    async def _show_recipe(self, caller: Caller, message: discord.Message, _: JobId) -> Reply:
        """Show the prompt, the rest of the recipe, and the command that paints the same."""
        card = await self._find_card(caller, message)
        if card is None:
            return RefusalReply(text=NOT_MINE)
        fields = [("prompt" if card.kind == "paint" else "LoRA", card.title), *card.recipe]
        fields += [("from", origin.text) for origin in card.origins]
        if len(card.pictures) > 1:
            fields.append(("seeds", ", ".join(str(picture.seed) for picture in card.pictures)))
        wide = max(len(name) for name, _ in fields)
        lines = [f"{name:<{wide}}  {value}" for name, value in fields]
        command = card.command or card.line_to_copy
        return TextReply(text="\n".join([*lines, "", command] if command else lines))

    async def _paint_like(self, caller: Caller, message: discord.Message, job: JobId) -> Reply:
        """Open the form of /imagine with this recipe; for a training, show the command with its LoRA."""
        card = await self._find_card(caller, message)
        if card is None:
            recipe = await self._find_recipe(message)
            if recipe:
                return await self.interactions.dispatch.read_recipe(caller, recipe)
            return RefusalReply(text=NOT_LIKE)
        if card.kind == "paint":
            return await self.interactions.dispatch.press(caller, button_id("edit", card.job), job=job)
        if not card.line_to_copy:
            return RefusalReply(text=NO_RECIPE)
        return TextReply(text=card.line_to_copy)

    async def _paint_from(self, caller: Caller, message: discord.Message, job: JobId) -> Reply:
        """Open the form of /imagine to start from the picture of the message, whoever posted it."""
        card = await self._find_card(caller, message)
        if card is not None and card.kind == "paint":
            return await self.interactions.dispatch.press(caller, button_id("image", card.job), job=job)
        pictures = [
            attachment
            for attachment in message.attachments
            if is_picture(attachment.filename, attachment.content_type or "")
        ]
        if not pictures:
            return RefusalReply(text=NOTHING_FROM)
        self.attachments.hold(caller, job, [attached_file(pictures[0])])
        form = Form(command=imagine.name, values={HELD: job})
        return FormReply(form=form, text=start_note(pictures[0].filename, len(pictures)))

    async def _train_on(self, caller: Caller, message: discord.Message, job: JobId) -> Reply:
        """Open the form of /train with the files of the message."""
        if str(message.author.id) != caller.person:
            return RefusalReply(text=NOT_YOURS)
        if not message.attachments:
            return RefusalReply(text=NO_PICTURES)
        self.attachments.hold(caller, job, [attached_file(attachment) for attachment in message.attachments])
        return FormReply(form=Form(command=train.name, values={HELD: job}))

    async def _find_recipe(self, message: discord.Message) -> str:
        """Find the recipe in the message's text or in its first picture; empty if there is none."""
        if read_recipe(message.content) is not None:
            return message.content
        pictures = [
            attachment for attachment in message.attachments if attachment.filename.lower().endswith(".png")
        ]
        head = await self.attachments.read_head(attached_file(pictures[0]), HEAD) if pictures else b""
        return recipe_in(head)

    async def _find_card(self, caller: Caller, message: discord.Message) -> Card | None:
        """Find the card that this message shows, if it is ours and the caller may see it."""
        return await self.interactions.dispatch.card_of_message(caller, f"{message.channel.id}-{message.id}")
