"""Requests for tests, and a studio that steps through them as the engine's loop would."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from engine.messages import Cancel, Event, JobId, Paint, Painted, Size
from engine.studio import Studio

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def request(job: str = "j", **changes: Any) -> Paint:
    """A small request with a few values changed."""
    values: dict[str, Any] = {
        "prompt": "a red star above a blue circle on a white background",
        "seed": 7,
        "steps": 6,
        "size": Size(width=128, height=128),
    }
    return Paint(job=JobId(job), **(values | changes))


def work(studio: Studio, arrivals: Mapping[int, Iterable[Paint | Cancel]]) -> list[Event]:
    """Everything that happens when requests arrive before the step of each given number."""
    events: list[Event] = []
    step = 0
    while not studio.idle or step <= max(arrivals):
        for item in arrivals.get(step, ()):
            events += studio.accept(item)
        events += studio.step()
        step += 1
    return events


def paint(studio: Studio, *requests: Paint) -> dict[str, Pixels]:
    """The first picture of each request, all asked for at once."""
    return pictures(work(studio, {0: requests}))


def pictures(events: Iterable[Event]) -> dict[str, Pixels]:
    """The first picture of each finished job."""
    return {event.job: pixels(event.pictures[0].png) for event in events if isinstance(event, Painted)}


def pixels(png: bytes) -> Pixels:
    """(height, width, 3) of a PNG."""
    return np.asarray(Image.open(io.BytesIO(png)))


def furthest(first: Pixels, second: Pixels) -> int:
    """The largest difference of any pixel, of 255."""
    assert first.shape == second.shape
    return int(np.abs(first.astype(int) - second.astype(int)).max())
