"""What the database costs: what is asked often, among all the jobs there ever were, and what is committed."""

import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from bench.measuring import table
from engine.messages import JobId, Paint, Sha256
from storage import adapters, jobs, limits, member_stats, pictures
from storage.adapters import LoraView
from storage.database import Database
from storage.ids import new_job_id
from storage.job_conditions import State
from storage.requests import to_json
from storage.statistics import statistics as statistics_of
from storage.views import read_requests, views
from storage.votes import add_likes

FINISHED = 2_000_000
QUEUED = 10_000
RUNNING = 4
PEOPLE = 500  # in 20 spaces: 25 of each, with 4,000 jobs there
SPACES = 20
LORAS = 10_000
ROUNDS = 300
AT_ONCE = 100
DAYS = 200  # over which all jobs were filed
MOST_SECONDS = 6.0  # that one question is asked again and again
OPEN: tuple[State, ...] = ("queued", "running")

# Rows are made by the database itself: through storage's functions a million would take an hour. Of 21
# jobs one is starred, of five one has a LoRA of its space, and of a thousand one is a training.
FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :spaces)
INSERT INTO spaces (id, chat, key, name) SELECT i, 'local', 'space' || i, 'space' || i FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :people)
INSERT INTO people (id, chat, key, name, settings, used, queued)
SELECT i, 'local', 'p' || i, 'Person ' || i, '{}', 500000 + i % 97 / 10.0, :queued / :people FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :loras)
INSERT INTO adapters (id, space_id, person_id, name, sha256, trigger, phrase, preset, access, info,
                      created_at)
SELECT i, iif(i / 20 % 10, i % :spaces + 1, NULL), iif(i / 20 % 10, i % :people + 1, NULL), 'lora' || i,
       printf('%064x', i + 0xa0000000), 'word' || i, 'word' || i || ' cat', 'style',
       iif(i / 20 % 10 = 9, 'everybody', iif(i / 20 % 10 < 5, 'space', 'me')), :info, :now - i FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :finished + :queued)
INSERT INTO jobs (number, id, space_id, person_id, channel, message, kind, request, state, deaths, suspect,
                  step, steps, charged, created_at, counted_at, ended_at, revision, shown, moved)
SELECT i, printf('%06x', i), i % :spaces + 1, i % :people + 1, 'space' || (i % :spaces + 1),
       printf('%06x', i), iif(i % 1001 OR i > :finished, 'paint', 'train'),
       iif(i / 20 % 5, :request, replace(:request, '"adapters": []', '"adapters": [{"name": "lora", ' ||
           '"sha256": "' || printf('%064x', i % :loras + 0xa0000000) || '", "weight": 1.0}]')),
       iif(i > :finished, 'queued', iif(i > :finished - :running, 'running',
           iif(i / 20 % 50, 'succeeded', iif(i / 20 % 100, 'failed', 'cancelled')))), 0, 0, 20, 20, 1.5,
       :now - (:finished + :queued - i) * :each, :now - (:finished + :queued - i) * :each,
       iif(i > :finished - :running, NULL, :now), 3, 3, 0 FROM n;
UPDATE jobs SET reason = 'Out of memory.' WHERE state = 'failed';
UPDATE jobs SET lease_until = :now + 100 WHERE state = 'running';
INSERT INTO trainings (job_number, name, trigger, curve, note, consent_at)
SELECT number, 'learned' || number, 'learned' || number, '[]', '', created_at FROM jobs WHERE kind = 'train';
INSERT INTO pictures (job_number, place, sha256, seed, width, height)
SELECT number, 1, printf('%064x', number), 7, 1024, 1024 FROM jobs
WHERE state = 'succeeded' AND kind = 'paint';
INSERT INTO votes (picture_id, person_id, emoji, created_at)
SELECT id, job_number % :spaces + :spaces * (job_number / 20 % 25) + 1, '⭐', :now FROM pictures
WHERE job_number / 20 % 21 = 3;
INSERT INTO lora_votes (picture_id, person_id, emoji, sha256, space_id)
SELECT picture_id, votes.person_id, emoji, json_extract(request, '$.adapters[0].sha256'), space_id
FROM votes JOIN pictures ON pictures.id = picture_id JOIN jobs ON number = job_number
WHERE json_array_length(request, '$.adapters') = 1;
INSERT INTO job_loras (job_number, sha256)
SELECT number, json_extract(request, '$.adapters[0].sha256') FROM jobs
WHERE state IN ('queued', 'running') AND kind = 'paint' AND json_array_length(request, '$.adapters') = 1;
INSERT INTO keeping (space_id, rules, limits, queue)
SELECT id, '{}', '{"seconds": 100000, "total": 1000000}', '' FROM spaces;
"""

# What a command asks is asked in its transaction, in the event loop's thread; the rest of a reader.
IN_COMMANDS = (
    "all that /queue asks",
    "what somebody used today, where a space has limits",
    "the same with a limit of pictures, of 4,000",
    "whether a name is taken",
    "the triggers that are taken",
    "one of them, by its name",
)

Question = Callable[[AsyncSession], Awaitable[object]]


def measure() -> str:
    """Table (g): milliseconds of each question and of each commit, among millions of finished jobs."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as folder:  # /tmp may be no disk
        rows = asyncio.run(_measure(Path(folder) / "bench.db"))
    title = f"SQLite beside {FINISHED:,} finished jobs and {LORAS:,} LoRAs"
    return table(
        [title, "p50, ms", "p99, ms"], [[what, f"{p50:.1f}", f"{p99:.1f}"] for what, p50, p99 in rows]
    )


