"""LoRAs that lie in a folder as NAME.safetensors, brought into the store when somebody asks for one."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from commands.loras import Lora, Mention
from engine.messages import ADAPTER_NAME, InvalidRequest
from storage.files import Files

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class AdapterFolder:
    """A library of LoRAs: the engine, which only knows hashes, finds them among the files."""

    folder: Path
    files: Files

    async def names(self) -> Collection[str]:
        """The names of the files in the folder, without those that could not be said in a command."""
        return await asyncio.to_thread(self._names)

    async def find(self, name: str) -> Lora:
        """The LoRA, once the store has its file. Raises InvalidRequest when that cannot be done."""
        try:
            return Lora(name=name, sha256=await self.files.put(self.folder / f"{name}{SUFFIX}"))
        except OSError as error:
            raise InvalidRequest(f"the LoRA {name} cannot be read: {error.strerror}.") from error

    async def usual(self) -> Collection[Mention]:
        """The folder's are used where somebody asks for them."""
        return ()

    def _names(self) -> Collection[str]:
        paths = self.folder.glob(f"*{SUFFIX}")
        return sorted(path.stem for path in paths if ADAPTER_NAME.fullmatch(path.stem))
