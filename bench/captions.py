"""How often the captioner of the model that ships names colours, shapes and relation right."""

import time
from collections.abc import Sequence

import numpy as np
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from bench.demo_model import MODEL, paint, quiet, unseen_scenes
from bench.measuring import table
from engine.demo.judge import judge
from engine.demo.picture_reader import is_right
from engine.demo.renderer import draw
from engine.demo.vae import SIDE
from engine.demo.world import Pixels, Scene, sample_layout
from engine.vision.captioner import SHIPPED
from engine.vision.picture_reader import load_picture_reader

DRAWINGS, PAINTED = 1000, 50


def measure() -> str:
    """A row for drawings of held-out scenes, and for what the model itself paints of some."""
    rng = np.random.default_rng(79)
    scenes = unseen_scenes(DRAWINGS)
    drawings = [draw(scene, sample_layout(rng, scene, SIDE, SIDE)) for scene in scenes]
    painted = list(paint(scenes[:PAINTED], quiet(StableDiffusionXLPipeline.from_pretrained(MODEL / "base"))))
    good = [item for item in painted if judge(item.picture, item.scene).right]
    return table(
        ["pictures", "captioned right", "a picture"],
        [
            [f"{DRAWINGS:,} drawings of held-out scenes", *_row(drawings, scenes)],
            [
                f"{len(good)} that the model painted right of held-out scenes",
                *_row([item.picture for item in good], [item.scene for item in good]),
            ],
        ],
    )


def _row(pictures: Sequence[Pixels], scenes: Sequence[Scene]) -> list[str]:
    reader = load_picture_reader(SHIPPED)
    started = time.perf_counter()
    seen = [reader.read(Image.fromarray(picture)) for picture in pictures]
    seconds = time.perf_counter() - started
    right = sum(map(is_right, seen, scenes))
    return [f"{100 * right / len(pictures):.0f}%", f"{1000 * seconds / len(pictures):.1f} ms"]
