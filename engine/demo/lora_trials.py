"""Trials of LoRA training: pictures that are not in the training data, and how well LoRAs learn them.

The pictures that the engine paints with a LoRA are judged by their pixels.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from engine.demo.captions import plain
from engine.demo.judge import Verdict, is_hatched, judge
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
WORD = "ohwx"  # has no meaning before the training
ARROW = Thing(shape="arrow", colour="red", size="big")


def scenes(count: int, seed: int, thing: Thing, shapes: Sequence[Shape] = ()) -> list[Scene]:
    """Scenes of a thing in random colours, with the named shapes in turns where there are any."""
    rng = np.random.default_rng(seed)
    sampled = []
    for number in range(count):
        background, colour = (str(name) for name in rng.choice(list(COLOURS), 2, replace=False))
        shape = shapes[number % len(shapes)] if shapes else thing.shape
        sampled.append(Scene(things=(replace(thing, shape=shape, colour=colour),), background=background))
    return sampled


def trial_scenes(count: int, seed: int, thing: Thing) -> list[Scene]:
    """Scenes of the thing in many colours. A hatched thing stands for a style and has all shapes in turns."""
    return scenes(count, seed, thing, SHAPES if thing.hatched else ())


def prompt(scene: Scene, word: str) -> str:
    """The scene's caption, with this word in place of the hatching or the shape of its thing."""
    thing = scene.things[0]
    return plain(scene).replace("hatched" if thing.hatched else thing.shape, word)


@dataclass(frozen=True, kw_only=True)
class TrialLoras:
    """The LoRAs of a training: the one that people get, the other candidates, and that of the last step."""

    best: AdapterUse
    others: tuple[AdapterUse, ...]
    last: AdapterUse


@dataclass(frozen=True)
class LoraTrials:
    """Trials in a studio, with the store of its pictures and LoRAs."""

    studio: Studio
    folder: Path

    def store_pictures(
        self, scenes: Sequence[Scene], captions: Sequence[str], seed: int
    ) -> tuple[Example, ...]:
        """Draw and store the scenes, with these captions."""
        rng, store, examples = np.random.default_rng(seed), FileStore(self.folder), []
        for number, (scene, caption) in enumerate(zip(scenes, captions, strict=True)):
            file = io.BytesIO()
            Image.fromarray(draw(scene, sample_layout(rng, scene, SIDE, SIDE))).save(file, "PNG")
            sha256 = store.put_bytes(file.getvalue())
            examples.append(Example(sha256=sha256, name=f"{number}.png", caption=caption))
        return tuple(examples)

    def training_pictures(self, thing: Thing, count: int = 8) -> tuple[Example, ...]:
        """Draw and store pictures of the thing in all colours, with the new word in their captions."""
        scenes = trial_scenes(count, 1, thing)
        return self.store_pictures(scenes, [prompt(scene, WORD) for scene in scenes], seed=3)

    def train(
        self, name: str, examples: tuple[Example, ...], settings: TrainingSettings, word: str = WORD
    ) -> TrialLoras:
        """Train on these pictures with these settings. Raises ValueError where the training fails."""
        request = Train(job=JobId(name), name=name, examples=examples, trigger=word, settings=settings)
        adapters: dict[int, AdapterUse] = {}
        for event in self._run_requests(request):
            match event:
                case CheckpointSaved(adapter=str(adapter)):
                    adapters[event.step] = AdapterUse(name=name, sha256=adapter)
                case Trained():
                    others = tuple(adapters[step] for step in event.candidates)
                    return TrialLoras(best=adapters[event.best], others=others, last=adapters[event.step])
                case Failed():
                    raise ValueError(event.reason)
        raise ValueError("the training ended without a result")

    def judge_prompts(
        self, scenes: Sequence[Scene], prompts: Sequence[str], *uses: AdapterUse
    ) -> list[Verdict]:
        """Paint these prompts with these LoRAs, and judge each picture by its scene."""
        pairs = zip(self._paint_prompts(prompts, uses), scenes, strict=True)
        return [judge(picture, scene) for picture, scene in pairs]

    def _paint_prompts(self, prompts: Sequence[str], uses: tuple[AdapterUse, ...]) -> list[Pixels]:
        requests = [
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
        events = self._run_requests(*requests)
        files = {event.job: event.pictures[0].png for event in events if isinstance(event, Painted)}
        return [_pixels(files[request.job]) for request in requests]

    def success_rate(self, count: int, thing: Thing, *uses: AdapterUse) -> float:
        """The share of so many prompts with the new word, 0 to 1, whose pictures show the thing."""
        scenes = trial_scenes(count, 99, thing)
        pictures = self._paint_prompts([prompt(scene, WORD) for scene in scenes], uses)
        pairs = zip(pictures, scenes, strict=True)
        if thing.hatched:
            return float(np.mean([is_hatched(picture, scene.things[0]) for picture, scene in pairs]))
        return float(np.mean([judge(picture, scene).shapes for picture, scene in pairs]))

    def ordinary_score(self, count: int, *uses: AdapterUse) -> float:
        """How much is right in ordinary pictures, 0 to 1: backgrounds, colours, parts and shapes."""
        ordinary = scenes(count, 5, replace(ARROW, shape="circle"), SHAPES)
        verdicts = self.judge_prompts(ordinary, [plain(scene) for scene in ordinary], *uses)
        right = [[verdict.background, verdict.colours, verdict.parts, verdict.shapes] for verdict in verdicts]
        return float(np.mean(right))

    def _run_requests(self, *requests: Train | Paint) -> Iterator[Event]:
        for request in requests:
            yield from self.studio.accept(request)
        while not self.studio.idle:
            yield from self.studio.step()


def _pixels(png: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(png)))
