"""A line as people type it in a chat: which command it is, and what it says."""

import re
from typing import Any

from commands.book import COMMANDS, Known, find
from commands.parse import parse
from commands.quotes import Quoted, split
from engine.messages import InvalidRequest

COMMAND = re.compile(r"\s*/(\S*)(.*)", re.DOTALL)


def read(text: str) -> tuple[Known, dict[str, Any]]:
    """The command of a line such as "/imagine a red fox --steps 20", and its values by parameter name.

    Raises InvalidRequest with one sentence.
    """
    line = COMMAND.fullmatch(text)
    if line is None or not line[1]:
        raise InvalidRequest("begin with a command, such as /imagine a red fox; /help tells them all.")
    command, words = find(line[1]), split(line[2])
    if any(word == "--help" and not isinstance(word, Quoted) for word in words):
        return COMMANDS["help"], {"command": command}
    return command, parse(words, command.parameters)
