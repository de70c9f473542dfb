"""The adapters on the device: which LoRAs are loaded in SDXL's UNet and text encoders, and which are active.

PEFT's layers are made here one by one, each with its own alpha and rank: PEFT's configurations match every
module against every pattern, and diffusers writes patterns that miss. A layer holds several adapters, each
under its hash, and the one in training under its name.
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
from engine.lora.dora import attach_dora, dora_gain, weight_matrix
from engine.lora.key_names import COMPONENTS, Component, KeyNames, Place
from engine.lora.low_rank import LayerStack, LowRankConv2d, LowRankLinear, make_stacks
from engine.lora.targets import target_ranks
from engine.messages import AdapterUse, InvalidRequest, Sha256, TrainingSettings
from engine.sdxl.new_tokens import TokenVectors

TRIAL = "trial"  # the name of an adapter while `try_adapter` has it
TOLERANCE = 16  # rounding steps of the model's precision between the file's effect and the layer's


class AdapterCacheFull(InvalidRequest):
    """The adapters in use leave too little room for this one. Later there may be enough."""


@dataclass(frozen=True, kw_only=True)
class Resident:
    """An adapter on the device. `size`: bytes."""

    places: tuple[Place, ...]
    tokens: tuple[TokenVectors, ...]
    size: int


class Adapters:
    """SDXL's adapters. The least recently used are unloaded first where a limit in bytes is exceeded.

    Beside those of pictures there may be adapters in training: trainable, in float32, and inactive except
    while `activate_training` or `training_pass` makes one of them the only active adapter.
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
        self._stacks: dict[str, list[LayerStack]] = {}
        self._active_training: str | None = None
        self._layers: dict[Place, Any] = {}
        self._dropping: str | None = None

    @property
    def resident(self) -> tuple[Sha256, ...]:
        """The loaded adapters, the least recently used first."""
        return tuple(self._resident)

    @property
    def size(self) -> int:
        """Bytes of the loaded adapters, without those in training."""
        return sum(resident.size for resident in self._resident.values())

    def load(self, use: AdapterUse, keep: Collection[Sha256] = ()) -> None:
        """Load the adapter onto the device, inactive, in place of the least recently used but those to keep.

        Raises InvalidRequest where its file is refused, and AdapterCacheFull where those to keep leave too
        little room. Active adapters are then as before.
        """
        if use.sha256 in self._resident:
            self._resident[use.sha256] = self._resident.pop(use.sha256)
            return
        adapter = read_adapter(self.folder, use, self.names)
        size = self._device_bytes(adapter)
        self._make_room(use, size, keep)
        self._attach_adapter(use.sha256, adapter, f"The LoRA {use.name}")
        self._resident[use.sha256] = Resident(places=tuple(adapter.changes), tokens=adapter.tokens, size=size)

    def activate(self, mix: Collection[AdapterUse]) -> None:
        """Activate exactly this mix, in the UNet and both text encoders. All of it must be loaded.

        Cheap where the mix is active already. Adapters in training are inactive then.
        """
        for use in mix:
            self._resident[use.sha256] = self._resident.pop(use.sha256)
        # Sums depend on their order in the last bit, and a weight of 0 must not turn -0.0 into 0.0.
        self._activate(
            {use.sha256: use.weight for use in sorted(mix, key=lambda use: use.sha256) if use.weight}, None
        )

    def apply(self, mix: Collection[AdapterUse]) -> None:
        """Load the adapters of this mix that are not loaded, and activate exactly this mix."""
        keep = {use.sha256 for use in mix}
        for use in mix:
            self.load(use, keep)
        self.activate(mix)

    def tokens(self, mix: Collection[AdapterUse]) -> tuple[TokenVectors, ...]:
        """The new tokens of this mix, which must be loaded. An adapter with weight 0 has none.

        Raises InvalidRequest where two adapters have new tokens, since each was trained with its own alone.
        """
        with_tokens = [use for use in mix if use.weight and self._resident[use.sha256].tokens]
        if len(with_tokens) > 1:
            names = " and ".join(sorted(use.name for use in with_tokens))
            raise InvalidRequest(f"The LoRAs {names} each have new words of their own. Use only one of them.")
        return self._resident[with_tokens[0].sha256].tokens if with_tokens else ()

    def unload(self, sha256: Sha256) -> None:
        """Unload an adapter. The others of an active mix stay active."""
        if sha256 in self._active:
            rest = {other: weight for other, weight in self._active.items() if other != sha256}
            self._activate(rest, self._active_training)
        self._detach(sha256, self._resident.pop(sha256).places)

    def relative_strength(self, place: Place, change: LowRank) -> float:
        """The size of a change relative to the module's weight (Frobenius norms)."""
        weight = self._module(place).weight
        strength: float = change.squared_norm() ** 0.5 / float(
            torch.linalg.vector_norm(weight, dtype=torch.float32)
        )
        if change.magnitude is not None:
            strength = max(strength, float((dora_gain(weight, change) - 1).abs().max()))
        return strength

    def target_ranks(self, settings: TrainingSettings) -> dict[Place, int]:
        """The rank of every module that a training with these settings changes.

        Raises InvalidRequest where they name a block that this model lacks or that has nothing to train.
        """
        return target_ranks(self.names, settings)

    def begin_training(
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
        """Create an adapter to train, inactive until `activate_training`.

        places: the rank of each module's change. precision: of the forward pass in `training_pass`. Returns
        its parameters by component, float32 and trainable: downs, ups, and with `dora` (linear layers only)
        magnitudes; some tensors hold those of many modules. It changes nothing yet: up is zero, and down is
        uniform as in PEFT, from a generator of its own.
        """
        config = replace(self._config, lora_dropout=dropout, use_dora=dora)
        generator = torch.Generator().manual_seed(seed)
        self._training[name] = tuple(places)
        self._stacks[name] = []
        try:
            for place, rank in places.items():
                change = initial_change(self.names.shapes[place], rank, alpha, generator)
                layer = self._layer(name, place, change, config)
                layer.lora_dropout[name].eval()
                values = [change.down, change.up]
                if dora:
                    values.append(layer.weight.detach().float().norm(dim=1))
                for factor, value in zip(self._factors(layer, name), values, strict=True):
                    factor.weight = nn.Parameter(value.to(layer.weight.device), requires_grad=True)
            plain = precision is torch.float32 and not dropout and not dora
            return {component: self._parameters(name, component, plain) for component in self._components}
        except BaseException:
            self.end_training(name)
            raise

    def _parameters(self, name: str, component: Component, plain: bool) -> list[nn.Parameter]:
        """The parameters of an adapter in training in this component, stacked where that is less work."""
        layers = [
            layer for place, layer in self._training_layers(name).items() if place.component == component
        ]
        stacked = make_stacks(layers, name) if plain else []
        self._stacks[name] += stacked
        single = [factor.weight for layer in layers for factor in self._factors(layer, name)]
        return [
            *(factor for stack in stacked for factor in (stack.down, stack.up)),
            *(parameter for parameter in single if parameter.requires_grad),
        ]

    @contextmanager
    def training_pass(self, name: str, *, dropout: bool = False) -> Iterator[None]:
        """A context for one forward and backward, whose gradients its parameters get, with only this adapter
        active. `dropout` lets it drop inputs. It stays active afterwards."""
        self.activate_training(name, dropout=dropout)
        try:
            for stack in self._stacks[name]:
                stack.merge()
            yield
        finally:
            for stack in self._stacks[name]:
                stack.unmerge()

    def activate_training(self, name: str | None, *, dropout: bool = False) -> None:
        """Make this adapter in training the only active one. `dropout` lets it drop inputs.

        None activates the last mix of `activate` again. Cheap where nothing changes. Nothing is loaded or
        unloaded.
        """
        self._activate(self._active, name)
        dropping = name if dropout else None
        if dropping != self._dropping:
            self._set_dropout(self._dropping, dropping=False)
            self._set_dropout(dropping, dropping=True)
            self._dropping = dropping

    def trained_changes(self, name: str) -> dict[Place, LowRank]:
        """The changes of an adapter in training by now: copies on the CPU, float32."""
        changes = {}
        for place, layer in self._training_layers(name).items():
            down, up, *magnitude = (
                factor.weight.detach().to("cpu", copy=True) for factor in self._factors(layer, name)
            )
            changes[place] = LowRank(
                down=down, up=up, alpha=layer.lora_alpha[name], magnitude=magnitude[0] if magnitude else None
            )
        return changes

    def restore_training(self, name: str, changes: Mapping[Place, LowRank]) -> None:
        """Set an adapter in training to what `trained_changes` returned.

        Its parameters stay the same objects.
        """
        for place, layer in self._training_layers(name).items():
            change = changes[place]
            values = [change.down, change.up, *([] if change.magnitude is None else [change.magnitude])]
            for factor, value in zip(self._factors(layer, name), values, strict=True):
                with torch.no_grad():
                    factor.weight.copy_(value)

    def end_training(self, name: str) -> None:
        """Remove an adapter in training."""
        if name in (self._active_training, self._dropping):
            self.activate_training(None)
        self._stacks.pop(name, None)
        self._detach(name, self._training.pop(name))

    @contextmanager
    def try_adapter(self, adapter: Adapter) -> Iterator[None]:
        """A context in which only this adapter is active, at weight 1 and as in pictures."""
        active, training = self._active, self._active_training
        self._attach_adapter(TRIAL, adapter, "The LoRA")
        self._training[TRIAL] = tuple(adapter.changes)
        try:
            self._activate(active, TRIAL)
            yield
        finally:
            self._activate(active, training)
            self.end_training(TRIAL)

    def _activate(self, mix: Mapping[str, float], training: str | None) -> None:
        """Activate this mix, or the adapter in training in its place."""
        if (mix, training) == (self._active, self._active_training):
            return
        self._active, self._active_training = dict(mix), training
        scales = self._active if training is None else {training: 1.0}
        for layer in self._layers.values():
            present = {name: scale for name, scale in scales.items() if name in layer.lora_A}
            layer.activate_adapters(present, keep=training is None)

    def _set_dropout(self, name: str | None, *, dropping: bool) -> None:
        """Turn the dropout of this adapter in training on or off."""
        for layer in () if name is None else self._training_layers(name).values():
            # PEFT asks the layer when it is a DoRA, and the dropout itself when it is not.
            layer.training = layer.lora_dropout[name].training = dropping

    def _training_layers(self, name: str) -> dict[Place, Any]:
        return {place: self._layers[place] for place in self._training[name]}

    def _device_bytes(self, adapter: Adapter) -> int:
        """Bytes of an adapter on the device, in the precision of the modules it changes."""
        size = sum(token.first.nbytes + token.second.nbytes for token in adapter.tokens)
        for place, change in adapter.changes.items():
            numbers = change.down.numel() + change.up.numel()
            numbers += 0 if change.magnitude is None else change.magnitude.numel()
            size += numbers * self._module(place).weight.element_size()
        return size

    def _make_room(self, use: AdapterUse, size: int, keep: Collection[Sha256]) -> None:
        used = sum(resident.size for sha256, resident in self._resident.items() if sha256 in keep)
        if used + size > self._limit:
            room, limit = max(self._limit - used, 0) / 2**20, self._limit / 2**20
            raise AdapterCacheFull(
                f"The LoRA {use.name} needs {size / 2**20:,.1f} MB on the device. "
                f"Of {limit:,.1f} MB for LoRAs, {room:,.1f} MB are free. Use fewer or smaller LoRAs."
            )
        for sha256 in [sha256 for sha256 in self._resident if sha256 not in keep]:
            if self.size + size <= self._limit:
                return
            self.unload(sha256)

    def _module(self, place: Place) -> Any:
        return self._components[place.component].get_submodule(place.path)

    def _set_module(self, place: Place, module: nn.Module) -> None:
        parent, _, child = place.path.rpartition(".")
        setattr(self._components[place.component].get_submodule(parent), child, module)

    def _attach_adapter(self, name: str, adapter: Adapter, lora: str) -> None:
        """Attach the adapter, inactive, to every module that it changes; to none where one is refused."""
        try:
            for place, change in adapter.changes.items():
                self._attach_layer(name, place, change)
                if not is_faithful(self._module(place), name, change):
                    precision = str(self._module(place).weight.dtype).removeprefix("torch.")
                    raise InvalidRequest(
                        f"{lora} cannot be applied exactly. In {precision} it loses too much of {place}."
                    )
        except BaseException:
            self._detach(name, adapter.changes)
            raise

    def _attach_layer(self, name: str, place: Place, change: LowRank) -> None:
        """Attach the change to the module's layer as in pictures, in the module's own precision."""
        layer = self._layer(name, place, change, self._config)
        for factor, value in zip(self._factors(layer, name), (change.down, change.up), strict=True):
            value = value.to(layer.weight.device, layer.weight.dtype)
            factor.weight = nn.Parameter(value, requires_grad=False)
        if change.magnitude is not None:
            attach_dora(layer, name, change)

    def _layer(self, name: str, place: Place, change: LowRank, config: LoraConfig) -> Any:
        """The module's PEFT layer, made where it has none, with an inactive adapter of this rank in it."""
        layer = self._layers.get(place)
        # Its numbers come later: on the meta device they take no memory and draw no random numbers.
        with torch.device("meta"):
            if layer is not None:
                with keep_gradients(layer):
                    layer.update_layer(name, change.rank, lora_alpha=change.alpha, config=config)
            else:
                module = self._module(place)
                kind: Any = LowRankConv2d if isinstance(module, nn.Conv2d) else LowRankLinear
                layer = kind(module, name, config, r=change.rank, lora_alpha=change.alpha)
                layer.train(module.training)
                layer.set_adapter([], inference_mode=True)
                self._set_module(place, layer)
                self._layers[place] = layer
        return layer

    def _factors(self, layer: Any, name: str) -> list[Any]:
        """The modules of the adapter's numbers in this layer: down, up, and the magnitudes of a DoRA."""
        factors = [layer.lora_A[name], layer.lora_B[name]]
        magnitudes = layer.lora_magnitude_vector
        return [*factors, magnitudes[name]] if name in magnitudes else factors

    def _detach(self, name: str, places: Collection[Place]) -> None:
        """Remove the adapter. A layer without adapters is replaced by its module."""
        for place in places:
            if place in self._layers:
                layer = self._layers[place]
                layer.delete_adapter(name)
                if not layer.lora_A:
                    self._set_module(place, self._layers.pop(place).get_base_layer())


def initial_change(module: tuple[int, ...], rank: int, alpha: float, generator: torch.Generator) -> LowRank:
    """The untrained change, which is zero, of a module with a weight of this shape."""
    out, *inside = module
    bound = math.prod(inside) ** -0.5
    return LowRank(
        down=torch.empty(rank, *inside).uniform_(-bound, bound, generator=generator),
        up=torch.zeros(out, rank, *[1] * (len(inside) - 1)),
        alpha=alpha,
    )


def is_faithful(layer: Any, name: str, change: LowRank) -> bool:
    """Whether the layer changes a random vector as the file says.

    The error may be as large as the rounding of the factors, or of the module's own weights.
    """
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    probe = torch.randn(
        change.down[0].numel(), generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    weight, above_one, layer_above_one = weight_matrix(layer.weight), None, None
    if change.magnitude is not None:
        above_one = dora_gain(layer.weight, change) - 1
        layer_above_one = layer.lora_magnitude_vector[name].weight.detach().to("cpu", torch.float64)

    def low_rank(x: Tensor) -> Tensor:
        return change.alpha / change.rank * apply_factors(change.down, change.up, x)

    def layer_low_rank(x: Tensor) -> Tensor:
        return float(layer.scaling[name]) * apply_factors(down, up, x)

    expected = added_output(weight, low_rank, above_one, probe, by_input=change.by_input)
    actual = added_output(weight, layer_low_rank, layer_above_one, probe, by_input=change.by_input)
    error, rounding = (expected - actual).norm(), torch.finfo(down.dtype).eps
    # A comparison with NaN is false, so an overflow is not faithful.
    return bool(
        error <= TOLERANCE * rounding * expected.norm() or error <= rounding * (weight @ probe).norm()
    )


def added_output(
    weight: Tensor,
    low_rank: Callable[[Tensor], Tensor],
    above_one: Tensor | None,
    x: Tensor,
    *,
    by_input: bool,
) -> Tensor:
    """What an adapter adds to weight @ x. above_one: a DoRA's gain - 1, of each output or input."""
    if above_one is None:
        return low_rank(x)
    if by_input:
        added = (above_one[:, None] * x.view(len(above_one), -1)).flatten()
        return weight @ added + low_rank(x + added)
    return above_one * (weight @ x + low_rank(x)) + low_rank(x)


def apply_factors(down: Tensor, up: Tensor, probe: Tensor) -> Tensor:
    """up @ down @ probe in float64 on the CPU. A convolution counts as the matrix over one patch."""
    down, up = (factor.detach().to("cpu", torch.float64).flatten(1) for factor in (down, up))
    return up @ (down @ probe)


@contextmanager
def keep_gradients(layer: nn.Module) -> Iterator[None]:
    """A context that keeps parameters trainable: PEFT freezes all adapters of a layer when it adds one."""
    trainable = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    yield
    for parameter in trainable:
        parameter.requires_grad = True
