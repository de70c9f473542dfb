"""Editing on the model that ships: parts found by words, parts painted anew, new edges, details.

Everything is done to ideal drawings of the model's world, with the defaults that people have, and judged by
pixels.
"""

import io
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from bench.measuring import result_of
from commands.edit import EDIT_GUIDANCE, EDIT_STRENGTH, PADDING, WORDS_GROW
from commands.extend import Way, margins
from commands.syntax.places import read_places
from engine.demo.captions import plain
from engine.demo.judge import judge
from engine.demo.renderer import coverage, draw
from engine.demo.world import Layout, Pixels, Scene, Thing, sample_layout, sample_scene
from engine.messages import (
    EXTENSION,
    EngineSettings,
    FileStore,
    Finish,
    JobId,
    Paint,
    Painted,
    Ratio,
    Sha256,
    Source,
)
from engine.messages import Size as PixelSize
from engine.sdxl.latent_encoder import encode_picture
from engine.sdxl.model import load_model
from engine.sdxl.prompts import PromptEncoder
from engine.sdxl.word_masks import find_words
from engine.studio import Studio

SIDE = 128
SCENES = 100
STEPS = 30  # as people have them
SQUARE = Ratio(across=1, down=1)
HALVES = {"left of": "left half", "right of": "right half", "above": "top half", "below": "bottom half"}


def words() -> str:
    """How well `--where` finds things: intersection over union with the ideal drawing."""
    model = load_model(EngineSettings(model="demo"))
    encoder = PromptEncoder(model.base)
    overlaps: dict[str, list[float]] = defaultdict(list)
    for scene, layout, picture in _pairs(seed=1):
        latents = encode_picture(model.base.vae, picture)[0][None]
        for thing, spot in zip(scene.things, layout.spots, strict=True):
            ideal = coverage(replace(thing, filled=True), spot, SIDE, SIDE) > 0.5
            steps = find_words(
                model, encoder, Image.fromarray(picture), latents, plain(scene), f"the {thing.shape}"
            )
            mask = np.asarray(result_of(steps)) >= 128
            overlaps[thing.shape].append(float((mask & ideal).sum() / (mask | ideal).sum()))
    every = [overlap for shape in overlaps.values() for overlap in shape]
    rows = [f"| {shape} | {np.median(found):.2f} |" for shape, found in sorted(overlaps.items())]
    return "\n".join(
        [
            "| thing | median overlap |",
            "|---|---|",
            *rows,
            "",
            f"{len(every)} things in {SCENES} drawings: median {np.median(every):.2f}, "
            f"over 0.5 for {np.mean(np.array(every) > 0.5):.0%}.",
        ]
    )


def parts() -> str:
    """How often `/edit "a blue heart"` paints one, in place of a thing and in its half of the picture."""
    cases = [case for case in _pairs(seed=2) if case[0].background != "blue"]
    rows = [
        _edit(
            cases, "by --where", lambda scene: {"where": f"the {scene.things[0].shape}", "grow": WORDS_GROW}
        ),
        _edit(
            cases, "by --place", lambda scene: {"regions": read_places(HALVES[str(scene.relation)]).regions}
        ),
    ]
    table = ["| said | a heart | blue | both, on the rest's background |", "|---|---|---|---|", *rows]
    return "\n".join([*table, "", f"{len(cases)} drawings of two things."])


def _edit(
    cases: Sequence[tuple[Scene, Layout, Pixels]], name: str, place: Callable[[Scene], Mapping[str, Any]]
) -> str:
    """A row of the table: what `/edit` makes of these drawings, where this says what is painted."""
    usual = {"padding": round(PADDING * SIDE), "fill": True, "feather": 0.02}
    painted = _paint(
        [
            (picture, "a blue heart", {**usual, "caption": plain(scene), **place(scene)})
            for scene, _, picture in cases
        ]
    )
    verdicts = []
    for (scene, layout, _), picture in zip(cases, painted, strict=True):
        if name == "by --where":
            spot, reach = layout.spots[0], 1.6 * layout.spots[0].radius
            edges = [spot.x - reach, spot.y - reach, spot.x + reach, spot.y + reach]
        else:
            region = read_places(HALVES[str(scene.relation)]).regions[0]
            edges = [SIDE * share for share in (region.left, region.top, region.right, region.bottom)]
        left, top, right, bottom = (min(SIDE, max(0, round(edge))) for edge in edges)
        part = Image.fromarray(picture[top:bottom, left:right])
        large = part.resize((3 * part.width, 3 * part.height), Resampling.BICUBIC)
        heart = Thing(shape="heart", colour="blue")
        verdicts.append(judge(np.asarray(large), Scene(things=(heart,), background=scene.background)))
    shares = [
        np.mean([getattr(verdict, what) for verdict in verdicts]) for what in ("shapes", "colours", "right")
    ]
    return f"| {name} | {' | '.join(f'{share:.0%}' for share in shares)} |"


