"""Fast steps: how much sooner a picture is there, and how it differs from the exact one.

`python -m bench.serving.fast` paints docs/fast.png anew, exact pictures above fast ones.
"""

import io
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from bench.demo_model import unseen_scenes
from bench.measuring import in_turns, table
from bench.painting import mixed_requests, request, rest, serve
from engine.demo.captions import plain
from engine.demo.judge import judge
from engine.demo.world import Pixels, Scene
from engine.messages import EngineSettings, JobId, Paint, Painted, Size
from engine.sdxl import fast_steps
from engine.sdxl.model import load_model
from engine.studio import Studio
from engine.vision.clip_score import ClipScorer

SHEET = Path(__file__).parents[2] / "docs" / "fast.png"
PROMPTS, SEEDS = 48, 2
STEPS, GUIDANCE = 20, 5.0
ROUNDS = 7
ALL = (0.0, 1.0)
# The part of the steps that is guided, and the levels of the UNet that every step computes.
CHOICES = ((ALL, 1), (ALL, 2), ((0.2, 0.8), 1), ((0.2, 0.8), 2), ((0.3, 0.7), 1), ((0.2, 0.6), 1))
SHOWN = 8  # pictures on the sheet


def measure(settings: EngineSettings, side: int) -> str:
    """Seconds of exact and fast pictures in turns, and what each choice of what to leave out costs."""
    return f"{times(settings, side)}\n\n{qualities(settings, side)}"


def times(settings: EngineSettings, side: int) -> str:
    """One picture and eight people, exact and fast."""
    studio = Studio(load_model(settings), settings)
    rows = []
    for name, asked in {
        "one picture": [request(0, STEPS, GUIDANCE, side)],
        "eight people": mixed_requests(side),
    }.items():
        ways = [partial(serve, studio, [replace(one, fast=fast) for one in asked]) for fast in (False, True)]
        exact, fast = in_turns(ways, ROUNDS, [*ways, partial(rest, studio), *ways, partial(rest, studio)])
        rows.append([name, f"{exact:.3f} s", f"{fast:.3f} s", f"{exact / fast:.2f}"])
    return table(["", "exact", "fast", "speed-up"], rows)


def qualities(settings: EngineSettings, side: int) -> str:
    """CLIP's score, what is right, and the distance to the exact picture, by what is left out."""
    scenes = unseen_scenes(PROMPTS)
    scorer = ClipScorer(settings, load_model(settings).device)
    exact = paint(Studio(load_model(settings), settings), scenes, side, fast=False)
    before = scores(scorer, exact, scenes)
    rows = [["none: exact", f"{statistics.mean(before):.2f}", "", "", right(exact, scenes), "0"]]
    for guided, levels in CHOICES:
        pictures = paint_by(settings, scenes, side, guided, levels)
        values = scores(scorer, pictures, scenes)
        changes = [
            100 * (new - old) / statistics.mean(before) for new, old in zip(values, before, strict=True)
        ]
        error = statistics.stdev(changes) / len(changes) ** 0.5
        rows.append(
            [
                f"guidance but from {guided[0]:g} to {guided[1]:g}; deep features but {levels} of 3 levels",
                f"{statistics.mean(values):.2f}",
                f"{statistics.mean(changes):+.2f}%",
                f"{error:.2f}",
                right(pictures, scenes),
                f"{distance(pictures, exact):.2f}",
            ]
        )
    head = ["left out", "CLIP score", "against exact", "its standard error", "everything right"]
    return table([*head, "mean distance, of 255"], rows)


def paint_by(
    settings: EngineSettings, scenes: Sequence[Scene], side: int, guided: tuple[float, float], levels: int
) -> list[Pixels]:
    """The fast pictures that other constants would give."""
    with patch.object(fast_steps, "GUIDED", guided), patch.object(fast_steps, "LEVELS", levels):
        return paint(Studio(load_model(settings), settings), scenes, side, fast=True)


def paint(studio: Studio, scenes: Sequence[Scene], side: int, *, fast: bool) -> list[Pixels]:
    """A picture (side, side, 3) of each scene and seed, all scenes of the first seed first."""
    asked = [
        Paint(
            job=JobId(f"{seed}-{place}"),
            prompt=plain(scene),
            seed=1000 * seed + place,
            steps=STEPS,
            guidance_scale=GUIDANCE,
            size=Size(width=side, height=side),
            fast=fast,
        )
        for seed in range(SEEDS)
        for place, scene in enumerate(scenes)
    ]
    for one in asked:
        list(studio.accept(one))
    painted = {event.job: event.pictures[0].png for event in finish(studio)}
    return [np.asarray(Image.open(io.BytesIO(painted[one.job]))) for one in asked]


def finish(studio: Studio) -> Iterator[Painted]:
    """The pictures of all jobs, as they are done."""
    while not studio.idle:
        yield from (event for event in studio.step() if isinstance(event, Painted))


def scores(scorer: ClipScorer, pictures: Sequence[Pixels], scenes: Sequence[Scene]) -> list[float]:
    """CLIP's score of each picture for its prompt."""
    found = [
        scorer.score([encode(picture)], plain(scene))[0]
        for picture, scene in zip(pictures, [*scenes] * SEEDS, strict=True)
    ]
    return [score for score in found if score is not None]


def encode(picture: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()


def right(pictures: Sequence[Pixels], scenes: Sequence[Scene]) -> str:
    """The share of pictures that show all that was asked for."""
    pairs = zip(pictures, [*scenes] * SEEDS, strict=True)
    return f"{100 * statistics.mean(judge(picture, scene).right for picture, scene in pairs):.0f}%"


def distance(pictures: Sequence[Pixels], others: Sequence[Pixels]) -> float:
    """The mean difference of their pixels, of 255."""
    pairs = zip(pictures, others, strict=True)
    return statistics.mean(float(np.abs(one.astype(int) - other).mean()) for one, other in pairs)


def main() -> None:
    """Write the sheet."""
    settings = EngineSettings(model="demo")
    scenes = unseen_scenes(SHOWN)
    studio = Studio(load_model(settings), settings)
    rows = [paint(studio, scenes, 128, fast=fast)[:SHOWN] for fast in (False, True)]
    sheet = Image.fromarray(np.vstack([np.hstack(row) for row in rows]))
    sheet.quantize(128).save(SHEET, optimize=True)


if __name__ == "__main__":
    main()
