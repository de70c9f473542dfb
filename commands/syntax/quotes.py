"""The words of a line, and quotes that keep several together."""

import re
from collections.abc import Iterator
from typing import Self

from commands.syntax.flags import DASHES, INVISIBLE, SIGNS

CLOSING = {  # what may end a quotation that began so
    '"': '"',
    "'": "'",
    "\u201c": '\u201d\u201c"',
    "\u201d": '\u201d"',
    "\u201e": '\u201c\u201d"',
    "\u2018": "\u2019'",
    "\u00ab": "\u00bb",
}
EQUALS = re.compile(rf"[{INVISIBLE}]*[{DASHES}][{DASHES}{INVISIBLE}]*+\w[\w{DASHES}{INVISIBLE}]*[{SIGNS}]")
WORD = re.compile(r"\S+")


class Quotation(str):
    """Words in quotes, which are never a flag. `raw` has the quotes, which stay among other words."""

    raw: str

    def __new__(cls, text: str, raw: str) -> Self:
        self = super().__new__(cls, text)
        self.raw = raw
        return self


def quote(text: str) -> str:
    """The text in quotes, so that it is read as one word."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def split(text: str) -> list[str]:
    """The words of a line; quotes keep several together, and never are an error.

    A quotation begins with a word and ends with one, so an apostrophe is a letter. Inside, a backslash
    stands before a quote or backslash that is meant as it is.
    """
    return list(_words(text))


def _words(text: str) -> Iterator[str]:
    open_ended: set[str] = set()  # quotes that are not closed any more, so that nobody looks again
    at = 0
    while word := WORD.search(text, at):
        start, at = word.span()
        equals = EQUALS.match(text, start)
        begin = equals.end() if equals else start
        quotation = _quotation(text, begin, open_ended)
        if quotation is None:
            yield word.group()
        else:
            inside, at = quotation
            yield equals.group() + inside if equals else Quotation(inside, raw=text[start:at])


def _quotation(text: str, start: int, open_ended: set[str]) -> tuple[str, int] | None:
    """What a quotation that starts here says and where it ends; None if there is none."""
    opening = text[start : start + 1]
    closing = CLOSING.get(opening, "")
    if not closing or opening in open_ended:
        return None
    letters: list[str] = []
    at = start + 1
    while at < len(text):
        letter, after = text[at], text[at + 1 : at + 2]
        if letter == "\\" and after and after in closing + "\\":
            letters.append(after)
            at += 2
            continue
        if letter in closing and (not after or after.isspace()):
            return "".join(letters), at + 1
        letters.append(letter)
        at += 1
    open_ended.add(opening)
    return None
