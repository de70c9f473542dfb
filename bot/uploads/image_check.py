"""Re-encodes uploaded pictures in a pool of processes that can be killed."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from engine.messages import InvalidRequest

LARGEST_FILE = 20 * 2**20  # bytes
AT_ONCE = 3  # processes; one person keeps at most one of them busy
PATIENCE = 90.0  # seconds for one picture, on the wall clock; bot/uploads/reencoder.py limits its own
IDLE = 60.0  # seconds after which an unused process ends
LONGEST_ANSWER = 2**18  # bytes
HOME = Path(__file__).parents[2]  # the packages' folder
PROGRAM = (sys.executable, "-m", "bot.uploads.reencoder")
NEEDED = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "LD_LIBRARY_PATH",
)  # environment variables: the others may be secrets
UNREADABLE = "This is not a picture that can be read. Send a PNG, JPEG or WebP."
FIRST_FRAME = "The picture moves. Its first frame is taken."
SLOW = "The picture takes too long to read. Save it again and send that."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ReencodedImage:
    """A re-encoded picture: all that it has of the uploaded file are the pixels of its first frame.

    `recipe` is what the file said of how it was made, `caption` what it said of what it shows. `animated`:
    there were more frames. `origin` has the file's own hash and the claim of its Content Credentials, as
    fields of a FileOrigin.
    """

    path: Path
    kind: str  # "png" or "jpeg"
    width: int
    height: int
    recipe: str = ""
    caption: str = ""
    animated: bool = False
    origin: Mapping[str, Any] = field(default_factory=dict)


class ReencoderPool:
    """Re-encodes pictures. Its processes start when they are needed, and end after a while."""

    def __init__(self, program: Sequence[str] = PROGRAM, chain: Path | None = None) -> None:
        """`chain`: the certificates by which our own Content Credentials are known."""
        self._program = program
        self._chain = "" if chain is None else str(chain)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._idle: dict[Process, asyncio.TimerHandle] = {}

    async def __aenter__(self) -> "ReencoderPool":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the idle processes; busy ones end with whoever waits for them."""
        while self._idle:
            process, ending = self._idle.popitem()
            ending.cancel()
            await _end_process(process)

    async def reencode(self, source: Path, target: Path) -> ReencodedImage:
        """Re-encode the picture in this file into `target`. Raises InvalidRequest, OSError."""
        async with self._take_process() as process:
            answer = await _ask(process, {**_paths(source, target), "chain": self._chain})
        if "refused" in answer:
            raise InvalidRequest(str(answer["refused"]))
        return ReencodedImage(
            path=target,
            kind=answer["kind"],
            width=answer["width"],
            height=answer["height"],
            recipe=answer["recipe"],
            caption=answer["caption"],
            animated=answer["animated"],
            origin=answer.get("origin", {}),
        )

    @asynccontextmanager
    async def _take_process(self) -> AsyncIterator[Process]:
        """A process for one picture; it is killed when it gives no answer."""
        async with self._room:
            process = self._take_idle() or await self._start_process()
            try:
                yield process
            except BaseException:
                await _end_process(process)
                raise
            self._idle[process] = asyncio.get_running_loop().call_later(IDLE, self._retire, process)

    def _take_idle(self) -> Process | None:
        while self._idle:
            process, ending = self._idle.popitem()
            ending.cancel()
            if process.returncode is None:
                return process
        return None

    def _retire(self, process: Process) -> None:
        del self._idle[process]
        process.kill()

    async def _start_process(self) -> Process:
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


def _paths(source: Path, target: Path) -> dict[str, str]:
    """What is read and written by the process, whose folder is another one."""
    return {"source": str(source.absolute()), "target": str(target.absolute())}


async def _ask(process: Process, asked: dict[str, str]) -> dict[str, Any]:
    """The process's answer to a request. Raises InvalidRequest when it ends instead of answering."""
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


async def _end_process(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
