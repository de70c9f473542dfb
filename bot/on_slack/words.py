"""Text for Slack that is shown as it was written: nothing in it pings, links or changes its look."""

from typing import Any

from bot.worded import short

JSON = dict[str, Any]

SECTION = 3000  # characters
LITERAL = 2800  # characters of one preformatted block
ESCAPED = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))


def escaped(text: str) -> str:
    """Text for where Slack reads markup: "<!channel>" stays those characters."""
    for sign, written in ESCAPED:
        text = text.replace(sign, written)
    return text


def unescaped(text: str) -> str:
    """What somebody typed into a slash command, which Slack hands on escaped."""
    for sign, written in reversed(ESCAPED):
        text = text.replace(written, sign)
    return text


def plain(text: str, limit: int = SECTION) -> JSON:
    """A text object without markup; Slack takes no empty one."""
    return {"type": "plain_text", "text": short(text, limit) or " ", "emoji": False}


def section(text: str) -> JSON:
    """A paragraph as it was written."""
    return {"type": "section", "text": plain(text)}


def context(text: str) -> JSON:
    """A small line."""
    return {"type": "context", "elements": [plain(text, 2000)]}


def literal(text: str) -> JSON:
    """Lines in a box, each character as wide as the others."""
    words = [{"type": "text", "text": text}]
    return {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": words}]}


def message(text: str) -> JSON:
    """What a message of these words is made of: a sentence as such, several lines in a box."""
    if "\n" not in text and len(text) <= SECTION:
        blocks = [section(text)]
    else:
        blocks = [literal(part) for part in parts(text, LITERAL)]
    return {"text": escaped(short(text, SECTION)), "blocks": blocks}


def parts(text: str, limit: int) -> list[str]:
    """The text in pieces of at most so many characters, cut between lines where there are some."""
    pieces = [""]
    for line in text.splitlines():
        while line:
            head, line = line[:limit], line[limit:]
            if pieces[-1] and len(pieces[-1]) + 1 + len(head) > limit:
                pieces.append(head)
            else:
                pieces[-1] = f"{pieces[-1]}\n{head}" if pieces[-1] else head
    return pieces
