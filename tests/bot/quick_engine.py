"""A program in the engine's place that paints many jobs in shared steps, quickly, as their prompts say.

`python -m tests.bot.quick_engine NOTES SECONDS`: each step takes so many seconds. NOTES gets a line for each
thing that happened: "start PID", "take JOB", "inside PICTURES", "painted JOB", "look JOB", "admit JOB",
"merge JOB", "learn JOB", "trained JOB".
"""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from engine.messages import (
    Cancel,
    Cancelled,
    CannotStart,
    ClipScore,
    Described,
    DescribePicture,
    Failed,
    FileStore,
    FlaggedPolicy,
    Idle,
    ImportLora,
    Inspect,
    JobId,
    JobRequest,
    LoraImported,
    LoraScores,
    LorasMerged,
    MergeLoras,
    Paint,
    Painted,
    Picture,
    Progress,
    Ready,
    SearchLoras,
    Shutdown,
    Size,
    StepStarted,
    StopTraining,
    TaskRequest,
    ToBot,
    Train,
)
from tests.bot.quick_training import Lesson, inspect
from tests.bot.uploads.one_pixel import png

QUICK_ENGINE = (sys.executable, "-m", "tests.bot.quick_engine")

READY = Ready(model="quick", device="cpu", precision="float32", side=64, has_refiner=False, seconds=0.0)


class Engine:
    """All pictures take each step together; a training takes turns with them."""

    def __init__(self, bot: ToBot, notes: Path, seconds: float, store: Path) -> None:
        self.bot = bot
        self.store = store
        self.lesson: Lesson | None = None
        self.notes = notes.open("a", buffering=1)
        self.seconds = seconds
        self.jobs: dict[JobId, Paint] = {}
        self.steps: dict[JobId, int] = {}

    def serve(self) -> None:
        while True:
            while self.bot.poll(None if not self.jobs and self.lesson is None else 0):
                request = self.bot.receive()
                if isinstance(request, Shutdown):
                    return
                self.take(request)
            if self.jobs:
                self.step()
            if self.lesson is not None:
                self.learn(self.lesson)
            if not self.jobs and self.lesson is None:
                self.bot.send(Idle())

    def take(self, request: JobRequest | TaskRequest | StopTraining | Cancel) -> None:
        match request:
            case Cancel():
                self.drop(request.job)
            case StopTraining():
                if self.lesson is not None and self.lesson.request.job == request.job:
                    self.lesson.stop()
            case Inspect():
                self.notes.write(f"look {request.job}\n")
                self.bot.send(StepStarted(jobs=(request.job,), deadline=1.0))
                for event in inspect(request, self.store):
                    self.bot.send(event)
            case ImportLora():
                self.admit(request)
            case MergeLoras():
                self.merge(request)
            case SearchLoras():
                self.liken(request)
            case DescribePicture():
                self.bot.send(StepStarted(jobs=(request.job,), deadline=1.0))
                self.bot.send(Described(job=request.job, captions=("a fox", "a fox -- in the snow")))
            case Train():
                assert self.lesson is None, "one training at a time"
                self.notes.write(f"learn {request.job}\n")
                self.lesson = Lesson(self.bot, request, self.store)
            case Paint():
                self.take_pictures(request)

    def liken(self, request: SearchLoras) -> None:
        """What has the words' first letter in its own is the nearest; "die" kills."""
        if "die" in request.words:
            os.kill(os.getpid(), signal.SIGKILL)
        self.bot.send(StepStarted(jobs=(request.job,), deadline=1.0))
        scores = tuple(
            30.0 if request.words[0] in candidate.words else 10.0 for candidate in request.candidates
        )
        candidates = tuple(replace(candidate, clip="quick", vector=b"ab") for candidate in request.candidates)
        self.bot.send(LoraScores(job=request.job, candidates=candidates, scores=scores))

    def admit(self, request: ImportLora) -> None:
        """A file with "refuse" in it is refused, one with "die" kills, the others are LoRAs."""
        self.notes.write(f"admit {request.job}\n")
        self.bot.send(StepStarted(jobs=(request.job,), deadline=1.0))
        content = FileStore(self.store).get(request.sha256)
        if b"die" in content:
            os.kill(os.getpid(), signal.SIGKILL)
        if b"refuse" in content:
            self.bot.send(Failed(job=request.job, reason="the LoRA is none.", expected=True))
            return
        self.bot.send(
            LoraImported(
                job=request.job,
                sha256=request.sha256,
                form="PEFT",
                phrase=request.phrase or "ohwx woman",
                tokens=0,
                rank=8,
                modules=722,
                text_encoders=False,
                size=len(content),
                picture=png(1),
                seconds=100.0,
            )
        )

    def merge(self, request: MergeLoras) -> None:
        self.notes.write(f"merge {request.job}\n")
        self.bot.send(StepStarted(jobs=(request.job,), deadline=1.0))
        time.sleep(self.seconds)
        content = b" ".join(FileStore(self.store).get(use.sha256) for use in request.parts)
        self.bot.send(
            LorasMerged(
                job=request.job,
                name=request.name,
                sha256=FileStore(self.store).put_bytes(content),
                rank=request.rank or 16,
                modules=722,
                tokens=0,
                size=len(content),
                error=0.25 if request.rank else 0.0,
                apart=1,
                picture=png(2),
                sheet=png(3),
            )
        )

    def drop(self, job: JobId) -> None:
        if self.lesson is not None and self.lesson.request.job == job:
            if self.lesson.request.name in ("halfway", "late"):
                self.lesson.drop()
                self.lesson = None
                return
            self.lesson = None
        elif self.jobs.pop(job, None) is None:
            return
        self.bot.send(Cancelled(job=job))

    def learn(self, lesson: Lesson) -> None:
        self.bot.send(StepStarted(jobs=(lesson.request.job,), deadline=max(1.0, 4 * self.seconds)))
        time.sleep(self.seconds)
        if lesson.step():
            self.notes.write(f"trained {lesson.request.job}\n")
            self.lesson = None

    def take_pictures(self, request: Paint) -> None:
        self.notes.write(f"take {request.job}\n")
        self.jobs[request.job], self.steps[request.job] = request, 0
        self.notes.write(f"inside {sum(job.count for job in self.jobs.values())}\n")

    def step(self) -> None:
        self.bot.send(StepStarted(jobs=tuple(self.jobs), deadline=max(1.0, 4 * self.seconds)))
        time.sleep(self.seconds)
        for job, request in list(self.jobs.items()):
            self.steps[job] += 1
            self.obey(job, request.prompt)
            if job in self.jobs and self.steps[job] < request.steps:
                self.bot.send(Progress(job=job, step=self.steps[job], steps=request.steps, preview=b"jpeg"))
            elif self.jobs.pop(job, None):
                self.notes.write(f"painted {job}\n")
                self.bot.send(
                    Painted(
                        job=job,
                        pictures=pictures(request),
                        seconds=self.seconds * request.steps,
                        scores=tuple(
                            ClipScore(name=variant.name, clip=20.0 + place)
                            for place, variant in enumerate(request.variants)
                        ),
                    )
                )

    def obey(self, job: JobId, prompt: str) -> None:
        """Bad days, at the second step: the jobs that joined since are in it too."""
        if self.steps[job] != 2:
            return
        if "die" in prompt:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hang" in prompt:
            time.sleep(60)
        for kind in ("refuse", "fault"):
            if kind in prompt:
                del self.jobs[job]
                self.bot.send(Failed(job=job, reason=f"this is a {kind}.", expected=kind == "refuse"))


