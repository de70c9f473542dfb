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
    bot_socket, engine_socket = socket.socketpair()
    with bot_socket, engine_socket:
        yield bot_socket, engine_socket


@contextmanager
def start_engine(engine_socket: socket.socket, *words: str) -> "Iterator[subprocess.Popen[str]]":
    with subprocess.Popen(
        [sys.executable, "-c", *words, str(engine_socket.fileno())],
        pass_fds=[engine_socket.fileno()],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        engine_socket.close()
        try:
            yield process
        finally:
            process.kill()


def test_a_closed_socket_ends_what_is_busy_with_something_else(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    bot_socket, engine_socket = ends
    with start_engine(engine_socket, HANGS) as process:
        bot_socket.close()

        assert process.wait(timeout=30) != 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends what stands still with its parent")
def test_what_stands_still_altogether_ends_with_its_parent(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    bot_socket, engine_socket = ends
    with start_engine(engine_socket, STARTS, HANGS) as parent:
        bot_socket.settimeout(30)

        parent.kill()
        parent.wait()

    assert bot_socket.recv(1) == b""  # nobody holds the other end any more


def test_a_bot_that_is_there_is_waited_for(ends: tuple[socket.socket, socket.socket]) -> None:
    with start_engine(ends[1], HANGS) as process, pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
