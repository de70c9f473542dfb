"""The adapters on the device: which LoRAs are resident in SDXL's UNet and text encoders, and which count.

PEFT's layers do the work, made here one by one, each with its own alpha and rank: its configurations match
every module against every pattern, and diffusers writes patterns that miss. Several adapters live side by
side in one layer under their hash, and the one in training beside them under its name.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor, nn

from engine.lora.adapter_file import Adapter, LowRank, read_adapter
from engine.lora.dora import gained, own_weight, serve_dora
from engine.lora.key_names import COMPONENTS, Component, KeyNames, Place
from engine.lora.low_rank import LowRankConv2d, LowRankLinear, Stack, stacks
from engine.lora.targets import targets
from engine.messages import AdapterUse, InvalidRequest, Sha256, TrainingSettings
from engine.sdxl.new_tokens import TokenVectors

TRIED = "tried"  # the name of an adapter while `tried` serves it
TOLERANCE = 16  # rounding steps of the model's precision between the file's effect and the layer's


class NoRoom(InvalidRequest):
    """The adapters in use leave too little of the device's share; it may pass when they are done."""


@dataclass(frozen=True, kw_only=True)
class Resident:
    """An adapter on the device."""

    places: tuple[Place, ...]
    tokens: tuple[TokenVectors, ...]
    size: int


