"""The parts of a training that are plain rules: whose turn, how fast, which is best, what a state keeps."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from engine.messages import InvalidRequest, Optimizer, Prior, Schedule, TrainingSettings
from engine.training.batch_sampler import BatchSampler
from engine.training.optimizers import rate_factor
from engine.training.run_state import RunState, restore_run_state
from engine.training.state_file import BrokenState, pack_state, unpack_state
from engine.training.validation import Checkpoint, best_checkpoint, other_candidates, stale_count
from tests.engine.training_cases import training


def test_a_batch_is_of_one_size_and_every_picture_comes_equally_often() -> None:
    sizes = ["wide", "tall", "wide", "wide", "tall", "square", "wide"]

    batches = [BatchSampler(sizes, batch=2, seed=3).batch(number) for number in range(70)]

    assert all(len({sizes[index] for index in batch}) == 1 for batch in batches)
    counts = Counter(index for batch in batches for index in batch)
    assert set(counts) == set(range(7))
    assert max(counts.values()) - min(counts.values()) <= 2


def test_a_round_shows_each_picture_once() -> None:
    batches = BatchSampler(["square"] * 6, batch=3, seed=0)

    assert sorted(batches.batch(0) + batches.batch(1)) == list(range(6))
    assert batches.batch(0) + batches.batch(1) != batches.batch(2) + batches.batch(3)


def test_a_batch_is_known_by_its_number_alone() -> None:
    sizes = ["wide", "tall", "tall"]

    late = BatchSampler(sizes, batch=2, seed=5).batch(40)
    walked = BatchSampler(sizes, batch=2, seed=5)

    assert [walked.batch(number) for number in range(41)][-1] == late


def test_a_size_with_fewer_pictures_than_a_batch_fills_it_all_the_same() -> None:
    assert BatchSampler(["square"], batch=4, seed=0).batch(7) == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (Schedule.CONSTANT, [0.5, 1.0, 1.0, 1.0, 1.0]),
        (Schedule.LINEAR, [0.5, 1.0, 0.75, 0.5, 0.25]),
        (Schedule.COSINE, [0.5, 1.0, 0.8536, 0.5, 0.1464]),
        (Schedule.COSINE_RESTARTS, [0.5, 1.0, 0.5, 1.0, 0.5]),
        (Schedule.POLYNOMIAL, [0.5, 1.0, 0.4219, 0.125, 0.0156]),
    ],
)
def test_the_rate_warms_up_and_then_follows_its_schedule(schedule: Schedule, wanted: list[float]) -> None:
    settings = TrainingSettings(schedule=schedule, warmup=1, cycles=2, power=3.0)

    assert [rate_factor(settings, step, 5) for step in range(5)] == pytest.approx(wanted, abs=1e-4)


def test_a_schedule_free_optimizer_keeps_its_rate_after_the_warm_up() -> None:
    settings = TrainingSettings(optimizer=Optimizer.SCHEDULE_FREE, schedule=Schedule.COSINE, warmup=1)

    assert [rate_factor(settings, step, 5) for step in range(5)] == [0.5, 1.0, 1.0, 1.0, 1.0]


def checkpoint(*losses: float, spread: float = 0.0) -> list[Checkpoint]:
    """Checkpoints every ten steps with these mean losses, whose rows differ by chance."""
    noise = torch.Generator().manual_seed(0)
    checkpoints = []
    for number, loss in enumerate(losses, 1):
        apart = torch.randn(32, generator=noise, dtype=torch.float64)
        rows = loss + spread * (apart - apart.mean())
        checkpoints.append(Checkpoint(step=10 * number, loss=loss, losses=tuple(rows.tolist())))
    return checkpoints


def best_step(checkpoints: list[Checkpoint], steps: int, untaught: float = 1.0) -> int:
    checkpoint = best_checkpoint(checkpoints, steps, untaught)
    assert checkpoint is not None
    return checkpoint.step


def test_a_checkpoint_that_lost_half_of_what_was_gained_is_not_used() -> None:
    assert best_step(checkpoint(0.1, 0.5, 0.3, 0.4, 0.6, 0.35, 0.7, 0.8, 0.9, 0.2), steps=100) == 100
    assert best_step(checkpoint(0.1, 0.5, 0.3, 0.4, 0.7), steps=100) == 40
    assert best_step(checkpoint(0.5, 0.3, 0.4, 0.9, spread=0.02), steps=40) == 30


def test_of_checkpoints_that_differ_by_no_more_than_chance_the_latest_is_used() -> None:
    flat = checkpoint(0.5, 0.3, 0.301, 0.299, 0.302, 0.3005, spread=0.02)

    assert best_step(flat, steps=60, untaught=0.3) == 60


def test_a_later_checkpoint_is_used_up_to_three_times_the_step_of_the_lowest_loss() -> None:
    """Pictures get better for longer than the loss on pictures held out falls."""
    falls_then_rises = checkpoint(0.5, 0.3, *(0.31 + 0.01 * number for number in range(8)), spread=0.001)

    assert best_step(falls_then_rises, steps=100) == 60


def test_a_state_of_an_older_version_has_the_losses_alone_to_choose_by() -> None:
    assert (
        best_step([Checkpoint(step=10 * n, loss=loss) for n, loss in enumerate((0.5, 0.3, 0.9), 1)], 30) == 20
    )


def test_a_training_that_was_stopped_early_keeps_the_best_of_what_it_has() -> None:
    assert best_step(checkpoint(0.4), steps=1000) == 10
    assert best_checkpoint([], steps=1000) is None


def test_others_worth_a_look_are_spread_over_the_run_and_the_last_is_among_them() -> None:
    checkpoints = checkpoint(0.9, 0.1, 0.2, 0.5, 0.3, 0.4, 0.15, 0.2, 0.3, 0.4)

    assert other_candidates(checkpoints, checkpoints[1], 100) == (40, 70, 100)
    assert other_candidates(checkpoints, checkpoints[9], 100) == (40, 70, 90)
    assert other_candidates(checkpoints[:2], checkpoints[1], 20) == (10,)
    assert other_candidates(checkpoints[:1], checkpoints[0], 10) == ()


def test_patience_counts_the_checkpoints_since_the_best() -> None:
    assert stale_count([], 20) == 0
    assert stale_count(checkpoint(0.5, 0.3), 20) == 0
    assert stale_count(checkpoint(0.5, 0.3, 0.4, 0.31), 20) == 2
    assert stale_count(checkpoint(0.1, 0.5, 0.4), 100) == 0


def test_a_step_without_memory_first_halves_the_batch_and_then_checkpoints() -> None:
    state = RunState(settings=TrainingSettings(batch=6), steps=10, began=0.0)

    lowered = []
    for _ in range(3):
        state.reduce_memory()
        lowered.append((state.settings.batch, state.settings.accumulation, state.settings.checkpointing))

    assert lowered == [(3, 2, False), (1, 6, False), (1, 6, True)]
    with pytest.raises(InvalidRequest, match="Lower --resolution or --rank"):
        state.reduce_memory()


@pytest.mark.parametrize(
    ("weight", "expected"), [(1.0, [(False, 2), (False, 1)]), (0.0, [(True, 1), (True, 1)])]
)
def test_a_class_that_counts_is_learned_apart_before_a_batch_is_made_smaller(
    weight: float, expected: list[tuple[bool, int]]
) -> None:
    settings = TrainingSettings(batch=2, prior=Prior.PREDICTION, prior_weight=weight)
    state = RunState(settings=settings, steps=10, began=0.0)

    lowered = []
    for _ in range(2):
        state.reduce_memory()
        lowered.append((state.together, state.settings.batch))

    assert lowered == expected


def test_a_training_that_goes_on_still_learns_its_class_apart(tmp_path: Path) -> None:
    request = training(tmp_path, prior=Prior.PREDICTION)
    state = RunState(settings=request.settings, steps=10, began=0.0)
    state.reduce_memory()

    values = state.to_state(request)
    older = {name: value for name, value in values.items() if name != "together"}

    assert not restore_run_state(values, request).together
    assert restore_run_state(older, request).together


def test_a_state_comes_back_with_every_bit() -> None:
    numbers = torch.tensor([1e-30, float("inf"), -0.0, 1 / 3])
    values = {"a": [1, 2.5, None, True, "x"], 7: {"t": numbers, "h": torch.tensor([3], dtype=torch.uint8)}}

    back = unpack_state(pack_state(values))

    assert back["a"] == values["a"]
    assert back[7]["t"].equal(numbers)
    assert back[7]["h"].dtype is torch.uint8


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", pack_state({"a": 1})[:-4]])
def test_what_is_no_state_is_told_so(content: bytes) -> None:
    with pytest.raises(BrokenState):
        unpack_state(content)
