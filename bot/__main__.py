"""`python -m bot`: the program that people talk to, in chats, or with words in a terminal."""

import gc
import sys
from collections.abc import Callable, Sequence

from commands.help import HELP


def main(words: Sequence[str]) -> int:
    """Serve the chats, or do what these words of a command line say; the exit status."""
    gc.disable()  # what is imported stays: to look for rubbish in it takes a seventh of the start
    program, told = _program(words)
    gc.enable()
    return program(told)


def _program(words: Sequence[str]) -> tuple[Callable[[Sequence[str]], int], Sequence[str]]:
    """What does this, and the words for it; each is imported where it is needed: all answer sooner."""
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
    from bot.cli import imagine

    return imagine.main, words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
