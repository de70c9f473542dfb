"""The file of a training's state: nested plain values and tensors, as safetensors with JSON metadata.

Reading it runs no code. Tensors and numbers are kept exactly.
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


def pack_state(state: Any) -> bytes:
    """The file of a state of nested dicts, lists, tuples, strings, numbers, None and tensors."""
    tensors: dict[str, Tensor] = {}
    values = _to_json(state, tensors)
    return save(tensors, metadata={"state": json.dumps(values)})


def unpack_state(content: bytes) -> Any:
    """The state in this file, with tensors on the CPU and tuples as lists. Raises BrokenState."""
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        return _from_json(json.loads(header["__metadata__"]["state"]), load(content))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BrokenState("this is not the state of a training") from error


def _to_json(value: Any, tensors: dict[str, Tensor]) -> Any:
    match value:
        case Tensor():
            name = str(len(tensors))
            tensors[name] = value.detach().to("cpu", copy=True).contiguous()
            return {TENSOR: name}
        case Mapping():
            return {PAIRS: [[_to_json(key, tensors), _to_json(item, tensors)] for key, item in value.items()]}
        case list() | tuple():
            return {ROW: [_to_json(item, tensors) for item in value]}
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"a state holds no {type(value).__name__}")


def _from_json(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if TENSOR in value:
        return tensors[value[TENSOR]]
    if PAIRS in value:
        return {_from_json(key, tensors): _from_json(item, tensors) for key, item in value[PAIRS]}
    return [_from_json(item, tensors) for item in value[ROW]]
