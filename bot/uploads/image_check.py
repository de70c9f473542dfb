"""Pictures that people send, made anew by a few processes of their own, which can be killed."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from engine.messages import InvalidRequest

LARGEST_FILE = 20 * 2**20  # bytes
AT_ONCE = 3  # processes: of one person never more than one is busy
PATIENCE = (
    90.0  # seconds for one picture, however busy the machine is; bot/uploads/reencoder.py counts its own
)
IDLE = 60.0  # seconds that a process waits for the next picture until it ends
LONGEST_ANSWER = 2**18  # bytes
HOME = Path(__file__).parents[2]  # the packages' folder
PROGRAM = (sys.executable, "-m", "bot.uploads.reencoder")
NEEDED = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")  # of the environment: it has secrets, too
UNREADABLE = "This is not a picture that can be read. Send a PNG, JPEG or WebP."
SLOW = "The picture takes too long to read. Save it again and send that."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A picture made anew: nothing of the file that came is in it but the pixels of its first frame.

    `recipe` is what it said of how it was made.
    """

    path: Path
    kind: str  # "png" or "jpeg"
    width: int
    height: int
    recipe: str = ""


class Uploads:
    """Has pictures made anew. Its processes start when they are needed, and end after a while."""

    def __init__(self, program: Sequence[str] = PROGRAM) -> None:
        self._program = program
        self._room = asyncio.Semaphore(AT_ONCE)
        self._idle: dict[Process, asyncio.TimerHandle] = {}

    async def __aenter__(self) -> "Uploads":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End what waits for pictures; what is busy ends with whoever waits for it."""
        while self._idle:
            process, ending = self._idle.popitem()
            ending.cancel()
            await _ended(process)

    async def check(self, source: Path, target: Path) -> Upload:
        """The picture in this file, written to `target`. Raises InvalidRequest with one sentence; OSError."""
        async with self._process() as process:
            told = await _answer(process, {"source": str(source), "target": str(target)})
        if "refused" in told:
            raise InvalidRequest(str(told["refused"]))
        return Upload(
            path=target,
            kind=told["kind"],
            width=told["width"],
            height=told["height"],
            recipe=told["recipe"],
        )

    @asynccontextmanager
    async def _process(self) -> AsyncIterator[Process]:
        """One that nobody else asks meanwhile; it is ended when it does not come to its answer."""
        async with self._room:
            process = self._waiting() or await self._started()
            try:
                yield process
            except BaseException:
                await _ended(process)
                raise
            self._idle[process] = asyncio.get_running_loop().call_later(IDLE, self._retire, process)

    def _waiting(self) -> Process | None:
        while self._idle:
            process, ending = self._idle.popitem()
            ending.cancel()
            if process.returncode is None:
                return process
        return None

    def _retire(self, process: Process) -> None:
        del self._idle[process]
        process.kill()

    async def _started(self) -> Process:
        return await asyncio.create_subprocess_exec(
            *self._program,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            limit=LONGEST_ANSWER,
            cwd=HOME,
            env={name: os.environ[name] for name in NEEDED if name in os.environ},
            start_new_session=True,
        )


async def _answer(process: Process, asked: dict[str, str]) -> dict[str, Any]:
    """What the process says to this. Raises InvalidRequest when it ends in place of answering."""
    assert process.stdin is not None and process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            process.stdin.write(f"{json.dumps(asked)}\n".encode())
            line = await process.stdout.readline()
            if line:
                answer: dict[str, Any] = json.loads(line)
                return answer
            status = await process.wait()
    except TimeoutError as error:
        raise InvalidRequest(SLOW) from error
    except (ValueError, ConnectionError) as error:
        raise InvalidRequest(UNREADABLE) from error
    log.warning("Picture ended the process that read it", status=status)
    raise InvalidRequest(SLOW if status == -signal.SIGPROF else UNREADABLE)


async def _ended(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
