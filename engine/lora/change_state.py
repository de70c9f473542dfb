"""The changes of an adapter in training as plain values of a saved state, and back."""

from collections.abc import Mapping
from typing import Any

from engine.lora.adapter_file import Change, LowRank
from engine.lora.key_names import Place
from engine.lora.lycoris_change import LycorisChange
from engine.messages import AdapterKind


def changes_to_state(changes: Mapping[Place, Change]) -> dict[str, Any]:
    """The changes of an adapter in training as plain values: low-rank ones, and those of LyCORIS's kinds."""
    low_rank: list[list[Any]] = []
    lycoris: list[list[Any]] = []
    for place, change in changes.items():
        if isinstance(change, LycorisChange):
            lycoris.append([str(place), str(change.kind), dict(change.tensors), change.alpha])
        else:
            low_rank.append([str(place), change.down, change.up, change.magnitude, change.alpha])
    return {"adapter": low_rank, "lycoris": lycoris}


def changes_from_state(state: Mapping[str, Any]) -> dict[Place, Change]:
    """What `changes_to_state` made plain values of, also in an older version."""
    changes: dict[Place, Change] = {}
    for name, down, up, magnitude, alpha in state["adapter"]:
        changes[parse_place(name)] = LowRank(down=down, up=up, alpha=alpha, magnitude=magnitude)
    for name, kind, tensors, alpha in state.get("lycoris", ()):
        changes[parse_place(name)] = LycorisChange(kind=AdapterKind(kind), tensors=tensors, alpha=alpha)
    return changes


def parse_place(name: str) -> Place:
    """The place that this is the text of."""
    component, _, path = name.partition(".")
    return Place(component=component, path=path)  # type: ignore[arg-type]
