"""Rows of jobs: created, started, finished, requeued and deleted, and their order in the queue.

Every change that a card must show makes the revision grow.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from time import time
from typing import Literal, TypeVar

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    bindparam,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy import delete as delete_rows
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import JobId, JobRequest, Paint, Sha256
from storage import queue_overrides, trainings
from storage.fairness import charge
from storage.ids import new_job_id
from storage.job_conditions import IN_ORDER, OPEN, State, is_in, is_open_training, makes, of_space
from storage.pictures import find_unneeded
from storage.provenance import PictureMarks, mark_row
from storage.requests import Kind, from_json, kind, to_json
from storage.tables import Adapter, Job, JobLora, JobSource, Person, Picture, PictureMark, Space
from storage.uploads import own

ENGINE_DEATHS = 3  # a job whose deaths + suspect would reach this is failed instead of tried again
LONGEST_LEASE = 3600.0  # seconds
TYPICAL = 5.0  # engine seconds of a job, for saying who will be next

T = TypeVar("T")
Death = Literal["no", "beside others", "alone"]


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """The number and id of a job that was just created."""

    number: int
    id: JobId


@dataclass(frozen=True, kw_only=True)
class FinishedPicture:
    """A picture that a job made, before its row is written; the PNG is in the store already."""

    place: int
    sha256: Sha256
    seed: int
    width: int
    height: int
    marks: PictureMarks | None = None


# Made once, and run beside the session: filing is what a crowd does at one moment.
COUNT_QUEUED = (
    update(Person)
    .where(Person.id == bindparam("person"))
    .values(queued=Person.queued + bindparam("more"))
    .returning(exists().where(Job.id == bindparam("job")))
)
INSERT_JOB = insert(Job).returning(Job.number)
INSERT_LORAS = insert(JobLora)
INSERT_SOURCES = insert(JobSource)


async def create(
    session: AsyncSession,
    *,
    id: JobId,
    space_id: int,
    person_id: int,
    channel: str,
    request: JobRequest,
    parent: JobId | None,
    now: float,
    state: Literal["queued", "draft"] = "queued",
    adult: bool = False,
    private: bool = False,
    expected: float = 0.0,
) -> NewJob:
    """Add a job. Its id is another one where an older job has this one.

    A draft waits for its person: enqueue() puts it into the line. `adult`: the channel is kept for adults;
    `private`: only its person sees the channel; `expected`: engine seconds that it counts with till it ran.
    """
    connection = await session.connection()
    change = {"person": person_id, "job": id, "more": _queue_count(kind(request))}
    taken = (await connection.execute(COUNT_QUEUED, change)).scalar_one()
    while taken:
        id = new_job_id()
        taken = bool(await session.scalar(select(exists().where(Job.id == id))))
    row = {
        "id": id,
        "space_id": space_id,
        "person_id": person_id,
        "channel": channel,
        "parent": parent,
        "kind": kind(request),
        "state": state,
        "request": to_json(request),
        "created_at": now,
        "adult": adult,
        "private": private,
        "expected": expected,
        "counted_at": now if state == "queued" else None,
    }
    number = (await connection.execute(INSERT_JOB, row)).scalar_one()
    await _hold_loras(session, number, request, draft=state == "draft")
    if isinstance(request, Paint) and request.sent_files:
        await _hold_sources(session, number, person_id, request.sent_files)
    return NewJob(number=number, id=id)


async def was_created_since(session: AsyncSession, id: JobId, person_id: int, since: float) -> bool:
    """Whether the person created a job under this id after that time."""
    theirs = Job.id == id, Job.person_id == person_id, Job.created_at >= since
    return bool(await session.scalar(select(exists().where(*theirs))))


async def enqueue(session: AsyncSession, number: int, now: float, expected: float = 0.0) -> bool:
    """Put a draft into the queue. False: it is not a draft."""
    job = await _get_for_update(session, number)
    if job.state != "draft":
        return False
    job.state, job.expected, job.counted_at = "queued", expected, now
    await _charge(session, job, job.charged, now, queued=1)
    await _hold_loras(session, number, from_json(JobId(job.id), job.request))
    return True


async def next_queued(session: AsyncSession) -> Job | None:
    """The next painting job: the oldest of the person who used the engine least lately.

    What admins have put first in a space goes before that, and what they hold does not go.
    """
    changes = await queue_overrides.overrides(session)
    if changes.paused:
        moving = _in_fair_order("paint", select(Job)).where(Job.space_id.not_in(changes.paused))
        return await queue_overrides.first_of_its_space(
            session, await session.scalar(moving.limit(1)), changes.up
        )
    person = (
        select(Person.id).where(_has_queued()).order_by(Person.used, Person.id).limit(1).scalar_subquery()
    )
    oldest = (
        select(Job)
        .where(is_in("queued"), makes("paint"), Job.person_id == person)
        .order_by(Job.number)
        .limit(1)
    )
    return await queue_overrides.first_of_its_space(session, await session.scalar(oldest), changes.up)


async def next_training(session: AsyncSession) -> Job | None:
    """The next training, by the same rule."""
    changes = await queue_overrides.overrides(session)
    moving = _in_fair_order("train", select(Job)).where(Job.space_id.not_in(changes.paused))
    return await queue_overrides.first_of_its_space(
        session, await session.scalar(moving.limit(1)), changes.up
    )


async def start(
    session: AsyncSession, number: int, *, expected: float, lease_until: float, now: float
) -> bool:
    """Start a queued job. False: it is not queued.

    Its person is charged the expected seconds at once, so that no burst of theirs runs ahead.
    """
    job = await _get_for_update(session, number)
    if job.state != "queued":
        return False
    job.state, job.started_at, job.lease_until = "running", now, lease_until
    job.step = job.steps = 0
    await _charge(session, job, expected, now, queued=-1)
    return True


async def heartbeat(session: AsyncSession, steps: Mapping[int, tuple[int, int]], lease_until: float) -> None:
    """Renew the leases of running jobs, with the steps done and in all of each, by number."""
    beat = (
        update(Job)
        .where(Job.number == bindparam("job"), Job.state == "running")
        .values(step=bindparam("done"), steps=bindparam("all"), lease_until=lease_until)
    )
    rows = [{"job": number, "done": done, "all": of} for number, (done, of) in steps.items()]
    if rows:
        await (await session.connection()).execute(beat, rows)


async def requeue(session: AsyncSession, number: int, now: float, *, died: Death = "no") -> bool:
    """Put a running job back into the queue and take its charge back. False: it is not running.

    `died`: whether an engine died while the job was in its step. Beside others it may not be its fault: it
    becomes a suspect, once. A job that is a suspect or has deaths should run alone.
    """
    job = await _get_for_update(session, number)
    if job.state != "running":
        return False
    job.state, job.started_at, job.lease_until = "queued", None, None
    job.step = job.steps = 0
    job.suspect = job.suspect or died == "beside others"
    job.deaths += died == "alone"
    await _charge(session, job, 0.0, now, queued=1)
    return True


async def finish(
    session: AsyncSession,
    number: int,
    *,
    state: Literal["succeeded", "failed", "cancelled"],
    reason: str | None = None,
    seconds: float,
    pictures: Sequence[FinishedPicture] = (),
    recipe: str | None = None,
    now: float,
) -> bool:
    """End a job, charged with the engine seconds that it took. False: it had already ended.

    `recipe`: the key by which others may have these pictures.

    A training that did not succeed keeps its curve and its samples, and nothing to paint with.
    """
    job = await _get_for_update(session, number)
    if job.state not in OPEN:
        return False
    was_queued = job.state == "queued"
    job.state, job.reason, job.ended_at, job.lease_until = state, reason, now, None
    job.recipe = recipe
    session.add_all(
        Picture(
            job_number=number,
            place=picture.place,
            sha256=picture.sha256,
            seed=picture.seed,
            width=picture.width,
            height=picture.height,
        )
        for picture in pictures
    )
    session.add_all(
        mark_row(number, picture.place, picture.marks) for picture in pictures if picture.marks is not None
    )
    await session.execute(delete_rows(JobLora).where(JobLora.job_number == number))
    await _charge(session, job, seconds, now, queued=-1 if was_queued else 0)
    if job.kind == "train" and state != "succeeded":
        await trainings.drop_files(session, number)
    return True


async def delete(session: AsyncSession, number: int, now: float) -> list[Sha256]:
    """Delete a job's pictures and words, and all of a training but its LoRA; an open job is cancelled.

    Returns the hashes of the files that nothing needs any more.
    """
    job = await _get_for_update(session, number)
    files = await trainings.delete_rows(session, number) if job.kind == "train" else []
    if job.state in OPEN:
        await finish(session, number, state="cancelled", seconds=job.charged, now=now)
    for table in (Picture, JobSource):
        hashes = await session.scalars(select(table.sha256).where(table.job_number == number))
        files += [Sha256(sha256) for sha256 in hashes]
        await session.execute(delete_rows(table).where(table.job_number == number))
    await session.execute(delete_rows(PictureMark).where(PictureMark.job_number == number))
    job.request, job.reason, job.recipe, job.deleted_at = {}, None, None, job.deleted_at or now
    job.revision += 1
    await session.flush()
    return await find_unneeded(session, files)


async def delete_old_drafts(session: AsyncSession, before: float, now: float) -> list[Sha256]:
    """Delete drafts that were created before then and never started.

    Returns the hashes of the files that nothing needs any more.
    """
    waiting = select(Job.number).where(
        *is_open_training(), Job.state == "draft", Job.created_at < before, Job.deleted_at.is_(None)
    )
    files: list[Sha256] = []
    for number in list(await session.scalars(waiting.order_by(IN_ORDER))):
        files += await delete(session, number, now)
    return files


async def list_running(session: AsyncSession) -> list[Job]:
    """The running jobs, oldest first."""
    return list(await session.scalars(select(Job).where(is_in("running")).order_by(IN_ORDER)))


async def list_expired(session: AsyncSession, now: float, *, longest: float = LONGEST_LEASE) -> list[Job]:
    """The running jobs whose lease ran out, or was given before the clock was set back.

    `longest`: seconds that a lease can last; one that ends later than in that time is from another clock.
    """
    out = or_(Job.lease_until.is_(None), Job.lease_until < now, Job.lease_until > now + longest)
    return list(await session.scalars(select(Job).where(is_in("running"), out).order_by(IN_ORDER)))


async def list_queued(session: AsyncSession, space_id: int, limit: int) -> list[JobId]:
    """The queued jobs of a space, oldest first."""
    theirs = select(Job.id).where(is_in("queued"), of_space(space_id))
    return await _ids(session, theirs.order_by(IN_ORDER).limit(limit))


async def count_queued(session: AsyncSession) -> int:
    """How many painting jobs wait: each person's row has theirs, and people are far fewer."""
    return await session.scalar(select(func.sum(Person.queued)).where(_has_queued())) or 0


