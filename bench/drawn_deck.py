"""Draws a data set in Parquet, of the small model's world: `python -m bench.drawn_deck deck.parquet`."""

import argparse
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow  # type: ignore[import-untyped]
from PIL import Image
from pyarrow import parquet

from engine.demo.captions import caption
from engine.demo.lora_trials import SIDE, WORD, prompt, trial_scenes
from engine.demo.renderer import draw
from engine.demo.world import Pixels, Thing, sample_layout, sample_scene

ROWS = 2080  # as many as the published tattoo deck has
AT_ONCE = 256  # rows in memory
SCHEMA = pyarrow.schema(
    [
        ("image", pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])),
        ("text", pyarrow.string()),
    ]
)


def write_deck(path: Path, rows: int, sizes: Sequence[tuple[int, int]] = ((128, 128),)) -> None:
    """Write so many drawings of these (width, height) in turn, each with a caption of its own."""
    with parquet.ParquetWriter(path, SCHEMA) as writer:
        for start in range(0, rows, AT_ONCE):
            some = list(_rows(range(start, min(rows, start + AT_ONCE)), sizes))
            writer.write_table(pyarrow.Table.from_pylist(some, SCHEMA))


def _rows(places: range, sizes: Sequence[tuple[int, int]]) -> Iterator[dict[str, object]]:
    for place in places:
        rng = np.random.default_rng(place)
        scene = sample_scene(rng)
        pixels = draw(scene, sample_layout(rng, scene, *sizes[place % len(sizes)]))
        yield _row(pixels, f"{place}.png", f"{caption(rng, scene)}, design {place}")


def _row(pixels: Pixels, name: str, text: str) -> dict[str, object]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return {"image": {"bytes": file.getvalue(), "path": name}, "text": text}


def write_style_deck(path: Path, rows: int) -> None:
    """Write so many drawings of one thing each, all hatched, with the trigger in place of "hatched"."""
    thing = Thing(shape="circle", colour="red", size="big", hatched=True)
    drawn = trial_scenes(rows, 1, thing)
    rng = np.random.default_rng(3)
    with parquet.ParquetWriter(path, SCHEMA) as writer:
        for start in range(0, rows, AT_ONCE):
            some = [
                _row(draw(scene, sample_layout(rng, scene, SIDE, SIDE)), f"{place}.png", prompt(scene, WORD))
                for place, scene in enumerate(drawn[start : start + AT_ONCE], start)
            ]
            writer.write_table(pyarrow.Table.from_pylist(some, SCHEMA))


def main() -> None:
    """Write the deck that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, nargs="?", default=Path("deck.parquet"))
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--style", action="store_true", help=f"hatched things, with {WORD} in their captions")
    arguments = parser.parse_args()
    (write_style_deck if arguments.style else write_deck)(arguments.path, arguments.rows)


if __name__ == "__main__":
    main()
