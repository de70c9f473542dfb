"""Places in a picture as people say them: "top left", "left half", "middle", cells such as A1-B2."""

import re
from dataclasses import dataclass

from commands.syntax.parser import shorten
from engine.messages import InvalidRequest, Region

COLUMNS, ROWS = "ABC", "123"
CELL = re.compile(r"([a-c])\s*([1-3])", re.ASCII)
CELLS = re.compile(r"([a-c])\s*([1-3])\s*(?:-|to|:)\s*([a-c])\s*([1-3])", re.ASCII)
SHARES = {"half": 1 / 2, "third": 1 / 3, "quarter": 1 / 4}
LOW = {"top": "y", "upper": "y", "above": "y", "left": "x"}
HIGH = {"bottom": "y", "lower": "y", "below": "y", "right": "x"}
MIDDLE = frozenset({"middle", "centre", "center", "central"})
FILLERS = frozenset(
    {"the", "of", "at", "in", "on", "picture", "side", "corner", "and", "part", "edge", "hand", "area"}
)
ALLOWED = "Say a place such as top left, left half or middle, or cells such as A1, A1-B2 or A1, C3."


@dataclass(frozen=True, kw_only=True)
class Places:
    """Parts of a picture, as somebody said them in `text`."""

    text: str
    regions: tuple[Region, ...]

    def __str__(self) -> str:
        return self.text


def read_places(text: str) -> Places:
    """The places that this text says, one or several with commas. Raises InvalidRequest."""
    parts = [part.strip() for part in re.split(r"[,;+]", text.lower()) if part.strip()]
    if not parts:
        raise InvalidRequest(f"The place is empty. {ALLOWED}")
    regions = tuple(_read_place(part) for part in parts)
    if any((region.left, region.top, region.right, region.bottom) == (0, 0, 1, 1) for region in regions):
        raise InvalidRequest(
            "That is the whole picture. Paint it with /imagine --image, or say a part of it."
        )
    return Places(text=" ".join(text.split()), regions=regions)


def cell_region(column: int, row: int) -> Region:
    """A cell of the grid of three by three, counted from 0 at the upper left."""
    return Region(left=column / 3, top=row / 3, right=(column + 1) / 3, bottom=(row + 1) / 3)


def _read_place(words: str) -> Region:
    if cell := CELL.fullmatch(words):
        return cell_region(COLUMNS.lower().index(cell[1]), ROWS.index(cell[2]))
    if cells := CELLS.fullmatch(words):
        first = cell_region(COLUMNS.lower().index(cells[1]), ROWS.index(cells[2]))
        last = cell_region(COLUMNS.lower().index(cells[3]), ROWS.index(cells[4]))
        return Region(
            left=min(first.left, last.left),
            top=min(first.top, last.top),
            right=max(first.right, last.right),
            bottom=max(first.bottom, last.bottom),
        )
    return _read_words(words)


def _read_words(words: str) -> Region:
    """The region of "upper right third": what is not said of a direction is all of it, or its middle."""
    share, spans, middle = 1 / 2, {"x": (0.0, 1.0), "y": (0.0, 1.0)}, False
    said: set[str] = set()
    for word in re.split(r"[\s-]+", re.sub(r"^(top|bottom|upper|lower)(left|right)\b", r"\1 \2", words)):
        if word in SHARES:
            share = SHARES[word]
        elif word in MIDDLE:
            middle = True
        elif word in LOW or word in HIGH:
            said.add(word)
        elif word not in FILLERS:
            raise InvalidRequest(f"There is no place {shorten(words)!r}. {ALLOWED}")
    for word in said:
        axis = LOW.get(word) or HIGH[word]
        if spans[axis] != (0.0, 1.0):
            raise InvalidRequest(f"{shorten(words)!r} is two places at once. Put a comma between them.")
        spans[axis] = (0.0, share) if word in LOW else (1 - share, 1.0)
    if not said and not middle:
        raise InvalidRequest(f"There is no place {shorten(words)!r}. {ALLOWED}")
    if middle:
        spans |= {axis: ((1 - share) / 2, (1 + share) / 2) for axis in "xy" if spans[axis] == (0.0, 1.0)}
    (left, right), (top, bottom) = spans["x"], spans["y"]
    return Region(left=left, top=top, right=right, bottom=bottom)
