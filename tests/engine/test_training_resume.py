"""A training whose engine dies goes on from its newest state, and ends as if nothing had happened."""

import copy
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.messages import (
    CheckpointSaved,
    EngineSettings,
    Event,
    Failed,
    FileStore,
    Optimizer,
    Prior,
    Shutdown,
    ToEngine,
    Train,
    Trained,
    TrainingPrecision,
)
from engine.sdxl.model import Model
from engine.studio import Studio
from engine.training.state_file import pack_state
from tests.engine.training_cases import (
    checkpoints,
    largest_gap,
    refusal,
    run,
    state,
    trained,
    training,
    weights,
)


def run_until_saved(studio: Studio, request: Train, saves: int) -> list[CheckpointSaved]:
    """What was saved until the engine was gone, after so many checkpoints and a step more."""
    events = list(studio.accept(request))
    while len(checkpoints(events)) < saves:
        assert not studio.idle, events[-1]
        events += studio.step()
    for _ in range(3):
        events += studio.step()
    return checkpoints(events)


@pytest.mark.parametrize(
    "settings",
    [
        {"dropout": 0.2, "batch": 2, "accumulation": 2, "flip": True, "caption_dropout": 0.3},
        {"optimizer": Optimizer.PRODIGY, "learning_rate": 1.0, "dora": True, "warmup": 3},
        {"optimizer": Optimizer.SCHEDULE_FREE, "ema": 0.9, "new_tokens": 1},
        {"optimizer": Optimizer.ADAMW_8BIT, "rank": 64, "prior": Prior.PREDICTION},
        {"new_tokens": 2, "pivot": 0.7, "text_encoder": True, "precision": TrainingPrecision.FLOAT16},
        {"prior": Prior.PICTURES, "prior_pictures": 2, "random_crop": True, "noise_offset": 0.1},
    ],
    ids=["adamw", "prodigy", "averages", "8 bits", "tokens", "class"],
)
def test_a_resumed_training_ends_as_the_uninterrupted_one(
    model: Model, tmp_path: Path, settings: dict[str, Any]
) -> None:
    engine = EngineSettings(model="demo", files=str(tmp_path))
    request = training(tmp_path, steps=6, every=2, **settings)
    whole = run(Studio(copy.deepcopy(model), engine), request)

    first = run_until_saved(Studio(copy.deepcopy(model), engine), request, saves=1)
    rest = run(Studio(model, engine), replace(request, resume=first[-1].state))

    assert [event.step for event in checkpoints(rest)] == [4, 6]
    last, resumed = checkpoints(whole)[-1], checkpoints(rest)[-1]
    assert largest_gap(weights(tmp_path, last), weights(tmp_path, resumed)) <= 1e-6
    assert resumed.losses == pytest.approx(last.losses, abs=1e-6)
    assert resumed.validation == pytest.approx(last.validation, abs=1e-6)
    assert (trained(rest).best, trained(rest).candidates) == (trained(whole).best, trained(whole).candidates)


def test_a_state_that_another_version_kept_is_refused(model: Model, tmp_path: Path) -> None:
    request, engine = training(tmp_path, steps=4, every=2), EngineSettings(model="demo", files=str(tmp_path))
    (saved,) = run_until_saved(Studio(copy.deepcopy(model), engine), request, saves=1)
    values = state(tmp_path, saved)
    values["learner"]["optimizer"]["param_groups"][0]["params"].append(1000)
    other = FileStore(tmp_path).put_bytes(pack_state(values))

    reason = refusal(run(Studio(model, engine), replace(request, resume=other)))

    assert reason == ("The saved state is from another version. Start the training again.")


@contextmanager
def an_engine(folder: Path) -> Iterator[tuple[ToEngine, subprocess.Popen[bytes]]]:
    """The engine as the bot starts it, with the connection to it; it is gone afterwards."""
    bot_socket, engine_socket = socket.socketpair()
    with engine_socket:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine", "--fd", str(engine_socket.fileno())],
            pass_fds=(engine_socket.fileno(),),
            stderr=subprocess.DEVNULL,
        )
    connection = ToEngine(bot_socket.detach())
    try:
        connection.send(EngineSettings(model="demo", files=str(folder)))
        yield connection, process
    finally:
        connection.close()
        process.kill()
        process.wait()


def receive_until(connection: ToEngine, *, until: type[Event]) -> list[Event]:
    """Everything that the engine tells until an event of this kind, or of a failure."""
    events: list[Event] = []
    while not events or not isinstance(events[-1], until | Failed):
        events.append(connection.receive())
    return events


def test_a_training_survives_a_killed_engine(tmp_path: Path) -> None:
    request = training(tmp_path, steps=8, every=2, dropout=0.1, prompts=("a ohwx circle",))
    with an_engine(tmp_path) as (connection, process):
        connection.send(request)
        whole = receive_until(connection, until=Trained)
        connection.send(request)
        saved: list[CheckpointSaved] = []
        while len(saved) < 2:
            saved = [*saved, *checkpoints(receive_until(connection, until=CheckpointSaved))]
        process.send_signal(signal.SIGKILL)

    with an_engine(tmp_path) as (connection, process):
        connection.send(replace(request, resume=saved[-1].state))
        rest = receive_until(connection, until=Trained)
        connection.send(Shutdown())
        process.wait(timeout=30)

    assert [event.step for event in checkpoints(rest)] == [6, 8]
    last, resumed = checkpoints(whole)[-1], checkpoints(rest)[-1]
    assert largest_gap(weights(tmp_path, last), weights(tmp_path, resumed)) <= 1e-6
    assert resumed.samples == last.samples
