"""The plan of a training: which modules it changes, as which kind, and what they begin with."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.lora.adapter_file import Adapter, Change, LowRank, read_adapter
from engine.lora.adapters import Adapters
from engine.lora.key_names import Place
from engine.lora.lycoris_change import LycorisChange
from engine.lora.targets import Target, count_parameters, find_part
from engine.messages import LOW_RANK, AdapterKind, InvalidRequest, Part, Train
from engine.sdxl.new_tokens import TokenVectors


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What a training changes.

    start: the changes of the LoRA that it goes on from; None where nothing was learned yet. tokens: the new
    words of that LoRA.
    """

    kind: AdapterKind
    targets: Mapping[Place, Target]
    start: Mapping[Place, Change] | None = None
    tokens: tuple[TokenVectors, ...] = ()

    @property
    def trains_text(self) -> bool:
        """Whether a text encoder trains."""
        return any(target.part in (Part.TEXT, Part.TEXT_2) for target in self.targets.values())

    def count_parameters(self, adapters: Adapters) -> dict[Part, int]:
        """How many numbers are trained in each part that trains, in the order of the parts."""
        if self.start is None:
            return count_parameters(adapters.names, self.targets, self.kind)
        counts = dict.fromkeys(Part, 0)
        for place, change in self.start.items():
            counts[self.targets[place].part] += change.count
        return {part: count for part, count in counts.items() if count}


def plan_training(request: Train, adapters: Adapters) -> TrainingPlan:
    """The plan of this training.

    Raises InvalidRequest where the settings or the LoRA to go on from do not fit.
    """
    settings = request.settings
    if request.start is None:
        return TrainingPlan(kind=settings.network, targets=adapters.targets(settings))
    lora = f"The LoRA {request.start.name}"
    adapter = read_adapter(adapters.folder, request.start, adapters.names)
    check_words(adapter, request, lora)
    kind = trainable_kind(adapter, lora)
    if kind not in LOW_RANK and settings.lora_plus != 1:
        raise InvalidRequest(f"{lora} has no factors A and B. Leave out --lora-plus.")
    return TrainingPlan(
        kind=kind,
        targets={
            place: Target(
                part=nearest_part(place, adapters.names.shapes[place]), rank=change.rank, alpha=change.alpha
            )
            for place, change in adapter.changes.items()
        },
        start=adapter.changes,
        tokens=adapter.tokens,
    )


def check_words(adapter: Adapter, request: Train, lora: str) -> None:
    """Raise InvalidRequest unless the trigger is the new word of a LoRA that has one."""
    if not adapter.changes:
        raise InvalidRequest(f"{lora} has new words alone, which cannot be trained on.")
    words = [token.word for token in adapter.tokens]
    if words and words != [request.trigger]:
        raise InvalidRequest(
            f"{lora} has the new word {' and '.join(words)}. Go on with --trigger {words[0]}."
            if len(words) == 1
            else f"{lora} has several new words, and cannot be trained on."
        )


def trainable_kind(adapter: Adapter, lora: str) -> AdapterKind:
    """The kind that the LoRA is trained on as. Raises InvalidRequest where there is no such one."""
    changes = adapter.changes.values()
    kinds = {change.kind for change in changes if isinstance(change, LycorisChange)}
    plain = [change for change in changes if isinstance(change, LowRank)]
    decomposed = [change for change in changes if change.magnitude is not None]
    if any(
        change.by_input or not isinstance(change, LowRank) or change.down.ndim > 2 for change in decomposed
    ):
        raise InvalidRequest(
            f"{lora} has magnitudes other than those of linear layers' outputs, and cannot be trained on."
        )
    if len(kinds) + bool(plain) > 1 or 0 < len(decomposed) < len(adapter.changes):
        raise InvalidRequest(f"{lora} has layers of several kinds, and cannot be trained on.")
    return adapter.kind


def nearest_part(place: Place, shape: tuple[int, ...]) -> Part:
    """The part of a module that another trainer changed, also where no training here does."""
    part = find_part(place)
    if part is not None or place.component != "unet":
        return part or (Part.TEXT if place.component == "text_encoder" else Part.TEXT_2)
    return Part.CONVOLUTIONS if len(shape) > 2 else Part.FEED_FORWARD
