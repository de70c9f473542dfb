"""`python -m engine --fd N`: the engine process, speaking over a socket that the bot has opened."""

import argparse
import gc
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from engine.messages import CannotStart, Ready, ToBot
from engine.parent_process import end_with_the_bot

# PEFT, transformers and diffusers import these if they are installed, for nothing that is done here.
UNUSED = ("bitsandbytes", "scipy")

log = logging.getLogger("engine")


def main() -> int:
    """Load the model, say so, and serve until told to stop. Exit status 1 when it could not start."""
    parser = argparse.ArgumentParser(prog="python -m engine", description="Started by the bot, not by hand.")
    parser.add_argument("--fd", type=int, required=True, help="file descriptor of the socket to the bot")
    fd: int = parser.parse_args().fd
    os.set_inheritable(fd, False)  # or a compiler's workers would hold it open after this process is gone
    inbox = ToBot(fd)
    end_with_the_bot(fd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = inbox.receive_settings()
    started = time.monotonic()

    # OpenMP's threads spin where they wait for each other, by default so long that two programs on the same
    # cores come to a standstill: two pictures in two processes took 60 s, and take 3.4 s with this.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

    # Torch takes seconds to import: late, so that a mistake in the arguments is told at once.
    with quick_imports():
        import diffusers
        import torch
        import transformers

        for library in (diffusers, transformers):
            library.utils.logging.disable_progress_bar()  # this is a log, not a terminal
            library.utils.logging.set_verbosity_error()  # before more of them is there, which hints at things

        from engine.loop import serve
        from engine.sdxl.model import CannotLoad, load_model
        from engine.studio import Studio

    # Torch counts cores that a container may not use. Who says how many threads there are shares the machine
    # with others: with a core less than threads a training was seen to go at an eighth of its speed.
    if "OMP_NUM_THREADS" not in os.environ and hasattr(os, "sched_getaffinity"):
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    try:
        model = load_model(settings)
        studio = Studio(model, settings)
    except CannotLoad as error:
        log.debug("the model cannot be loaded", exc_info=True)
        inbox.send(CannotStart(reason=str(error)))
        return 1
    inbox.send(
        Ready(
            model=model.name,
            device=str(model.device),
            precision=str(model.precision).removeprefix("torch."),
            side=model.side,
            has_refiner=model.refiner is not None,
            seconds=time.monotonic() - started,
        )
    )
    serve(inbox, studio)
    return 0


@contextmanager
def quick_imports() -> Iterator[None]:
    """Within, what is imported finds nothing UNUSED, and no rubbish is looked for: a third of the time.

    Afterwards they are there for whoever imports them, as a training by 8-bit AdamW does.
    """
    hidden = [name for name in UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: as if it were not installed
    gc.disable()
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        gc.freeze()  # what is there now stays; later looks for rubbish, between steps, pass it over
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())
