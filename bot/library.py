"""The LoRAs that somebody may use: those that were trained here, and those of the operator's folder."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from commands.loras import Library, Lora, Mention, OperatorFiles, lora_of
from engine.messages import InvalidRequest
from storage import adapters, standing


@dataclass(frozen=True, kw_only=True)
class PersonLibrary:
    """What one person may use in one space, in one transaction; the trained ones hide the folder's.

    `mixed`: whether the space may have LoRAs that every picture has.
    """

    session: AsyncSession
    space_id: int
    person_id: int
    folder: Library
    mixed: bool

    async def names(self) -> Collection[str]:
        """The names of all LoRAs that they could use, and of those that are used no more."""
        trained = await adapters.usable(self.session, self.space_id, self.person_id)
        retired = await standing.retired(self.session, self.space_id)
        return {*(lora.name for lora in trained), *retired, *await self.folder.names()}

    async def lying(self) -> OperatorFiles:
        """What lies in the operator's folder."""
        return await self.folder.lying()

    async def find(self, name: str) -> Lora:
        """The LoRA of this name. Raises InvalidRequest where it is retired, or where the folder does."""
        trained = await adapters.named(self.session, self.space_id, self.person_id, name)
        if trained is not None:
            return lora_of(trained)
        if name in await standing.retired(self.session, self.space_id):
            raise InvalidRequest(f"the LoRA {name} is retired here: an admin can restore it.")
        return await self.folder.find(name)

    async def usual(self) -> Collection[Mention]:
        """What the keepers of the space let every picture have."""
        if not self.mixed:
            return ()
        return [Mention(*one) for one in await standing.usual(self.session, self.space_id)]
