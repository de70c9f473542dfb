"""Who changed what was not theirs alone to change."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from storage.tables import Audit


async def note(
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
    """Write it down: the action, on what, and how that was before and after."""
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
