"""One engine process behind a socket, with a thread for reading and one for writing."""

import asyncio
import os
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from bot.engine_client.environment import engine_environment
from engine.messages import BrokenMessage, EngineSettings, Event, Request, ToEngine

HOME = Path(__file__).parents[2]  # where Python finds the engine, wherever the bot was started
STDERR = 2  # the engine's output goes to the bot's log; standard output is the bot's own
CLOSED_GRACE = 5.0  # seconds that a process which has closed its socket may take to exit

Message = EngineSettings | Request


class EngineProcess:
    """A running engine: messages are sent to it, and its events received until it ends.

    It lives in a session of its own, so that Ctrl-C in a terminal reaches the bot alone, which then decides.
    """

    def __init__(self, process: Process, ours: socket.socket) -> None:
        self._process = process
        self._channel = ToEngine(ours.detach())
        self._broken = ""
        self._outbox: SimpleQueue[Message | None] = SimpleQueue()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        self._threads = (
            Thread(target=self._read, args=(loop,), name="engine-reader", daemon=True),
            Thread(target=self._write, name="engine-writer", daemon=True),
        )
        for thread in self._threads:
            thread.start()
        self._exit = asyncio.create_task(self._wait_for_exit())

    @classmethod
    async def start(cls, program: Sequence[str]) -> "EngineProcess":
        """Start this program, with the number of its end of the socket as --fd. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *program,
                    *("--fd", str(theirs.fileno())),
                    pass_fds=(theirs.fileno(),),
                    cwd=HOME,
                    env=engine_environment(os.environ),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=STDERR,
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        return cls(process, ours)

    @property
    def pid(self) -> int:
        """The process id, also of its process group."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Send a message. Never waits, even for an engine that reads nothing."""
        self._outbox.put(message)

    async def receive(self) -> Event | None:
        """The next event, or None once the process has ended and all its events were received."""
        return await self._events.get()

    def kill(self) -> None:
        """End the process and whatever it started, at once."""
        if self._process.returncode is None:
            self._kill_group()

    async def end(self) -> str:
        """Wait until the process is gone; returns how it ended: "was killed by SIGKILL"."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSED_GRACE):
                await asyncio.shield(self._exit)
        self.kill()
        status = await self._exit
        self._outbox.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._channel.close()
        if self._broken:
            return f"sent something that is no message, and was killed ({self._broken})"
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with exit status {status}"

    async def _wait_for_exit(self) -> int:
        status = await self._process.wait()
        # What it started may still hold the socket, whose end would then never be seen.
        self._kill_group()
        return status

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        def post(event: Event | None) -> None:
            with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._events.put_nowait, event)

        try:
            while True:
                post(self._channel.receive())
        except BrokenMessage as error:  # whoever sent it may be compromised
            self._broken = str(error)
            self._kill_group()
        except (EOFError, OSError):
            pass
        finally:
            post(None)

    def _write(self) -> None:
        while (message := self._outbox.get()) is not None:
            with suppress(OSError):  # it died: the reader notices that too, and reports it
                self._channel.send(message)
