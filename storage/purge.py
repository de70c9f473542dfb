"""Rows and files that deleted people and spaces leave, removed when chats and engine are done with them."""

from collections.abc import Collection

from sqlalchemy import Text, cast, delete, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import JobId, Sha256
from storage.limits import day_of
from storage.pictures import find_in_use
from storage.privacy import FORGOTTEN, TO_REMOVE
from storage.tables import Adapter, Job, Member, Person, Space, Upload

AT_ONCE = 1000  # files
NOBODY = select(Person.id).where(Person.key.startswith(FORGOTTEN))
NOWHERE = select(Space.id).where(Space.key.startswith(FORGOTTEN))


async def files_to_go(session: AsyncSession) -> list[Sha256]:
    """Some of the files that are to be removed unless something needs them."""
    hashes = select(Upload.sha256).where(Upload.at == TO_REMOVE).distinct().limit(AT_ONCE)
    return [Sha256(sha256) for sha256 in await session.scalars(hashes)]


async def mark_removed(session: AsyncSession, hashes: Collection[Sha256]) -> None:
    """Forget that these files are to be removed, but for those that a job still paints with."""
    removed = set(hashes) - await find_in_use(session, hashes)
    await session.execute(delete(Upload).where(Upload.at == TO_REMOVE, Upload.sha256.in_(removed)))


async def delete_unheld_rows(session: AsyncSession, busy: Collection[JobId]) -> bool:
    """Delete the rows that nothing refers to any more. Returns whether none is left.

    `busy` are jobs that the engine has, or has not given back: a number that is free is given to the next
    job, which must not end with them.
    """
    left = or_(Job.person_id.in_(NOBODY), Job.space_id.in_(NOWHERE))
    away = Job.deleted_at.is_not(None), Job.shown >= Job.revision, Job.id.not_in(busy)
    await session.execute(delete(Job).where(left, *away))
    unowned = or_(Adapter.person_id.in_(NOBODY), Adapter.space_id.in_(NOWHERE))
    files = await session.scalars(select(Adapter.sha256).where(unowned))
    in_jobs = await find_in_use(session, {Sha256(sha256) for sha256 in files})
    await session.execute(delete(Adapter).where(unowned, Adapter.sha256.not_in(in_jobs)))
    for table, mine in (
        (Person, (Job.person_id, Adapter.person_id, Upload.person_id)),
        (Space, (Job.space_id, Adapter.space_id, Upload.space_id)),
    ):
        is_held = or_(*(exists().where(column == table.id) for column in mine))
        await session.execute(delete(table).where(table.key.startswith(FORGOTTEN), ~is_held))
    return not await session.scalar(select(or_(exists(NOBODY), exists(NOWHERE))))


async def delete_old_usage(session: AsyncSession, now: float) -> None:
    """Delete what forgotten people used on another day."""
    nothing = Member.blocked_at.is_(None), cast(Member.limits, Text) == "{}"
    await session.execute(delete(Member).where(*nothing, Member.day > 0, Member.day < day_of(now)))
