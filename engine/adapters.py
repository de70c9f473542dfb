"""The adapters on the device: which LoRAs are resident in SDXL's UNet and text encoders, and which count.

PEFT's layers do the work, made here one by one, each with its own alpha and rank: its configurations match
every module against every pattern, and diffusers writes patterns that miss. Several adapters live side by
side in one layer under their hash, beside any that is in training.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import Conv2d, Linear, LoraLayer
from torch import Tensor, nn

from engine.adapter_file import LowRank, read_adapter
from engine.key_names import COMPONENTS, Component, KeyNames, Place
from engine.messages import AdapterUse, InvalidRequest, Sha256

TOLERANCE = 16  # rounding steps of the model's precision between the file's effect and the layer's


class NoRoom(InvalidRequest):
    """The adapters in use leave too little of the device's share; it may pass when they are done."""


@dataclass(frozen=True, kw_only=True)
class Resident:
    """An adapter on the device."""

    places: tuple[Place, ...]
    size: int


class Adapters:
    """SDXL's adapters, the least recently used leaving first when they would exceed the limit in bytes."""

    def __init__(self, pipeline: Any, folder: Path, limit_bytes: int) -> None:
        self._components: dict[Component, nn.Module] = {
            component: getattr(pipeline, component) for component in COMPONENTS
        }
        self._names = KeyNames(self._components)
        self._config = LoraConfig(init_lora_weights=False, inference_mode=True)
        self._folder = folder
        self._limit = limit_bytes
        self._resident: dict[Sha256, Resident] = {}
        self._active: dict[Sha256, float] = {}

    @property
    def resident(self) -> tuple[Sha256, ...]:
        """The adapters on the device, the least recently used first."""
        return tuple(self._resident)

    @property
    def size(self) -> int:
        """How many bytes they take."""
        return sum(resident.size for resident in self._resident.values())

    def load(self, use: AdapterUse, keep: Collection[Sha256] = ()) -> None:
        """Bring the adapter onto the device, inactive, in place of the least recently used but those to keep.

        Raises InvalidRequest when its file is refused, and NoRoom when those to keep leave too little room.
        What the pictures look like is then as it was.
        """
        if use.sha256 in self._resident:
            self._resident[use.sha256] = self._resident.pop(use.sha256)
            return
        changes = read_adapter(self._folder, use, self._names)
        size = sum(
            (change.down.numel() + change.up.numel()) * self._module(place).weight.element_size()
            for place, change in changes.items()
        )
        self._make_room(use, size, keep)
        try:
            for place, change in changes.items():
                self._attach(use.sha256, place, change)
                if not faithful(self._module(place), use.sha256, change):
                    lost = f"{place} loses too much in {self._module(place).weight.dtype}"
                    raise InvalidRequest(f"LoRA {use.name} cannot be applied faithfully: {lost}.")
        except BaseException:
            self._detach(use.sha256, changes)
            raise
        self._resident[use.sha256] = Resident(places=tuple(changes), size=size)

    def activate(self, mix: Collection[AdapterUse]) -> None:
        """Let exactly this mix count, in the UNet and both text encoders. All of it must be loaded.

        Cheap when the mix is active already. An adapter in training is silenced in the layers it shares with
        these; in layers of its own it is for its trainer to silence.
        """
        for use in mix:
            self._resident[use.sha256] = self._resident.pop(use.sha256)
        # Sums depend on their order in the last bit, and a weight of 0 must not even turn -0.0 into 0.0.
        wanted = {use.sha256: use.weight for use in sorted(mix, key=lambda use: use.sha256) if use.weight}
        if wanted != self._active:
            self._choose(wanted)

    def unload(self, sha256: Sha256) -> None:
        """Take a loaded adapter off the device; the others of an active mix go on."""
        if sha256 in self._active:
            self._choose({other: weight for other, weight in self._active.items() if other != sha256})
        self._detach(sha256, self._resident.pop(sha256).places)

    def _choose(self, wanted: Mapping[Sha256, float]) -> None:
        self._active = dict(wanted)
        for place in {place for resident in self._resident.values() for place in resident.places}:
            self._set(self._module(place), wanted)

    def _set(self, layer: Any, wanted: Mapping[Sha256, float]) -> None:
        here = {sha256: weight for sha256, weight in wanted.items() if sha256 in layer.lora_A}
        with gradients_kept(layer):
            layer.set_adapter(list(here), inference_mode=True)
        for sha256, weight in here.items():
            layer.set_scale(sha256, weight)

    def _make_room(self, use: AdapterUse, size: int, keep: Collection[Sha256]) -> None:
        kept = sum(resident.size for sha256, resident in self._resident.items() if sha256 in keep)
        if kept + size > self._limit:
            room, limit = max(self._limit - kept, 0) / 2**20, self._limit / 2**20
            raise NoRoom(
                f"LoRA {use.name} needs {size / 2**20:,.1f} MB on the device, but {room:,.1f} of the "
                f"{limit:,.1f} MB for LoRAs are free: use fewer or smaller ones."
            )
        for sha256 in [sha256 for sha256 in self._resident if sha256 not in keep]:
            if self.size + size <= self._limit:
                return
            self.unload(sha256)

    def _module(self, place: Place) -> Any:
        return self._components[place.component].get_submodule(place.path)

    def _put(self, place: Place, module: nn.Module) -> None:
        parent, _, child = place.path.rpartition(".")
        setattr(self._components[place.component].get_submodule(parent), child, module)

    def _attach(self, sha256: Sha256, place: Place, change: LowRank) -> None:
        """Give the module's layer this adapter, and the module a layer when it has none."""
        module = self._module(place)
        # The factors are set below: made without memory, they draw no random numbers.
        with torch.device("meta"):
            layer = module
            if isinstance(module, LoraLayer):
                with gradients_kept(layer):
                    layer.update_layer(sha256, change.rank, lora_alpha=change.alpha, config=self._config)
            else:
                kind: Any = Conv2d if isinstance(module, nn.Conv2d) else Linear
                layer = kind(module, sha256, self._config, r=change.rank, lora_alpha=change.alpha)
                layer.train(module.training)
                self._set(layer, {})
        for side, factor in ((layer.lora_A[sha256], change.down), (layer.lora_B[sha256], change.up)):
            held = factor.to(layer.weight.device, layer.weight.dtype)
            side.weight = nn.Parameter(held, requires_grad=False)
        self._put(place, layer)

    def _detach(self, sha256: Sha256, places: Collection[Place]) -> None:
        """Take the adapter out; a layer without adapters gives its module back."""
        for place in places:
            layer = self._module(place)
            if isinstance(layer, LoraLayer):
                layer.delete_adapter(sha256)
                if not layer.lora_A:
                    self._put(place, layer.get_base_layer())