async def positions(
    session: AsyncSession, limit: int = 200, *, seconds: float = TYPICAL, now: float | None = None
) -> list[tuple[JobId, int]]:
    """The queued jobs that paint in the order in which they will run, counted from 1, if each takes so many
    seconds."""
    changes = await queue_overrides.overrides(session)
    people = await session.execute(
        _people_with_queued(changes.paused).order_by(Person.used, Person.id).limit(limit)
    )
    turns = _turns([(used, id, queued) for id, used, queued in people], limit, seconds, now or time())
    order = await _oldest_by_turn(session, turns, changes.paused)
    order = await queue_overrides.rearrange(session, order) if changes.up else order
    return [(job, place) for place, job in enumerate(order, start=1)]


async def training_positions(session: AsyncSession) -> list[tuple[JobId, int]]:
    """The queued trainings in the order in which they will run, counted from 1."""
    changes = await queue_overrides.overrides(session)
    order = await _ids(
        session, _in_fair_order("train", select(Job.id)).where(Job.space_id.not_in(changes.paused))
    )
    order = await queue_overrides.rearrange(session, order) if changes.up else order
    return [(job, place) for place, job in enumerate(order, start=1)]


MARK_SHOWN = (
    update(Job)
    .where(Job.number == bindparam("job"), Job.moved <= bindparam("drawn"), Job.shown <= bindparam("drawn"))
    .values(shown=bindparam("drawn"), message=bindparam("in"))
)


