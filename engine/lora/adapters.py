"""The adapters on the device: which LoRAs are loaded in SDXL's UNet and text encoders, and which are active.

Those of pictures are merged into the weights of the modules, in place. One in training has PEFT's layers,
which stand in for the modules at its turns only. They are made one by one, each with its own alpha and rank:
PEFT's configurations match every module against every pattern, and diffusers writes patterns that miss.
"""

import math
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from cachetools import LRUCache
from peft import LoraConfig
from torch import Tensor, nn

from engine.lora.adapter_file import Adapter, Change, LowRank, read_adapter
from engine.lora.dora import dora_gain, weight_change
from engine.lora.flat_factors import FlatFactors, TrainedParameter
from engine.lora.key_names import COMPONENTS, Component, KeyNames, Place
from engine.lora.low_rank import LayerStack, LowRankConv2d, LowRankLinear, make_stacks
from engine.lora.low_rank_pass import TrainingFactors
from engine.lora.lycoris_change import LycorisChange
from engine.lora.lycoris_layers import LycorisLayer, initial_changes
from engine.lora.merged_weights import MergedWeights, NotFinite, ServedChange
from engine.lora.served_changes import serve_in_steps
from engine.lora.targets import Target, training_targets
from engine.messages import (
    LOW_RANK,
    AdapterKind,
    AdapterUse,
    InvalidRequest,
    Part,
    Sha256,
    TrainingSettings,
)
from engine.sdxl.new_tokens import TokenVectors

Result = TypeVar("Result")

CHECKED_MIXES = 256  # mixes of which it is remembered that they are finite


class AdapterCacheFull(InvalidRequest):
    """The adapters in use leave too little room for this one. Later there may be enough."""


