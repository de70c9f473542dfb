"""How Atelier speaks, as far as a machine can tell: docs/voice.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.actions import ACTIONS, TRAINING_ACTIONS
from commands.registry import COMMANDS, GROUPS

ROOT = Path(__file__).parents[2]
ROOMS = ("commands", "storage", "bot", "engine")
LONGEST_HELP = 60  # characters of an option's help
HELP = re.compile(r"[A-Z0-9][^;]*[^.;]")  # a label: a capital or a number, no full stop
SAYS = {
    "InvalidRequest",
    "NotAllowed",
    "Text",
    "TextReply",
    "CannotStore",
    "DatabaseError",
    "ConfigError",
    "WebChatError",
    "CannotWrite",
    "CannotServe",
    "CannotLoad",
    "FileTooLarge",
    "TooLarge",
    "EngineUnavailable",
    "PictureRefused",
    "CardRefused",
    "ChatUnavailable",
    "AdapterCacheFull",
}
WORD = re.compile(r"[A-Z0-9[/'\"“—✏⭐-]|--")
PLACEHOLDER = "\0"


def text_of(node: ast.expr | None, constants: dict[str, ast.expr]) -> Iterator[str]:
    """The texts that an expression may be, as far as it is written out; a placeholder for each other part."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else PLACEHOLDER for part in parts
            )
        case ast.IfExp(body=body, orelse=orelse):
            yield from text_of(body, constants)
            yield from text_of(orelse, constants)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            ends = list(text_of(right, constants)) or [PLACEHOLDER]
            yield from (start + end for start in text_of(left, constants) for end in ends)
        case ast.Name(id=name) if name in constants:
            yield from text_of(constants[name], {})


def sentences() -> Iterator[tuple[str, str]]:
    """Where each sentence is, and what it says: what InvalidRequest and its like are made of."""
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        tree = ast.parse(path.read_text())
        constants = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAYS:
                arguments = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "text")]
                for argument in arguments[:1]:
                    for text in text_of(argument, constants):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def is_spoken_well(text: str) -> bool:
    """Whether it starts with a capital, a command, an option or a value, and ends as a sentence does."""
    starts = text.startswith(PLACEHOLDER) or WORD.match(text) is not None
    return starts and text.endswith((".", "?", PLACEHOLDER))


def test_every_sentence_starts_with_a_capital_or_a_command_and_ends_with_a_full_stop() -> None:
    texts = list(sentences())

    assert len(texts) > 100  # the search still finds them
    assert [(where, text) for where, text in texts if not is_spoken_well(text)] == []


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_help_of_every_option_is_a_short_label(command) -> None:  # type: ignore[no-untyped-def]
    helps = [parameter.option.help for parameter in command.parameters]

    assert [text for text in helps if len(text) > LONGEST_HELP or not HELP.fullmatch(text)] == []


def test_the_help_of_commands_groups_and_buttons_is_one_sentence() -> None:
    texts = [
        *(command.help for command in COMMANDS.values()),
        *GROUPS.values(),
        *(action.help for action in (*ACTIONS, *TRAINING_ACTIONS)),
    ]

    assert [text for text in texts if ";" in text or not is_spoken_well(text)] == []


@pytest.mark.parametrize(
    "text", ["begin with a command.", "The prompt is empty", "; and more.", "the LoRA is here: say more."]
)
def test_what_is_no_sentence_is_found(text: str) -> None:
    assert not is_spoken_well(text)