async def list_unshown(session: AsyncSession, limit: int) -> list[JobId]:
    """The jobs whose cards do not show their newest revision, oldest first."""
    return await _ids(
        session, select(Job.id).where(Job.shown < Job.revision).order_by(Job.number).limit(limit)
    )


async def mark_shown(session: AsyncSession, number: int, revision: int, message: str | None) -> None:
    """Store that the chat shows the card at this revision, in this message.

    Nothing changes when the card has moved since then: it still has to appear where it went.
    """
    await mark_all_shown(session, {number: (revision, message)})


async def mark_all_shown(session: AsyncSession, cards: Mapping[int, tuple[int, str | None]]) -> None:
    """The same for many cards, by the jobs' numbers."""
    rows = [{"job": number, "drawn": drawn, "in": message} for number, (drawn, message) in cards.items()]
    if rows:
        await (await session.connection()).execute(MARK_SHOWN, rows)


async def has_cards(session: AsyncSession, chat: str, channel: str) -> bool:
    """Whether any job that was not deleted has its card in this channel, or will have."""
    here = Job.space_id.in_(select(Space.id).where(Space.chat == chat)), Job.channel == channel
    return (
        await session.scalar(select(Job.number).where(*here, Job.deleted_at.is_(None)).limit(1)) is not None
    )


