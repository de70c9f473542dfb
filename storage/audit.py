"""The audit log: who changed what that was not theirs alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.tables import Audit, Person

MOST = 1000  # changes that are looked at


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One change: when, by whom if they are known, and on what."""

    at: float
    person: str | None
    action: str
    subject: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


async def record(
    session: AsyncSession,
    *,
    space_id: int | None,
    person_id: int | None,
    action: str,
    subject: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    now: float,
) -> None:
    """Add an entry: the action, its subject, and how that was before and after."""
    session.add(
        Audit(
            at=now,
            space_id=space_id,
            person_id=person_id,
            action=action,
            subject=subject,
            before=None if before is None else dict(before),
            after=None if after is None else dict(after),
        )
    )
    await session.flush()


async def recent(session: AsyncSession, space_id: int) -> list[AuditEntry]:
    """The newest entries of a space, newest first."""
    query = (
        select(Audit, Person.name)
        .outerjoin(Person, Person.id == Audit.person_id)
        .where(Audit.space_id == space_id)
        .order_by(Audit.id.desc())
        .limit(MOST)
    )
    return [
        AuditEntry(
            at=row.at,
            person=name,
            action=row.action,
            subject=row.subject,
            before=row.before,
            after=row.after,
        )
        for row, name in await session.execute(query)
    ]
