"""The adapters in training: their layers, which stand in for the model's modules at their turns only.

Plain LoRAs and DoRAs have PEFT's layers, made one by one, each with its own alpha and rank: PEFT's
configurations match every module against every pattern, and diffusers writes patterns that miss. Other kinds
have layers of their own.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor, nn

from engine.lora.adapter_file import Change, LowRank
from engine.lora.flat_factors import FlatFactors, TrainedParameter
from engine.lora.key_names import COMPONENTS, KeyNames, Place
from engine.lora.low_rank import LayerStack, LowRankConv2d, LowRankLinear, make_stacks
from engine.lora.low_rank_pass import TrainingFactors
from engine.lora.lycoris_change import LycorisChange
from engine.lora.lycoris_layers import LycorisLayer, initial_changes
from engine.lora.targets import Target
from engine.messages import LOW_RANK, AdapterKind, Part


class TrainingAdapters:
    """Adapters in training, by name. Which of them stands in the model is up to others."""

    def __init__(self, names: KeyNames, modules: Mapping[Place, Any]) -> None:
        self._names = names
        self._modules = modules
        self._config = LoraConfig(init_lora_weights=False, inference_mode=True)
        self._targets: dict[str, dict[Place, Target]] = {}
        self._stacks: dict[str, list[LayerStack]] = {}
        self._precisions: dict[str, torch.dtype] = {}  # of the forward pass of each adapter
        self._flat: dict[str, FlatFactors] = {}
        self._layers: dict[Place, Any] = {}
        self._lycoris: dict[str, dict[Place, LycorisLayer]] = {}

    def begin(
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
        """Create an adapter as `Adapters.begin_training` says. Neither mix nor layers may be in the model."""
        if kind not in LOW_RANK or any(
            isinstance(change, LycorisChange) for change in (start or {}).values()
        ):
            self._begin_lycoris(name, targets, start or initial_changes(self._names, targets, kind, seed))
            return
        dora = kind is AdapterKind.DORA
        config = replace(self._config, lora_dropout=dropout, use_dora=dora)
        generator = torch.Generator().manual_seed(seed)
        self._targets[name] = dict(targets)
        self._precisions[name] = torch.float32 if dora else precision
        try:
            for place, target in targets.items():
                change = initial_change(self._names.shapes[place], target, generator)
                layer = self._layer(name, place, change, config)
                layer.lora_dropout[name].eval()
                values = [change.down, change.up]
                if dora:
                    values.append(layer.weight.detach().float().norm(dim=1))
                for factor, value in zip(self._factors(layer, name), values, strict=True):
                    factor.weight = nn.Parameter(value.to(layer.weight.device), requires_grad=True)
            if start is not None:
                self.restore(name, start)
            plain = precision is torch.float32 and not dropout and not dora
            self._stacks[name] = self._make_stacks(name) if plain else []
        except BaseException:
            self.end(name)
            raise

    def _begin_lycoris(
        self, name: str, targets: Mapping[Place, Target], changes: Mapping[Place, Change]
    ) -> None:
        self._lycoris[name] = {
            place: LycorisLayer(self._modules[place], change)
            for place, change in changes.items()
            if isinstance(change, LycorisChange)
        }
        self._targets[name], self._stacks[name] = dict(targets), []
        self._precisions[name] = torch.float32

    def _make_stacks(self, name: str) -> list[LayerStack]:
        """The stacks of an adapter in training, each within a part of the model."""
        layers = self.layers(name)
        parts = {place: target.part for place, target in self._targets[name].items()}
        return [
            stack
            for part in Part
            for stack in make_stacks([layer for place, layer in layers.items() if parts[place] is part], name)
        ]

    def parameters(self, name: str) -> list[TrainedParameter]:
        """The parameters of an adapter in training, float32: downs, ups, and the magnitudes of a DoRA, or the
        tensors of a kind of LyCORIS's.

        Some hold those of many modules. They are in the order of saved states: by component, those of many
        modules first, then in the model's order.
        """
        layers = self.layers(name)
        places = {id(layer): place for place, layer in layers.items()}
        order = {place: number for number, place in enumerate(layers)}
        stacked = [(places[id(stack.first)], [stack.down, stack.up]) for stack in self._stacks[name]]
        single = [(place, self._factor_parameters(layer, name)) for place, layer in layers.items()]
        return [
            TrainedParameter(
                parameter=parameter,
                part=self._targets[name][place].part,
                is_up=number == 1 and name not in self._lycoris,
            )
            for component in COMPONENTS
            for place, parameters in [*sorted(stacked, key=lambda pair: order[pair[0]]), *single]
            if place.component == component
            for number, parameter in enumerate(parameters)
            if parameter.requires_grad
        ]

    def flatten(self, name: str, groups: Sequence[Sequence[Tensor]]) -> FlatFactors:
        """Put the parameters of an adapter in training into one vector, in these groups.

        groups: all of `parameters`. They stay the same objects, and their gradients
        are added up in place from then on. Plain LoRAs then train by as few operations as can be.
        """
        flat = self._flat[name] = FlatFactors(groups, self._precisions[name])
        for stack in self._stacks[name]:
            stack.share_factors()
        for layer in () if name in self._lycoris else self.layers(name).values():
            down, up, *magnitude = (factor.weight for factor in self._factors(layer, name))
            if down.requires_grad and not magnitude:
                factors = TrainingFactors(
                    down=flat.factor(down), up=flat.factor(up), scale=layer.scaling[name]
                )
                layer.training_factors = {**layer.training_factors, name: factors}
        return flat

    def needs_autocast(self, name: str) -> bool:
        """Whether a module of this adapter in training leaves it to autocast to compute in half precision."""
        layers = self.layers(name).values()
        return name in self._lycoris or any(name not in layer.training_factors for layer in layers)

    @contextmanager
    def stacks_merged(self, name: str) -> Iterator[None]:
        """A context for one forward and backward, whose gradients the adapter's parameters get."""
        try:
            for stack in self._stacks[name]:
                stack.merge()
            yield
            if name in self._flat:
                self._flat[name].collect_gradients()
        finally:
            for stack in self._stacks[name]:
                stack.unmerge()

    def changes(self, name: str) -> dict[Place, Change]:
        """The changes of an adapter in training by now: copies on the CPU, float32."""
        if name in self._lycoris:
            return {place: layer.current_change() for place, layer in self._lycoris[name].items()}
        changes: dict[Place, Change] = {}
        for place, layer in self.layers(name).items():
            down, up, *magnitude = (
                factor.weight.detach().to("cpu", copy=True) for factor in self._factors(layer, name)
            )
            changes[place] = LowRank(
                down=down, up=up, alpha=layer.lora_alpha[name], magnitude=magnitude[0] if magnitude else None
            )
        return changes

    def restore(self, name: str, changes: Mapping[Place, Change]) -> None:
        """Set an adapter in training to what `changes` returned.

        Its parameters stay the same objects.
        """
        for place, layer in self.layers(name).items():
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

    def end(self, name: str) -> None:
        """Remove an adapter."""
        for parts in (self._stacks, self._flat, self._precisions, self._lycoris):
            parts.pop(name, None)
        self._detach(name, self._targets.pop(name))

    def activate(self, name: str) -> None:
        """Make this adapter the only active one of its layers."""
        for layer in () if name in self._lycoris else self.layers(name).values():
            layer.activate_adapters({name: 1.0})

    def set_dropout(self, name: str | None, *, dropping: bool) -> None:
        """Turn the dropout of this adapter in training on or off."""
        for layer in () if name is None or name in self._lycoris else self.layers(name).values():
            # PEFT asks the layer when it is a DoRA, and the dropout itself when it is not.
            layer.training = layer.lora_dropout[name].training = dropping

    def layers(self, name: str) -> dict[Place, Any]:
        """The layers of an adapter, by the modules for which they stand in."""
        if name in self._lycoris:
            return dict(self._lycoris[name])
        return {place: self._layers[place] for place in self._targets[name]}

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


@contextmanager
def keep_gradients(layer: nn.Module) -> Iterator[None]:
    """A context that keeps parameters trainable: PEFT freezes all adapters of a layer when it adds one."""
    trainable = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    yield
    for parameter in trainable:
        parameter.requires_grad = True