@dataclass(frozen=True, kw_only=True)
class Resident:
    """An adapter on the device. `size`: bytes."""

    changes: Mapping[Place, ServedChange]
    tokens: tuple[TokenVectors, ...]
    size: int

    @cached_property
    def changes_text(self) -> bool:
        """Whether prompts are encoded otherwise with it."""
        return bool(self.tokens) or any(place.component != "unet" for place in self.changes)


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
        self._modules: dict[Place, Any] = {
            place: self._components[place.component].get_submodule(place.path) for place in self.names.shapes
        }
        self._merged = MergedWeights(self._modules)
        self._checked: LRUCache[tuple[tuple[str, float], ...], bool] = LRUCache(CHECKED_MIXES)
        self._config = LoraConfig(init_lora_weights=False, inference_mode=True)
        self.folder = folder
        self._limit = limit_bytes
        self._resident: dict[Sha256, Resident] = {}
        self._active: dict[str, float] = {}
        self._training: dict[str, dict[Place, Target]] = {}
        self._stacks: dict[str, list[LayerStack]] = {}
        self._precisions: dict[str, torch.dtype] = {}  # of the forward pass of each adapter in training
        self._flat: dict[str, FlatFactors] = {}
        self._active_training: str | None = None
        self._layers: dict[Place, Any] = {}
        self._lycoris: dict[str, dict[Place, LycorisLayer]] = {}
        self._dropping: str | None = None

    @property
    def resident(self) -> tuple[Sha256, ...]:
        """The loaded adapters, the least recently used first."""
        return tuple(self._resident)

    @property
    def size(self) -> int:
        """Bytes of the loaded adapters, without those in training."""
        return sum(resident.size for resident in self._resident.values())

    def is_loaded(self, mix: Collection[AdapterUse]) -> bool:
        """Whether all of this mix is loaded."""
        return all(use.sha256 in self._resident for use in mix)

    def load(self, use: AdapterUse, keep: Collection[Sha256] = ()) -> None:
        """Load the adapter onto the device, inactive, in place of the least recently used but those to keep.

        Raises InvalidRequest where its file is refused, and AdapterCacheFull where those to keep leave too
        little room. Active adapters are then as before.
        """
        for _ in self._load_in_steps(use, keep):
            pass

    def load_in_steps(self, mix: Collection[AdapterUse]) -> Iterator[None]:
        """Load the adapters of this mix that are not loaded, in steps of part of a second.

        Raises as `load` does. Between its steps anything may be loaded and activated.
        """
        keep = {use.sha256 for use in mix}
        for use in mix:
            with refuse_unmergeable(use.name):
                yield from self._load_in_steps(use, keep)

    def _load_in_steps(self, use: AdapterUse, keep: Collection[Sha256]) -> Iterator[None]:
        if use.sha256 in self._resident:
            self._resident[use.sha256] = self._resident.pop(use.sha256)
            return
        adapter = read_adapter(self.folder, use, self.names)
        size = self._device_bytes(adapter)
        self._make_room(use, size, keep)
        yield
        changes = yield from serve_in_steps(adapter, self._merged.base, f"The LoRA {use.name}")
        if use.sha256 not in self._resident:  # by somebody else in between
            self._make_room(use, size, keep)
            self._resident[use.sha256] = Resident(changes=changes, tokens=adapter.tokens, size=size)

    def activate(self, mix: Collection[AdapterUse]) -> None:
        """Activate exactly this mix, in the UNet and both text encoders. All of it must be loaded.

        Cheap where the mix is active already. Adapters in training are inactive then. Raises InvalidRequest
        where it does not fit in the memory or is too large for the model's precision, with no adapter active.
        """
        for use in mix:
            self._resident[use.sha256] = self._resident.pop(use.sha256)
        # Sums depend on their order in the last bit, and a weight of 0 must not turn -0.0 into 0.0.
        ordered = sorted(mix, key=lambda use: use.sha256)
        with refuse_unmergeable(" and ".join(sorted({use.name for use in mix}))):
            self._activate({use.sha256: use.weight for use in ordered if use.weight}, None)

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

    def text_mix(self, mix: Collection[AdapterUse]) -> tuple[tuple[Sha256, float], ...]:
        """What of this mix, which must be loaded, changes how prompts are encoded."""
        uses = [use for use in mix if use.weight and self._resident[use.sha256].changes_text]
        return tuple(sorted((use.sha256, use.weight) for use in uses))

    def unload(self, sha256: Sha256) -> None:
        """Unload an adapter. The others of an active mix stay active."""
        if sha256 in self._active:
            rest = {other: weight for other, weight in self._active.items() if other != sha256}
            self._activate(rest, self._active_training)
        del self._resident[sha256]

    def relative_strength(self, place: Place, change: Change) -> float:
        """The size of a change relative to the module's weight (Frobenius norms)."""
        weight = self._merged.base(place)
        size = change.squared_norm() ** 0.5 if isinstance(change, LowRank) else change.delta(weight).norm()
        strength = float(size) / float(torch.linalg.vector_norm(weight, dtype=torch.float32))
        if change.magnitude is not None:
            strength = max(strength, float((dora_gain(weight, change) - 1).abs().max()))
        return strength

    def weight_change(self, place: Place, change: Change) -> Tensor:
        """All that a change adds to the module's weight (out, in, ...) at weight 1: float64, on the CPU."""
        return weight_change(self._merged.base(place), change)

    def targets(self, settings: TrainingSettings) -> dict[Place, Target]:
        """The modules that a training with these settings changes.

        Raises InvalidRequest where they name a block that this model lacks or that has nothing to train.
        """
        return training_targets(self.names, settings)

    def begin_training(
        self,
        name: str,
        targets: Mapping[Place, Target],
        *,
        kind: AdapterKind = AdapterKind.LORA,
        start: Mapping[Place, Change] | None = None,
        dropout: float = 0.0,
        seed: int,
        precision: torch.dtype = torch.float32,
    ) -> None:
        """Create an adapter to train, inactive until `activate_training`.

        start: the change of each module that it begins with. precision: of the forward pass in
        `training_pass`. Without a start it changes nothing yet: up is zero, and down is uniform as in PEFT,
        from a generator of its own. Kinds of LyCORIS begin as there, and drop no inputs.
        """
        if kind not in LOW_RANK or any(
            isinstance(change, LycorisChange) for change in (start or {}).values()
        ):
            self._begin_lycoris(name, targets, start or initial_changes(self.names, targets, kind, seed))
            return
        dora = kind is AdapterKind.DORA
        config = replace(self._config, lora_dropout=dropout, use_dora=dora)
        generator = torch.Generator().manual_seed(seed)
        active, training = self._active, self._active_training
        self._activate({}, None)  # layers and stacks are made of the base's weights
        self._training[name] = dict(targets)
        self._precisions[name] = torch.float32 if dora else precision
        try:
            for place, target in targets.items():
                change = initial_change(self.names.shapes[place], target, generator)
                layer = self._layer(name, place, change, config)
                layer.lora_dropout[name].eval()
                values = [change.down, change.up]
                if dora:
                    values.append(layer.weight.detach().float().norm(dim=1))
                for factor, value in zip(self._factors(layer, name), values, strict=True):
                    factor.weight = nn.Parameter(value.to(layer.weight.device), requires_grad=True)
            if start is not None:
                self.restore_training(name, start)
            plain = precision is torch.float32 and not dropout and not dora
            self._stacks[name] = self._make_stacks(name) if plain else []
        except BaseException:
            self.end_training(name)
            raise
        finally:
            self._activate(active, training)

    def _begin_lycoris(
        self, name: str, targets: Mapping[Place, Target], changes: Mapping[Place, Change]
    ) -> None:
        self._lycoris[name] = {
            place: LycorisLayer(self._modules[place], change)
            for place, change in changes.items()
            if isinstance(change, LycorisChange)
        }
        self._training[name], self._stacks[name] = dict(targets), []
        self._precisions[name] = torch.float32

    def _make_stacks(self, name: str) -> list[LayerStack]:
        """The stacks of an adapter in training, each within a part of the model."""
        layers = self._training_layers(name)
        parts = {place: target.part for place, target in self._training[name].items()}
        return [
            stack
            for part in Part
            for stack in make_stacks([layer for place, layer in layers.items() if parts[place] is part], name)
        ]

    def trained_parameters(self, name: str) -> list[TrainedParameter]:
        """The parameters of an adapter in training, float32: downs, ups, and the magnitudes of a DoRA, or the
        tensors of a kind of LyCORIS's.

        Some hold those of many modules. They are in the order of saved states: by component, those of many
        modules first, then in the model's order.
        """
        layers = self._training_layers(name)
        places = {id(layer): place for place, layer in layers.items()}
        order = {place: number for number, place in enumerate(layers)}
        stacked = [(places[id(stack.first)], [stack.down, stack.up]) for stack in self._stacks[name]]
        single = [(place, self._factor_parameters(layer, name)) for place, layer in layers.items()]
        return [
            TrainedParameter(
                parameter=parameter,
                part=self._training[name][place].part,
                is_up=number == 1 and name not in self._lycoris,
            )
            for component in COMPONENTS
            for place, parameters in [*sorted(stacked, key=lambda pair: order[pair[0]]), *single]
            if place.component == component
            for number, parameter in enumerate(parameters)
            if parameter.requires_grad
        ]

    def flatten_training(self, name: str, groups: Sequence[Sequence[Tensor]]) -> FlatFactors:
        """Put the parameters of an adapter in training into one vector, in these groups.

        groups: all of `trained_parameters`. They stay the same objects, and their gradients
        are added up in place from then on. Plain LoRAs then train by as few operations as can be.
        """
        flat = self._flat[name] = FlatFactors(groups, self._precisions[name])
        for stack in self._stacks[name]:
            stack.share_factors()
        for layer in () if name in self._lycoris else self._training_layers(name).values():
            down, up, *magnitude = (factor.weight for factor in self._factors(layer, name))
            if down.requires_grad and not magnitude:
                factors = TrainingFactors(
                    down=flat.factor(down), up=flat.factor(up), scale=layer.scaling[name]
                )
                layer.training_factors = {**layer.training_factors, name: factors}
        return flat

    def needs_autocast(self, name: str) -> bool:
        """Whether a module of this adapter in training leaves it to autocast to compute in half precision."""
        layers = self._training_layers(name).values()
        return name in self._lycoris or any(name not in layer.training_factors for layer in layers)

    @contextmanager
    def training_pass(self, name: str, *, dropout: bool = False) -> Iterator[None]:
        """A context for one forward and backward, whose gradients its parameters get, with only this adapter
        active. `dropout` lets it drop inputs. It stays active afterwards."""
        self.activate_training(name, dropout=dropout)
        try:
            for stack in self._stacks[name]:
                stack.merge()
            yield
            if name in self._flat:
                self._flat[name].collect_gradients()
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

    def trained_changes(self, name: str) -> dict[Place, Change]:
        """The changes of an adapter in training by now: copies on the CPU, float32."""
        if name in self._lycoris:
            return {place: layer.current_change() for place, layer in self._lycoris[name].items()}
        changes: dict[Place, Change] = {}
        for place, layer in self._training_layers(name).items():
            down, up, *magnitude = (
                factor.weight.detach().to("cpu", copy=True) for factor in self._factors(layer, name)
            )
            changes[place] = LowRank(
                down=down, up=up, alpha=layer.lora_alpha[name], magnitude=magnitude[0] if magnitude else None
            )
        return changes

    def restore_training(self, name: str, changes: Mapping[Place, Change]) -> None:
        """Set an adapter in training to what `trained_changes` returned.

        Its parameters stay the same objects.
        """
        for place, layer in self._training_layers(name).items():
            change = changes[place]
            if isinstance(change, LycorisChange):
                layer.restore_change(change)
                continue
            values = [change.down, change.up, *([] if change.magnitude is None else [change.magnitude])]
            for factor, value in zip(self._factors(layer, name), values, strict=True):
                with torch.no_grad():
                    factor.weight.copy_(value)
        if name in self._flat:
            self._flat[name].write_values()

    def end_training(self, name: str) -> None:
        """Remove an adapter in training."""
        if name in (self._active_training, self._dropping):
            self.activate_training(None)
        for parts in (self._stacks, self._flat, self._precisions, self._lycoris):
            parts.pop(name, None)
        self._detach(name, self._training.pop(name))

    @contextmanager
    def try_adapter(self, adapter: Adapter) -> Iterator[None]:
        """A context in which only this adapter is active, at weight 1 and as in pictures.

        Raises InvalidRequest as `load` and `activate` do.
        """
        active, training = self._active, self._active_training
        changes = finish(serve_in_steps(adapter, self._merged.base, "The LoRA"))
        try:
            self._activate({}, None)
            with refuse_unmergeable("the LoRA"):
                self._merged.merge([(changes, 1.0)], checked=False)
            yield
        finally:
            self._merged.merge([], checked=True)
            self._activate(active, training)

    def _activate(self, mix: Mapping[str, float], training: str | None) -> None:
        """Activate this mix, or the adapter in training in its place.

        Raises NotFinite or OutOfMemoryError where the mix cannot be merged. No adapter is active then.
        """
        if (mix, training) == (self._active, self._active_training):
            return
        if training != self._active_training:
            self._put_layers(self._active_training, training)
        self._active, self._active_training = dict(mix), training
        merged = tuple(self._active.items()) if training is None else ()
        try:
            weighted = [(self._resident[Sha256(name)].changes, weight) for name, weight in merged]
            self._merged.merge(weighted, checked=merged in self._checked)
        except BaseException:
            self._active = {}
            raise
        self._checked[merged] = True

    def _put_layers(self, last: str | None, training: str | None) -> None:
        """Put modules back in the place of the layers of the last training, then layers of this one."""
        for place in () if last is None else self._training[last]:
            self._set_module(place, self._modules[place])
        for place, layer in ({} if training is None else self._training_layers(training)).items():
            if training not in self._lycoris:
                layer.activate_adapters({training: 1.0})
            self._set_module(place, layer)

    def _set_dropout(self, name: str | None, *, dropping: bool) -> None:
        """Turn the dropout of this adapter in training on or off."""
        for layer in () if name is None or name in self._lycoris else self._training_layers(name).values():
            # PEFT asks the layer when it is a DoRA, and the dropout itself when it is not.
            layer.training = layer.lora_dropout[name].training = dropping

    def _training_layers(self, name: str) -> dict[Place, Any]:
        if name in self._lycoris:
            return dict(self._lycoris[name])
        return {place: self._layers[place] for place in self._training[name]}

    def _device_bytes(self, adapter: Adapter) -> int:
        """Bytes of an adapter on the device, in the precision of the modules it changes."""
        size = sum(token.first.nbytes + token.second.nbytes for token in adapter.tokens)
        for place, change in adapter.changes.items():
            bits = torch.float32 if isinstance(change, LycorisChange) else self._modules[place].weight.dtype
            size += change.count * bits.itemsize
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

    def _set_module(self, place: Place, module: nn.Module) -> None:
        parent, _, child = place.path.rpartition(".")
        setattr(self._components[place.component].get_submodule(parent), child, module)

    def _layer(self, name: str, place: Place, change: LowRank, config: LoraConfig) -> Any:
        """The PEFT layer for this module, made where there is none, with an inactive adapter of this rank."""
        layer = self._layers.get(place)
        # Its numbers come later: on the meta device they take no memory and draw no random numbers.
        with torch.device("meta"):
            if layer is not None:
                with keep_gradients(layer):
                    layer.update_layer(name, change.rank, lora_alpha=change.alpha, config=config)
            else:
                module = self._modules[place]
                kind: Any = LowRankConv2d if isinstance(module, nn.Conv2d) else LowRankLinear
                layer = kind(module, name, config, r=change.rank, lora_alpha=change.alpha)
                layer.train(module.training)
                layer.set_adapter([], inference_mode=True)
                self._layers[place] = layer
        return layer

    def _factor_parameters(self, layer: Any, name: str) -> list[nn.Parameter]:
        """What is trained in this layer."""
        if name in self._lycoris:
            return list(layer.factors.values())
        return [factor.weight for factor in self._factors(layer, name)]

    def _factors(self, layer: Any, name: str) -> list[Any]:
        """The modules of the adapter's numbers in this layer: down, up, and the magnitudes of a DoRA."""
        factors = [layer.lora_A[name], layer.lora_B[name]]
        magnitudes = layer.lora_magnitude_vector
        return [*factors, magnitudes[name]] if name in magnitudes else factors

    def _detach(self, name: str, places: Collection[Place]) -> None:
        """Remove the adapter in training, and layers without one."""
        for place in places:
            layer = self._layers.get(place)
            if layer is not None and name in layer.lora_A:
                layer.delete_adapter(name)
                layer.training_factors = {
                    other: factors for other, factors in layer.training_factors.items() if other != name
                }
                if not layer.lora_A:
                    del self._layers[place]


