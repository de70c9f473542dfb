"""The state of a training as one file: nested plain values and tensors, as safetensors with JSON beside.

Reading it runs no code. Tensors keep their bits, numbers theirs.
"""

import json
from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

TENSOR, PAIRS, ROW = "tensor", "pairs", "row"


class BrokenState(Exception):
    """The file is not the state of a training."""


def packed(state: Any) -> bytes:
    """The state as a file: dicts, lists, tuples, texts, numbers, None and tensors, within each other."""
    tensors: dict[str, Tensor] = {}
    told = _plain(state, tensors)
    return save(tensors, metadata={"state": json.dumps(told)})


def unpacked(content: bytes) -> Any:
    """The state that was packed, its tensors on the CPU; tuples come back as lists. Raises BrokenState."""
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        return _whole(json.loads(header["__metadata__"]["state"]), load(content))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BrokenState("this is not the state of a training") from error


def _plain(value: Any, tensors: dict[str, Tensor]) -> Any:
    match value:
        case Tensor():
            name = str(len(tensors))
            tensors[name] = value.detach().to("cpu", copy=True).contiguous()
            return {TENSOR: name}
        case Mapping():
            return {PAIRS: [[_plain(key, tensors), _plain(one, tensors)] for key, one in value.items()]}
        case list() | tuple():
            return {ROW: [_plain(one, tensors) for one in value]}
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"a state holds no {type(value).__name__}")


def _whole(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if TENSOR in value:
        return tensors[value[TENSOR]]
    if PAIRS in value:
        return {_whole(key, tensors): _whole(one, tensors) for key, one in value[PAIRS]}
    return [_whole(one, tensors) for one in value[ROW]]