class Adapters:
    """SDXL's adapters, the least recently used leaving first when they would exceed the limit in bytes.

    Beside those that are served, adapters may be in training: trainable, in float32, and silent except when
    `learn` or `learning` lets one of them count alone.
    """

    def __init__(self, pipeline: Any, folder: Path, limit_bytes: int) -> None:
        self._components: dict[Component, nn.Module] = {
            component: getattr(pipeline, component) for component in COMPONENTS
        }
        self.names = KeyNames(self._components)
        self._config = LoraConfig(init_lora_weights=False, inference_mode=True)
        self.folder = folder
        self._limit = limit_bytes
        self._resident: dict[Sha256, Resident] = {}
        self._active: dict[str, float] = {}
        self._training: dict[str, tuple[Place, ...]] = {}
        self._stacks: dict[str, list[Stack]] = {}
        self._alone: str | None = None
        self._layers: dict[Place, Any] = {}
        self._dropping: str | None = None

    @property
    def resident(self) -> tuple[Sha256, ...]:
        """The adapters on the device, the least recently used first."""
        return tuple(self._resident)

    @property
    def size(self) -> int:
        """How many bytes they take; those in training do not count."""
        return sum(resident.size for resident in self._resident.values())

    def load(self, use: AdapterUse, keep: Collection[Sha256] = ()) -> None:
        """Bring the adapter onto the device, inactive, in place of the least recently used but those to keep.

        Raises InvalidRequest when its file is refused, and NoRoom when those to keep leave too little room.
        What the pictures look like is then as it was.
        """
        if use.sha256 in self._resident:
            self._resident[use.sha256] = self._resident.pop(use.sha256)
            return
        adapter = read_adapter(self.folder, use, self.names)
        size = self._bytes(adapter)
        self._make_room(use, size, keep)
        self._serve(use.sha256, adapter, f"LoRA {use.name}")
        self._resident[use.sha256] = Resident(places=tuple(adapter.changes), tokens=adapter.tokens, size=size)

    def activate(self, mix: Collection[AdapterUse]) -> None:
        """Let exactly this mix count, in the UNet and both text encoders. All of it must be loaded.

        Cheap when the mix is active already. Adapters in training are silent then.
        """
        for use in mix:
            self._resident[use.sha256] = self._resident.pop(use.sha256)
        # Sums depend on their order in the last bit, and a weight of 0 must not even turn -0.0 into 0.0.
        self._choose(
            {use.sha256: use.weight for use in sorted(mix, key=lambda use: use.sha256) if use.weight}, None
        )

    def apply(self, mix: Collection[AdapterUse]) -> None:
        """Load what of this mix the cache had to drop, and let exactly this mix count."""
        keep = {use.sha256 for use in mix}
        for use in mix:
            self.load(use, keep)
        self.activate(mix)

    def tokens(self, mix: Collection[AdapterUse]) -> tuple[TokenVectors, ...]:
        """The new tokens that this mix brings, all of it being loaded; at weight 0 it brings none.

        Raises InvalidRequest when two adapters bring some: each was taught with its own alone.
        """
        bringing = [use for use in mix if use.weight and self._resident[use.sha256].tokens]
        if len(bringing) > 1:
            names = " and ".join(sorted(use.name for use in bringing))
            raise InvalidRequest(f"the LoRAs {names} each bring new words of their own: use one of them.")
        return self._resident[bringing[0].sha256].tokens if bringing else ()

    def unload(self, sha256: Sha256) -> None:
        """Take a loaded adapter off the device; the others of an active mix go on."""
        if sha256 in self._active:
            rest = {other: weight for other, weight in self._active.items() if other != sha256}
            self._choose(rest, self._alone)
        self._detach(sha256, self._resident.pop(sha256).places)

    def strength(self, place: Place, change: LowRank) -> float:
        """How large what it changes is, as a part of the module's weight (Frobenius norms)."""
        weight = self._module(place).weight
        strength: float = change.energy() ** 0.5 / float(
            torch.linalg.vector_norm(weight, dtype=torch.float32)
        )
        if change.magnitude is not None:
            strength = max(strength, float((gained(weight, change) - 1).abs().max()))
        return strength

    def targets(self, settings: TrainingSettings) -> dict[Place, int]:
        """The rank of every module that a training with these settings changes.

        Raises InvalidRequest when it names a block that this model lacks or that has nothing to train.
        """
        return targets(self.names, settings)

    def begin(
        self,
        name: str,
        places: Mapping[Place, int],
        *,
        alpha: float,
        dropout: float,
        dora: bool,
        seed: int,
        precision: torch.dtype = torch.float32,
    ) -> dict[Component, list[nn.Parameter]]:
        """Put an adapter to train beside those that are served, silent until `learn` lets it count.

        places: the rank of each module's change; precision: what `learning` computes in. Returns its
        parameters by component, float32 and trainable: downs, ups, and with `dora` (linear layers only)
        magnitudes, some of them of many modules in one tensor. It changes nothing yet: up is zero, down is
        uniform as PEFT has it, drawn from a generator of its own.
        """
        config = replace(self._config, lora_dropout=dropout, use_dora=dora)
        draw = torch.Generator().manual_seed(seed)
        self._training[name] = tuple(places)
        self._stacks[name] = []
        try:
            for place, rank in places.items():
                change = untaught(self.names.shapes[place], rank, alpha, draw)
                layer = self._layer(name, place, change, config)
                layer.lora_dropout[name].eval()
                values = [change.down, change.up]
                if dora:
                    values.append(layer.weight.detach().float().norm(dim=1))
                for held, value in zip(self._factors(layer, name), values, strict=True):
                    held.weight = nn.Parameter(value.to(layer.weight.device), requires_grad=True)
            plain = precision is torch.float32 and not dropout and not dora
            return {component: self._parameters(name, component, plain) for component in self._components}
        except BaseException:
            self.end(name)
            raise

    def _parameters(self, name: str, component: Component, plain: bool) -> list[nn.Parameter]:
        """What there is to optimize in this component, stacked where that is less work."""
        layers = [layer for place, layer in self._trained(name).items() if place.component == component]
        stacked = stacks(layers, name) if plain else []
        self._stacks[name] += stacked
        single = [held.weight for layer in layers for held in self._factors(layer, name)]
        return [
            *(factor for stack in stacked for factor in (stack.down, stack.up)),
            *(parameter for parameter in single if parameter.requires_grad),
        ]

    @contextmanager
    def learning(self, name: str, *, dropout: bool = False) -> Iterator[None]:
        """Within, exactly this adapter in training counts, and its parameters get the gradients of one
        forward and backward; `dropout` lets it drop inputs. It counts afterwards, too."""
        self.learn(name, dropout=dropout)
        try:
            for stack in self._stacks[name]:
                stack.add()
            yield
        finally:
            for stack in self._stacks[name]:
                stack.take_off()

    def learn(self, name: str | None, *, dropout: bool = False) -> None:
        """Let exactly this adapter in training count, and none that is served; `dropout` lets it drop inputs.

        None: those in training are silent, and the mix counts that `activate` chose last. Cheap when it is so
        already. Nothing is loaded or taken off the device.
        """
        self._choose(self._active, name)
        dropping = name if dropout else None
        if dropping != self._dropping:
            self._drop(self._dropping, dropping=False)
            self._drop(dropping, dropping=True)
            self._dropping = dropping

    def learned(self, name: str) -> dict[Place, LowRank]:
        """What an adapter in training is by now: copies on the CPU, float32."""
        changes = {}
        for place, layer in self._trained(name).items():
            down, up, *magnitude = (
                held.weight.detach().to("cpu", copy=True) for held in self._factors(layer, name)
            )
            changes[place] = LowRank(
                down=down, up=up, alpha=layer.lora_alpha[name], magnitude=magnitude[0] if magnitude else None
            )
        return changes

    def restore(self, name: str, changes: Mapping[Place, LowRank]) -> None:
        """Make an adapter in training what `learned` told, exactly; its parameters stay the same objects."""
        for place, layer in self._trained(name).items():
            change = changes[place]
            told = [change.down, change.up, *([] if change.magnitude is None else [change.magnitude])]
            for held, value in zip(self._factors(layer, name), told, strict=True):
                with torch.no_grad():
                    held.weight.copy_(value)

    def end(self, name: str) -> None:
        """Take an adapter in training off the device."""
        if name in (self._alone, self._dropping):
            self.learn(None)
        self._stacks.pop(name, None)
        self._detach(name, self._training.pop(name))

    @contextmanager
    def tried(self, adapter: Adapter) -> Iterator[None]:
        """Within, exactly this adapter counts, at weight 1 and as pictures have it; then all is as before."""
        active, alone = self._active, self._alone
        self._serve(TRIED, adapter, "the LoRA")
        self._training[TRIED] = tuple(adapter.changes)
        try:
            self._choose(active, TRIED)
            yield
        finally:
            self._choose(active, alone)
            self.end(TRIED)

    def _choose(self, wanted: Mapping[str, float], alone: str | None) -> None:
        """Let this mix count, or, while one in training counts, that one instead of it."""
        if (wanted, alone) == (self._active, self._alone):
            return
        self._active, self._alone = dict(wanted), alone
        counting = self._active if alone is None else {alone: 1.0}
        for layer in self._layers.values():
            here = {name: scale for name, scale in counting.items() if name in layer.lora_A}
            layer.choose(here, keep=alone is None)

    def _drop(self, name: str | None, *, dropping: bool) -> None:
        """Let this adapter in training drop inputs, or stop it."""
        for layer in () if name is None else self._trained(name).values():
            # PEFT asks the layer when it is a DoRA, and the dropout itself when it is not.
            layer.training = layer.lora_dropout[name].training = dropping

    def _trained(self, name: str) -> dict[Place, Any]:
        return {place: self._layers[place] for place in self._training[name]}

    def _bytes(self, adapter: Adapter) -> int:
        """What it takes on the device, in the precision of the modules it changes."""
        size = sum(one.first.nbytes + one.second.nbytes for one in adapter.tokens)
        for place, change in adapter.changes.items():
            numbers = change.down.numel() + change.up.numel()
            numbers += 0 if change.magnitude is None else change.magnitude.numel()
            size += numbers * self._module(place).weight.element_size()
        return size

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

    def _serve(self, name: str, adapter: Adapter, lora: str) -> None:
        """Give every module that the adapter changes its layer, silent; or none, if one is refused."""
        try:
            for place, change in adapter.changes.items():
                self._attach(name, place, change)
                if not faithful(self._module(place), name, change):
                    lost = f"{place} loses too much in {self._module(place).weight.dtype}"
                    raise InvalidRequest(f"{lora} cannot be applied faithfully: {lost}.")
        except BaseException:
            self._detach(name, adapter.changes)
            raise

    def _attach(self, name: str, place: Place, change: LowRank) -> None:
        """Give the module's layer this adapter as it is served, in the module's own precision."""
        layer = self._layer(name, place, change, self._config)
        for held, factor in zip(self._factors(layer, name), (change.down, change.up), strict=True):
            value = factor.to(layer.weight.device, layer.weight.dtype)
            held.weight = nn.Parameter(value, requires_grad=False)
        if change.magnitude is not None:
            serve_dora(layer, name, change)

    def _layer(self, name: str, place: Place, change: LowRank, config: LoraConfig) -> Any:
        """The module's layer with room for this change, silent; the module gets a layer when it has none."""
        layer = self._layers.get(place)
        # Its numbers come later: made without memory, they draw no random ones.
        with torch.device("meta"):
            if layer is not None:
                with gradients_kept(layer):
                    layer.update_layer(name, change.rank, lora_alpha=change.alpha, config=config)
            else:
                module = self._module(place)
                kind: Any = LowRankConv2d if isinstance(module, nn.Conv2d) else LowRankLinear
                layer = kind(module, name, config, r=change.rank, lora_alpha=change.alpha)
                layer.train(module.training)
                layer.set_adapter([], inference_mode=True)
                self._put(place, layer)
                self._layers[place] = layer
        return layer

    def _factors(self, layer: Any, name: str) -> list[Any]:
        """What holds the adapter's numbers in this layer: down, up, and the magnitudes of a DoRA."""
        held = [layer.lora_A[name], layer.lora_B[name]]
        return [*held, layer.lora_magnitude_vector[name]] if name in layer.lora_magnitude_vector else held

    def _detach(self, name: str, places: Collection[Place]) -> None:
        """Take the adapter out; a layer without adapters gives its module back."""
        for place in places:
            if place in self._layers:
                layer = self._layers[place]
                layer.delete_adapter(name)
                if not layer.lora_A:
                    self._put(place, self._layers.pop(place).get_base_layer())


