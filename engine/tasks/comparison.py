"""A comparison: one seed painted in several ways, on one sheet with what CLIP says of each."""

import io
from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from engine.messages import ClipScore, Paint, Picture, Variant
from engine.tasks.comparison_sheet import Cell, sheet
from engine.vision.clip_score import Scorer


def ways(request: Paint, *, refiner: bool) -> list[Variant]:
    """The variants that are painted; `refiner`: whether there is one here."""
    return [one for one in request.variants if refiner or not one.refiner]


def each(request: Paint, variants: Sequence[Variant]) -> list[Paint]:
    """The request of each variant alone."""
    return [replace(request, adapters=one.adapters, refiner=one.refiner, variants=()) for one in variants]


def compared(
    request: Paint, variants: Sequence[Variant], pictures: Sequence[Picture], scorer: Scorer
) -> tuple[Picture, tuple[ClipScore, ...]]:
    """The sheet of these pictures, and their scores; the best one is drawn in green."""
    marks = scorer.scores([one.png for one in pictures], request.prompt)
    best = max((mark for mark in marks if mark is not None), default=None)
    cells = [
        Cell(
            picture=picture.png,
            label=variant.name,
            score="" if mark is None else f"CLIP {mark:.1f}",
            best=mark is not None and mark == best,
        )
        for variant, picture, mark in zip(variants, pictures, marks, strict=True)
    ]
    content = sheet(cells, f"{request.prompt} (seed {request.seed})")
    with Image.open(io.BytesIO(content)) as opened:
        width, height = opened.size
    scores = tuple(
        ClipScore(name=variant.name, clip=mark) for variant, mark in zip(variants, marks, strict=True)
    )
    return Picture(png=content, seed=request.seed, width=width, height=height), scores
