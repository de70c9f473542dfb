"""The pictures that a training uses: a few numbers of each in memory, names and captions on the disk."""

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from engine.messages import Example, InvalidRequest, ManifestFile, Train, fill_template, stored_path

FIELDS = 7  # numbers of an item


@dataclass(frozen=True, kw_only=True)
class Item:
    """A picture to train on. All sizes are (width, height) in pixels.

    place: its index among the training's examples. caption: with the trigger. resized: the picture's size
    after scaling, which covers `size`, its bucket.
    """

    place: int
    example: Example
    caption: str
    original: tuple[int, int]
    resized: tuple[int, int]
    size: tuple[int, int]

    @property
    def enlarged(self) -> float:
        """The factor by which the picture is enlarged, below 1 where it is reduced."""
        return max(after / before for after, before in zip(self.resized, self.original, strict=True))


class Items(Sequence[Item]):
    """Items in the order of their places, made when they are asked for."""

    def __init__(self, training: Train, examples: Sequence[Example]) -> None:
        self._training = training
        self._examples = examples
        self._numbers = array("i")
        self.shown = 0  # how often an epoch shows them in all
        self.triggers: set[str] = {training.trigger}  # of all concepts

    def append(self, item: Item) -> None:
        """Add an item."""
        self._numbers.extend((item.place, *item.original, *item.resized, *item.size))
        self.shown += item.example.repeats
        self.triggers.add(example_concept(self._training, item.example)[0])

    def size(self, index: int) -> tuple[int, int]:
        """The width and height of an item's bucket."""
        start = FIELDS * index
        return self._numbers[start + 5], self._numbers[start + 6]

    def __len__(self) -> int:
        return len(self._numbers) // FIELDS

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        start = FIELDS * (index % len(self))
        place, *sides = self._numbers[start : start + FIELDS]
        example = self._examples[place]
        return Item(
            place=place,
            example=example,
            caption=training_caption(self._training, example),
            original=(sides[0], sides[1]),
            resized=(sides[2], sides[3]),
            size=(sides[4], sides[5]),
        )

    def __iter__(self) -> Iterator[Item]:
        return (self[index] for index in range(len(self)))


def open_examples(training: Train, folder: Path) -> Sequence[Example]:
    """The examples of a training, those of a manifest read as they are asked for. Raises InvalidRequest."""
    if training.manifest is None:
        return training.examples
    try:
        examples = ManifestFile(stored_path(folder, training.manifest.sha256))
    except (OSError, ValueError) as error:
        raise InvalidRequest("The list of the pictures is gone. Send them again.") from error
    if len(examples) != training.manifest.pictures:
        raise InvalidRequest("The list of the pictures is broken. Send them again.")
    return examples


def training_caption(training: Train, example: Example) -> str:
    """The picture's own caption, or else the template, with the trigger of its concept in it, in one line.

    That of a picture of the class alone has no trigger.
    """
    trigger, subject = example_concept(training, example)
    own = " ".join(example.caption.split())
    if example.regularization:
        return class_caption(own or fill_template(training.template, "", subject), trigger)
    text = own or fill_template(training.template, trigger, subject)
    word = rf"(?<![\w-]){re.escape(trigger)}(?![\w-])"
    return text if re.search(word, text, re.IGNORECASE) else f"{trigger} {text}".strip()


def example_concept(training: Train, example: Example) -> tuple[str, str]:
    """The trigger and the class of an example: its own, or those of the training."""
    if not example.concept:
        return training.trigger, training.subject
    trigger, _, subject = example.concept.partition(" ")
    return trigger, subject.strip()


def class_caption(caption: str, *triggers: str) -> str:
    """The caption without the triggers, such as "a photo of woman" for "a photo of ohwx woman"."""
    words = "|".join(map(re.escape, triggers))
    without = re.sub(rf"(?<![\w-])(?:{words})(?![\w-])", " ", caption, flags=re.IGNORECASE)
    return " ".join(without.split())
