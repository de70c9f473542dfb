"""What is said about time is learned from what was painted."""

import pytest

from bot.jobs.estimates import Estimates, shared_seconds
from engine.messages import Finish, JobId, Paint, Ready, Sampler, Sha256, Size, Source


def a_picture(**changes: object) -> Paint:
    values: dict[str, object] = {"size": Size(width=128, height=128), "steps": 20} | changes
    return Paint(job=JobId("k3f9qa"), prompt="a fox", seed=1, **values)  # type: ignore[arg-type]


def ready(device: str) -> Ready:
    return Ready(model="m", device=device, precision="float32", side=128, has_refiner=False, seconds=1.0)


def test_what_took_a_second_is_expected_to_take_a_second() -> None:
    estimates = Estimates()

    estimates.learn(a_picture(), 1.0)

    assert estimates.seconds(a_picture()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "times"),
    [
        ({"steps": 40}, 2),
        ({"count": 3}, 3),
        ({"size": Size(width=256, height=128)}, 2),
        ({"guidance_scale": 1.0}, 0.5),
        ({"sampler": Sampler.HEUN}, 2),
        ({"fast": True}, 0.65),
        ({"hires": 2.0}, 1 + 4 * (0.25 + 0.3 / 40)),
        ({"finish": Finish(enlarge=4)}, 1 + 16 * 0.3 / 40),
        ({"source": Source(sha256=Sha256(""), strength=0), "finish": Finish(enlarge=2)}, 4 * 0.3 / 40),
    ],
)
def test_more_work_takes_longer_in_proportion(changes: dict[str, object], times: float) -> None:
    estimates = Estimates()
    estimates.learn(a_picture(), 1.0)

    assert estimates.seconds(a_picture(**changes)) == pytest.approx(times)


def test_it_follows_an_engine_that_becomes_slower() -> None:
    estimates = Estimates()
    estimates.learn(a_picture(), 1.0)

    for _ in range(20):
        estimates.learn(a_picture(), 3.0)

    assert estimates.seconds(a_picture()) == pytest.approx(3.0, rel=0.01)


def test_before_anything_was_measured_a_gpu_is_expected_to_be_faster_than_a_cpu() -> None:
    cpu, gpu = Estimates(), Estimates()
    cpu.use_engine(ready("cpu"))
    gpu.use_engine(ready("cuda:0"))

    assert 0 < gpu.seconds(a_picture()) < cpu.seconds(a_picture())


def test_pictures_painted_in_no_time_teach_nothing() -> None:
    estimates = Estimates()
    before = estimates.seconds(a_picture())

    estimates.learn(a_picture(), 0.0)

    assert estimates.seconds(a_picture()) == before


def test_a_job_that_shares_the_engine_waits_for_its_share_only() -> None:
    assert shared_seconds(2.0, []) == 2.0
    assert shared_seconds(2.0, [1.0, 10.0]) == 5.0
