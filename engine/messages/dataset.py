"""The pictures of a training: an example each, and the manifest, a stored file that names many of them.

A manifest is JSON lines, an example a line, in UTF-8. A request names it by its hash, so that a data set of
any size neither crosses the socket nor lies in the database.
"""

import json
import mmap
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePath
from typing import IO, Any, overload

from engine.messages.checks import InvalidRequest, check_integer, check_text
from engine.messages.files import Sha256

EXAMPLES = (1, 100_000)
CHAT_EXAMPLES = 1000  # at most, where they come through a chat
INLINE = 50  # pictures that a request names itself; more are in a manifest
REPEATS = (1, 1000)
CAPTION_CHARACTERS = 10_000
MASK = "-mask"  # how the name of a mask ends, before the file's ending
ALWAYS_WRITTEN = ("sha256", "name", "caption")  # of an example


@dataclass(frozen=True, kw_only=True)
class Example:
    """A picture to train on: a PNG or JPEG in the store, its name, and its caption, if it has one.

    repeats: how often an epoch shows it. concept: its own trigger and class words, such as "sks dog", where
    they are not those of the training. regularization: it shows the class of the concept, without a trigger.
    mask: a picture in the store that says how much each of its pixels counts.
    """

    sha256: Sha256
    name: str = ""
    caption: str = ""
    repeats: int = 1
    concept: str = ""
    regularization: bool = False
    mask: Sha256 | None = None

    def __post_init__(self) -> None:
        whose = self.name or "a picture"
        check_text(f"The caption of {whose}", self.caption, CAPTION_CHARACTERS)
        check_text(f"The concept of {whose}", self.concept)
        check_integer(f"The repeats of {whose}", self.repeats, *REPEATS)


def pair_masks(examples: Sequence[Example]) -> tuple[Example, ...]:
    """The pictures, each with its mask: that of a.png is named a-mask.png, whatever their endings are.

    A name with -mask and no picture that belongs to it is one of the pictures.
    """
    plain: dict[str, list[int]] = {}
    for place, example in enumerate(examples):
        plain.setdefault(PurePath(example.name).stem.casefold(), []).append(place)
    masks: dict[int, int] = {}  # of pictures, by their places
    for stem in sorted(plain, key=len):
        pictures = [place for place in plain.get(stem.removesuffix(MASK), ()) if place not in masks.values()]
        if stem.endswith(MASK):
            masks |= dict(zip(pictures, plain[stem], strict=False))
    taken = set(masks.values())
    return tuple(
        replace(example, mask=examples[masks[place]].sha256) if place in masks else example
        for place, example in enumerate(examples)
        if place not in taken
    )


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A stored file of examples, and how many it has."""

    sha256: Sha256
    pictures: int


def manifest_line(example: Example) -> bytes:
    """The line of a manifest with this example."""
    return json.dumps(example_to_json(example), ensure_ascii=False).encode() + b"\n"


def write_manifest(file: IO[bytes], examples: Iterable[Example]) -> int:
    """Write these examples as a manifest. Returns how many they are. Raises OSError."""
    count = 0
    for example in examples:
        file.write(manifest_line(example))
        count += 1
    return count


def read_manifest(content: bytes) -> tuple[Example, ...]:
    """All examples of a manifest. Raises InvalidRequest."""
    return tuple(_read_line(line) for line in content.splitlines())


class ManifestFile(Sequence[Example]):
    """The examples of a manifest in a file, read from the disk when they are asked for."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, and ValueError where the file is empty."""
        with path.open("rb") as file:
            self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._ends = array("Q")  # of the lines, in bytes
        while (end := self._content.find(b"\n", self._ends[-1] if self._ends else 0)) >= 0:
            self._ends.append(end + 1)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> Example: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Example, ...]: ...

    def __getitem__(self, place: int | slice) -> Example | tuple[Example, ...]:
        """An example. Raises InvalidRequest where its line is none."""
        if isinstance(place, slice):
            return tuple(self[index] for index in range(*place.indices(len(self))))
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        place %= len(self)
        return _read_line(self._content[self._ends[place - 1] if place else 0 : self._ends[place]])

    def __iter__(self) -> Iterator[Example]:
        return (self[place] for place in range(len(self)))


def add_captions(examples: Sequence[Example], captions: Sequence[str]) -> tuple[Example, ...]:
    """The examples, those without a caption with theirs of `captions`, which has one of each in order."""
    return tuple(
        example if example.caption.strip() else replace(example, caption=caption)
        for example, caption in zip(examples, captions, strict=True)
    )


def example_to_json(example: Example) -> dict[str, Any]:
    """The example as values of JSON: what identifies it, and what is not at its default."""
    return {
        field.name: value
        for field in fields(example)
        if (value := getattr(example, field.name)) != field.default or field.name in ALWAYS_WRITTEN
    }


def example_from_json(values: Mapping[str, Any]) -> Example:
    """An example of these values; keys that this version does not know are ignored. Raises InvalidRequest."""
    names = {field.name for field in fields(Example)}
    return Example(**{name: value for name, value in values.items() if name in names})


def _read_line(line: bytes) -> Example:
    try:
        values = json.loads(line)
        return example_from_json(values)
    except (ValueError, TypeError, AttributeError) as error:
        if isinstance(error, InvalidRequest):
            raise
        raise InvalidRequest("The list of the pictures is broken. Send them again.") from error
