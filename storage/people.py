"""Rows of people and spaces, made or renamed when a chat mentions them."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.tables import Person, Space

# Made once: making a question costs more than asking it.
SPACE = select(Space).where(Space.chat == bindparam("chat"), Space.key == bindparam("key"))
PERSON = select(Person).where(Person.chat == bindparam("chat"), Person.key == bindparam("key"))


async def upsert_space(session: AsyncSession, chat: str, key: str, name: str) -> Space:
    """The space with this key, made or renamed if needed."""
    name = _storable(name)
    row = await _find_space(session, chat, key)
    if row is None:
        row = Space(chat=chat, key=key, name=name)
        session.add(row)
        await session.flush()
    elif row.name != name:
        row.name = name
        await session.flush()
    return row


async def upsert_person(session: AsyncSession, chat: str, key: str, name: str) -> Person:
    """The person with this key, made or renamed if needed."""
    name = _storable(name)
    row = await find_person(session, chat, key)
    if row is None:
        row = Person(chat=chat, key=key, name=name, settings={}, used=0.0, queued=0)
        session.add(row)
        await session.flush()
    elif row.name != name:
        row.name = name
        await session.flush()
    return row


async def find_space_id(session: AsyncSession, chat: str, key: str) -> int | None:
    """The id of this space, if it is known."""
    row = await _find_space(session, chat, key)
    return row.id if row else None


async def find_person(session: AsyncSession, chat: str, key: str) -> Person | None:
    """The person with this key, if they are known."""
    return await session.scalar(PERSON, {"chat": chat, "key": key})


async def save_settings(session: AsyncSession, person_id: int, settings: Mapping[str, Any]) -> None:
    """Replace the person's defaults with these."""
    row = await session.get_one(Person, person_id)
    row.settings = dict(settings)
    await session.flush()


def _storable(name: str) -> str:
    """The name without lone surrogates, which no database takes."""
    return name if name.isascii() else name.encode(errors="replace").decode()


async def _find_space(session: AsyncSession, chat: str, key: str) -> Space | None:
    return await session.scalar(SPACE, {"chat": chat, "key": key})


async def keys_of(
    session: AsyncSession, chat: str, named: Collection[str], *, by_name: bool = False
) -> list[str]:
    """The keys of the people of the chat whose key is one of these, or their name too."""
    condition = or_(Person.key.in_(named), Person.name.in_(named)) if by_name else Person.key.in_(named)
    return list(await session.scalars(select(Person.key).where(Person.chat == chat, condition)))
