"""Slash commands, each made from its command's one definition: names, help, types, bounds, choices."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import discord
from discord import AppCommandOptionType, app_commands

from bot.chats.discord.completions import Suggest, completion_for
from bot.chats.discord.pending import Interaction
from commands.forms import definition
from commands.registry import COMMANDS, GROUPS, AnyCommand, members
from commands.syntax.parser import parse
from commands.syntax.quotes import split
from commands.syntax.spec import Parameter
from commands.syntax.values import value_text

CHOICES = 25
MORE = "more"  # the option that has all those of a command for which there is no room
PRIVATE = "private"
FEW = 5  # pictures that can be attached to a command
ZIP = "zip"
ZIP_HELP = "Many pictures with captions, such as a.png and a.txt"
REFERENCE = "_of"  # ends the name of the option that takes a job's picture where another takes a file
REFERENCE_HELP = "The same, painted here: its job, such as k3f9qa or k3f9qa:2, or its message's link"
ALONE = "show"  # what stands for the second word where others have one: Discord takes no such command alone
KINDS = {
    "integer": AppCommandOptionType.integer,
    "number": AppCommandOptionType.number,
    "boolean": AppCommandOptionType.boolean,
}
EVERYWHERE = app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True)
BY_ALL = app_commands.AppInstallationType(guild=True, user=True)
IN_GUILDS = app_commands.AppCommandContext(guild=True, dm_channel=False, private_channel=False)
BY_GUILDS = app_commands.AppInstallationType(guild=True, user=False)
ADMINS = discord.Permissions(manage_guild=True)  # who sees what is for admins, unless a guild says otherwise

Hear = Callable[[Interaction, AnyCommand, Mapping[str, Any]], Awaitable[None]]
Slash = app_commands.Command[Any, ..., None] | app_commands.Group


class Field(app_commands.Transformer[discord.Client]):
    """A parameter of ours as Discord asks for it; what it brings is read by our own definition."""

    def __init__(self, field: Mapping[str, Any]) -> None:
        self._field = field

    @property
    def type(self) -> AppCommandOptionType:
        """Text, unless Discord can hold people to a number or a switch."""
        if self._field["type"] == "integer" and None in (self._field["low"], self._field["high"]):
            return AppCommandOptionType.string  # it counts in doubles: a large seed would be another one
        return KINDS.get(self._field["type"], AppCommandOptionType.string)

    @property
    def min_value(self) -> float | None:
        """The least number, if it has one."""
        return self._field["low"] if self.type in (KINDS["integer"], KINDS["number"]) else None

    @property
    def max_value(self) -> float | None:
        """The largest number, if it has one."""
        return self._field["high"] if self.type in (KINDS["integer"], KINDS["number"]) else None

    @property
    def choices(self) -> list[app_commands.Choice[str | int | float]] | None:
        """The values that it may have, if they are few; a line on each where there is one."""
        about = self._field["about"]
        if self.type is not AppCommandOptionType.string or not 0 < len(self._field["choices"]) <= CHOICES:
            return None
        return [
            app_commands.Choice(
                name=_line(f"{choice}: {about[choice]}") if choice in about else str(choice),
                value=str(choice),
            )
            for choice in self._field["choices"]
        ]

    async def transform(self, interaction: Interaction, value: Any, /) -> Any:
        """As it came: the command reads it."""
        return value


class Suggested(Field):
    """A field that helps while somebody types."""

    def __init__(self, field: Mapping[str, Any], suggest: Suggest) -> None:
        super().__init__(field)
        self._suggest = suggest

    async def autocomplete(
        self, interaction: Interaction, value: str | int | float, /
    ) -> list[app_commands.Choice[str | int | float]]:
        """What this could become."""
        return list(await self._suggest(interaction, str(value)))


def slash_commands(hear: Hear) -> list[Slash]:
    """All commands of the bot; each calls `hear` with what somebody gave, by the name of its option.

    Those of two words are in a group under the first.
    """
    made: dict[str, Slash] = {}
    for command in COMMANDS.values():
        first = command.group or command.name
        if first not in made:
            made[first] = _group(first, hear) if first in GROUPS else _slash(command, hear)
    return list(made.values())


def form_values(command: AnyCommand, given: Mapping[str, Any]) -> dict[str, str]:
    """What was given, as the command's form would have it. Raises InvalidRequest."""
    folded = [parameter for parameter in command.parameters if is_folded(parameter)]
    values = parse(split(given.get(MORE) or ""), folded)
    written = {name: value_text(value) for name, value in values.items()}
    names = [
        parameter.name
        for parameter in command.parameters
        if not is_folded(parameter) and not parameter.takes_file
    ]
    references = {
        parameter.name: given[f"{parameter.name}{REFERENCE}"]
        for parameter in command.files
        if given.get(f"{parameter.name}{REFERENCE}")
    }
    texts = {name: value_text(given[name]) for name in names if given.get(name) is not None}
    return written | texts | references


