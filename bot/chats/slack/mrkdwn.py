"""Texts and blocks for Slack, shown as written: nothing in them pings, links or changes its look."""

import json
from collections.abc import Iterable
from typing import Any

from bot.cards.card_text import short

JSON = dict[str, Any]

QUIET: JSON = {"unfurl_links": False, "unfurl_media": False, "link_names": False}
BLOCKS = 50  # of a message
LARGEST = 12_000  # characters of a message's blocks: Slack has been seen to refuse 13,200
SECTION = 3000  # characters
LITERAL = 2800  # characters of one preformatted block
ESCAPED = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"))


def escape(text: str) -> str:
    """Text for where Slack reads markup: "<!channel>" stays those characters."""
    for sign, written in ESCAPED:
        text = text.replace(sign, written)
    return text


def unescape(text: str) -> str:
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


def messages(text: str) -> list[JSON]:
    """The messages that these words need: a sentence is shown as such, several lines in boxes."""
    if "\n" not in text and len(text) <= SECTION:
        return [{"text": escape(text), "blocks": [section(text)]}]
    pages = pack([literal(part)] for part in parts(text, LITERAL))
    return [{"text": escape(short(text, SECTION)), "blocks": page} for page in pages]


def pack(groups: Iterable[list[JSON]]) -> list[list[JSON]]:
    """Groups of blocks in as few messages as Slack takes, each group whole."""
    pages: list[list[JSON]] = []
    for group in groups:
        if pages and len(pages[-1]) + len(group) <= BLOCKS and size_of([*pages[-1], *group]) <= LARGEST:
            pages[-1].extend(group)
        else:
            pages.append([*group])
    return pages


def size_of(blocks: list[JSON]) -> int:
    """How large Slack finds these blocks: in characters, as JSON."""
    return len(json.dumps(blocks, ensure_ascii=False))


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
