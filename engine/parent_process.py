"""The engine ends with the bot that started it, whatever it does: it would keep the GPU from the next one."""

import ctypes
import os
import select
import signal
import sys
from threading import Thread

PR_SET_PDEATHSIG = 1  # Linux, prctl(2)


def end_with_the_bot(number: int) -> None:
    """From now on this process ends when its parent does, or whoever holds the other end of this socket.

    Linux sees to the first even where the process hangs and no thread of it runs any more.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    Thread(target=_watch, args=(number,), name="bot-watcher", daemon=True).start()


def _watch(number: int) -> None:
    """A bot that stops as it should closes the socket only after the engine has ended."""
    closed = select.poll()
    closed.register(number, 0)  # asks for nothing, and so is told of a hang-up alone
    closed.poll()
    if os.getpgrp() == os.getpid():  # then what it has started goes, too
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)
