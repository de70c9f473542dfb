"""Latents and embeddings of many pictures lie in shards: made once, and gone with their pictures."""

import copy
import errno
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.messages import (
    INCOMING,
    EngineSettings,
    Event,
    Example,
    Failed,
    FileStore,
    Manifest,
    Painted,
    Prior,
    Sha256,
    Size,
    Train,
    TrainingProgress,
    remove_shards,
    stored_path,
    sweep_shards,
    write_manifest,
)
from engine.sdxl.model import Model
from engine.studio import Studio
from engine.training import embeddings
from engine.training.pictures import latents
from tests.engine.studio_work import request as painting
from tests.engine.training_cases import checkpoints, largest_gap, run, trained, training, weights

MANY = 12


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latents, "MOST_PICTURES", 4)
    monkeypatch.setattr(embeddings, "RECENT", 4)
    monkeypatch.setattr(embeddings, "MOST_TEXTS", 4)


def a_manifest(folder: Path, count: int = MANY) -> Manifest:
    """A stored manifest of so many small pictures, each with its own caption."""
    store, content = FileStore(folder), io.BytesIO()

    def stored() -> Iterator[Example]:
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
            file = io.BytesIO()
            Image.fromarray(pixels).resize((32, 40 if number % 3 else 32), 0).save(file, "PNG")
            yield Example(
                sha256=store.put_bytes(file.getvalue()), name=f"{number}.png", caption=f"number {number}"
            )

    return Manifest(pictures=write_manifest(content, stored()), sha256=store.put_bytes(content.getvalue()))


def many(folder: Path, **changes: Any) -> Train:
    """A tiny training of them."""
    usual: dict[str, Any] = {"steps": 6, "every": 3, "batch": 2, "flip": True, "prior": Prior.PREDICTION}
    return training(folder, manifest=a_manifest(folder), examples=(), **usual | changes)


def a_studio(model: Model, files: Path, shards: Path) -> Studio:
    return Studio(copy.deepcopy(model), EngineSettings(model="demo", files=str(files), shards=str(shards)))


def phases(events: list[Event]) -> set[str]:
    return {event.phase.partition(",")[0] for event in events if isinstance(event, TrainingProgress)}


def ages(shards: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in shards.iterdir()}


def test_a_run_that_is_killed_and_painted_over_ends_as_one_that_is_not(model: Model, tmp_path: Path) -> None:
    request = many(tmp_path)
    whole = run(a_studio(model, tmp_path, tmp_path / "one"), request)

    killed = a_studio(model, tmp_path, tmp_path / "two")
    assert not list(killed.accept(request))
    while len(list((tmp_path / "two").glob("*.safetensors"))) < 2:
        list(killed.step())
    began = ages(tmp_path / "two")
    studio = a_studio(model, tmp_path, tmp_path / "two")
    events = list(studio.accept(request))
    for number in range(20):
        events += studio.accept(painting(f"p{number}", seed=number, steps=1, size=Size(width=64, height=64)))
        for _ in range(9):
            events += studio.step()
    while not studio.idle:
        events += studio.step()

    made = ages(tmp_path / "two")
    assert {name: made[name] for name in began} == began
    assert set(made) == set(ages(tmp_path / "one"))
    assert len(list((tmp_path / "two").glob("*.safetensors"))) == 3 + 6  # of 4: 12 pictures, 24 captions
    assert trained(events).best == trained(whole).best
    last, other = checkpoints(whole)[-1], checkpoints(events)[-1]
    assert largest_gap(weights(tmp_path, last), weights(tmp_path, other)) == 0
    assert (other.losses, other.validation) == (last.losses, last.validation)


def test_a_disk_that_fills_while_shards_are_written_ends_the_try_and_nothing_else(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, shards = many(tmp_path, steps=1, every=1), tmp_path / "shards"
    studio = a_studio(model, tmp_path, shards)
    assert not list(studio.accept(painting("p", steps=1, size=Size(width=64, height=64))))
    room, write = [1], os.fdopen

    def fill_disk(number: int, mode: str) -> Any:
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if shards.exists() and any(shards.glob("*.safetensors")):
            room.clear()
        return write(number, mode)

    monkeypatch.setattr(os, "fdopen", fill_disk)
    events = run(studio, request)
    monkeypatch.undo()

    [failed] = [event for event in events if isinstance(event, Failed)]
    assert (failed.reason, failed.again) == ("The bot's disk is full.", True)
    assert [event.job for event in events if isinstance(event, Painted)] == ["p"]
    assert not list(shards.glob(f"{INCOMING}*"))
    assert all(path.with_suffix(".pictures").exists() for path in shards.glob("*.safetensors"))
    assert trained(run(studio, request)).best == 1  # there is room again


def test_another_run_with_the_same_pictures_encodes_nothing(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = tmp_path / "shards"
    run(a_studio(model, tmp_path, shards), many(tmp_path))
    before = ages(shards)
    monkeypatch.setattr(latents, "encode_picture", lambda *_: pytest.fail("encoded again"))

    events = run(a_studio(model, tmp_path, shards), many(tmp_path, learning_rate=1e-2, rank=1))

    assert trained(events).step == 6
    assert ages(shards) == before
    assert "encoding the captions" in phases(events)


def test_shards_go_with_a_picture_and_when_nobody_used_them_for_long(model: Model, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    request = many(tmp_path)
    run(a_studio(model, tmp_path, shards), request)
    listed = len(list(shards.glob("*.safetensors")))
    gone = Sha256(next(shards.glob("*.pictures")).read_bytes()[:32].hex())

    remove_shards(shards, [Sha256("0" * 64)])
    assert len(list(shards.glob("*.safetensors"))) == listed
    remove_shards(shards, [gone])
    left = list(shards.glob("*.safetensors"))
    assert 0 < len(left) < listed
    for path in left[1:]:
        os.utime(path, (0, time.time() - 8 * 86_400))
    sweep_shards(shards)
    assert list(shards.glob("*.safetensors")) == left[:1]
    os.utime(left[0], (0, time.time() - 2 * 86_400))
    sweep_shards(shards, most=10)
    assert not list(shards.iterdir())


def test_a_picture_that_is_deleted_while_it_is_encoded_leaves_no_shard(model: Model, tmp_path: Path) -> None:
    shards, request = tmp_path / "shards", many(tmp_path)
    studio = a_studio(model, tmp_path, shards)
    events = list(studio.accept(request))
    while "encoding the pictures" not in phases(events):
        events += studio.step()
    assert request.manifest is not None
    for path in tmp_path.glob("??/*"):
        if path != stored_path(tmp_path, request.manifest.sha256):
            path.unlink()
    while not studio.idle:
        events += studio.step()

    assert not any(path.suffix == ".safetensors" for path in shards.glob("*"))
