"""Whether somebody may send files to a space, and how many megabytes."""

from dataclasses import dataclass

from bot.chats.interface import Caller
from commands.admission import check_not_blocked
from commands.limits import MEGABYTE, MEGABYTES, ROOM, too_large_text
from commands.permissions import NotAllowed
from engine.messages import Sha256
from storage import limits, people, space_settings
from storage.database import Database
from storage.files import Files

SENDING = "send files"  # no command, but blocked people may not do it either


@dataclass
class Allowance:
    """How many megabytes somebody uses, of how many at most; None is no limit."""

    most: int | None = None
    used: float = 0.0

    def check(self, size: int = 0) -> None:
        """Raise NotAllowed when so many bytes more are too much."""
        if text := too_large_text(self.most, self.used, size / MEGABYTE):
            raise NotAllowed(f"{text} {ROOM}", MEGABYTES)

    def fill(self, size: int) -> None:
        """Count so many bytes more. Raises NotAllowed when they are too much."""
        self.check(size)
        self.used += size / MEGABYTE


async def allowance_for(database: Database, store: Files, caller: Caller) -> Allowance:
    """The space that this person has left. Raises NotAllowed when they are blocked or have none; OSError."""
    async with database.reading() as session:
        space = await people.find_space_id(session, caller.chat, caller.space)
        if space is None:
            return Allowance()
        settings = await space_settings.effective_settings(session, space, caller.person, caller.roles)
        check_not_blocked(settings, SENDING)
        if settings.limits.megabytes is None:
            return Allowance()
        me = await people.find_person(session, caller.chat, caller.person)
        theirs: set[Sha256] = set() if me is None else await limits.files(session, space, me.id)
    room = Allowance(settings.limits.megabytes, await store.total_size(theirs) / MEGABYTE)
    room.check()
    return room
