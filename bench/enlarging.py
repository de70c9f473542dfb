"""What enlarging gains and costs: the shipped network, a full-size Real-ESRGAN, and ways to paint large.

Real-ESRGAN's network (RRDBNet, 64 channels, 23 blocks) has random weights here: what it takes does not depend
on them.
"""

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from PIL.Image import Resampling

import engine.finish
from bench.demo_model import unseen_scenes
from bench.measuring import result_of, table
from bench.small_cards import resident
from engine.demo.captions import plain
from engine.demo.judge import Verdict, judge
from engine.demo.super_resolution import FACTOR, draw_pair, psnr
from engine.demo.world import Pixels, Scene
from engine.finish import REFINE_GUIDANCE
from engine.messages import EngineSettings, Finish, JobId, Paint, Painted, Size
from engine.sdxl.model import Model, load_model
from engine.sdxl.source_picture import Posterior, SourcePictures, StartingPicture
from engine.studio import Studio
from engine.vision.spandrel_library import import_spandrel
from engine.vision.upscaler import SHIPPED, Upscaler

DRAWINGS, SCENES, SIDE = 100, 60, 1024


def quality() -> str:
    """PSNR on held-out drawings, drawn large, of the shipped network and of Lanczos."""
    upscaler = Upscaler(SHIPPED, torch.device("cpu"), torch.float32)
    rng = np.random.default_rng(91)
    rows = []
    pairs = [draw_pair(rng, unseen=True) for _ in range(DRAWINGS)]
    for factor in (2, FACTOR):
        lanczos, ours = [], []
        for small, large in pairs:
            picture = Image.fromarray(small)
            size = (picture.width * factor, picture.height * factor)
            aim = np.asarray(Image.fromarray(large).resize(size, Resampling.BOX))
            lanczos.append(psnr(np.asarray(picture.resize(size, Resampling.LANCZOS)), aim))
            ours.append(psnr(np.asarray(finish(upscaler, picture, factor)), aim))
        rows.append([f"{factor}x", *(f"{np.mean(column):.1f} dB" for column in (lanczos, ours))])
    return table(["enlarged", "Lanczos", "the shipped network"], rows)


def finish(upscaler: Upscaler, picture: Image.Image, factor: int) -> Image.Image:
    """The enlarged picture, all its steps taken."""
    return result_of(upscaler.enlarge(picture, factor))


