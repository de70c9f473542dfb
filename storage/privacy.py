"""Counts of what is stored about a person, and the deletion of a person or a space.

Forgetting has two parts. In one transaction every word, picture and name goes, what runs is cancelled, and
what cannot go yet has nobody's name: jobs whose cards are still in the chat or that the engine has. Then
storage/purge.py takes that away, too, as soon as it can go, after a restart as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from secrets import token_hex
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import JobId, Sha256
from storage import limits
from storage.job_conditions import OPEN, is_in, makes, of_space
from storage.tables import (
    Adapter,
    Audit,
    Checkpoint,
    Job,
    JobLora,
    JobSource,
    Member,
    Person,
    Picture,
    PictureMark,
    Sample,
    Space,
    SpaceConfig,
    Table,
    Training,
    TrainingPicture,
    Upload,
    Vote,
)

FORGOTTEN = "forgotten "  # begins the key of whom nobody may know any more; no chat has such keys
AT_ONCE = 500  # cards that chats remove at once; the sweep finds the others
TO_REMOVE = 0.0  # the time of an upload that stands for a file on its way out of the store


@dataclass(frozen=True, kw_only=True)
class StoredCounts:
    """How many rows of each kind are stored."""

    prompts: int = 0  # jobs with the words that were asked for
    pictures: int = 0
    trainings: int = 0
    training_pictures: int = 0
    checkpoints: int = 0
    adapters: int = 0
    votes: int = 0
    settings: int = 0
    uploads: int = 0

    @property
    def anything(self) -> bool:
        """Whether there is anything at all."""
        return any(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """What went. `touched` are jobs whose cards are to change or to go, `stopped` those that the engine may
    be at, `unneeded` files to be removed once this is on disk.
    """

    counts: StoredCounts
    touched: tuple[JobId, ...] = ()
    stopped: tuple[JobId, ...] = ()
    unneeded: tuple[Sha256, ...] = ()


async def count_stored(session: AsyncSession, person_id: int) -> StoredCounts:
    """What is stored about the person in all spaces of their chat."""
    person = await session.get_one(Person, person_id)
    counts = await _count_all(session, _jobs_of(Job.person_id == person_id), Adapter.person_id == person_id)
    return StoredCounts(
        **counts,
        votes=await _count(session, Vote, Vote.person_id == person_id),
        settings=len(person.settings),
        uploads=await _count(session, Upload, Upload.person_id == person_id, Upload.at > TO_REMOVE),
    )


async def forget_person(session: AsyncSession, person_id: int, now: float) -> Deletion:
    """Delete everything that the person did, made and said in this chat, and who they are."""
    person = await session.get_one(Person, person_id, with_for_update=True)
    counts = await count_stored(session, person_id)
    starred = select(Picture.job_number).join(Vote, Vote.picture_id == Picture.id)
    touched = [*await _touch_cards(session, Job.number.in_(starred.where(Vote.person_id == person_id)))]
    await session.execute(delete(Vote).where(Vote.person_id == person_id))
    await _remove_traces(session, person, now)
    files = set(await session.scalars(select(Upload.sha256).where(Upload.person_id == person_id)))
    await session.execute(delete(Upload).where(Upload.person_id == person_id))
    files |= await _blank_adapters(session, Adapter.person_id == person_id, now)
    stopped, cards = (
        await _jobs_in_engine(session, Job.person_id == person_id),
        await _newest_cards(session, person_id),
    )
    files |= await _blank_jobs(session, Job.person_id == person_id, now)
    await _blank_space(session, Space, Space.chat == person.chat, Space.key == f"user-{person.key}")
    person.key, person.name, person.settings, person.used, person.queued = (
        _new_forgotten_key(),
        "",
        {},
        0.0,
        0,
    )
    await session.flush()
    return Deletion(
        counts=counts,
        touched=(*touched, *cards),
        stopped=stopped,
        unneeded=await _schedule_removal(session, person_id, files),
    )


async def forget_space(session: AsyncSession, chat: str, key: str, now: float) -> Deletion:
    """Delete everything of the space, and the people who did nothing elsewhere.

    The bot is there no more: cards in its channels stay, and those in people's own channels go.
    """
    space = await session.scalar(select(Space).where(Space.chat == chat, Space.key == key).with_for_update())
    if space is None:
        return Deletion(counts=StoredCounts())
    here, owned = Job.space_id == space.id, Adapter.space_id == space.id
    counts = await _count_all(session, _jobs_of(here), owned)
    people = await _people_only_in(session, space.id)
    await _subtract_queued(session, space.id)
    files = await _blank_adapters(session, owned, now)
    stopped = await _jobs_in_engine(session, here)
    files |= await _blank_jobs(session, here, now)
    sent = delete(Upload).where(Upload.space_id == space.id, Upload.at > TO_REMOVE)
    files |= set(await session.scalars(sent.returning(Upload.sha256)))
    away = update(Job).where(here, Job.private.is_(False))
    await session.execute(away.values(shown=Job.revision, message=None))
    going = select(Job.id).where(here, Job.shown < Job.revision).limit(AT_ONCE)
    touched = [JobId(id) for id in await session.scalars(going)]
    await session.execute(delete(Audit).where(Audit.space_id == space.id))
    await _blank_space(session, Space, Space.id == space.id)
    deletions = [await forget_person(session, person_id, now) for person_id in people]
    nobody = Person(chat=chat, key=_new_forgotten_key(), name="", settings={}, used=0.0, queued=0)
    session.add(nobody)
    await session.flush()
    unneeded = await _schedule_removal(session, nobody.id, files)
    return Deletion(
        counts=StoredCounts(**counts, votes=sum(deletion.counts.votes for deletion in deletions)),
        touched=tuple({*touched, *(job for deletion in deletions for job in deletion.touched)}),
        stopped=tuple({*stopped, *(job for deletion in deletions for job in deletion.stopped)}),
        unneeded=tuple({*unneeded, *(sha256 for deletion in deletions for sha256 in deletion.unneeded)}),
    )


def _new_forgotten_key() -> str:
    return f"{FORGOTTEN}{token_hex(8)}"


def _jobs_of(which: ColumnElement[bool]) -> Select[int]:
    return select(Job.number).where(which)


async def _count_all(
    session: AsyncSession, numbers: Select[int], adapters: ColumnElement[bool]
) -> dict[str, int]:
    """Counts of what belongs to these jobs, and of these LoRAs."""
    there = Job.number.in_(numbers), Job.deleted_at.is_(None)
    return {
        "prompts": await _count(session, Job, *there, Job.kind == "paint"),
        "pictures": await _count(session, Picture, Picture.job_number.in_(numbers)),
        "trainings": await _count(session, Training, Training.job_number.in_(numbers)),
        "training_pictures": await _count(session, TrainingPicture, TrainingPicture.job_number.in_(numbers)),
        "checkpoints": await _count(
            session, Checkpoint, Checkpoint.job_number.in_(numbers), Checkpoint.step > 0
        ),
        "adapters": await _count(session, Adapter, adapters, Adapter.deleted_at.is_(None)),
    }


async def _count(session: AsyncSession, table: type[Table], *which: ColumnElement[bool]) -> int:
    return await session.scalar(select(func.count()).select_from(table).where(*which)) or 0


async def _touch_cards(session: AsyncSession, which: ColumnElement[bool]) -> Sequence[JobId]:
    """Have these cards drawn again."""
    changed = update(Job).where(which).values(revision=Job.revision + 1).returning(Job.id)
    return [JobId(id) for id in (await session.scalars(changed)).all()[:AT_ONCE]]


async def _jobs_in_engine(session: AsyncSession, which: ColumnElement[bool]) -> tuple[JobId, ...]:
    """The jobs among these that the engine may have."""
    ids = await session.scalars(select(Job.id).where(which, Job.state.in_(("draft", "running"))))
    return tuple(JobId(id) for id in ids)


async def _newest_cards(session: AsyncSession, person_id: int) -> tuple[JobId, ...]:
    """The person's newest cards, which leave the chats first."""
    newest = select(Job.id).where(Job.person_id == person_id, Job.deleted_at.is_(None))
    ids = await session.scalars(newest.order_by(Job.number.desc()).limit(AT_ONCE))
    return tuple(JobId(id) for id in ids)


