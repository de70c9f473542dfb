"""How good the model that ships is: a table of what its pictures get right, and a contact sheet.

`python -m bench.demo_model` paints 300 prompts whose combinations the recipe never drew, in 20 Euler
steps at CFG 5 with diffusers' own pipelines, and judges the pixels.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from PIL import Image, ImageDraw
from transformers import CLIPModel, CLIPTokenizer

from bench.measuring import table, where
from engine.demo.captions import plain
from engine.demo.clip import retrieval_accuracy
from engine.demo.judge import Verdict, judge
from engine.demo.vae import round_trip_psnr, unseen_pictures
from engine.demo.world import Pixels, Scene, sample_scene

HERE = Path(__file__).parents[1]
MODEL = HERE / "engine" / "demo"
SHEET = HERE / "docs" / "demo-contact-sheet.png"


@dataclass(frozen=True, kw_only=True)
class Painted:
    """A scene that was asked for, and the (H, W, 3) uint8 picture that came."""

    scene: Scene
    picture: Pixels


def quiet(pipeline: Any) -> Any:
    """The pipeline without its progress bar."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def unseen_scenes(count: int, seed: int = 2024) -> list[Scene]:
    """Scenes of combinations that the recipe never draws."""
    rng = np.random.default_rng(seed)
    return [sample_scene(rng, unseen=True) for _ in range(count)]


def paint(scenes: list[Scene], base: Any, refiner: Any = None, *, at_once: int = 25) -> Iterator[Painted]:
    """Paint the scenes' plain captions; with a refiner, it takes the last fifth (ensemble of experts)."""
    for start in range(0, len(scenes), at_once):
        few = scenes[start : start + at_once]
        asked: dict[str, Any] = {
            "prompt": [plain(scene) for scene in few],
            "num_inference_steps": 20,
            "guidance_scale": 5.0,
            "generator": [torch.Generator().manual_seed(start + i) for i in range(len(few))],
        }
        if refiner is None:
            images = base(**asked, output_type="np").images
        else:
            latents = base(**asked, output_type="latent", denoising_end=0.8).images
            images = refiner(**asked, image=latents, denoising_start=0.8, output_type="np").images
        for scene, image in zip(few, images, strict=True):
            yield Painted(scene=scene, picture=(image * 255).round().astype(np.uint8))


def shares(verdicts: list[Verdict]) -> dict[str, float]:
    """The share in percent of pictures that get each thing right."""
    names = ("background", "colours", "parts", "relation", "shapes", "fills", "right")
    return {name: 100 * float(np.mean([getattr(verdict, name) for verdict in verdicts])) for name in names}


def relations_only(painted: list[Painted]) -> list[Painted]:
    """Those with two things, where a relation was asked for."""
    return [each for each in painted if each.scene.relation is not None]


def contact_sheet(painted: list[Painted], columns: int = 8) -> Image.Image:
    """Pictures of one size in rows, their captions under them."""
    side, foot = 128, 44
    rows = -(-len(painted) // columns)
    sheet = Image.new("RGB", (columns * (side + 8) + 8, rows * (side + foot) + 8), "white")
    pen = ImageDraw.Draw(sheet)
    for i, each in enumerate(painted):
        x, y = 8 + (i % columns) * (side + 8), 8 + (i // columns) * (side + foot)
        sheet.paste(Image.fromarray(each.picture), (x, y))
        pen.multiline_text((x, y + side + 2), textwrap.fill(plain(each.scene), 26), fill="black", font_size=9)
    return sheet


def sizes() -> dict[str, float]:
    """Megabytes of each folder that ships."""
    folders = (MODEL / "base", MODEL / "refiner", MODEL / "clip")
    return {
        f.name: sum(p.stat().st_size for p in f.rglob("*") if p.is_file()) / 1e6
        for f in folders
        if f.exists()
    }


def quality_table(base: dict[str, float], refined: dict[str, float] | None) -> str:
    """What share of the pictures gets what right, as Markdown."""
    aims = {"background": "97%", "colours": "92%", "relation": "92%", "shapes": "80%"}
    names = {
        "background": "background colour right",
        "colours": "all object colours right",
        "parts": "number of parts right",
        "relation": "relation right",
        "shapes": "all shapes right",
        "fills": "filled or outlined right",
        "right": "everything right",
    }
    rows = []
    for name, words in names.items():
        after = f"{refined[name]:.1f}%" if refined else "-"
        rows.append([words, f"{base[name]:.1f}%", after, aims.get(name, "")])
    return table(["held-out prompts, 20 Euler steps, CFG 5", "base", "with refiner", "aim"], rows)


def shares_right(painted: list[Painted]) -> dict[str, float]:
    """The shares, with the relation's counted where one was asked for."""
    verdicts = {id(each): judge(each.picture, each.scene) for each in painted}
    found = shares(list(verdicts.values()))
    pairs = relations_only(painted)
    found["relation"] = shares([verdicts[id(each)] for each in pairs])["relation"] if pairs else 100.0
    return found


def other_figures(base: Any) -> str:
    """The autoencoder, the CLIP and the bytes, as Markdown."""
    rows = [
        [
            "autoencoder, drawings it never saw",
            f"{round_trip_psnr(base.vae, unseen_pictures(200)):.1f} dB",
            "26 dB",
        ]
    ]
    if (MODEL / "clip").exists():
        clip = CLIPModel.from_pretrained(MODEL / "clip").float().eval()
        right = retrieval_accuracy(clip, CLIPTokenizer.from_pretrained(MODEL / "clip"), groups=20)
        rows.append(["CLIP finds the caption among 32", f"{100 * right:.1f}%", "90%"])
    weights = sizes()
    parts = ", ".join(f"{name} {size:.1f}" for name, size in weights.items())
    rows.append([f"megabytes ({parts})", f"{sum(weights.values()):.1f}", "24 at most"])
    return table(["model", "", "aim"], rows)


def measure(pictures: int = 300, sheet: Path = SHEET) -> str:
    """Paint and judge; writes the contact sheet and returns both tables as Markdown."""
    scenes = unseen_scenes(pictures)
    base = quiet(StableDiffusionXLPipeline.from_pretrained(MODEL / "base"))
    painted = list(paint(scenes, base))
    refined = None
    if (MODEL / "refiner").exists():
        refiner = quiet(StableDiffusionXLImg2ImgPipeline.from_pretrained(MODEL / "refiner"))
        refined = shares_right(list(paint(scenes, base, refiner)))
    sheet.parent.mkdir(exist_ok=True)
    contact_sheet(painted[:32]).quantize(128).save(sheet, optimize=True)
    return f"{quality_table(shares_right(painted), refined)}\n\n{other_figures(base)}"


def main() -> None:
    """Print the tables; write the sheet."""
    parser = argparse.ArgumentParser(prog="python -m bench.demo_model", description=__doc__)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--sheet", type=Path, default=SHEET)
    asked = parser.parse_args()
    print(f"{where()}\n\n{measure(asked.pictures, asked.sheet)}")


if __name__ == "__main__":
    main()
