"""`python -m engine --fd N`: the engine process, which talks to the bot over its socket."""

import argparse
import gc
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from engine.messages import CannotStart, Ready, ToBot
from engine.openmp import limit_spinning
from engine.parent_process import end_with_parent

# PEFT, transformers and diffusers import these where they are installed, for features that are not used here.
UNUSED = ("bitsandbytes", "scipy")

log = logging.getLogger("engine")


def main() -> int:
    """Load the model, report that, and serve until Shutdown. Exit status 1 where it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m engine", description="Started by the bot, not by hand.")
    parser.add_argument("--fd", type=int, required=True, help="file descriptor of the socket to the bot")
    fd: int = parser.parse_args().fd
    os.set_inheritable(fd, False)  # or a compiler's workers would keep it open after this process ends
    inbox = ToBot(fd)
    end_with_parent(fd)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = inbox.receive_settings()
    started = time.monotonic()

    limit_spinning()

    # Torch takes seconds to import, so mistakes in the arguments are reported before.
    with fast_imports():
        import diffusers
        import torch
        import transformers

        for library in (diffusers, transformers):
            library.utils.logging.disable_progress_bar()  # this is a log, not a terminal
            library.utils.logging.set_verbosity_error()  # before more of it is imported, which logs hints

        from engine.loop import serve
        from engine.runners.attention import fast_attention
        from engine.sdxl.model import CannotLoad, load_model
        from engine.studio import Studio

    # Torch counts cores that a container may not use. With a core less than threads, a training ran at an
    # eighth of its speed.
    if "OMP_NUM_THREADS" not in os.environ and hasattr(os, "sched_getaffinity"):
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    attention = ExitStack()
    try:
        model = load_model(settings)
        attention.enter_context(fast_attention(model.device))  # before anything is compiled or captured
        studio = Studio(model, settings)
    except CannotLoad as error:
        log.debug("The model cannot be loaded", exc_info=True)
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
    with attention:
        serve(inbox, studio)
    if studio.is_preparing:
        logging.shutdown()
        os._exit(0)  # a compiler's thread would hold the process for minutes
    return 0


@contextmanager
def fast_imports() -> Iterator[None]:
    """A context in which imports take a third of the time: without UNUSED packages and garbage collection.

    Afterwards these packages can be imported, as a training with 8-bit AdamW does.
    """
    hidden = [name for name in UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None means not installed
    gc.disable()
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        gc.freeze()  # later collections, between steps, skip what is imported now
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())