async def _blank_jobs(session: AsyncSession, which: ColumnElement[bool], now: float) -> set[str]:
    """Blank these jobs but for what their cards need to leave the chat. Returns the files they had."""
    numbers = _jobs_of(which)
    files: tuple[tuple[Any, ...], ...] = (
        (Picture.sha256, Picture),
        (JobSource.sha256, JobSource),
        (TrainingPicture.sha256, TrainingPicture),
        (Checkpoint.sha256, Checkpoint),
        (Sample.sha256, Sample),
        (Training.sheet, Training),
        (Training.manifest, Training),
        (Training.state_sha256, Training),
    )
    queries = (
        select(column).where(table.job_number.in_(numbers), column.is_not(None)) for column, table in files
    )
    hashes = set((await session.scalars(union(*queries))).all())
    for table in (Picture, PictureMark, TrainingPicture, Checkpoint, Sample, Training, JobLora, JobSource):
        await session.execute(delete(table).where(table.job_number.in_(numbers)))
    ended = func.coalesce(Job.ended_at, now)
    blank: dict[Any, Any] = {
        Job.request: {},
        Job.reason: None,
        Job.parent: None,
        Job.recipe: None,
        Job.lease_until: None,
        Job.state: case((Job.state.in_(OPEN), "cancelled"), else_=Job.state),
        Job.ended_at: ended,
        Job.revision: Job.revision + case((Job.deleted_at.is_(None), 1), else_=0),
        Job.deleted_at: func.coalesce(Job.deleted_at, now),
    }
    await session.execute(update(Job).where(which).values(blank))
    return hashes


