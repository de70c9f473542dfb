"""`python -m bot`: serves the chats, or runs a command of the terminal."""

import gc
import sys
from collections.abc import Callable, Sequence

from commands.help import HELP


def main(words: Sequence[str]) -> int:
    """Serve the chats, or run the command of this command line; returns the exit status."""
    gc.disable()  # imported modules stay: collecting among them takes a seventh of the start
    program, arguments = _program(words)
    gc.enable()
    return program(arguments)


def _program(words: Sequence[str]) -> tuple[Callable[[Sequence[str]], int], Sequence[str]]:
    """The program for these words, and its arguments; each is imported only where it is needed."""
    serves = not words or words[0] == "serve" or words[0].startswith("--config")
    if serves and HELP.isdisjoint(words):
        from bot import service

        return service.main, words[1:] if words[:1] == ["serve"] else words
    if words[:1] == ["discord-invite"]:
        from bot.cli import discord_invite

        return discord_invite.main, words[1:]
    if words[:1] == ["slack-manifest"]:
        from bot.cli import slack_manifest

        return slack_manifest.main, words[1:]
    if words[:1] in (["backup"], ["restore"]):
        from bot.cli import backup

        return backup.main, words
    if words[:1] == ["service"]:
        from bot.cli import service_unit

        return service_unit.main, words[1:]
    from bot.cli import imagine

    return imagine.main, words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
