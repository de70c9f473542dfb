"""How often something is refused in a space: its admins see that, and nothing of the words."""

import time
from contextlib import suppress

from sqlalchemy.ext.asyncio import AsyncSession

from bot.front import Asker
from commands.keepers import Refused
from storage import keeping, people
from storage.database import CannotStore, Database


async def count(database: Database, asker: Asker, refusal: Refused) -> None:
    """Note that this was refused."""

    async def work(session: AsyncSession) -> None:
        space = await people.space(session, asker.chat, asker.space, asker.space_name)
        person = await people.person(session, asker.chat, asker.person, asker.person_name)
        await keeping.refused(session, space.id, person.id, refusal.why, time.time())

    with suppress(CannotStore):  # whoever asked is told all the same
        await database.write(work)
