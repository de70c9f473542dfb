"""Trainings at SDXL's size: pictures a second by batch."""

from collections.abc import Mapping

from bench.gpu_stages.subject import Subject
from bench.measuring import in_turns
from bench.training import STEPS, Ours, a_store, settings


def training(batch: int, subject: Subject) -> Mapping[str, object]:
    """Pictures a second of a training in this batch, past its reading, at the largest side."""
    steps = 1 if subject.is_tiny else STEPS
    with a_store(subject.sides[-1]) as folder:
        ours = Ours(subject.model, folder, settings(batch))
        try:
            (seconds,) = in_turns([lambda: ours.steps(steps)], subject.rounds)
        finally:
            ours.close()
    return {"side": subject.sides[-1], "pictures_a_second": round(batch * steps / seconds, 3)}
