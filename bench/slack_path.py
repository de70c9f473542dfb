"""The path of Slack's /imagine to its row, recorded with the real slack-bolt app and a fake Slack."""

import asyncio
import inspect
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import structlog
from greenlet import getcurrent
from sqlalchemy import Engine, event

from bench.structure import ROOMS, ROOT

INSERT = "INSERT INTO jobs "
FOLDERS = tuple(f"{ROOT / room}/" for room in ROOMS)

Task = asyncio.Task[Any]


@dataclass(frozen=True, kw_only=True)
class Call:
    """A function of ours, by its file."""

    path: str
    function: str


@dataclass(kw_only=True)
class PathRecorder:
    """Records how the first row of a job came to be inserted while it is entered.

    The chain goes over several tasks: one waits for another, or for what another writes. The frames of all of
    them are taken where SQLAlchemy is about to execute the statement.
    """

    chain: list[Call] = field(default_factory=list)  # from the first to the insert
    _calls: list[tuple[Task, Call]] = field(default_factory=list)
    _parents: dict[Task, Task | None] = field(default_factory=dict)
    _tasks: set[Task] = field(default_factory=set)  # those that wait for the database
    _writer: Task | None = None

    def __enter__(self) -> Self:
        asyncio.get_running_loop().set_task_factory(self._create_task)
        event.listen(Engine, "before_cursor_execute", self._before_execute)
        sys.setprofile(self._note_call)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.setprofile(None)
        event.remove(Engine, "before_cursor_execute", self._before_execute)
        asyncio.get_running_loop().set_task_factory(None)

    @property
    def files(self) -> list[str]:
        """The files of the chain, in order."""
        return list(dict.fromkeys(call.path for call in self.chain))

    @property
    def calls(self) -> list[Call]:
        """All that the tasks of the chain called from its first frame to the insert, returned or not."""
        asked = [place for place, (task, _) in enumerate(self._calls) if task in self._tasks]
        calls = [self._calls[place][1] for place in asked]
        calls = calls[calls.index(self.chain[0]) :]
        calls += [call for task, call in self._calls[asked[-1] :] if task is self._writer]
        return list(dict.fromkeys(calls))

    def _create_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Task:
        task = asyncio.Task(coro, loop=loop, **options)
        self._parents[task] = asyncio.current_task(loop)
        return task

    def _note_call(self, frame: FrameType, what: str, argument: object) -> None:
        if what == "call" and not self.chain and (call := _call(frame)):
            task = asyncio.current_task()
            if task is not None:
                self._calls.append((task, call))

    def _before_execute(self, connection: object, cursor: object, statement: str, *more: object) -> None:
        if self.chain or not statement.startswith(INSERT):
            return
        self._writer = asyncio.current_task()
        running = _running_frames()
        works = [work for frame in running if (work := frame.f_locals.get("work"))]
        task = next((task for task in asyncio.all_tasks() if _waits_for(task, works)), None)
        while task is not None:
            frames = list(_suspended_frames(task))
            self.chain[:0] = [call for frame in frames if (call := _call(frame))]
            self._tasks.add(task)
            task = self._parents.get(task)
        self.chain += [call for frame in running if (call := _call(frame))]


def _call(frame: FrameType) -> Call | None:
    """The function that a frame runs, if it is one of ours."""
    path = frame.f_code.co_filename
    if not path.startswith(FOLDERS) or frame.f_code.co_name.startswith("<"):  # a comprehension, a module
        return None
    return Call(path=str(Path(path).relative_to(ROOT)), function=frame.f_code.co_qualname)


def _waits_for(task: Task, works: Sequence[object]) -> bool:
    """Whether a task waits until the database has done one of these."""
    frames = list(_suspended_frames(task))
    return bool(frames) and any(frames[-1].f_locals.get("work") is work for work in works)


def _suspended_frames(task: Task) -> Iterator[FrameType]:
    """The frames of a task that waits, the outermost first."""
    waiting: Any = task.get_coro()
    while (frame := getattr(waiting, "cr_frame", None)) is not None:
        yield frame
        waiting = waiting.cr_await


def _running_frames() -> list[FrameType]:
    """The frames of what runs now, the outermost first; SQLAlchemy runs its own in a greenlet."""
    frames: list[FrameType] = []
    greenlet, frame = getcurrent(), inspect.currentframe()
    while frame is not None or greenlet.parent is not None:
        if frame is None:
            greenlet = greenlet.parent
            frame = greenlet.gr_frame
        else:
            frames.append(frame)
            frame = frame.f_back
    return frames[::-1]


def measure() -> str:
    """The chain, one frame a line, and how many files of ours it touches."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    recorder = asyncio.run(_imagine())
    lines = [
        f"{number}. `{call.path}` {call.function}" for number, call in enumerate(recorder.chain, start=1)
    ]
    entered = {call.path for call in recorder.calls}
    return "\n".join(
        [
            *lines,
            "",
            f"{len(recorder.chain)} frames in {len(recorder.files)} files stand when the row is inserted; "
            f"{len(recorder.calls)} functions in {len(entered)} files were called until then.",
        ]
    )


async def _imagine() -> PathRecorder:
    """Somebody says /imagine in a workspace."""
    from bot.config import SlackSettings
    from tests.bot.fake_chat import a_config, quick
    from tests.bot.slack.harness import Atelier
    from tests.fakes.slack import FakeSlack

    with tempfile.TemporaryDirectory() as name, PathRecorder() as recorder:
        async with FakeSlack() as slack:
            atelier = Atelier(slack, a_config(Path(name)), quick(Path(name)), SlackSettings())
            await atelier.start()
            await atelier.paints(atelier.ana, "a red fox --steps 4")
            await atelier.stop()
    return recorder