def memory() -> str:
    """The memory and time of 4096x4096 out of 1024x1024, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "bench.enlarging"], env=environment, capture_output=True, text=True, check=True
    )
    idle, most, seconds = map(float, done.stdout.split()[-3:])
    row = [
        f"{SIDE * FACTOR}x{SIDE * FACTOR}",
        f"{most / 1e9:.2f} GB",
        f"{idle / 1e9:.2f} GB",
        f"{seconds:.0f} s",
    ]
    return table(["Real-ESRGAN at full size", "memory at most", "of it before", "time"], [row])


def enlarge_by_full_size() -> None:
    """Enlarge a picture by Real-ESRGAN's network, and print bytes before, bytes at most, and seconds."""
    import_spandrel()
    from safetensors.torch import save_file
    from spandrel.architectures.ESRGAN import ESRGAN as RRDBNet

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.safetensors"
        save_file(RRDBNet(num_filters=64, num_blocks=23, scale=4).state_dict(), path)
        upscaler = Upscaler(path, torch.device("cpu"), torch.float32)
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    idle, started = resident("VmRSS"), time.perf_counter()
    enlarged = finish(upscaler, Image.fromarray(pixels), FACTOR)
    assert enlarged.size == (SIDE * FACTOR, SIDE * FACTOR)
    print(idle, resident("VmHWM"), time.perf_counter() - started)


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to paint at `times` the size: painted on at `strength` from pixels, or from latents."""

    name: str
    times: float
    strength: float
    latents: bool = False


WAYS = (
    *(
        Way(name=f"pixels by the network, strength {strength}", times=times, strength=strength)
        for times in (1.5, 2.0)
        for strength in (0.25, 0.4, 0.55)
    ),
    *(
        Way(name=f"latents, bilinear, strength {strength}", times=times, strength=strength, latents=True)
        for times in (1.5, 2.0)
        for strength in (0.4, 0.55, 0.7)
    ),
)


def hires() -> str:
    """What the judge says of pictures painted small and finished large, and of large ones painted at once."""
    model = load_model(EngineSettings(model="demo"))
    scenes = unseen_scenes(SCENES)
    rows = [_row("painted at 128x128", verdicts(model, scenes, lambda paint: paint), 1.0)]
    for times in (1.5, 2.0):
        side = round(128 * times)
        large = partial(replace, size=Size(width=side, height=side))
        rows.append(_row("painted large at once", verdicts(model, scenes, large), times))
    rows += [_row(way.name, list(judged(model, scenes, way)), way.times) for way in WAYS]
    return table(["way", "times", "right", "overlap with ideal shapes", "a picture"], rows)


def refined() -> str:
    """What the judge says of pictures enlarged twice, and refined in tiles with and without guidance."""
    model, scenes = load_model(EngineSettings(model="demo")), unseen_scenes(SCENES)
    rows = []
    for strength in (0.0, 0.1, 0.2, 0.3):
        change = partial(replace, finish=Finish(enlarge=2, refine=strength))
        for guidance in (REFINE_GUIDANCE, 5.0) if strength else (REFINE_GUIDANCE,):
            with patch.object(engine.finish, "REFINE_GUIDANCE", guidance):
                name = f"refined at {strength:g}, guidance {guidance:g}" if strength else "enlarged alone"
                rows.append(_row(name, verdicts(model, scenes, change), 2.0))
    return table(["way", "times", "right", "overlap with ideal shapes", "a picture"], rows)


def judged(model: Model, scenes: list[Scene], way: Way) -> Iterator[tuple[Verdict, float]]:
    """What the judge says of pictures painted this way, and their engine seconds."""
    encode = SourcePictures.encode

    def interpolate(sources: SourcePictures, picture: Image.Image) -> StartingPicture:
        start = encode(sources, picture)
        small = encode(sources, picture.resize((128, 128), Resampling.LANCZOS)).latents.mean
        size = start.latents.mean.shape[-2:]
        mean = torch.nn.functional.interpolate(small, size=size, mode="bilinear", antialias=False)
        return replace(start, latents=Posterior(mean=mean, deviation=torch.zeros_like(mean)))

    with (
        patch.object(engine.finish, "HIRES_STRENGTH", way.strength),
        patch.object(SourcePictures, "encode", interpolate if way.latents else encode),
    ):
        yield from verdicts(model, scenes, lambda paint: replace(paint, hires=way.times))


def verdicts(
    model: Model, scenes: list[Scene], change: Callable[[Paint], Paint]
) -> list[tuple[Verdict, float]]:
    """What the judge says of a picture of each scene, and its engine seconds."""
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(model, EngineSettings(model="demo", files=folder))
        for number, scene in enumerate(scenes):
            paint = Paint(job=JobId(str(number)), prompt=plain(scene), seed=number, steps=20)
            list(studio.accept(change(paint)))
        painted: dict[JobId, Painted] = {}
        while not studio.idle:
            painted |= {event.job: event for event in studio.step() if isinstance(event, Painted)}
    results = []
    for number, scene in enumerate(scenes):
        done = painted[JobId(str(number))]
        results.append((judge(open_pixels(done.pictures[0].png), scene), done.seconds))
    return results


def open_pixels(png: bytes) -> Pixels:
    """(height, width, 3) of a PNG."""
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def _row(name: str, results: list[tuple[Verdict, float]], times: float) -> list[str]:
    right = 100 * np.mean([verdict.right for verdict, _ in results])
    overlap = np.mean([verdict.overlap for verdict, _ in results])
    seconds = np.mean([seconds for _, seconds in results])
    return [name, f"{times:g}", f"{right:.0f}%", f"{overlap:.3f}", f"{1000 * seconds:.0f} ms"]


if __name__ == "__main__":
    enlarge_by_full_size()
