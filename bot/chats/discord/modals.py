"""Modals of commands' forms: at most five rows, and all that must be remembered in the modal's id."""

import re
from collections.abc import Iterator, Mapping, Sequence

import discord
from discord import ui

from bot.cards.card_text import field_label
from bot.chats.discord.modal_submit import HELD, REST, ROWS, SECOND, common_row, own_rows, title_parameter
from bot.chats.discord.pending import Interaction
from commands.actions import BUTTON
from commands.answers import Form
from commands.registry import AnyCommand, find
from commands.syntax.quotes import quote
from commands.syntax.spec import Parameter
from commands.syntax.values import value_text
from engine.messages import PROMPT_CHARACTERS
from storage.ids import new_job_id

PLAIN = re.compile(r"[\w.:][\w.:,-]*")  # what can stand after a flag without quotes
FILES_AT_ONCE = 10  # that Discord takes in one row
TITLE, LABEL, ABOUT, CHOICES = 45, 45, 100, 25  # what Discord takes: characters, and choices of a select
ENOUGH = 2  # flags that are named as examples
KEPT = "The files from before stay. You can add more"
MORE = "For more than ten"


def modal_of(form: Form, interaction: Interaction) -> ui.Modal:
    """The form to show; one that came from a button under a card is tied to its job."""
    command = find(form.command)
    button = BUTTON.fullmatch(interaction.custom_id or "")
    source = button[2] if button else form.values.get(HELD, "")
    titled = title_parameter(command)
    name = form.values.get(titled.name, "") if titled is not None else ""
    mark = HELD if titled is None and HELD in form.values else ""
    modal = ui.Modal(
        title=f"/{command.name} {name}".strip()[:TITLE],
        custom_id=f"form:{command.name}:{new_job_id()}:{source}:{name or mark}",
    )
    for row in list(_rows(command, form.values, without=titled if name else None))[:ROWS]:
        modal.add_item(row)
    modal.stop()  # discord.py has to remember nothing: what comes back says all
    return modal


def _rows(
    command: AnyCommand, values: Mapping[str, str], without: Parameter | None
) -> Iterator[ui.Label[ui.Modal]]:
    """A row for each of the parameters that have one, and one for all others; ticks come last."""
    own = [parameter for parameter in own_rows(command) if parameter is not without]
    ticks = [parameter for parameter in own if parameter.kind == "boolean"]
    common = [_common_row(command, values)] if common_row(command) else []
    room = ROWS - len(own) - len(common)
    for parameter in own:
        if parameter.is_file:
            yield from _uploads(parameter, values, twice=room > 0)
        elif parameter not in ticks:
            yield _label(parameter, _component(parameter, values.get(parameter.name, "")))
    yield from common
    for parameter in ticks:
        yield _label(parameter, _tick(parameter, values.get(parameter.name, "")), about="")


def _label(
    parameter: Parameter, component: ui.Item[ui.Modal], about: str | None = None
) -> ui.Label[ui.Modal]:
    text = parameter.option.help if about is None else about
    return ui.Label(
        text=field_label(parameter.label)[:LABEL], description=text[:ABOUT] or None, component=component
    )


def _uploads(parameter: Parameter, values: Mapping[str, str], *, twice: bool) -> Iterator[ui.Label[ui.Modal]]:
    """Where files are uploaded: where there is room two rows of pictures, so that twenty can be sent."""
    there = bool(values.get(parameter.name) or values.get(HELD))
    several = parameter.kind == "pictures"

    def upload(name: str, *, required: bool) -> ui.FileUpload[ui.Modal]:
        most = FILES_AT_ONCE if several else 1
        return ui.FileUpload(custom_id=name, required=required, min_values=int(required), max_values=most)

    first = upload(parameter.name, required=(parameter.required or parameter.option.needed) and not there)
    yield _label(parameter, first, KEPT if there else None)
    if several and twice:
        more = upload(parameter.name + SECOND, required=False)
        yield ui.Label(text=f"More {parameter.label}"[:LABEL], description=MORE, component=more)


def _component(parameter: Parameter, value: str) -> ui.Item[ui.Modal]:
    """A list to choose from, or a field to write into."""
    if 0 < len(parameter.choices) <= CHOICES:
        return _select(parameter, value or value_text(parameter.default))
    return _field(parameter.name, value, long=parameter.option.long, required=parameter.required)


def _select(parameter: Parameter, value: str) -> ui.Select[ui.Modal]:
    about = parameter.option.among() if parameter.option.among is not None else {}
    options = [
        discord.SelectOption(
            label=choice,
            value=choice,
            description=about.get(choice, "")[:ABOUT] or None,
            default=choice == value,
        )
        for choice in parameter.choices
    ]
    return ui.Select(custom_id=parameter.name, options=options, required=parameter.required or bool(value))


def _tick(parameter: Parameter, value: str) -> ui.CheckboxGroup[ui.Modal]:
    """A box, which has to be ticked where the form needs it; it is not ticked beforehand then."""
    needed = parameter.option.needed
    label = parameter.option.help[:1].upper() + parameter.option.help[1:ABOUT]
    option = discord.CheckboxGroupOption(label=label, value="yes", default=not needed and value == "true")
    return ui.CheckboxGroup(
        custom_id=parameter.name, options=[option], required=needed, min_values=int(needed), max_values=1
    )


def _common_row(command: AnyCommand, values: Mapping[str, str]) -> ui.Label[ui.Modal]:
    """The row for everything that has none of its own: the bare ones in front, the others as flags."""
    common = common_row(command)
    bare = [parameter for parameter in common if parameter.option.bare]
    flagged = [parameter for parameter in common if parameter not in bare]
    flags = ", ".join(parameter.flags[0] for parameter in flagged[:ENOUGH])
    front = " and ".join(parameter.label for parameter in bare).capitalize()
    text = _common_text(common, bare, values)
    about = f"{front} as words, the rest as flags: {flags}" if bare else f"As flags: {flags}"
    return ui.Label(
        text=(f"{front}, and everything else" if bare else "Everything else")[:LABEL],
        description=about[:ABOUT],
        component=_field(REST, text, long=True, required=False),
    )


def _field(name: str, value: str, *, long: bool, required: bool) -> ui.TextInput[ui.Modal]:
    return ui.TextInput(
        custom_id=name,
        style=discord.TextStyle.paragraph if long else discord.TextStyle.short,
        required=required,
        default=value[:PROMPT_CHARACTERS],
        max_length=PROMPT_CHARACTERS,
    )


def _common_text(common: Sequence[Parameter], bare: Sequence[Parameter], values: Mapping[str, str]) -> str:
    """These values as they stand in the row: words as far as they are read as such, then flags."""
    words: list[str] = []
    for number, parameter in enumerate(bare, start=1):
        text = values.get(parameter.name, "")
        if not text or (" " in text and number < len(bare)):
            break
        words.append(text)
    written = bare[: len(words)]
    flagged = [other for other in common if other not in written and values.get(other.name)]
    return " ".join([*words, *(_flag(other, values[other.name]) for other in flagged)])


def _flag(parameter: Parameter, text: str) -> str:
    plain = PLAIN.fullmatch(text) and not text.endswith(",")
    return f"{parameter.flags[0]} {text if plain else quote(text)}"