def untaught(module: tuple[int, ...], rank: int, alpha: float, draw: torch.Generator) -> LowRank:
    """A change that is none yet, of a module with a weight of this shape."""
    out, *inside = module
    bound = math.prod(inside) ** -0.5
    return LowRank(
        down=torch.empty(rank, *inside).uniform_(-bound, bound, generator=draw),
        up=torch.zeros(out, rank, *[1] * (len(inside) - 1)),
        alpha=alpha,
    )


def faithful(layer: Any, name: str, change: LowRank) -> bool:
    """Whether the layer changes a random vector as the file says.

    What is lost may be no more than the rounding of the factors, or of the module's own weights.
    """
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    probe = torch.randn(
        change.down[0].numel(), generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    weight, above_one, held_above_one = own_weight(layer.weight), None, None
    if change.magnitude is not None:
        above_one = gained(layer.weight, change) - 1
        held_above_one = layer.lora_magnitude_vector[name].weight.detach().to("cpu", torch.float64)

    def low_rank(x: Tensor) -> Tensor:
        return change.alpha / change.rank * applied(change.down, change.up, x)

    def held_low_rank(x: Tensor) -> Tensor:
        return float(layer.scaling[name]) * applied(down, up, x)

    told = added(weight, low_rank, above_one, probe, by_input=change.by_input)
    held = added(weight, held_low_rank, held_above_one, probe, by_input=change.by_input)
    lost, rounding = (told - held).norm(), torch.finfo(down.dtype).eps
    # A comparison with NaN is false, so what overflowed is not faithful.
    return bool(lost <= TOLERANCE * rounding * told.norm() or lost <= rounding * (weight @ probe).norm())


def added(
    weight: Tensor,
    low_rank: Callable[[Tensor], Tensor],
    above_one: Tensor | None,
    x: Tensor,
    *,
    by_input: bool,
) -> Tensor:
    """What an adapter adds to weight @ x; above_one: a DoRA's gain less one, of its outputs or inputs."""
    if above_one is None:
        return low_rank(x)
    if by_input:
        more = (above_one[:, None] * x.view(len(above_one), -1)).flatten()
        return weight @ more + low_rank(x + more)
    return above_one * (weight @ x + low_rank(x)) + low_rank(x)


def applied(down: Tensor, up: Tensor, probe: Tensor) -> Tensor:
    """up @ down @ probe in float64 on the CPU; a convolution counts as the matrix over one patch."""
    down, up = (factor.detach().to("cpu", torch.float64).flatten(1) for factor in (down, up))
    return up @ (down @ probe)


@contextmanager
def gradients_kept(layer: nn.Module) -> Iterator[None]:
    """PEFT freezes every adapter of a layer when it adds one; one in training must go on learning."""
    learning = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    yield
    for parameter in learning:
        parameter.requires_grad = True