def faithful(layer: Any, sha256: Sha256, change: LowRank) -> bool:
    """Whether the layer changes a random vector as the file says.

    What is lost may be no more than the rounding of the factors, or of the module's own weights.
    """
    down, up = layer.lora_A[sha256].weight, layer.lora_B[sha256].weight
    probe = torch.randn(
        change.down[0].numel(), generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    told = change.alpha / change.rank * applied(change.down, change.up, probe)
    held = layer.scaling[sha256] * applied(down, up, probe)
    lost, rounding = (told - held).norm(), torch.finfo(down.dtype).eps
    # A comparison with NaN is false, so what overflowed is not faithful.
    if lost <= TOLERANCE * rounding * told.norm():
        return True
    own = layer.weight.detach().to("cpu", torch.float64).flatten(1) @ probe
    return bool(lost <= rounding * own.norm())


def applied(down: Tensor, up: Tensor, probe: Tensor) -> Tensor:
    """up @ down @ probe in float64 on the CPU; a convolution counts as the matrix over one patch."""
    down, up = (factor.detach().to("cpu", torch.float64).flatten(1) for factor in (down, up))
    return up @ (down @ probe)


@contextmanager
def gradients_kept(layer: nn.Module) -> Iterator[None]:
    """PEFT freezes every adapter of a layer when it chooses some; one in training must go on learning."""
    learning = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    yield
    for parameter in learning:
        parameter.requires_grad = True
