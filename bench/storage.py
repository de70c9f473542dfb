"""What the database costs: picking the next job of many, reading cards, and committing."""

import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from bench.measuring import table
from engine.messages import JobId, Paint
from storage import jobs, limits
from storage.database import Database
from storage.ids import new_job_id
from storage.requests import to_json
from storage.views import views

FINISHED = 1_000_000
QUEUED = 10_000
PEOPLE = 500
ROUNDS = 300
AT_ONCE = 100

# Rows are made by the database itself: through storage's functions a million would take an hour.
FILL = """
INSERT INTO spaces (id, chat, key, name) VALUES (1, 'local', 'general', 'general');
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :people)
INSERT INTO people (id, chat, key, name, settings, used, queued)
SELECT i, 'local', 'p' || i, 'Person ' || i, '{}', 500000 + i % 97 / 10.0, :queued / :people FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :finished + :queued)
INSERT INTO jobs (number, id, space_id, person_id, channel, message, request, state, deaths, suspect, step,
                  steps, charged, created_at, revision, shown, moved)
SELECT i, printf('%06x', i), 1, i % :people + 1, 'general', printf('%06x', i), :request,
       iif(i <= :finished, 'succeeded', 'queued'), 0, 0, 20, 20, 1.5, i, 3, 3, 0 FROM n;
INSERT INTO pictures (job_number, place, sha256, seed, width, height)
SELECT number, 1, printf('%064x', number), 7, 1024, 1024 FROM jobs WHERE state = 'succeeded';
"""


def measure() -> str:
    """Table (g): milliseconds of each question and of each commit, among a million finished jobs."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as folder:  # /tmp may be no disk
        rows = asyncio.run(_measure(Path(folder) / "bench.db"))
    return table(
        ["SQLite", "p50, ms", "p99, ms"], [[what, f"{p50:.1f}", f"{p99:.1f}"] for what, p50, p99 in rows]
    )


async def _measure(path: Path) -> list[tuple[str, float, float]]:
    url = f"sqlite+aiosqlite:///{path}"
    await (await Database.open(url)).close()
    await asyncio.to_thread(_fill, path)
    database = await Database.open(url)
    cards = [JobId(f"{number:06x}") for number in range(FINISHED // 2, FINISHED // 2 + 50)]
    questions: dict[str, Callable[[AsyncSession], Awaitable[object]]] = {
        f"the next of {QUEUED:,} queued jobs beside {FINISHED:,} finished ones": jobs.next_queued,
        "how many jobs wait": jobs.count_queued,
        "the first 200 places in the queue": jobs.positions,
        "the newest 50 jobs of a channel": lambda session: jobs.recent(session, 1, "general", None, 50),
        "50 cards": lambda session: views(session, cards),
        "the leases that ran out": lambda session: jobs.list_expired(session, time.time()),
        "what somebody used today, where a space has limits": lambda session: limits.usage(
            session, 1, 1, time.time(), pictures=False
        ),
    }
    try:
        read = [
            _row(what, [await _time_question(database, ask) for _ in range(ROUNDS)])
            for what, ask in questions.items()
        ]
        alone = [await _time_filing(database, 1) for _ in range(ROUNDS)]
        together = [await _time_filing(database, AT_ONCE) for _ in range(ROUNDS // 10)]
    finally:
        await database.close()
    return [
        *read,
        _row("a job filed: from write() to the commit on the disk", alone),
        _row(f"{AT_ONCE} jobs filed at once: until the last is on the disk", together),
    ]


def _fill(path: Path) -> None:
    """A million finished jobs with a picture each, and the queue."""
    request = to_json(Paint(job=JobId("bench0"), prompt="a red star above a blue circle " * 4, seed=7))
    told = {"people": PEOPLE, "finished": FINISHED, "queued": QUEUED, "request": json.dumps(request)}
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in _statements(FILL):
            connection.execute(statement, told)


def _statements(script: str) -> Iterator[str]:
    return (statement for statement in script.split(";") if statement.strip())


async def _time_question(database: Database, question: Callable[[AsyncSession], Awaitable[object]]) -> float:
    started = time.perf_counter()
    async with database.reading() as session:
        await question(session)
    return time.perf_counter() - started


async def _time_filing(database: Database, count: int) -> float:
    """Seconds until so many jobs of as many people are on the disk."""

    async def file(session: AsyncSession, *, person: int) -> None:
        job = new_job_id()
        await jobs.create(
            session,
            id=job,
            space_id=1,
            person_id=person,
            channel="general",
            request=Paint(job=job, prompt="a red star above a blue circle", seed=7),
            parent=None,
            now=time.time(),
        )

    started = time.perf_counter()
    await asyncio.gather(*(database.write(partial(file, person=person)) for person in range(1, count + 1)))
    return time.perf_counter() - started


def _row(what: str, seconds: list[float]) -> tuple[str, float, float]:
    """The median and the 99th percentile, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return what, cuts[49] * 1000, cuts[98] * 1000
