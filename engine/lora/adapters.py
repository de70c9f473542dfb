"""The adapters on the device: which LoRAs are loaded in SDXL's UNet and text encoders, and which are active.

Those of pictures are merged into the weights of the modules, in place. One in training has layers, which
stand in for the modules at its turns only.
"""

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from cachetools import LRUCache
from torch import Tensor, nn

from engine.lora.adapter_file import Adapter, Change, LowRank, read_adapter
from engine.lora.dora import dora_gain, weight_change
from engine.lora.flat_factors import FlatFactors, TrainedParameter
from engine.lora.key_names import COMPONENTS, Component, KeyNames, Place
from engine.lora.lycoris_change import LycorisChange
from engine.lora.merged_weights import MergedWeights, NotFinite, ServedChange
from engine.lora.served_changes import serve_in_steps
from engine.lora.targets import Target, training_targets
from engine.lora.training_adapters import TrainingAdapters
from engine.messages import (
    AdapterKind,
    AdapterUse,
    InvalidRequest,
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
        self.folder = folder
        self._limit = limit_bytes
        self._resident: dict[Sha256, Resident] = {}
        self._active: dict[str, float] = {}
        self._training = TrainingAdapters(self.names, self._modules)
        self._active_training: str | None = None
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
        active, training = self._active, self._active_training
        self._activate({}, None)  # layers and stacks are made of the base's weights
        try:
            self._training.begin(
                name, targets, kind=kind, start=start, dropout=dropout, seed=seed, precision=precision
            )
        finally:
            self._activate(active, training)

    def trained_parameters(self, name: str) -> list[TrainedParameter]:
        """The parameters of an adapter in training: see TrainingAdapters.parameters."""
        return self._training.parameters(name)

    def flatten_training(self, name: str, groups: Sequence[Sequence[Tensor]]) -> FlatFactors:
        """Put the parameters of an adapter in training into one vector: see TrainingAdapters.flatten."""
        return self._training.flatten(name, groups)

    def needs_autocast(self, name: str) -> bool:
        """Whether a module of this adapter in training leaves it to autocast to compute in half precision."""
        return self._training.needs_autocast(name)

    @contextmanager
    def training_pass(self, name: str, *, dropout: bool = False) -> Iterator[None]:
        """A context for one forward and backward, whose gradients its parameters get, with only this adapter
        active. `dropout` lets it drop inputs. It stays active afterwards."""
        self.activate_training(name, dropout=dropout)
        with self._training.stacks_merged(name):
            yield

    def activate_training(self, name: str | None, *, dropout: bool = False) -> None:
        """Make this adapter in training the only active one. `dropout` lets it drop inputs.

        None activates the last mix of `activate` again. Cheap where nothing changes. Nothing is loaded or
        unloaded.
        """
        self._activate(self._active, name)
        dropping = name if dropout else None
        if dropping != self._dropping:
            self._training.set_dropout(self._dropping, dropping=False)
            self._training.set_dropout(dropping, dropping=True)
            self._dropping = dropping

    def trained_changes(self, name: str) -> dict[Place, Change]:
        """The changes of an adapter in training by now: copies on the CPU, float32."""
        return self._training.changes(name)

    def restore_training(self, name: str, changes: Mapping[Place, Change]) -> None:
        """Set an adapter in training to what `trained_changes` returned.

        Its parameters stay the same objects.
        """
        self._training.restore(name, changes)

    def end_training(self, name: str) -> None:
        """Remove an adapter in training."""
        if name in (self._active_training, self._dropping):
            self.activate_training(None)
        self._training.end(name)

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
        for place in () if last is None else self._training.layers(last):
            self._set_module(place, self._modules[place])
        if training is not None:
            self._training.activate(training)
            for place, layer in self._training.layers(training).items():
                self._set_module(place, layer)

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