async def _blank_adapters(session: AsyncSession, which: ColumnElement[bool], now: float) -> set[str]:
    """Delete and blank these LoRAs. Returns the files they had."""
    living = which, Adapter.deleted_at.is_(None)
    trainings = select(Adapter.job_number).where(*living)
    await _touch_cards(session, Job.number.in_(trainings))
    files = select(Adapter.sha256, Adapter.thumbnail, Adapter.sheet).where(*living)
    rows = (await session.execute(files)).all()
    blank: dict[Any, Any] = {
        **dict.fromkeys((Adapter.name, Adapter.trigger, Adapter.phrase, Adapter.preset), ""),
        Adapter.info: None,
        Adapter.thumbnail: None,
        Adapter.sheet: None,
        Adapter.deleted_at: func.coalesce(Adapter.deleted_at, now),
    }
    await session.execute(update(Adapter).where(which).values(blank))
    return {sha256 for row in rows for sha256 in row if sha256 is not None}


async def _blank_space(session: AsyncSession, table: type[Space], *which: ColumnElement[bool]) -> None:
    """Blank the key and name of the space, at most one."""
    await session.execute(update(table).where(*which).values(key=_new_forgotten_key(), name="", joined=False))


async def _remove_traces(session: AsyncSession, person: Person, now: float) -> None:
    """What was changed stays known, without who did it and on whom. Where there are limits, so does what
    they used today, by the chat's key: to be forgotten is no way around them.
    """
    await limits.keep_usage(session, person.id, now)
    limited = select(SpaceConfig.space_id).where(cast(SpaceConfig.limits, Text) != "{}")
    idle = Member.blocked_at.is_(None), cast(Member.limits, Text) == "{}"
    unlimited = Member.key == person.key, Member.space_id.not_in(limited)
    await session.execute(delete(Member).where(*unlimited, *idle))
    mine = Audit.person_id == person.id
    await session.execute(update(Audit).where(mine).values(person_id=None))
    spaces = select(Space.id).where(Space.chat == person.chat)
    about = Audit.subject == f"person {person.key}", Audit.space_id.in_(spaces)
    await session.execute(update(Audit).where(*about).values(subject="somebody", before=None, after=None))


async def _schedule_removal(session: AsyncSession, person_id: int, files: set[str]) -> tuple[Sha256, ...]:
    """Store that these files are to be removed, so that a restart does not forget it."""
    rows = [{"person_id": person_id, "sha256": sha256, "at": TO_REMOVE} for sha256 in sorted(files)]
    if rows:
        await session.execute(insert(Upload), rows)
    return tuple(Sha256(sha256) for sha256 in sorted(files))


async def _subtract_queued(session: AsyncSession, space_id: int) -> None:
    """Take the space's queued jobs off the counts of its people."""
    waiting = (
        select(func.count())
        .select_from(Job)
        .where(
            Job.person_id == Person.id,
            of_space(space_id),
            is_in("queued"),
            makes("paint"),
        )
        .scalar_subquery()
    )
    await session.execute(update(Person).where(Person.queued > 0).values(queued=Person.queued - waiting))


async def _people_only_in(session: AsyncSession, space_id: int) -> list[int]:
    """The people who did anything in this space and nothing in another."""
    picture_of = (Vote.picture_id == Picture.id, Picture.job_number == Job.number)

    def has_traces(
        where: ColumnElement[bool], owned: ColumnElement[bool], sent: ColumnElement[bool]
    ) -> ColumnElement[bool]:
        return or_(
            exists().where(Job.person_id == Person.id, where),
            exists().where(Adapter.person_id == Person.id, Adapter.deleted_at.is_(None), owned),
            exists().where(Vote.person_id == Person.id, *picture_of, where),
            exists().where(Upload.person_id == Person.id, Upload.at > TO_REMOVE, sent),
        )

    here = has_traces(Job.space_id == space_id, Adapter.space_id == space_id, Upload.space_id == space_id)
    elsewhere = has_traces(
        (Job.space_id != space_id) & Job.deleted_at.is_(None),
        Adapter.space_id != space_id,
        Upload.space_id != space_id,
    )
    nobody = Person.key.startswith(FORGOTTEN)
    return list(await session.scalars(select(Person.id).where(here, ~elsewhere, ~nobody)))
