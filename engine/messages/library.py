"""The library: a LoRA from outside that asks to be let in, and several that become one."""

from dataclasses import dataclass

from engine.messages.checks import InvalidRequest, adapter_name, readable, whole
from engine.messages.files import Sha256
from engine.messages.jobs import JobId
from engine.messages.painting import ADAPTERS_AT_ONCE, AdapterUse

MERGED_RANK = (1, 128)


@dataclass(frozen=True, kw_only=True)
class Admit:
    """Look at a file from outside, which lies in the store: may it be used here as a LoRA of this name?

    `phrase` is what calls it up, where its person knows. Answered by Admitted, or Failed with the reason.
    """

    job: JobId
    name: str
    sha256: Sha256
    phrase: str = ""

    def __post_init__(self) -> None:
        adapter_name(self.name)
        readable("the trigger", self.phrase)


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """The file may be used: every number was looked at, and a picture was painted with it.

    `sha256` is of the same LoRA under kohya's names, in the store; the very file that came where it had them.
    `form`: whose names the file had, such as "kohya", "diffusers" or "PEFT". `picture`: a PNG.
    `assumed`: the file says no alpha, which counts as its rank. `seconds`: of the engine's time.
    """

    job: JobId
    sha256: Sha256
    form: str
    phrase: str
    tokens: int
    rank: int
    modules: int
    text_encoders: bool
    size: int
    picture: bytes
    assumed: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Make one LoRA of several, each at its weight.

    `rank`: of what comes out; None keeps all ranks one beside the other, which is exact. `prompt`: what is
    painted with it and with the mix that it replaces. Answered by Merged, or Failed with the reason.
    """

    job: JobId
    name: str
    parts: tuple[AdapterUse, ...]
    prompt: str
    rank: int | None = None
    author: str = ""

    def __post_init__(self) -> None:
        adapter_name(self.name)
        readable("the prompt", self.prompt)
        if len(self.parts) < 2:
            raise InvalidRequest("one LoRA alone is merged already: name at least two, such as a:0.7, b:0.5.")
        if len(self.parts) > ADAPTERS_AT_ONCE:
            raise InvalidRequest(
                f"{len(self.parts)} LoRAs were given, but at most {ADAPTERS_AT_ONCE} are merged at once."
            )
        if len({use.sha256 for use in self.parts}) < len(self.parts):
            raise InvalidRequest("the same LoRA was given twice: give it once, with one weight.")
        for use in self.parts:
            if not use.weight:
                raise InvalidRequest(f"the LoRA {use.name} has the weight 0 and would add nothing.")
        if self.rank is not None:
            whole("rank", self.rank, *MERGED_RANK)


@dataclass(frozen=True, kw_only=True)
class Merged:
    """One LoRA of several, in the store.

    `error`: the part of the mix's change that it lacks, 0 to 1 (Frobenius norm over all modules). `apart`:
    the largest difference of the two pictures, of 255. `sheet`: both side by side, a PNG. `seconds`: of the
    engine's time.
    """

    job: JobId
    name: str
    sha256: Sha256
    rank: int
    modules: int
    tokens: int
    size: int
    error: float
    apart: int
    picture: bytes
    sheet: bytes
    seconds: float = 0.0
