"""What the admins of spaces have set, remembered until one of them says anything."""

from sqlalchemy.ext.asyncio import AsyncSession

from bot.chats.interface import Caller
from storage import space_settings
from storage.space_settings import SpaceSettings

MOST_REMEMBERED = 100_000


class SettingsCache:
    """Settings by space, person and roles. They are read in transactions of the writer alone, so that none is
    remembered that an admin has changed since; `forget` is for whoever changes them.
    """

    def __init__(self) -> None:
        self._settings: dict[tuple[int, str, frozenset[str]], SpaceSettings] = {}
        self._limits_files: dict[int, bool] = {}  # by space: whether anybody has a limit of megabytes

    async def read(self, session: AsyncSession, space_id: int, caller: Caller) -> SpaceSettings:
        """What holds for this person here."""
        if space_id not in self._limits_files:
            self._limits_files[space_id] = await space_settings.limits_files(session, space_id)
        key = space_id, caller.person, frozenset(caller.roles)
        settings = self._settings.get(key)
        if settings is None:
            settings = await space_settings.effective_settings(session, space_id, caller.person, caller.roles)
            if len(self._settings) < MOST_REMEMBERED:
                self._settings[key] = settings
        return settings

    def may_limit_files(self, space_id: int) -> bool:
        """Whether anybody in this space may have a limit of megabytes, as far as it was read."""
        return self._limits_files.get(space_id, True)

    def forget(self) -> None:
        """They may have changed."""
        self._settings.clear()
        self._limits_files.clear()
