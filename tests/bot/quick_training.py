"""Trainings of the quick engine: nothing is learned, but all is told and stored as a real one does."""

import io
import os
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path

from engine.messages import (
    Cancelled,
    CheckpointSaved,
    Failed,
    FileStore,
    Inspect,
    Inspected,
    ManifestFile,
    PictureNote,
    Sha256,
    ToBot,
    Train,
    Trained,
    TrainingProgress,
    stored_path,
)
from tests.bot.uploads.one_pixel import png

EVERY = 5  # steps between two checkpoints
FATAL = {"deadly": EVERY + 2, "hopeless": 2, "unlucky": 2}  # the step in which the engine dies, by name


def inspect(request: Inspect, store: Path) -> Iterator[Inspected | TrainingProgress]:
    """How many pictures are checked, and the report, to which it never comes where the LoRA is "endless"."""
    phase = "checking the pictures"
    yield TrainingProgress(job=request.job, step=1, steps=request.training.pictures, phase=phase)
    if request.training.name != "endless":
        yield report_on(request, store)


def report_on(request: Inspect, store: Path) -> Inspected:
    """Pictures whose names begin with "bad" are left out. The captioner says their names."""
    training = request.training
    examples = training.examples or ManifestFile(_manifest_path(store, training))
    bare = [example.name for example in examples if not example.caption]
    notes = tuple(
        PictureNote(
            name=example.name,
            width=64,
            height=64,
            crop=(0, 0, 64, 64),
            size=(64, 64),
            problems=("blurred",) if example.name.startswith("bad") else (),
            used=not example.name.startswith("bad"),
        )
        for example in examples
    )
    problems = () if any(note.used for note in notes) else ("No picture can be used.",)
    steps = request.training.settings.steps
    return Inspected(
        job=request.job,
        sheet=a_sheet(),
        notes=notes,
        problems=problems,
        steps=steps,
        seconds=0.01 * steps,
        captions=tuple(f"the captioner's {note.name}" for note in notes) if training.describe else (),
        describable=0 if training.describe else len(bare),
    )


def _manifest_path(store: Path, training: Train) -> Path:
    assert training.manifest is not None
    return stored_path(store, training.manifest.sha256)


def a_sheet() -> bytes:
    """A JPEG."""
    from PIL import Image  # here: most quick engines look at nothing, and start faster without it

    out = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 220, 240)).save(out, "JPEG")
    return out.getvalue()


def samples(request: Train, step: int) -> tuple[bytes, ...]:
    """A PNG of each prompt, in a colour of its own."""
    return tuple(png(zlib.crc32(f"{request.job} {step} {prompt}".encode())) for prompt in request.prompts)


class Lesson:
    """One training. Its state is a file with the number of steps that are done.

    The "halfway" one is cancelled between a state and telling of it, the "late" one tells of it afterwards.
    """

    def __init__(self, bot: ToBot, request: Train, store: Path) -> None:
        self.bot = bot
        self.request = request
        self.store = FileStore(store)
        self.fate = store / "met"  # the unlucky die but once
        self.done = int(self.store.get(request.resume).split()[1]) if request.resume else 0
        self.began = self.done
        self.saved: list[int] = []
        self.stopped = False

    def step(self) -> bool:
        """Take one step; whether that was the last."""
        request, steps = self.request, self.request.settings.steps
        if not self.done:
            self.bot.send(
                CheckpointSaved(
                    job=request.job,
                    step=0,
                    adapter=None,
                    state=None,
                    validation=None,
                    samples=samples(request, 0),
                )
            )
        self.done += 1
        if self.done - self.began == FATAL.get(request.name) and not self.fate.exists():
            if request.name == "unlucky":
                self.fate.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self.bot.send(
            TrainingProgress(
                job=request.job,
                step=self.done,
                steps=steps,
                phase="learning",
                loss=1 / self.done,
                left=0.01 * (steps - self.done),
            )
        )
        if self.no_room():
            return True
        last = self.stopped or self.done == steps
        if last or self.done % EVERY == 0:
            self.save()
        if last:
            self.bot.send(
                Trained(
                    job=request.job,
                    best=self.saved[-1],
                    candidates=tuple(self.saved[-2:-1]),
                    step=self.done,
                    seconds=0.5,
                    note="it was stopped early." if self.done < steps else "",
                )
            )
        return last

    def stop(self) -> None:
        """End with the next step; the stubborn one dies of being told, once."""
        if self.request.name == "stubborn" and not self.fate.exists():
            self.fate.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self.stopped = True

    def drop(self) -> None:
        """It was cancelled."""
        job, left = self.request.job, self.put_file("state")
        self.bot.send(Cancelled(job=job, left=(left,) if self.request.name == "halfway" else ()))
        if self.request.name == "late":
            self.bot.send(CheckpointSaved(job=job, step=self.done, adapter=None, state=left, validation=None))

    def no_room(self) -> bool:
        """The "crowded" one finds the disk full, once, before it saves a second time."""
        if self.request.name != "crowded" or len(self.saved) != 1 or self.fate.exists():
            return False
        self.fate.touch()
        reason = "The bot's disk is full."
        self.bot.send(Failed(job=self.request.job, reason=reason, expected=True, again=True))
        return True

    def save(self) -> None:
        job, step = self.request.job, self.done
        self.saved.append(step)
        self.bot.send(
            CheckpointSaved(
                job=job,
                step=step,
                adapter=self.put_file("adapter"),
                state=self.put_file("state"),
                validation=1 / step,
                losses=tuple(self.losses()),
                samples=samples(self.request, step),
            )
        )

    def put_file(self, what: str) -> Sha256:
        return self.store.put_bytes(f"{what} {self.done} {self.request.job}".encode())

    def losses(self) -> Iterator[float]:
        """Of the steps since the checkpoint before."""
        return (1 / step for step in range((self.done - 1) // EVERY * EVERY + 1, self.done + 1))
