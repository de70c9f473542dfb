"""Pixels and previews come from the device beside the steps, which do not wait for them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from torch import Tensor

import engine.job
import engine.sdxl.latent_decoder
from engine.messages import Event, Painted, Progress, Size
from engine.studio import Studio
from tests.engine.studio_work import furthest, paint, pictures, request


@dataclass
class SlowCopies:
    """Copies as of a device that is behind: they are there when somebody waits, or `arrived` is set."""

    arrived: bool = False
    waits: int = 0

    def copy(self, *tensors: Tensor) -> "SlowCopy":
        return SlowCopy(self, tensors)


class SlowCopy:
    def __init__(self, copies: SlowCopies, tensors: Sequence[Tensor]) -> None:
        self.copies = copies
        self.tensors = tensors
        self.waited = False

    @property
    def ready(self) -> bool:
        return self.waited or self.copies.arrived

    def wait(self) -> Sequence[Tensor]:
        self.copies.waits += not self.ready
        self.waited = True
        return self.tensors


def test_others_go_on_while_pixels_come_from_the_device(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = paint(studio, request("quick", steps=1))["quick"]
    copies = SlowCopies()
    monkeypatch.setattr(engine.sdxl.latent_decoder, "copy_to_host", copies.copy)
    for asked in (request("quick", steps=1), request("long", steps=9, size=Size(width=96, height=96))):
        list(studio.accept(asked))

    events: list[Event] = []
    for _ in range(8):
        events += studio.step()
    assert not copies.waits and "long" not in pictures(events)
    copies.arrived = True  # of the quick one, in the middle of the long one
    while not studio.idle:
        events += studio.step()

    assert [event.job for event in events if isinstance(event, Painted)] == ["quick", "long"]
    assert not copies.waits
    assert furthest(pictures(events)["quick"], alone) <= 1


def test_where_nothing_else_is_to_do_the_engine_waits_for_the_pixels(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = SlowCopies()
    monkeypatch.setattr(engine.sdxl.latent_decoder, "copy_to_host", copies.copy)

    pictures = paint(studio, request("a", steps=1), request("b", steps=1, seed=9))

    assert set(pictures) == {"a", "b"}
    assert 1 <= copies.waits <= 2


def test_a_preview_that_comes_late_tells_how_far_it_was(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.job.PROGRESS_SECONDS", 0.0)
    copies = SlowCopies()
    monkeypatch.setattr(engine.job, "copy_to_host", copies.copy)
    list(studio.accept(request(steps=20)))

    events: list[Event] = []
    for _ in range(6):
        events += studio.step()
    assert not any(isinstance(event, Progress) for event in events)
    copies.arrived = True
    while not studio.idle:
        events += studio.step()

    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[0].step == 1
    assert not copies.waits
    assert len(pictures(events)) == 1
