"""A small network that reads from a drawing what is where, and puts it into a caption.

The model that ships captions pictures with it, in the few words that it knows. CLIP's scores do not suffice:
of all captions that can be made of these words, the nearest to a drawing is seldom the right one.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn

SIDE = 128  # pixels of the square that it looks at
CHANNELS = (24, 64, 64, 96)  # of convolutions that halve the picture each: what is left are 8 x 8 places
NARROW, HIDDEN = 32, 128
PLACES = 5  # top, bottom, left, right, middle
PAIRS = (("above", 0, 1), ("to the left of", 2, 3))  # relations, and the places of their two things
MIDDLE = 4
WEIGHTS, WORDS = "model.safetensors", "config.json"


@dataclass(frozen=True, kw_only=True)
class Words:
    """The words that it knows, each a class of a thing, of a thing's look, or of the whole picture."""

    shapes: tuple[str, ...]
    colours: tuple[str, ...]
    fills: tuple[str, ...]
    sizes: tuple[str, ...]

    @property
    def of_place(self) -> tuple[int, ...]:
        """The numbers of classes of a place: shape, colour, fill and size. The last of each is of nothing."""
        return len(self.shapes) + 1, len(self.colours) + 1, len(self.fills) + 1, len(self.sizes) + 1

    @property
    def of_whole(self) -> tuple[int, int]:
        """The numbers of classes of the whole picture: background, grayscale or not."""
        return len(self.colours), 2


@dataclass(frozen=True, kw_only=True)
class SeenThing:
    """A thing in a picture, in words; `size` and `fill` are empty where they are the usual."""

    shape: str
    colour: str
    fill: str
    size: str

    @property
    def phrase(self) -> str:
        return _with_article(" ".join(filter(None, (self.size, self.fill, self.colour, self.shape))))


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is in a picture: one thing, or two in a relation, on a background."""

    things: tuple[SeenThing, ...]
    background: str
    relation: str = ""
    grayscale: bool = False

    @property
    def caption(self) -> str:
        """The caption that says all of it."""
        words = f" {self.relation} ".join(thing.phrase for thing in self.things)
        end = ", in grayscale" if self.grayscale else ""
        return f"{words} on {_with_article(self.background)} background{end}"


class PictureReader(nn.Module):
    """Convolutions, then two linear layers.

    Its logits are of each place, (B, 5, sum of `Words.of_place`), and of the whole, (B, sum of
    `Words.of_whole`).
    """

    def __init__(self, words: Words) -> None:
        super().__init__()
        self.words = words
        layers: list[nn.Module] = []
        for before, channels in zip((3, *CHANNELS), CHANNELS, strict=False):
            layers += [nn.Conv2d(before, channels, 3, 2, 1), nn.GroupNorm(8, channels), nn.SiLU()]
        layers += [nn.Conv2d(CHANNELS[-1], CHANNELS[-1], 3, 1, 1), nn.GroupNorm(8, CHANNELS[-1]), nn.SiLU()]
        squares = (SIDE // 2 ** len(CHANNELS)) ** 2
        layers += [nn.Conv2d(CHANNELS[-1], NARROW, 1), nn.Flatten()]
        layers += [nn.Linear(NARROW * squares, HIDDEN), nn.SiLU()]
        self.features = nn.Sequential(*layers)
        self.of_places = nn.Linear(HIDDEN, PLACES * sum(words.of_place))
        self.of_whole = nn.Linear(HIDDEN, sum(words.of_whole))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """pixels: (B, 3, 128, 128) in -1..1."""
        features = self.features(pixels)
        return self.of_places(features).unflatten(1, (PLACES, -1)), self.of_whole(features)

    @torch.inference_mode()
    def read(self, picture: Image.Image) -> Seen:
        """What is in this picture, in RGB; of one that is not square, its middle."""
        places, whole = self(_pixels(picture))
        return self.likeliest(places[0], whole[0])

    def likeliest(self, places: Tensor, whole: Tensor) -> Seen:
        """The likeliest of all that can be seen, for logits (5, sum of places) and (sum of whole)."""
        of_places = torch.split(places, list(self.words.of_place), dim=-1)
        chances = [part.log_softmax(dim=-1) for part in of_places]
        background, grayscale = (int(part.argmax()) for part in torch.split(whole, list(self.words.of_whole)))
        relation, spots = self._arrangement(chances[0])
        return Seen(
            things=tuple(self._thing([part[spot] for part in chances]) for spot in spots),
            background=self.words.colours[background],
            relation=relation,
            grayscale=bool(grayscale),
        )

    def _arrangement(self, shapes: Tensor) -> tuple[str, list[int]]:
        """The relation, and the places of its things. shapes: log probabilities, (5, shapes and none)."""
        there, none = shapes[:, :-1].max(dim=1).values, shapes[:, -1]
        options = [("", [MIDDLE]), *((relation, [first, second]) for relation, first, second in PAIRS)]

        def chance(spots: Sequence[int]) -> float:
            return sum(float(there[place] if place in spots else none[place]) for place in range(PLACES))

        return max(options, key=lambda option: chance(option[1]))

    def _thing(self, chances: Sequence[Tensor]) -> SeenThing:
        shape, colour, fill, size = (int(part[:-1].argmax()) for part in chances)
        words = self.words
        return SeenThing(
            shape=words.shapes[shape],
            colour=words.colours[colour],
            fill=words.fills[fill],
            size=words.sizes[size],
        )

    def save(self, folder: Path) -> None:
        """Write the weights in float16, and the words."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.half().contiguous() for name, tensor in self.state_dict().items()}
        safetensors.torch.save_file(weights, folder / WEIGHTS)
        (folder / WEIGHTS).chmod(0o644)
        (folder / WORDS).write_text(json.dumps(asdict(self.words), indent=2) + "\n")


def load_picture_reader(folder: Path) -> PictureReader:
    """What `save` wrote, in float32. Raises OSError."""
    words = json.loads((folder / WORDS).read_text())
    reader = PictureReader(Words(**{name: tuple(values) for name, values in words.items()}))
    reader.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    return reader.float().eval().requires_grad_(False)


def _pixels(picture: Image.Image) -> Tensor:
    """(1, 3, 128, 128) in -1..1 of the middle of a picture."""
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    square = picture.crop((left, top, left + side, top + side))
    if side != SIDE:
        square = square.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(square, dtype=np.float32))
    return pixels.permute(2, 0, 1)[None] / 127.5 - 1


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
