"""Which LoRAs were used here, under which names."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from engine.messages import AdapterUse
from storage.tables import Adapter


async def remember(session: AsyncSession, use: AdapterUse, now: float) -> None:
    """Know that this file was used under this name; what is known already stays as it is."""
    known = select(Adapter.id).where(Adapter.sha256 == use.sha256, Adapter.name == use.name)
    if await session.scalar(known) is None:
        session.add(Adapter(name=use.name, sha256=use.sha256, created_at=now))
        await session.flush()
