"""Buttons under cards, made from their custom_id alone: they work after a restart and years later."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, Self, cast

import discord

from bot.cards.card import Button, Card
from bot.cards.card_text import button_word, option_word
from bot.chats.discord.interactions import Interactions
from commands.actions import BY_NAME, EXTENSIONS

ROW, ROWS = 5, 5  # Discord's limits
OPTIONS = 25  # of a list, by Discord's limit
FORMS = frozenset(action.name for action in BY_NAME.values() if action.form)
CARDS = ("again", "vary", "upscale", *(name for name, _, _ in EXTENSIONS))  # actions that answer with a card
STYLES = {
    "start": discord.ButtonStyle.success,
    "stop": discord.ButtonStyle.danger,
}
ID = r"(?!more:)(?P<action>[a-z]{1,10}):(?P<job>[0-9a-z]{6})(?::(?P<place>[1-4]))?"
MORE = r"more:[0-9a-z]{6}"


class ButtonClient(Protocol):
    """The client of an interaction, as far as buttons know it."""

    @property
    def interactions(self) -> Interactions:
        """What carries out what is pressed."""


class CardButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=ID):
    """Any button of a card, made from its custom_id when it is pressed."""

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: Any, /
    ) -> Self:
        """The button that was pressed."""
        return cls(cast("discord.ui.Button[Any]", item))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Carry out what it stands for."""
        await press(interaction, self.custom_id)


class MoreList(discord.ui.DynamicItem[discord.ui.Select[Any]], template=MORE):
    """The list of a card's actions for which there is no button, made from its custom_id when it is used."""

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: Any, /
    ) -> Self:
        """The list that was used."""
        return cls(cast("discord.ui.Select[Any]", item))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Carry out what was chosen."""
        data: dict[str, Any] = dict(interaction.data or {})
        await press(interaction, str(next(iter(data.get("values") or ()), "")))


def register(client: discord.Client) -> None:
    """Hear the buttons of all cards, of this run of the program and of all before."""
    client.add_dynamic_items(CardButton, MoreList)


async def press(interaction: discord.Interaction[Any], custom_id: str) -> None:
    """Carry out what a button stands for; whoever may not press it is told."""
    client: ButtonClient = interaction.client
    interactions, action = client.interactions, custom_id.partition(":")[0]
    await interactions.ask(
        interaction,
        lambda caller, job: interactions.dispatch.press(caller, custom_id, job=job),
        may_form=action in FORMS,
        makes_card=action in CARDS,
    )


async def answer_forged(interaction: discord.Interaction[Any]) -> None:
    """Answer a button that discord.py leaves alone, since the message has none like it."""
    if interaction.type is not discord.InteractionType.component or interaction.message is None:
        return
    custom_id = interaction.custom_id or ""
    if custom_id not in _ids(interaction.message) or re.fullmatch(f"{ID}|{MORE}", custom_id) is None:
        await press(interaction, custom_id)


def button_view(card: Card) -> discord.ui.View:
    """The card's buttons: a row for those of the whole job, and one for each action on single pictures."""
    view = discord.ui.View(timeout=None)
    for number, row in enumerate(_rows(card)):
        for button in row:
            view.add_item(CardButton(_button(button, card, number)))
    if more := [button for button in card.buttons if button.more][:OPTIONS]:
        view.add_item(MoreList(_more_list(card, more)))
    view.stop()  # discord.py need not remember it: the custom_id says all
    return view


def _rows(card: Card) -> Iterator[list[Button]]:
    buttons = [button for button in card.buttons if not button.more]
    whole = [button for button in buttons if button.picture is None]
    each: dict[str, list[Button]] = {}
    for button in buttons:
        if button.picture is not None:
            each.setdefault(button.id.partition(":")[0], []).append(button)
    rows = [whole[at : at + ROW] for at in range(0, len(whole), ROW)] + list(each.values())
    yield from rows[:ROWS]


def _more_list(card: Card, buttons: Sequence[Button]) -> discord.ui.Select[Any]:
    options = [
        discord.SelectOption(label=option_word(button), value=button.id, emoji=button.emoji)
        for button in buttons
    ]
    return discord.ui.Select(custom_id=f"more:{card.job}", placeholder="More", options=options)


def _button(button: Button, card: Card, row: int) -> discord.ui.Button[Any]:
    return discord.ui.Button(
        style=STYLES.get(button.id.partition(":")[0], discord.ButtonStyle.secondary),
        emoji=button.emoji,
        label=button_word(button, card),
        custom_id=button.id,
        row=row,
    )


def _ids(message: discord.Message) -> set[str]:
    return {
        child.custom_id
        for row in message.components
        for child in getattr(row, "children", ())
        if getattr(child, "custom_id", None)
    }
