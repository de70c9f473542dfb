"""What the stages measure: SDXL's structure with random weights, at full size on a GPU or tiny on a CPU."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from bench import full_size
from bench.full_size import random_base
from bench.mixes import store_loras
from engine.messages import AdapterUse, EngineSettings
from engine.sdxl.model import Model, prepare_pipeline
from engine.studio import Studio


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model and how it is measured. The model is made when a stage first needs it.

    folder: for stored files; sides: of pictures, in pixels; steps: of a picture; rounds: how often what is
    timed is done; people: who paint at once; batches: of trainings; matrix: the side of the matrices that are
    multiplied; megabytes: that are copied.
    """

    folder: Path
    is_tiny: bool
    precision: torch.dtype
    sides: Sequence[int]
    steps: int
    rounds: int
    people: int
    batches: Sequence[int]
    matrix: int
    megabytes: int

    @property
    def device(self) -> torch.device:
        return torch.device("cpu" if self.is_tiny else "cuda")

    @property
    def files(self) -> Path:
        """Where files are stored; compiled code lies beside it."""
        return self.folder / "files"

    @cached_property
    def model(self) -> Model:
        """The base on the device, without a refiner."""
        base = random_base(
            full_size.TINY if self.is_tiny else full_size.FULL, self.precision, self.device.type
        )
        prepare_pipeline(base, self.device)
        return Model(name="bench", base=base, refiner=None, device=self.device, precision=self.precision)

    @cached_property
    def loras(self) -> Sequence[AdapterUse]:
        """LoRAs of the UNet's attention, one for each of the people."""
        return store_loras(self.model.base, self.files, self.people)

    @cached_property
    def engine(self) -> Studio:
        """The engine as it is: on a GPU its forwards are captured."""
        return Studio(self.model, EngineSettings(model="bench", files=str(self.files)))

    @cached_property
    def compiled_engine(self) -> Studio:
        """The engine with compiled blocks, too. They are compiled in the background, once for all sizes."""
        return Studio(self.model, EngineSettings(model="bench", files=str(self.files), compile=True))


def full_subject(folder: Path) -> Subject:
    """SDXL at full size on a GPU."""
    return Subject(
        folder=folder,
        is_tiny=False,
        precision=torch.float16,
        sides=(512, 768, 1024),
        steps=20,
        rounds=3,
        people=8,
        batches=(1, 4, 8),
        matrix=8192,
        megabytes=4096,
    )


def tiny_subject(folder: Path) -> Subject:
    """The same blocks on a CPU, tiny, and as little of everything as there can be."""
    return Subject(
        folder=folder,
        is_tiny=True,
        precision=torch.float32,
        sides=(64,),
        steps=1,
        rounds=1,
        people=2,
        batches=(1,),
        matrix=64,
        megabytes=1,
    )
