"""The LoRAs that somebody may use: those that were trained here, and those of the operator's folder."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from commands.loras import Library, Lora, lora_of
from storage import adapters


@dataclass(frozen=True, kw_only=True)
class PersonLibrary:
    """What one person may use in one space, in one transaction; the trained ones hide the folder's."""

    session: AsyncSession
    space_id: int
    person_id: int
    folder: Library

    async def names(self) -> Collection[str]:
        """The names of all LoRAs that they could use."""
        trained = await adapters.usable(self.session, self.space_id, self.person_id)
        return {*(lora.name for lora in trained), *await self.folder.names()}

    async def find(self, name: str) -> Lora:
        """The LoRA of this name. Raises InvalidRequest where the folder does."""
        trained = await adapters.named(self.session, self.space_id, self.person_id, name)
        return await self.folder.find(name) if trained is None else lora_of(trained)
