"""Messages of the LoRA tasks: import a file from outside, merge several LoRAs into one."""

from dataclasses import dataclass

from engine.messages.checks import InvalidRequest, check_adapter_name, check_integer, check_text
from engine.messages.files import Sha256
from engine.messages.jobs import JobId
from engine.messages.painting import ADAPTERS_AT_ONCE, AdapterUse
from engine.messages.training import AdapterKind

MERGED_RANK = (1, 128)


@dataclass(frozen=True, kw_only=True)
class ImportLora:
    """Check a file from outside, which lies in the store, and make it a LoRA of this name.

    `phrase`: its trigger words, "" where nobody knows them. Answered by LoraImported, or Failed with the
    reason.
    """

    job: JobId
    name: str
    sha256: Sha256
    phrase: str = ""

    def __post_init__(self) -> None:
        check_adapter_name(self.name)
        check_text("The trigger", self.phrase)


@dataclass(frozen=True, kw_only=True)
class LoraImported:
    """The file can be used: every number in it was checked, and a picture was painted with it.

    `sha256`: the same LoRA under kohya's names, in the store; the file itself where it had them already.
    `form`: whose key names the file had, such as "kohya", "diffusers" or "PEFT". `size`: bytes. `picture`: a
    PNG. `kind`: that of its first module. `assumed`: the file has no alpha, which counts as its rank then.
    `seconds`: engine time.
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
    kind: AdapterKind = AdapterKind.LORA


@dataclass(frozen=True, kw_only=True)
class MergeLoras:
    """Merge several LoRAs, each at its weight, into one.

    `rank`: of the result; None concatenates all ranks, which is exact, or where a part is no plain LoRA takes
    the smallest rank that loses nothing, as far as a file may have it. `prompt`: what is painted with the
    result and with the mix that it replaces. Answered by LorasMerged, or Failed with the reason.
    """

    job: JobId
    name: str
    parts: tuple[AdapterUse, ...]
    prompt: str
    rank: int | None = None
    author: str = ""

    def __post_init__(self) -> None:
        check_adapter_name(self.name)
        check_text("The prompt", self.prompt)
        if len(self.parts) < 2:
            raise InvalidRequest("There is only one LoRA. Name at least two, such as a:0.7, b:0.5.")
        if len(self.parts) > ADAPTERS_AT_ONCE:
            raise InvalidRequest(
                f"There are {len(self.parts)} LoRAs. At most {ADAPTERS_AT_ONCE} can be merged at once."
            )
        if len({use.sha256 for use in self.parts}) < len(self.parts):
            raise InvalidRequest("The same LoRA is there twice. Name it once, with one weight.")
        for use in self.parts:
            if not use.weight:
                raise InvalidRequest(
                    f"The LoRA {use.name} has the weight 0 and would add nothing. Give it another weight."
                )
        if self.rank is not None:
            check_integer("--rank", self.rank, *MERGED_RANK)


@dataclass(frozen=True, kw_only=True)
class LorasMerged:
    """The merged LoRA is in the store.

    `error`: the part of the mix's change that it lacks, 0 to 1 (Frobenius norm over all modules). `apart`:
    the largest difference between the two pictures, 0 to 255. `sheet`: both pictures side by side, a PNG.
    `size`: bytes. `seconds`: engine time.
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