async def move(session: AsyncSession, number: int, channel: str, *, private: bool = False) -> None:
    """Have the card shown as a new message in this channel; the old message is no longer its card."""
    job = await _get_for_update(session, number)
    job.channel, job.message, job.moved = channel, None, job.revision + 1
    job.private = private
    job.revision += 1
    await session.flush()


async def touch(session: AsyncSession, number: int) -> None:
    """Have the card drawn again, since something beside the row changed."""
    await session.execute(update(Job).where(Job.number == number).values(revision=Job.revision + 1))


async def recent(
    session: AsyncSession, space_id: int, channel: str, before: int | None, limit: int
) -> list[JobId]:
    """The channel's jobs that were not deleted, newest first; `before`: only those with lower numbers."""
    newest = select(Job.id).where(Job.space_id == space_id, Job.channel == channel, Job.deleted_at.is_(None))
    if before is not None:
        newest = newest.where(Job.number < before)
    return await _ids(session, newest.order_by(Job.number.desc()).limit(limit))


async def list_of_person(
    session: AsyncSession, space_id: int, person_id: int, states: Collection[State]
) -> list[JobId]:
    """The person's jobs in these states that were not deleted, oldest first."""
    theirs = (
        select(Job.id, Job.number).where(
            is_in(state), Job.person_id == person_id, of_space(space_id), Job.deleted_at.is_(None)
        )
        for state in states
    )
    union = union_all(*theirs).subquery()  # each has its own index
    return await _ids(session, select(union.c.id).order_by(union.c.number))


def _in_fair_order(kind: Kind, query: Select[T]) -> Select[T]:
    """The queued jobs of a kind, those of the person who used the engine least lately first."""
    which = is_open_training() if kind == "train" else (makes(kind),)
    return (
        query.join(Person, Person.id == Job.person_id)
        .where(is_in("queued"), *which)
        .order_by(Person.used, Person.id, Job.number)
    )


def _people_with_queued(paused: Collection[int]) -> Select[int, float, int]:
    """Who has how many painting jobs queued: id, recent engine time, number of jobs."""
    if not paused:
        return select(Person.id, Person.used, Person.queued).where(_has_queued())
    moving = is_in("queued"), makes("paint"), Job.space_id.not_in(paused)
    number = func.count(Job.number)
    return (
        select(Person.id, Person.used, number)
        .join(Job, Job.person_id == Person.id)
        .where(*moving)
        .group_by(Person.id)
    )


