"""`python -m bot`: the program that people talk to, in chats, or with words in a terminal."""

import sys
from collections.abc import Sequence

from commands.help import HELP


def main(words: Sequence[str]) -> int:
    """Serve the chats, or do what these words of a command line say; the exit status."""
    serves = not words or words[0] == "serve" or words[0].startswith("--config")
    if serves and HELP.isdisjoint(words):
        from bot import service  # each imported where it is needed: all answer sooner

        return service.main(words[1:] if words[:1] == ["serve"] else words)
    if words[:1] == ["discord-invite"]:
        from bot import invite

        return invite.main(words[1:])
    if words[:1] == ["slack-manifest"]:
        from bot import manifest_file

        return manifest_file.main(words[1:])
    from bot import terminal

    return terminal.main(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