def edges() -> str:
    """Seams of pictures that are extended: colour differences across the old edge, and inside the picture."""
    cases = [(scene, picture) for scene, _, picture in _pairs(seed=3)]
    added = margins(SIDE, SIDE, Way.LEFT, 0.5)
    painted = _paint(
        [(picture, plain(scene), {"margins": added, "padding": EXTENSION[1]}) for scene, picture in cases]
    )
    seams, inside = [], []
    for (_, before), picture in zip(cases, painted, strict=True):
        values = picture.astype(float)
        seams.append(float(np.abs(values[:, added.left] - values[:, added.left - 1]).mean()))
        inside.append(float(np.abs(np.diff(before.astype(float), axis=1)).mean()))
    return (
        f"{len(cases)} drawings extended to the left: the colours across the old edge differ by "
        f"{np.median(seams):.2f} of 255 (median; 90% below {np.percentile(seams, 90):.2f}), columns inside "
        f"the drawings by {np.median(inside):.2f}."
    )


def details() -> str:
    """What `--detail` does to small shapes that the model paints itself."""
    scenes = [
        Scene(things=(replace(scene.things[0], size="small", filled=True),), background=scene.background)
        for scene, _, _ in _pairs(seed=4)
    ]
    rows = []
    for name, asks in (("painted", False), ("with --detail", True)):
        results = _run(
            [
                Paint(
                    job=JobId(f"d{number}"),
                    prompt=plain(scene),
                    seed=number,
                    steps=STEPS,
                    size=PixelSize(width=SIDE, height=SIDE),
                    finish=Finish(detail=scene.things[0].shape if asks else ""),
                )
                for number, scene in enumerate(scenes)
            ],
            FileStore(Path(tempfile.mkdtemp())),
        )
        verdicts = [judge(picture, scene) for picture, scene in zip(results, scenes, strict=True)]
        overlap = np.mean([verdict.overlap for verdict in verdicts])
        rows.append(f"| {name} | {np.mean([verdict.right for verdict in verdicts]):.0%} | {overlap:.2f} |")
    return "\n".join(["| small shapes | right | overlap with the ideal |", "|---|---|---|", *rows])


def _pairs(seed: int) -> Iterator[tuple[Scene, Layout, Pixels]]:
    """Drawings of two things of different shapes, in colour."""
    rng, count = np.random.default_rng(seed), 0
    while count < SCENES:
        scene = sample_scene(rng)
        if scene.relation is None or scene.grayscale or scene.things[0].shape == scene.things[1].shape:
            continue
        layout = sample_layout(rng, scene, SIDE, SIDE)
        count += 1
        yield scene, layout, draw(scene, layout)


def _paint(cases: Sequence[tuple[Pixels, str, Mapping[str, Any]]]) -> list[Pixels]:
    """What is painted from each picture by these words and sources, with the defaults of /edit."""
    store = FileStore(Path(tempfile.mkdtemp()))
    requests = [
        Paint(
            job=JobId(f"e{number}"),
            prompt=prompt,
            seed=number,
            steps=STEPS,
            guidance_scale=EDIT_GUIDANCE,
            size=SQUARE,
            source=Source(sha256=_put(store, picture), strength=EDIT_STRENGTH, **source),
        )
        for number, (picture, prompt, source) in enumerate(cases)
    ]
    return _run(requests, store)


def _run(requests: Sequence[Paint], store: FileStore) -> list[Pixels]:
    settings = EngineSettings(model="demo", files=str(store.folder))
    studio = Studio(load_model(settings), settings)
    for request in requests:
        list(studio.accept(request))
    painted: dict[str, NDArray[np.uint8]] = {}
    while not studio.idle:
        for event in studio.step():
            if isinstance(event, Painted):
                painted[event.job] = np.asarray(Image.open(io.BytesIO(event.pictures[0].png)))
    return [painted[request.job] for request in requests]


def _put(store: FileStore, picture: Pixels) -> Sha256:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return store.put_bytes(file.getvalue())