async def _hold_loras(
    session: AsyncSession, number: int, request: JobRequest, *, draft: bool = False
) -> None:
    """Note the LoRAs that the job needs, so that their files stay until it ends.

    A draft holds none that was trained here: where such a one is deleted, its file goes at once.
    """
    loras = _loras_of(request)
    if loras and draft:
        trained = await session.scalars(select(Adapter.sha256).where(Adapter.sha256.in_(loras)))
        loras -= {Sha256(sha256) for sha256 in trained}
    if loras:
        await session.execute(delete_rows(JobLora).where(JobLora.job_number == number))
        rows = [{"job_number": number, "sha256": sha256} for sha256 in sorted(loras)]
        await (await session.connection()).execute(INSERT_LORAS, rows)


async def _hold_sources(session: AsyncSession, number: int, person_id: int, hashes: Sequence[Sha256]) -> None:
    """Note which pictures the job's person sent for it, so that their files stay as long as the job.

    What somebody else sent stays as long as their job, and goes with it.
    """
    theirs = await own(session, person_id, hashes)
    if theirs:
        rows = [{"job_number": number, "sha256": sha256} for sha256 in sorted(theirs)]
        await (await session.connection()).execute(INSERT_SOURCES, rows)


def _loras_of(request: JobRequest) -> set[Sha256]:
    """The files of the LoRAs that it paints with, those of a comparison's variants too, or goes on from."""
    if not isinstance(request, Paint):
        return set() if request.start is None else {request.start.sha256}
    uses = [*request.adapters, *(use for variant in request.variants for use in variant.adapters)]
    return {use.sha256 for use in uses}


def _queue_count(kind: Kind) -> int:
    """How much a job of this kind adds to its person's queued jobs: only painting counts."""
    return 1 if kind == "paint" else 0


def _has_queued() -> ColumnElement[bool]:
    return Person.queued > literal(0, Integer, literal_execute=True)


async def _get_for_update(session: AsyncSession, number: int) -> Job:
    return await session.get_one(Job, number, with_for_update=True)


async def _charge(session: AsyncSession, job: Job, seconds: float, now: float, *, queued: int) -> None:
    """Set the job's charge to these seconds and update its person's account."""
    person = await session.get_one(Person, job.person_id, with_for_update=True)
    person.used = charge(person.used, seconds - job.charged, now)
    person.queued += queued * _queue_count("train" if job.kind == "train" else "paint")
    job.charged = seconds
    job.revision += 1
    await session.flush()


async def _ids(session: AsyncSession, query: Select[str]) -> list[JobId]:
    return [JobId(id) for id in await session.scalars(query)]


def _turns(people: list[tuple[float, int, int]], limit: int, seconds: float, now: float) -> list[int]:
    """Whose turn it is, as person ids in order; people: used, id and number of queued jobs of each."""
    turns: list[int] = []
    waiting = list(people)
    heapify(waiting)
    while waiting and len(turns) < limit:
        used, person, queued = waiting[0]
        turns.append(person)
        if queued > 1:
            heapreplace(waiting, (charge(used, seconds, now), person, queued - 1))
        else:
            heappop(waiting)
    return turns


async def _oldest_by_turn(session: AsyncSession, turns: list[int], paused: Collection[int]) -> list[JobId]:
    """The oldest queued jobs of these people, in the order of their turns."""
    most = max(Counter(turns).values(), default=0)
    rank = func.row_number().over(partition_by=Job.person_id, order_by=Job.number).label("rank")
    ranked = (
        select(Job.id, Job.person_id, rank)
        .where(is_in("queued"), makes("paint"), Job.person_id.in_(set(turns)), Job.space_id.not_in(paused))
        .subquery()
    )
    rows = await session.execute(select(ranked).where(ranked.c.rank <= most).order_by(ranked.c.rank.desc()))
    oldest_last: defaultdict[int, list[JobId]] = defaultdict(list)
    for id, person, _ in rows:
        oldest_last[person].append(JobId(id))
    return [oldest_last[person].pop() for person in turns if oldest_last[person]]