def _picture(request: Paint, seed: int) -> bytes:
    """One pixel, or 256 x 256 with a recipe where a drawing is asked for."""
    if "drawing" not in request.prompt:
        return png(seed)
    from PIL import Image, ImageDraw

    from engine.sdxl.png_file import Recipe, encode_png

    drawing = Image.new("RGB", (256, 256), (40, 120, 200))
    ImageDraw.Draw(drawing).ellipse((30 + seed % 60, 40, 200, 190), fill=(230, 60, 40))
    size = Size(width=256, height=256)
    return encode_png(drawing, Recipe(request=request, seed=seed, size=size, model="quick"))


def pictures(request: Paint) -> tuple[Picture, ...]:
    """A prompt with "flag" in it has its first picture flagged, where that is looked at."""
    size = request.size if isinstance(request.size, Size) else Size(width=64, height=64)
    flags = "flag" in request.prompt and request.flagged is not FlaggedPolicy.SHOW
    held = flags and request.flagged is FlaggedPolicy.REFUSE
    return tuple(
        Picture(
            png=b"" if held and not place else _picture(request, request.seed + place),
            seed=request.seed + place,
            width=size.width,
            height=size.height,
            flagged=flags and not place,
        )
        for place in range(request.count)
    )


def main() -> None:
    notes, seconds = Path(sys.argv[1]), float(sys.argv[2])
    bot = ToBot(int(sys.argv[sys.argv.index("--fd") + 1]))
    settings = bot.receive_settings()
    engine = Engine(bot, notes, seconds, Path(settings.files))
    engine.notes.write(f"start {os.getpid()}\n")
    if settings.model != "quick":
        bot.send(CannotStart(reason=f"The model '{settings.model}' is not there."))
        return
    bot.send(READY)
    try:
        engine.serve()
    except (EOFError, ConnectionError):  # the bot was killed
        return


if __name__ == "__main__":
    main()
