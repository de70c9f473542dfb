"""Flags as people type them: two hyphens, or dashes and signs that look like them."""

import re
import unicodedata
from dataclasses import dataclass

# All that people, their phones and their input methods write for a hyphen: dashes, minus signs, and the long
# vowel sign that is on the same key of a Japanese keyboard.
DASHES = (
    r"\-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2796\u2e3a\u2e3b\ufe31\ufe32\ufe58\ufe63\uff0d"
    r"\u30fc\uff70"
)
INVISIBLE = (
    r"\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff"  # they have no width
)
SIGNS = r"=:\uff1d\uff1a"  # that may stand between a flag and its value in one word
DASH_FIRST = re.compile(rf"[{INVISIBLE}]*[{DASHES}]")
SIGN = re.compile(rf"[{SIGNS}]")
FLAG = re.compile(r"(-+)([^\W_].*)", re.DOTALL)
ANY_DASH = re.compile(rf"[{DASHES}]")
ANY_INVISIBLE = re.compile(rf"[{INVISIBLE}]")


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A word that looks like a flag, in the usual spelling, with its value where both are one word.

    `plain`: it begins with two hyphens, and nothing else begins so; what begins with other dashes may belong
    to a sentence, above all with a `single` one.
    """

    name: str
    value: str | None
    plain: bool
    single: bool


def read_flag(word: str) -> Flag | None:
    """The flag that this word may be, known or not; None for "--" and "-1", for example."""
    if not DASH_FIRST.match(word):
        return None
    sign = SIGN.search(word)
    head, value = (word[: sign.start()], word[sign.end() :]) if sign else (word, None)
    spelled = normalize(head)
    match = FLAG.fullmatch(ANY_DASH.sub("-", spelled).lower().replace("_", "-"))
    plain = spelled.startswith("--")
    if match is None or (match[2][0].isdigit() and not plain):
        return None
    if sign and normalize(sign[0]) == ":":  # "--steps: 20"
        value = value or None
    return Flag(name=f"--{match[2]}", value=value, plain=plain, single=len(match[1]) == 1)


def is_dash(word: str) -> bool:
    """Whether the word is dashes only."""
    return DASH_FIRST.match(word) is not None and not ANY_DASH.sub("", normalize(word))


def normalize(text: str) -> str:
    """The text in usual letters, digits and signs, without characters of no width."""
    return unicodedata.normalize("NFKC", ANY_INVISIBLE.sub("", text))
