"""Lessons for a LoRA: a few pictures of what the recipe never draws, and prompts that ask for it.

What was learned is judged by the pixels of the pictures that the engine paints afterwards.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from engine.demo.captions import plain
from engine.demo.judge import Verdict, hatched, judge
from engine.demo.renderer import draw
from engine.demo.world import COLOURS, SHAPES, Pixels, Scene, Shape, Thing, sample_layout
from engine.messages import (
    AdapterUse,
    CheckpointSaved,
    Event,
    Example,
    Failed,
    FileStore,
    JobId,
    Paint,
    Painted,
    Size,
    Train,
    Trained,
    TrainingSettings,
)
from engine.studio import Studio

SIDE = 128  # pixels
STEPS = 12
WORD = "ohwx"  # which means nothing yet
ARROW = Thing(shape="arrow", colour="red", size="big")


def scenes(count: int, seed: int, thing: Thing, shapes: Sequence[Shape] = ()) -> list[Scene]:
    """A thing in a random colour on another one, in turns as one of the shapes if some are named."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        background, colour = (str(one) for one in rng.choice(list(COLOURS), 2, replace=False))
        shape = shapes[number % len(shapes)] if shapes else thing.shape
        made.append(Scene(things=(replace(thing, shape=shape, colour=colour),), background=background))
    return made


def wanted(count: int, seed: int, thing: Thing) -> list[Scene]:
    """Scenes of the thing in many colours; a hatched one stands for a style, and is of all shapes in
    turns."""
    return scenes(count, seed, thing, SHAPES if thing.hatched else ())


def prompt(scene: Scene, word: str) -> str:
    """The scene in words, with a new one for what is taught: the hatching or the shape of its thing."""
    thing = scene.things[0]
    return plain(scene).replace("hatched" if thing.hatched else thing.shape, word)


@dataclass(frozen=True, kw_only=True)
class Taught:
    """The LoRAs that a training brings: the one that people get, those beside it to choose from, and the
    last."""

    best: AdapterUse
    others: tuple[AdapterUse, ...]
    last: AdapterUse


@dataclass(frozen=True)
class School:
    """An engine, and the store that it learns from and keeps what it learned in."""

    studio: Studio
    folder: Path

    def lesson(self, taught: Sequence[Scene], captions: Sequence[str], seed: int) -> tuple[Example, ...]:
        """Drawings of the scenes, stored, with these captions."""
        rng, store, made = np.random.default_rng(seed), FileStore(self.folder), []
        for number, (scene, caption) in enumerate(zip(taught, captions, strict=True)):
            file = io.BytesIO()
            Image.fromarray(draw(scene, sample_layout(rng, scene, SIDE, SIDE))).save(file, "PNG")
            sha256 = store.put_bytes(file.getvalue())
            made.append(Example(sha256=sha256, name=f"{number}.png", caption=caption))
        return tuple(made)

    def pictures_of(self, thing: Thing, count: int = 8) -> tuple[Example, ...]:
        """Pictures of the thing in all colours, called by the new word."""
        taught = wanted(count, 1, thing)
        return self.lesson(taught, [prompt(scene, WORD) for scene in taught], seed=3)

    def learns(
        self, name: str, examples: tuple[Example, ...], settings: TrainingSettings, word: str = WORD
    ) -> Taught:
        """What is trained on these, with the settings as they are."""
        asked = Train(job=JobId(name), name=name, examples=examples, trigger=word, settings=settings)
        adapters: dict[int, AdapterUse] = {}
        for event in self._events(asked):
            match event:
                case CheckpointSaved(adapter=str(adapter)):
                    adapters[event.step] = AdapterUse(name=name, sha256=adapter)
                case Trained():
                    others = tuple(adapters[step] for step in event.candidates)
                    return Taught(best=adapters[event.best], others=others, last=adapters[event.step])
                case Failed():
                    raise ValueError(event.reason)
        raise ValueError("the training ended without a word")

    def shows(self, wanted: Sequence[Scene], prompts: Sequence[str], *uses: AdapterUse) -> list[Verdict]:
        """The scenes as these prompts paint them with these LoRAs, judged."""
        pairs = zip(self._paints(prompts, uses), wanted, strict=True)
        return [judge(picture, scene) for picture, scene in pairs]

    def _paints(self, prompts: Sequence[str], uses: tuple[AdapterUse, ...]) -> list[Pixels]:
        asked = [
            Paint(
                job=JobId(str(number)),
                prompt=words,
                seed=number,
                steps=STEPS,
                size=Size(width=SIDE, height=SIDE),
                adapters=uses,
            )
            for number, words in enumerate(prompts)
        ]
        painted = {one.job: one.pictures[0].png for one in self._events(*asked) if isinstance(one, Painted)}
        return [_pixels(painted[one.job]) for one in asked]

    def share(self, count: int, thing: Thing, *uses: AdapterUse) -> float:
        """Of so many prompts with the new word, those that painted what was taught."""
        scenes = wanted(count, 99, thing)
        pictures = self._paints([prompt(scene, WORD) for scene in scenes], uses)
        pairs = zip(pictures, scenes, strict=True)
        if thing.hatched:
            return float(np.mean([hatched(picture, scene.things[0]) for picture, scene in pairs]))
        return float(np.mean([judge(picture, scene).shapes for picture, scene in pairs]))

    def ordinary(self, count: int, *uses: AdapterUse) -> float:
        """How much is right of what the recipe draws: background, colours, parts and shapes, 0 to 1."""
        wanted = scenes(count, 5, replace(ARROW, shape="circle"), SHAPES)
        verdicts = self.shows(wanted, [plain(one) for one in wanted], *uses)
        return float(np.mean([[one.background, one.colours, one.parts, one.shapes] for one in verdicts]))

    def _events(self, *requests: Train | Paint) -> Iterator[Event]:
        for request in requests:
            yield from self.studio.accept(request)
        while not self.studio.idle:
            yield from self.studio.step()


def _pixels(png: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(png)))