async def _measure(path: Path) -> list[tuple[str, float, float]]:
    url = f"sqlite+aiosqlite:///{path}"
    await (await Database.open(url)).close()
    await asyncio.to_thread(fill, path)
    database = await Database.open(url)
    try:
        read = [
            _row(what, await _time_question(database, ask, writes=what in IN_COMMANDS))
            for what, ask in questions().items()
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


def questions() -> Mapping[str, Question]:
    """What is asked, by what it is called in the table."""
    return {**_questions_of_queue(), **_questions_of_spaces(), **_questions_of_loras()}


def _questions_of_queue() -> dict[str, Question]:
    cards = [JobId(f"{number:06x}") for number in range(FINISHED // 2, FINISHED // 2 + 50)]

    async def queue(session: AsyncSession) -> None:
        """What /queue asks."""
        await views(session, await jobs.list_of_person(session, 1, 481, OPEN))
        line = await jobs.positions(session)
        running = await jobs.list_running(session)
        await read_requests(session, [*(JobId(job.id) for job in running), *(job for job, _ in line)])
        await jobs.training_positions(session)
        await jobs.count_queued(session)

    return {
        f"the next of {QUEUED:,} queued jobs": jobs.next_queued,
        "how many jobs wait": jobs.count_queued,
        "the first 200 places in the queue": jobs.positions,
        "the jobs that run": jobs.list_running,
        "the leases that ran out": lambda session: jobs.list_expired(session, time.time()),
        "all that /queue asks": queue,
        "the newest 50 jobs of a channel": lambda session: jobs.recent(session, 1, "space1", None, 50),
        "50 cards": lambda session: views(session, cards),
    }


def _questions_of_spaces() -> dict[str, Question]:
    today = round(time.time() // member_stats.DAY)

    def used(session: AsyncSession, *, pictures: bool) -> Awaitable[object]:
        return limits.usage(session, 1, 481, time.time(), pictures=pictures)

    return {
        "what somebody used today, where a space has limits": partial(used, pictures=False),
        "the same with a limit of pictures, of 4,000": partial(used, pictures=True),
        "the files that somebody keeps, of 4,000": lambda session: limits.files(session, 1, 481),
        "/admin stats of 14 days": lambda session: statistics_of(session, 1, today, 14, 15),
        "/admin people of 7 days": lambda session: member_stats.member_stats(
            session, 1, time.time() - 7 * member_stats.DAY
        ),
        "somebody found by their name": lambda session: member_stats.find_people(
            session, 1, "local", "person 481"
        ),
    }


def _questions_of_loras() -> dict[str, Question]:
    used, unused = (Sha256(f"{number + 0xA0000000:064x}") for number in (100, 120))

    usable: list[LoraView] = []

    async def likes(session: AsyncSession) -> None:
        usable[:] = usable or await adapters.list_usable(session, 1, 481, info="none")
        await add_likes(session, 1, usable)

    return {
        "whether a name is taken": lambda session: adapters.is_name_taken(session, 1, "nobody"),
        "the triggers that are taken": lambda session: adapters.triggers(session, 1),
        "the LoRAs that somebody may use, 1,200": lambda session: adapters.list_usable(
            session, 1, 481, info="none"
        ),
        "the same with how they were made, but for curves": lambda session: adapters.list_usable(
            session, 1, 481, info="no curves"
        ),
        "one of them, by its name": lambda session: adapters.find_usable(session, 1, 481, "lora20"),
        "their names, for completions": lambda session: adapters.completion_hints(session, 1, 481),
        "the votes for these LoRAs": likes,
        "whether jobs paint with a LoRA": lambda session: pictures.find_in_use(session, [used]),
        "the same of one that none does": lambda session: pictures.find_in_use(session, [unused]),
        "whether anything needs a file": lambda session: pictures.find_unneeded(session, [used]),
    }


def fill(path: Path, finished: int = FINISHED, queued: int = QUEUED, running: int = RUNNING) -> None:
    """Finished jobs with a picture each, LoRAs, votes, and the queue."""
    request = to_json(Paint(job=JobId("bench0"), prompt="a red star above a blue circle " * 4, seed=7))
    info = {"settings": {}, "steps": 600, "losses": [[step, 0.1234] for step in range(300)]}
    values = {
        "people": PEOPLE,
        "spaces": SPACES,
        "finished": finished,
        "queued": queued,
        "running": running,
        "loras": LORAS,
        "each": DAYS * member_stats.DAY / (finished + queued),
        "now": time.time(),
        "request": json.dumps(request),
        "info": json.dumps(info),
    }
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in _statements(FILL):
            connection.execute(statement, values)


def _statements(script: str) -> Iterator[str]:
    return (statement for statement in script.split(";") if statement.strip())


async def _time_question(database: Database, question: Question, *, writes: bool) -> list[float]:
    """Seconds that the question took, each time that it was asked; `writes`: by the writer."""
    times: list[float] = []
    await _ask(database, question, writes=writes)  # builds its statements
    begun = time.perf_counter()
    while len(times) < ROUNDS and (len(times) < 5 or time.perf_counter() - begun < MOST_SECONDS):
        started = time.perf_counter()
        await _ask(database, question, writes=writes)
        times.append(time.perf_counter() - started)
    return times


async def _ask(database: Database, question: Question, *, writes: bool) -> None:
    if writes:
        await database.write(question)
    else:
        async with database.reading() as session:
            await question(session)


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
