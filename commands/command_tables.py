"""The tables of commands, options and buttons in docs/commands.md, made from the definitions."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from commands.actions import ACTIONS, TRAINING_ACTIONS
from commands.help import bounds_text, default_text
from commands.registry import COMMANDS, AnyCommand
from commands.syntax.parser import join_list
from commands.syntax.spec import Parameter

BEGIN = "<!-- made from the definitions: python -m commands.command_tables -->"
END = "<!-- end of what is made from the definitions -->"


def update(text: str) -> str:
    """The document with today's tables. Raises ValueError where its two marks are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The document needs the lines {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def table() -> str:
    """The tables of commands, options and buttons, as Markdown."""
    commands = ((f"`/{command.name}`", command.help) for command in COMMANDS.values())
    options = (row for command in COMMANDS.values() for row in _options(command))
    buttons, of_trainings = (
        ((action.emoji, action.help) for action in actions) for actions in (ACTIONS, TRAINING_ACTIONS)
    )
    return "\n\n".join(
        (
            _table(("command", "what it does"), commands),
            _table(("command", "option", "what it says", "allowed", "default"), options),
            _table(("button", "what it does under a picture"), buttons),
            _table(("button", "what it does under a training"), of_trainings),
        )
    )


def _options(command: AnyCommand) -> Iterable[Sequence[str]]:
    shown = (parameter for parameter in command.parameters if not parameter.option.hidden)
    for number, parameter in enumerate(shown):
        name = ", ".join(f"`{flag}`" for flag in parameter.flags) or _words(parameter)
        choices = join_list(parameter.choices, "or") if parameter.option.among else bounds_text(parameter)
        yield (
            f"`/{command.name}`" if number == 0 else "",
            name,
            parameter.option.help,
            choices,
            default_text(parameter),
        )


def _words(parameter: Parameter) -> str:
    return parameter.label if parameter.required else f"[{parameter.label}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    document = Path("docs/commands.md")
    document.write_text(update(document.read_text()))
