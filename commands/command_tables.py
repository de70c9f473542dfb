"""The tables of commands, options and buttons in docs/commands.md, made from the definitions."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from commands.actions import ACTIONS, TRAINING_ACTIONS
from commands.help import allowed, usual
from commands.registry import COMMANDS, Known
from commands.syntax.parser import listed
from commands.syntax.spec import Parameter

BEGIN = "<!-- made from the definitions: python -m commands.command_tables -->"
END = "<!-- end of what is made from the definitions -->"


def updated(text: str) -> str:
    """The document with the tables of today. Raises ValueError where its two marks are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The document needs the lines {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def table() -> str:
    """Markdown: the commands, what each can be told, and the buttons."""
    commands = ((f"`/{one.name}`", one.help) for one in COMMANDS.values())
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


def _options(command: Known) -> Iterable[Sequence[str]]:
    shown = (one for one in command.parameters if not one.option.hidden)
    for number, one in enumerate(shown):
        name = ", ".join(f"`{flag}`" for flag in one.flags) or _words(one)
        choices = listed(one.choices, "or") if one.option.among else allowed(one)
        yield (f"`/{command.name}`" if number == 0 else "", name, one.option.help, choices, usual(one))


def _words(parameter: Parameter) -> str:
    return parameter.label if parameter.required else f"[{parameter.label}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    document = Path("docs/commands.md")
    document.write_text(updated(document.read_text()))
