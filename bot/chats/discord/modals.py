"""Forms as Discord shows them: five rows at most, and all that has to be remembered in the form's own id."""

import re
from collections.abc import Iterator, Mapping

import discord
from discord import ui

from bot.chats.discord.modal_submit import CONSENT, FILES, HELD, NAME, REST, own_rows
from bot.chats.discord.pending import Interaction
from commands.actions import BUTTON
from commands.answers import Form
from commands.presets import presets
from commands.registry import Known, find
from commands.syntax.quotes import quote
from commands.train import USUAL_PRESET, train
from engine.messages import PROMPT_CHARACTERS
from storage.ids import new_job_id

PLAIN = re.compile(r"[\w.:][\w.:,-]*")  # what can stand after a flag without quotes
FILES_AT_ONCE = 10  # that Discord takes in one row
LONG = ("prompt", "no")


def modal_of(form: Form, interaction: Interaction) -> ui.Modal:
    """The form to show; one that came from a button under a card is tied to its job."""
    command = find(form.command)
    button = BUTTON.fullmatch(interaction.custom_id or "")
    source = button[2] if button else form.values.get(HELD, "")
    name = form.values.get(NAME, "") if command is train else ""
    modal = ui.Modal(
        title=f"/{command.name} {name}".strip()[:45],
        custom_id=f"form:{command.name}:{new_job_id()}:{source}:{name}",
    )
    rows = _training(form.values) if command is train else _rows(command, form.values)
    for row in rows:
        modal.add_item(row)
    modal.stop()  # discord.py has to remember nothing: what comes back says all
    return modal


def _training(values: Mapping[str, str]) -> Iterator[ui.Label[ui.Modal]]:
    """Two rows of files, so that twenty pictures can be sent; what the draft has already stays.

    One that was opened without a name has a row for it in place of the second.
    """
    has = bool(values.get("pictures") or values.get(HELD))
    if not values.get(NAME):
        yield _named()
    about = (
        "more of them: those of before stay"
        if has
        else "PNG, JPEG or WEBP, or a zip with captions beside them"
    )
    yield _upload(FILES[0], "Pictures to learn from", about, required=not has)
    if values.get(NAME):
        yield _upload(FILES[1], "More pictures", "if ten are not enough", required=False)
    chosen = values.get("preset") or USUAL_PRESET
    options = [
        discord.SelectOption(label=name, value=name, description=one.help[:100], default=name == chosen)
        for name, one in presets().items()
    ]
    yield ui.Label(text="Preset", component=ui.Select(custom_id="preset", options=options))
    skipped = (NAME, "pictures", "preset", CONSENT)
    others = {name: text for name, text in values.items() if name not in skipped}
    phrase = ""
    if others.get("trigger"):
        phrase = f"{others.pop('trigger')} {others.pop('subject', '')} "
    yield ui.Label(
        text="Trigger and what it is",
        description='such as: ohwx woman --captions "{trigger} {subject} in a garden"; or nothing',
        component=ui.TextInput(
            custom_id=REST,
            style=discord.TextStyle.paragraph,
            required=False,
            default=f"{phrase}{_flags(train, others)}".strip(),
            max_length=PROMPT_CHARACTERS,
        ),
    )
    agreed = discord.CheckboxGroupOption(label="I may use these pictures for this", value="yes")
    box: ui.CheckboxGroup[ui.Modal] = ui.CheckboxGroup(
        custom_id=CONSENT, options=[agreed], required=True, min_values=1, max_values=1
    )
    yield ui.Label(text="Consent", component=box)


def _named() -> ui.Label[ui.Modal]:
    (name,) = (one for one in train.parameters if one.name == NAME)
    field: ui.TextInput[ui.Modal] = ui.TextInput(custom_id=NAME)
    return ui.Label(text="Name", description=name.option.help[:100], component=field)


def _upload(name: str, label: str, about: str, *, required: bool) -> ui.Label[ui.Modal]:
    files: ui.FileUpload[ui.Modal] = ui.FileUpload(
        custom_id=name, required=required, min_values=int(required), max_values=FILES_AT_ONCE
    )
    return ui.Label(text=label, description=about, component=files)


def _rows(command: Known, values: Mapping[str, str]) -> Iterator[ui.Label[ui.Modal]]:
    """The usual parameters in rows of their own, the others together as flags."""
    shown = own_rows(command)
    named = {one.name: one for one in command.parameters}
    for name in shown:
        style = discord.TextStyle.paragraph if name in LONG else discord.TextStyle.short
        field: ui.TextInput[ui.Modal] = ui.TextInput(
            custom_id=name,
            style=style,
            required=named[name].required,
            default=values.get(name, "")[:PROMPT_CHARACTERS],
            max_length=PROMPT_CHARACTERS,
        )
        yield ui.Label(text=named[name].label, description=named[name].option.help[:100], component=field)
    others = {name: text for name, text in values.items() if text and name not in shown}
    yield ui.Label(
        text="Everything else",
        description="as flags: --steps 20 --size 3:2",
        component=ui.TextInput(
            custom_id=REST,
            style=discord.TextStyle.paragraph,
            required=False,
            default=_flags(command, others),
            max_length=PROMPT_CHARACTERS,
        ),
    )


def _flags(command: Known, values: Mapping[str, str]) -> str:
    """These values as they stand in a line."""
    named = {one.name: one for one in command.parameters if one.flags and not one.option.hidden}
    return " ".join(
        f"{named[name].flags[0]} {text if PLAIN.fullmatch(text) and not text.endswith(',') else quote(text)}"
        for name, text in values.items()
        if name in named and text
    )
