"""Large data sets on the model that ships: memory over the pictures, and pictures a second beside the VAE's.

A training of so many drawings runs in a process of its own for a few steps: what counts is the way there.
Memory is the process's own (anonymous) memory above that of the loaded model, in MB, and its whole resident
set, in which the mapped shards count.
"""

import multiprocessing
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.drawn_deck import write_deck
from bot.uploads.parquet import read_parquet
from engine.messages import (
    EngineSettings,
    Example,
    Failed,
    FileStore,
    JobId,
    Manifest,
    Train,
    TrainingProgress,
    TrainingSettings,
    write_manifest,
)
from engine.sdxl.latent_encoder import encode_picture
from engine.sdxl.model import load_model
from engine.studio import Studio

STEPS = 8
VAE_PICTURES = 50
LINES = 6  # of the table, over all pictures
FIELDS = ("RssAnon", "VmRSS")  # of /proc/self/status


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a process had at a moment of its training: its phase, and MB above the model's."""

    phase: str
    seconds: float
    own: float
    resident: float


def measure(pictures: int, side: int) -> str:
    """The table of a training of so many drawings of side x side pixels, read from Parquet."""
    with tempfile.TemporaryDirectory() as name:
        context = multiprocessing.get_context("spawn")
        results = context.SimpleQueue()
        process = context.Process(target=_train, args=(Path(name), pictures, side, results))
        process.start()
        try:
            text: str = results.get()
        finally:
            process.join()
    return text


def _train(folder: Path, pictures: int, side: int, results: "multiprocessing.SimpleQueue[str]") -> None:
    try:
        results.put(_table(folder, pictures, side))
    except BaseException as error:
        results.put(f"failed: {error!r}")
        raise


def _table(folder: Path, pictures: int, side: int) -> str:
    manifest = _store(folder, pictures, side)
    model = load_model(EngineSettings(model="demo"))
    pixels = np.zeros((side, side, 3), np.uint8)
    encode_picture(model.base.vae, pixels)
    began = time.perf_counter()
    for _ in range(VAE_PICTURES):
        encode_picture(model.base.vae, pixels)
    vae = VAE_PICTURES / (time.perf_counter() - began)
    settings = TrainingSettings(resolution=side, steps=STEPS, every=STEPS, batch=2, rank=4, alpha=4.0)
    request = Train(job=JobId("bench"), name="bench", trigger="ohwx", settings=settings, manifest=manifest)
    lines = list(_follow(Studio(model, EngineSettings(model="demo", files=str(folder))), request))
    shown = [lines[index] for index in np.linspace(0, len(lines) - 1, LINES).astype(int)]
    encoding = [line for line in lines if line.phase.startswith("encoding the pictures")]
    rate = pictures / (encoding[-1].seconds - encoding[0].seconds)
    rows = [f"| {line.phase} | {line.seconds:.0f} | {line.own:.0f} | {line.resident:.0f} |" for line in shown]
    return "\n".join(
        [
            "| phase | seconds | own MB | resident MB |",
            "|---|---|---|---|",
            *rows,
            "",
            f"{pictures:,} pictures of {side}x{side}: {rate:.0f} encoded a second; the VAE alone {vae:.0f}. "
            f"Most memory above the model: {max(line.own for line in lines):.0f} MB of its own, "
            f"{max(line.resident for line in lines):.0f} MB resident.",
        ]
    )


def _store(folder: Path, pictures: int, side: int) -> Manifest:
    """The drawings, through Parquet, in a store."""
    deck, listed, store = folder / "deck.parquet", folder / "manifest", FileStore(folder)
    write_deck(deck, pictures, ((side, side),))

    def stored() -> Iterator[Example]:
        for entry in read_parquet([deck], pictures):
            assert entry.picture is not None
            with entry.picture.open() as file:
                yield Example(sha256=store.put_bytes(file.read()), name=entry.name, caption=entry.caption)

    with listed.open("wb") as file:
        count = write_manifest(file, stored())
    return Manifest(sha256=store.put_file(listed), pictures=count)


def _follow(studio: Studio, request: Train) -> Iterator[Line]:
    """A line for each report of the training."""
    began, before = time.perf_counter(), _memory()
    events: Sequence[object] = list(studio.accept(request))
    while not studio.idle:
        for event in [*events, *studio.step()]:
            if isinstance(event, Failed):
                raise RuntimeError(event.reason)
            if isinstance(event, TrainingProgress):
                own, resident = (now - then for now, then in zip(_memory(), before, strict=True))
                yield Line(phase=event.phase, seconds=time.perf_counter() - began, own=own, resident=resident)
        events = ()


def _memory() -> list[float]:
    """The process's own and resident memory in MB."""
    status = Path("/proc/self/status").read_text("ascii")
    return [int(re.search(rf"{field}:\s+(\d+)", status)[1]) / 1024 for field in FIELDS]  # type: ignore[index]
