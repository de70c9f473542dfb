"""Counts refusals in a space: its admins see how many, but not the words."""

import time
from contextlib import suppress

from sqlalchemy.ext.asyncio import AsyncSession

from bot.chats.interface import Caller
from commands.permissions import NotAllowed
from storage import people, space_settings
from storage.database import CannotStore, Database


async def count(database: Database, caller: Caller, refusal: NotAllowed) -> None:
    """Count this refusal."""

    async def work(session: AsyncSession) -> None:
        space = await people.upsert_space(session, caller.chat, caller.space, caller.space_name)
        person = await people.upsert_person(session, caller.chat, caller.person, caller.person_name)
        await space_settings.record_refusal(session, space.id, person.id, refusal.why, time.time())

    with suppress(CannotStore):  # whoever asked is told anyway
        await database.write(work)
