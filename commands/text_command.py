"""A line as people type it in a chat: which command it is, and what it says."""

import re
from typing import Any

from commands.imagine import imagine
from commands.pasted_recipe import apart, pasted
from commands.registry import COMMANDS, GROUPS, Known, find
from commands.syntax.flags import flag
from commands.syntax.parser import parse
from commands.syntax.quotes import Quoted, split
from engine.messages import InvalidRequest

COMMAND = re.compile(r"\s*/(\S*)(.*)", re.DOTALL)
WORD = re.compile(r"\s+([A-Za-z]+)(?!\S)(.*)", re.DOTALL)


def read(text: str) -> tuple[Known, dict[str, Any]]:
    """The command of a line such as "/imagine a red fox --steps 20", and its values by parameter name.

    Raises InvalidRequest with one sentence.
    """
    line = COMMAND.fullmatch(text)
    if line is None and pasted(apart(text)[0]) is not None:
        line = COMMAND.fullmatch(f"/{imagine.name} {text}")
    if line is None or not line[1]:
        raise InvalidRequest("begin with a command, such as /imagine a red fox; /help tells them all.")
    name, rest = _name(line[1], line[2])
    command = find(name)
    words = _words(command, rest)
    if any(map(_asks_for_help, words)):
        return COMMANDS["help"], {"command": command}
    return command, parse(words, command.parameters)


def _words(command: Known, rest: str) -> list[str]:
    """The words of a line; a recipe that is pasted whole is one of them."""
    block, flags = apart(rest)
    unpacks = any(one.spoken and one.option.unpack is not None for one in command.parameters)
    if unpacks and pasted(block) is not None:
        return [Quoted(block, raw=block), *split(flags)]
    return split(rest)


def _asks_for_help(word: str) -> bool:
    found = None if isinstance(word, Quoted) else flag(word)
    return found is not None and found.name == "--help"


def _name(first: str, rest: str) -> tuple[str, str]:
    """The name of a command, which may have a second word, and what follows it.

    "/lora merge" is no LoRA called so; "/lora -- merge" is.
    """
    second = WORD.fullmatch(rest)
    if second is None or first.lower() not in GROUPS:
        return first, rest
    both = f"{first} {second[1]}"
    return (both, second[2]) if both.lower() in COMMANDS or first.lower() not in COMMANDS else (first, rest)