def initial_change(module: tuple[int, ...], target: Target, generator: torch.Generator) -> LowRank:
    """The untrained change, which is zero, of a module with a weight of this shape."""
    out, *inside = module
    bound = math.prod(inside) ** -0.5
    return LowRank(
        down=torch.empty(target.rank, *inside).uniform_(-bound, bound, generator=generator),
        up=torch.zeros(out, target.rank, *[1] * (len(inside) - 1)),
        alpha=target.alpha,
    )


def finish(steps: Generator[None, None, Result]) -> Result:
    """Take all these steps, and return what they return."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


@contextmanager
def refuse_unmergeable(names: str) -> Iterator[None]:
    """A context that raises InvalidRequest where LoRAs of these names cannot be merged."""
    try:
        yield
    except NotFinite:
        raise InvalidRequest(
            f"With {names} the model's numbers become too large. Use a smaller weight or another LoRA."
        ) from None
    except torch.OutOfMemoryError:
        raise InvalidRequest(
            f"There is no memory left here for {names}. Use fewer or smaller LoRAs."
        ) from None


@contextmanager
def keep_gradients(layer: nn.Module) -> Iterator[None]:
    """A context that keeps parameters trainable: PEFT freezes all adapters of a layer when it adds one."""
    trainable = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    yield
    for parameter in trainable:
        parameter.requires_grad = True
