"""What cards are told of jobs that have not ended."""

from bot.jobs.progress import JobProgress, LiveProgress
from engine.messages import JobId, Progress

JOB = JobId("k3f9qa")


def test_a_place_that_is_told_late_hides_nothing_of_what_the_engine_does() -> None:
    live, progress = LiveProgress(), JobProgress()
    live.set_position(JOB, place=1, left=10.0, waiting="")
    live.start(JOB, progress)

    live.set_position(JOB, place=1, left=10.0, waiting="")
    progress.set_steps(Progress(job=JOB, step=3, steps=4, preview=b""))
    live.forget_position(JOB)

    assert live.get(JOB) is progress
    assert (progress.done, progress.place) == (0.75, None)


def test_nothing_is_known_of_a_job_that_has_ended() -> None:
    live = LiveProgress()
    live.start(JOB, JobProgress())

    live.forget(JOB)

    assert live.get(JOB) is None


def test_a_preview_stays_until_another_one_comes() -> None:
    progress = JobProgress()

    progress.set_steps(Progress(job=JOB, step=1, steps=4, preview=b"first"))
    progress.set_steps(Progress(job=JOB, step=2, steps=4, preview=b""))

    assert progress.preview == b"first"
