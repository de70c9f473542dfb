"""Messages of the engine process: its settings, that it is ready or cannot start, each step, its end."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from engine.messages.jobs import JobId
from engine.messages.shards import shards_folder


class WeightFormat(StrEnum):
    """How the UNets' linear layers hold their weights: in the precision of computation, or in fewer bits."""

    FULL = "full"
    INT8 = "int8"
    FP8 = "fp8"
    NF4 = "nf4"


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The [engine] table of config.toml, which the bot sends once, before any request.

    `shards` is not in it: who trains in a store that is there for a moment names the lasting one's.
    """

    model: str
    refiner: str = ""
    vae: str = ""
    clip: str = ""
    safety: str = ""
    captioner: str = ""
    upscaler: str = ""
    files: str = "data/files"
    device: str = "auto"
    precision: str = "auto"
    weights: WeightFormat = WeightFormat.FULL
    largest_batch: int = 8
    adapter_cache_mb: int = 2048
    compile: bool = False
    cpu_runtime: str = "torch"
    training_share: float = 0.5
    deadline_floor_seconds: float = 60.0
    shards: str = ""

    @property
    def shards_folder(self) -> Path:
        """The folder of the latents and embeddings that trainings make: in the store, unless it is named."""
        return Path(self.shards) if self.shards else shards_folder(Path(self.files))


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The model is loaded and the engine takes jobs. `side`: its native side in pixels (1024 for SDXL)."""

    model: str
    device: str
    precision: str
    side: int
    has_refiner: bool
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CannotStart:
    """The engine ends at once. `reason` is for the operator, in whole sentences."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class StepStarted:
    """A step of these jobs begins. It should end within `deadline` seconds."""

    jobs: tuple[JobId, ...]
    deadline: float


@dataclass(frozen=True, kw_only=True)
class Idle:
    """Nothing is left to do, and no deadline runs."""


@dataclass(frozen=True, kw_only=True)
class Shutdown:
    """End the engine process after the current step."""
