"""How pictures and a training share the engine, and that neither changes the other."""

import contextlib
import copy
from pathlib import Path

import pytest

from engine.messages import (
    CheckpointSaved,
    EngineSettings,
    Event,
    JobId,
    Painted,
    StepStarted,
    Train,
    Trained,
)
from engine.sdxl.model import Model
from engine.studio import Studio
from engine.time_share import TimeShare
from tests.engine.oracle import Oracle
from tests.engine.studio_work import furthest, pictures, request
from tests.engine.training_cases import checkpoints, largest_gap, run, trained, training, weights


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_the_time_is_split_by_the_share(share: float) -> None:
    sharing, trained, painted = TimeShare(share), 0.0, 0.0
    for _ in range(1000):
        if sharing.training_is_next:
            sharing.record_training(0.3)
            trained += 0.3
        else:
            sharing.record_painting(0.1)
            painted += 0.1

    assert trained / (trained + painted) == pytest.approx(share, abs=0.02)


def test_a_step_that_would_take_more_than_the_share_waits_until_it_does_not() -> None:
    sharing, trained, painted = TimeShare(0.5), 0.3, 0.0
    sharing.record_training(0.3)
    for _ in range(1000):
        if sharing.training_is_next:
            sharing.record_training(0.3)
            trained += 0.3
        else:
            sharing.record_painting(0.1)
            painted += 0.1

        assert painted < 0.3 or trained <= painted + 1e-9


def test_pictures_begin_and_nothing_is_owed_for_the_time_alone() -> None:
    sharing = TimeShare(0.5)
    assert not sharing.training_is_next

    sharing.record_painting(100.0)
    sharing.reset()

    assert not sharing.training_is_next


def test_a_training_works_off_what_it_waited_for_at_a_stretch() -> None:
    sharing, turns = TimeShare(0.5), ""
    sharing.record_training(0.03)
    sharing.reset()
    for _ in range(200):
        if sharing.training_is_next:
            sharing.record_training(0.03)
            turns += "t"
        else:
            sharing.record_painting(0.02)
            turns += "p"

    runs = [run for run in turns.split("p") if run]
    assert min(len(run) for run in runs[:-1]) >= 3
    assert turns.count("t") * 0.03 == pytest.approx(turns.count("p") * 0.02, abs=0.1)


def run_with_pictures(studio: Studio, train: Train, paints: int) -> list[Event]:
    """The training with a picture asked for again and again while it runs."""
    events = list(studio.accept(train))
    steps = 0
    while not studio.idle:
        events += studio.step()
        steps += 1
        if steps % 4 == 0 and paints:
            paints -= 1
            list(studio.accept(request(f"picture {paints}", steps=2)))
    return events


def test_twenty_pictures_painted_in_between_change_nothing_of_a_training(
    model: Model, tmp_path: Path, oracle: Oracle
) -> None:
    settings = EngineSettings(model="demo", files=str(tmp_path))
    train = training(
        tmp_path,
        steps=6,
        every=3,
        batch=2,
        dropout=0.3,
        caption_dropout=0.2,
        random_crop=True,
        new_tokens=1,
        text_encoder=True,
        prompts=("a ohwx circle",),
    )
    alone = run(Studio(copy.deepcopy(model), settings), train)

    beside = run_with_pictures(Studio(model, settings), train, 20)

    last, again = checkpoints(alone)[-1], checkpoints(beside)[-1]
    assert largest_gap(weights(tmp_path, last), weights(tmp_path, again)) <= 1e-6
    assert [event.losses for event in checkpoints(alone)] == [event.losses for event in checkpoints(beside)]
    assert trained(alone).best == trained(beside).best
    files = pictures(beside)
    assert len(files) == 20
    truth = oracle.paint(request(steps=2))
    assert max(furthest(picture, truth) for picture in files.values()) <= 1


def test_a_training_under_way_does_not_hold_up_who_paints(model: Model, tmp_path: Path) -> None:
    studio = Studio(model, EngineSettings(model="demo", files=str(tmp_path), training_share=0.1))
    events = list(studio.accept(training(tmp_path, steps=30)))
    while not any(isinstance(event, CheckpointSaved) for event in events):
        events += studio.step()
    list(studio.accept(request("picture", steps=6)))

    mixed: list[Event] = []
    with contextlib.suppress(StopIteration):
        while not any(isinstance(event, Painted) for event in mixed):
            mixed += studio.step()

    steps = [event.jobs for event in mixed if isinstance(event, StepStarted)]
    assert steps.count((JobId("t"),)) < len(steps)
    assert not any(isinstance(event, Trained) for event in mixed)


def test_a_picture_that_is_decoded_next_is_not_held_up_by_a_training(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TimeShare, "training_is_next", True)  # it would always have a claim
    studio = Studio(model, EngineSettings(model="demo", files=str(tmp_path)))
    list(studio.accept(training(tmp_path, steps=30)))
    list(studio.accept(request("picture", steps=1)))

    def whose() -> list[tuple[JobId, ...]]:
        return [event.jobs for event in studio.step() if isinstance(event, StepStarted)]

    assert whose() == [(JobId("picture"),)]  # its words are read
    assert whose() == [(JobId("t"),)]  # before its only step the training has its turn
    monkeypatch.setattr(TimeShare, "training_is_next", False)
    assert whose() == [(JobId("picture"),)]
    monkeypatch.setattr(TimeShare, "training_is_next", True)
    assert whose() == [(JobId("picture"),)]  # it is decoded
    assert whose() == [(JobId("t"),)]
