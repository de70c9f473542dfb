"""Display names: which are allowed, and which look alike."""

import unicodedata

from engine.messages import InvalidRequest

LONGEST = 32  # characters
INVISIBLE = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # letters and symbols that show nothing
# Letters of other scripts (Cyrillic, Greek, rare Latin), and digits, that look like these in most fonts.
ALIKE = {
    "a": "\u0430\u03b1\u0251",
    "b": "\u0432\u03b2",
    "c": "\u0441\u03f2",
    "d": "\u0501\u0111",
    "e": "\u0435\u03b5",
    "g": "\u0261",
    "h": "\u043d\u04bb",
    "j": "\u0458",
    "k": "\u043a\u03ba",
    "l": "1i|!\u0456\u03b9\u0131\u0142\u04cf",
    "m": "\u043c",
    "n": "\u043f\u03b7",
    "o": "0\u043e\u03bf\u00f8",
    "p": "\u0440\u03c1",
    "q": "\u051b",
    "s": "\u0455",
    "t": "\u0442\u03c4",
    "u": "\u03c5",
    "v": "\u03bd",
    "w": "\u051d",
    "x": "\u0445\u03c7",
    "y": "\u0443\u03b3",
}
LOOKS = str.maketrans({other: letter for letter, others in ALIKE.items() for other in others})
PAIRS = (("rn", "m"), ("vv", "w"))


def read_name(name: str) -> str:
    """The name without extra spaces, if it can be shown. Raises InvalidRequest."""
    name = " ".join(name.split())
    seen = any(unicodedata.category(letter)[0] in "LNPS" for letter in name)
    if not 1 <= len(name) <= LONGEST or not name.isprintable() or not seen or not INVISIBLE.isdisjoint(name):
        raise InvalidRequest(f"A name must have 1 to {LONGEST} visible characters.")
    return name


def skeleton(name: str) -> str:
    """A form that is the same for names that look alike: no accents, spaces, case or foreign scripts."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    plain = "".join(sign for sign in letters if unicodedata.category(sign)[0] in "LNPS").translate(LOOKS)
    for pair, letter in PAIRS:
        plain = plain.replace(pair, letter)
    return plain


def check_storable(*texts: str) -> None:
    """Raise InvalidRequest when a text has a lone surrogate, which nothing can store."""
    for text in texts:
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise InvalidRequest("There is a broken character in this. Write it again without it.")
