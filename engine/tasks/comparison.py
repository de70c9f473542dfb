"""A comparison: one seed painted in several variants, on one sheet with the CLIP score of each."""

import io
from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from engine.messages import ClipScore, Paint, Picture, Variant
from engine.tasks.comparison_sheet import Cell, comparison_sheet
from engine.vision.clip_score import ClipScorer


def paintable_variants(request: Paint, *, refiner: bool) -> list[Variant]:
    """The variants that can be painted. `refiner`: whether the model has one."""
    return [variant for variant in request.variants if refiner or not variant.refiner]


def variant_requests(request: Paint, variants: Sequence[Variant]) -> list[Paint]:
    """A request for each variant alone."""
    return [
        replace(request, adapters=variant.adapters, refiner=variant.refiner, variants=())
        for variant in variants
    ]


def make_sheet(
    request: Paint, variants: Sequence[Variant], pictures: Sequence[Picture], scorer: ClipScorer
) -> tuple[Picture, tuple[ClipScore, ...]]:
    """The sheet of these pictures, with the best score in green, and their CLIP scores."""
    values = scorer.score([picture.png for picture in pictures], request.prompt)
    best = max((value for value in values if value is not None), default=None)
    cells = [
        Cell(
            picture=picture.png,
            label=variant.name,
            score="" if value is None else f"CLIP {value:.1f}",
            best=value is not None and value == best,
        )
        for variant, picture, value in zip(variants, pictures, values, strict=True)
    ]
    content = comparison_sheet(cells, f"{request.prompt} (seed {request.seed})")
    with Image.open(io.BytesIO(content)) as opened:
        width, height = opened.size
    scores = tuple(
        ClipScore(name=variant.name, clip=value) for variant, value in zip(variants, values, strict=True)
    )
    return Picture(png=content, seed=request.seed, width=width, height=height), scores
