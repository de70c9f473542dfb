"""A program in the engine's place that does what its first argument says, as engines do on bad days."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from engine.messages import (
    Cancel,
    Cancelled,
    CannotStart,
    Idle,
    Paint,
    Painted,
    Picture,
    Progress,
    Ready,
    Shutdown,
    StepStarted,
    ToBot,
)

READY = Ready(model="scripted", device="cpu", precision="float32", side=128, has_refiner=False, seconds=0.0)


def main() -> None:
    mode, note, fd = sys.argv[1], Path(sys.argv[2]), int(sys.argv[sys.argv.index("--fd") + 1])
    bot = ToBot(fd)
    bot.receive_settings()
    with note.open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    nth = len(note.read_text().splitlines())
    if mode == "refuses":
        bot.send(CannotStart(reason="The model 'nothing' is not there."))
        return
    if mode == "dies at start" or (mode == "dies at its second start" and nth == 2):
        sys.exit(3)
    if mode == "hangs at start":
        time.sleep(60)
    if mode == "leaves a child":
        subprocess.Popen(["sleep", "60"], pass_fds=[fd])
    bot.send(READY)
    while not isinstance(request := bot.receive(), Shutdown):
        if isinstance(request, Paint):
            paint(bot, request, note.with_name("trap"))


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def paint(bot: ToBot, request: Paint, trap: Path) -> None:
    """The prompt is the script."""
    job = request.job
    bot.send(StepStarted(jobs=(job,), deadline=0.5))
    match request.prompt:
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(60)
        case "pickle":
            Connection(os.dup(bot.fileno())).send(Trap(trap))
        case "lie":
            bot.send(Progress(job=job, step="two", steps=8, preview=b""))  # type: ignore[arg-type]
        case "slow":
            for step in range(8):
                time.sleep(0.2)
                bot.send(Progress(job=job, step=step, steps=8, preview=b""))
        case "wait":
            while not isinstance(bot.receive(), Cancel):
                pass
            bot.send(Cancelled(job=job))
            bot.send(Idle())
            return
    bot.send(Painted(job=job, pictures=(Picture(png=b"", seed=1, width=8, height=8),), seconds=0.1))
    bot.send(Idle())


main()
