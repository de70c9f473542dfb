"""Command lines as people type them in a chat: which command it is, and its values."""

import re
from typing import Any

from commands.imagine import imagine
from commands.pasted_recipe import read_recipe, split_flags
from commands.registry import COMMANDS, GROUPS, AnyCommand, find
from commands.syntax.flags import read_flag
from commands.syntax.parser import parse
from commands.syntax.quotes import Quotation, split
from engine.messages import InvalidRequest

COMMAND = re.compile(r"\s*/(\S*)(.*)", re.DOTALL)
WORD = re.compile(r"\s+([A-Za-z]+)(?!\S)(.*)", re.DOTALL)


def read_line(text: str) -> tuple[AnyCommand, dict[str, Any]]:
    """The command of a line such as "/imagine a red fox --steps 20", and its values by parameter name.

    Raises InvalidRequest with one sentence.
    """
    line = COMMAND.fullmatch(text)
    if line is None and read_recipe(split_flags(text)[0]) is not None:
        line = COMMAND.fullmatch(f"/{imagine.name} {text}")
    if line is None or not line[1]:
        raise InvalidRequest("Start with a command, such as /imagine a red fox. /help lists them.")
    name, rest = _split_name(line[1], line[2])
    command = find(name)
    words = _split_words(command, rest)
    if any(map(_asks_for_help, words)):
        return COMMANDS["help"], {"command": command}
    return command, parse(words, command.parameters)


def _split_words(command: AnyCommand, rest: str) -> list[str]:
    """The words of a line; a pasted recipe is one word."""
    block, flags = split_flags(rest)
    unpacks = any(
        parameter.spoken and parameter.option.unpack is not None for parameter in command.parameters
    )
    if unpacks and read_recipe(block) is not None:
        return [Quotation(block, raw=block), *split(flags)]
    return split(rest)


def _asks_for_help(word: str) -> bool:
    read = None if isinstance(word, Quotation) else read_flag(word)
    return read is not None and read.name == "--help"


def _split_name(first: str, rest: str) -> tuple[str, str]:
    """The name of a command, which may have a second word, and what follows it.

    "/lora merge" is no LoRA called so; "/lora -- merge" is.
    """
    second = WORD.fullmatch(rest)
    if second is None or first.lower() not in GROUPS:
        return first, rest
    both = f"{first} {second[1]}"
    return (both, second[2]) if both.lower() in COMMANDS or first.lower() not in COMMANDS else (first, rest)
