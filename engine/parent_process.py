"""Ending of the engine with the bot that started it, so that it does not keep the GPU from the next one."""

import ctypes
import os
import select
import signal
import sys
from threading import Thread

PR_SET_PDEATHSIG = 1  # Linux, prctl(2)


def end_with_parent(number: int) -> None:
    """End this process once its parent ends, or once the other end of this socket is closed.

    number: the socket's file descriptor. Linux ends it with its parent even where no thread of it runs any
    more.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    Thread(target=_watch, args=(number,), name="bot-watcher", daemon=True).start()


def _watch(number: int) -> None:
    """Wait until the socket is closed. A bot that stops normally closes it after the engine has ended."""
    closed = select.poll()
    closed.register(number, 0)  # no events, so that it reports a hang-up alone
    closed.poll()
    if os.getpgrp() == os.getpid():  # then the processes that it has started end, too
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)
