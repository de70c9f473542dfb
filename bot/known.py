"""A library that answers from memory alone, so that nobody waits for a disk within a transaction."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from commands.loras import Library, Lora, Mention, OperatorFiles


class NotYetKnown(Exception):
    """The real library has to be asked: for all names, or for this one's file."""

    def __init__(self, name: str | None) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the real library has said so far."""

    said: Collection[str] | None = None
    files: OperatorFiles = field(default_factory=OperatorFiles)
    found: Mapping[str, Lora] = field(default_factory=dict)

    async def names(self) -> Collection[str]:
        """The names of all LoRAs that could be used. Raises NotYetKnown."""
        if self.said is None:
            raise NotYetKnown(None)
        return self.said

    async def lying(self) -> OperatorFiles:
        """What lies in the operator's folder. Raises NotYetKnown."""
        if self.said is None:
            raise NotYetKnown(None)
        return self.files

    async def find(self, name: str) -> Lora:
        """A LoRA whose file is stored. Raises NotYetKnown."""
        if name not in self.found:
            raise NotYetKnown(name)
        return self.found[name]

    async def usual(self) -> Collection[Mention]:
        """A folder's are used where somebody asks for them."""
        return ()

    async def asked(self, question: NotYetKnown, library: Library) -> "Known":
        """The same with the answer to the question. Raises InvalidRequest where the library does."""
        if question.name is None:
            files = await library.lying()
            return replace(self, said=sorted(files.offered), files=files)
        return replace(self, found={**self.found, question.name: await library.find(question.name)})
