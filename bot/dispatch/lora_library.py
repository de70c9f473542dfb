"""The LoRAs that somebody may use: trained ones, and those of the operator's folder."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncSession

from commands.syntax.lora_syntax import Library, Lora, LoraUse, Mention, OperatorFiles, lora_of
from engine.messages import InvalidRequest
from storage import adapters, lora_approval

MOST = 18  # LoRAs of the folder that are read for one command


@dataclass(frozen=True, kw_only=True)
class FolderContents:
    """What a command needs of the operator's folder, read before its transaction, which waits for no disk.

    `files` is None where the command does not ask what lies there. `loras` are those that it mentions: their
    files are in the store, or there is a reason why not.
    """

    files: OperatorFiles | None = None
    loras: Mapping[str, Lora | InvalidRequest] = field(default_factory=dict)

    async def names(self) -> Collection[str]:
        """The names of all LoRAs of the folder."""
        return sorted((await self.list_files()).offered)

    async def list_files(self) -> OperatorFiles:
        """The files in the folder."""
        if self.files is None:
            raise RuntimeError("the operator's folder was not read for this command: it lacks @lists_folder")
        return self.files

    async def find(self, name: str) -> Lora | None:
        """The LoRA of this name, if the folder has it. Raises InvalidRequest where it could not be read."""
        if self.files is None or name not in self.files.offered:
            return None
        lora = self.loras.get(name, InvalidRequest("Too many LoRAs were asked for at once."))
        if isinstance(lora, InvalidRequest):
            raise lora
        return lora

    async def usual_loras(self) -> Collection[Mention]:
        """None: those of the folder are used only where somebody asks for them."""
        return ()


async def read_folder(folder: Library, use: LoraUse) -> FolderContents:
    """Read what a command needs of the folder, and store the files of the LoRAs that it mentions."""
    if not (use.folder or use.names):
        return FolderContents()
    files = await folder.list_files()
    names = sorted({name for mention in use.names if (name := files.name_of(mention))})
    loras = {name: await _find(folder, name) for name in names[:MOST]}
    return FolderContents(files=files, loras={name: lora for name, lora in loras.items() if lora is not None})


async def _find(folder: Library, name: str) -> Lora | InvalidRequest | None:
    """Store a LoRA; a refusal is returned for the handler, which may refuse for another reason first."""
    try:
        return await folder.find(name)
    except InvalidRequest as refusal:
        return refusal


@dataclass(frozen=True, kw_only=True)
class PersonLibrary:
    """The LoRAs that one person may use in one space, in one transaction; trained ones hide the folder's.

    `mixed`: whether the space may have LoRAs that every picture has.
    """

    session: AsyncSession
    space_id: int
    person_id: int
    folder: Library
    mixed: bool

    async def names(self) -> Collection[str]:
        """The names of all LoRAs that they may use, and of the retired ones."""
        trained = await adapters.completion_hints(self.session, self.space_id, self.person_id)
        retired = await lora_approval.names_of_retired(self.session, self.space_id)
        return {*(name for name, *_ in trained), *retired, *await self.folder.names()}

    async def list_files(self) -> OperatorFiles:
        """The files in the operator's folder."""
        return await self.folder.list_files()

    async def find(self, name: str) -> Lora | None:
        """The LoRA of this name, if there is one. Raises InvalidRequest where it is retired or unreadable."""
        trained = await adapters.find_usable(self.session, self.space_id, self.person_id, name)
        if trained is not None:
            return lora_of(trained)
        if name in await lora_approval.names_of_retired(self.session, self.space_id):
            raise InvalidRequest(f"The LoRA {name} is retired here. An admin can restore it.")
        return await self.folder.find(name)

    async def usual_loras(self) -> Collection[Mention]:
        """The LoRAs that the admins of the space add to every picture."""
        if not self.mixed:
            return ()
        return [Mention(*mention) for mention in await lora_approval.usual_loras(self.session, self.space_id)]
