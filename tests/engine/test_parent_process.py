"""An engine that hangs ends with its bot all the same."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

HANGS = (
    "import sys, time; from engine.parent_process import end_with_parent; "
    "end_with_parent(int(sys.argv[1])); print('hangs', flush=True); time.sleep(60)"
)
# Starts one that stands still altogether, and tells its number once it does.
STARTS = (
    "import os, signal, subprocess, sys; "
    "child = subprocess.Popen([sys.executable, '-c', sys.argv[1], sys.argv[2]], pass_fds=[int(sys.argv[2])], "
    "stdout=subprocess.PIPE); "
    "child.stdout.readline(); child.send_signal(signal.SIGSTOP); print('hangs', flush=True); "
    "child.wait()"
)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@contextmanager
def started(theirs: socket.socket, *words: str) -> "Iterator[subprocess.Popen[str]]":
    with subprocess.Popen(
        [sys.executable, "-c", *words, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        theirs.close()
        try:
            yield process
        finally:
            process.kill()


def test_a_closed_socket_ends_what_is_busy_with_something_else(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    with started(theirs, HANGS) as process:
        ours.close()

        assert process.wait(timeout=30) != 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends what stands still with its parent")
def test_what_stands_still_altogether_ends_with_its_parent(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    with started(theirs, STARTS, HANGS) as parent:
        ours.settimeout(30)

        parent.kill()
        parent.wait()

    assert ours.recv(1) == b""  # nobody holds the other end any more


def test_a_bot_that_is_there_is_waited_for(ends: tuple[socket.socket, socket.socket]) -> None:
    with started(ends[1], HANGS) as process, pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