def is_folded(parameter: Parameter) -> bool:
    """Whether it is said among the flags of one option: Discord takes 25 options at most."""
    return parameter.option.more and not parameter.option.hidden


def _group(name: str, hear: Hear) -> app_commands.Group:
    commands = [*([COMMANDS[name]] if name in COMMANDS else ()), *members(name)]
    for_admins = all(command.admin for command in commands)
    group = app_commands.Group(
        name=name,
        description=_line(GROUPS[name]),
        allowed_contexts=IN_GUILDS if for_admins else EVERYWHERE,
        allowed_installs=BY_GUILDS if for_admins else BY_ALL,
        default_permissions=ADMINS if for_admins else None,
        auto_locale_strings=False,
    )
    for command in commands:
        group.add_command(_slash(command, hear, called=command.name.partition(" ")[2] or ALONE))
    return group


def _slash(command: AnyCommand, hear: Hear, called: str = "") -> app_commands.Command[Any, ..., None]:
    """`called`: its name within its group."""
    signature = [inspect.Parameter("interaction", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    helps: dict[str, str] = {}
    labels: dict[str, str] = {}
    for option in _options(command):
        default = inspect.Parameter.empty if option.required else None
        signature.append(
            inspect.Parameter(
                option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option.annotation
            )
        )
        helps[option.name], labels[option.name] = _line(option.help), option.name.replace("_", "-")

    async def callback(interaction: Interaction, **given: Any) -> None:
        await hear(interaction, command, {name: value for name, value in given.items() if value is not None})

    setattr(callback, "__signature__", inspect.Signature(signature))  # noqa: B010 - functions declare no such field
    return app_commands.Command(
        name=called or command.name,
        description=_line(command.help),
        callback=app_commands.describe(**helps)(app_commands.rename(**labels)(callback)),
        allowed_contexts=EVERYWHERE,
        allowed_installs=BY_ALL,
        auto_locale_strings=False,
    )


@dataclass(frozen=True, kw_only=True)
class SlashOption:
    """One thing that a slash command asks for; `annotation` says to discord.py how."""

    name: str
    help: str
    annotation: Any
    required: bool = False


def _options(command: AnyCommand) -> list[SlashOption]:
    """All that a slash command asks for: what must be given comes first, as Discord wants it."""
    fields = {field["name"]: field for field in definition(command)["parameters"]}
    options: list[SlashOption] = []
    for parameter in command.parameters:
        if parameter.takes_file:
            options += _file_options(command, parameter)
        elif not (is_folded(parameter) or parameter.option.hidden):
            options.append(
                SlashOption(
                    name=parameter.name,
                    help=parameter.option.help,
                    annotation=_field(parameter, fields[parameter.name]),
                    required=parameter.required,
                )
            )
    if command.private:
        help = "Only you get the picture, by direct message"
        options.append(SlashOption(name=PRIVATE, help=help, annotation=bool))
    if folded := [parameter.flags[0] for parameter in command.parameters if is_folded(parameter)]:
        help = f"More options, such as {' or '.join(folded[:2])}. /help {command.name} lists all"
        options.append(SlashOption(name=MORE, help=help, annotation=str))
    return sorted(options, key=lambda option: not option.required)


def attachments_for(
    command: AnyCommand, parameter: Parameter, given: Mapping[str, Any]
) -> list[discord.Attachment]:
    """The files that somebody attached for this parameter."""
    names = [option.name for option in _file_options(command, parameter)]
    return [file for name in names if isinstance(file := given.get(name), discord.Attachment)]


def _file_options(command: AnyCommand, parameter: Parameter) -> list[SlashOption]:
    """Where files can be attached, for clients that cannot send them in a form."""
    help, attachment = parameter.option.help, discord.Attachment
    if parameter.kind != "pictures":
        must = (parameter.required or parameter.option.needed) and parameter.is_file
        sent = SlashOption(name=parameter.name, help=help, annotation=attachment, required=must)
        if parameter.is_file:
            return [sent]
        sent = replace(sent, help=help.partition(", such as")[0])
        return [sent, SlashOption(name=f"{parameter.name}{REFERENCE}", help=REFERENCE_HELP, annotation=str)]
    single = parameter.name.removesuffix("s")
    first = next(other for other in command.files if other.kind == "pictures")
    archive = ZIP if parameter == first else f"{single}_{ZIP}"
    names = [f"{single}{number}" for number in range(1, FEW + 1)]
    return [
        *(SlashOption(name=name, help=help, annotation=attachment) for name in names),
        SlashOption(name=archive, help=ZIP_HELP, annotation=attachment),
    ]


def _field(parameter: Parameter, field: Mapping[str, Any]) -> Field:
    suggest = completion_for(parameter)
    return Field(field) if suggest is None else Suggested(field, suggest)


def _line(text: str) -> str:
    """What fits into a description."""
    return text if len(text) <= 100 else text[:99] + "…"
