"""Pictures that the safety check flagged: withheld, or hidden until somebody opens them."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import Picture
from storage.pictures import HIDDEN
from storage.space_settings import record_refusal
from storage.tables import Job

REASON = "safety check"


def sentence(pictures: Sequence[Picture]) -> str | None:
    """What the card says about flagged pictures; None when there are none."""
    hidden, withheld = _places(pictures, seen=True), _places(pictures, seen=False)
    many = len(pictures)
    parts = []
    if withheld:
        parts.append(f"{'' if many == 1 else f'{len(withheld)} of {many} '}held back")
    if hidden:
        parts.append(f"{'' if many == 1 else f'{len(hidden)} of {many} '}hidden until you open it")
    return f"Safety check: {', '.join(parts)}" if parts else None


async def record(session: AsyncSession, number: int, pictures: Sequence[Picture], now: float) -> None:
    """Store which pictures of an ended job are hidden, and count the refusal for its space's admins."""
    hidden, withheld = _places(pictures, seen=True), _places(pictures, seen=False)
    if not hidden and not withheld:
        return
    job = await session.get_one(Job, number)
    if hidden:
        job.request = {**job.request, HIDDEN: hidden}
    await record_refusal(session, job.space_id, job.person_id, REASON, now)
    await session.flush()


def _places(pictures: Sequence[Picture], *, seen: bool) -> list[int]:
    """The places of flagged pictures that may be seen (`seen`), or that may not."""
    return [
        place
        for place, picture in enumerate(pictures, start=1)
        if picture.flagged and bool(picture.png) is seen
    ]
