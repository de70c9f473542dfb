"""Encoding of messages as JSON with the bytes beside it, and decoding that checks every field's type.

A message is written as its class's name and its fields in order, bytes as their index among those beside it.
The reader allows some classes and no others. Decoding runs nothing of what a message says, unlike pickle.
"""

import json
import types
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from engine.messages.checks import InvalidRequest

Blobs = Sequence[bytes]
Decode = Callable[[Any, Blobs], Any]

PLAIN = frozenset({str, int, float, bool, type(None)})


class BrokenMessage(Exception):
    """The bytes received are no message that is allowed here."""


def encode_message(message: object) -> tuple[bytes, list[bytes]]:
    """A message as JSON, and the bytes that go beside it. Raises TypeError for a value of no allowed type."""
    blobs: list[bytes] = []
    return json.dumps(_encode(message, blobs), separators=(",", ":")).encode(), blobs


def decode_message(text: bytes, blobs: Blobs, kinds: tuple[type, ...]) -> Any:
    """The message in these bytes, which must be of one of these classes. Raises BrokenMessage."""
    try:
        return _class_decoder(kinds)(json.loads(text), blobs)
    except (ValueError, TypeError, IndexError, RecursionError) as error:  # InvalidRequest is a ValueError
        why = str(error) if isinstance(error, BrokenMessage | InvalidRequest) else type(error).__name__
        raise BrokenMessage(f"this is no message: {why}") from error


def _encode(value: Any, blobs: list[bytes]) -> Any:
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is bytes:
        blobs.append(value)
        return len(blobs) - 1
    if kind is tuple:
        return [_encode(item, blobs) for item in value]
    if is_dataclass(kind):
        return [kind.__name__, *(_encode(getattr(value, name), blobs) for name in _field_names(kind))]
    if isinstance(value, str | int | float):  # a subclass of theirs: an Enum, a library's number
        return value
    raise TypeError(f"a message holds no {kind.__name__}")


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@cache
def _decoder(hint: Any) -> Decode:
    """A function that decodes a value of this type, and raises TypeError for any other."""
    hint = getattr(hint, "__supertype__", hint)  # a NewType
    if get_origin(hint) in (Union, types.UnionType):
        return _union_decoder(get_args(hint))
    if get_origin(hint) is tuple:
        return _tuple_decoder(get_args(hint))
    if is_dataclass(hint):
        return _class_decoder((hint,))
    if hint is bytes:
        return _decode_bytes
    if hint is float:
        return _decode_float
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda value, blobs: hint(value)
    if hint in PLAIN:
        return _plain_decoder(hint)
    raise AssertionError(f"no message has a field of {hint}")


def _plain_decoder(kind: type) -> Decode:
    def decode(value: Any, blobs: Blobs) -> Any:
        if type(value) is not kind:
            raise TypeError
        return value

    return decode


def _decode_float(value: Any, blobs: Blobs) -> float:
    if type(value) is not float and type(value) is not int:
        raise TypeError
    return float(value)


def _decode_bytes(value: Any, blobs: Blobs) -> bytes:
    if type(value) is not int or value < 0:
        raise TypeError
    return blobs[value]


def _tuple_decoder(kinds: tuple[Any, ...]) -> Decode:
    if kinds[1:] == (...,):
        decode = _decoder(kinds[0])
        return lambda value, blobs: tuple([decode(item, blobs) for item in _check_list(value)])
    decoders = [_decoder(kind) for kind in kinds]
    return lambda value, blobs: tuple(
        [decode(item, blobs) for decode, item in zip(decoders, _check_list(value), strict=True)]
    )


def _union_decoder(kinds: tuple[Any, ...]) -> Decode:
    """Decodes None or one of several classes, which the value names."""
    optional = type(None) in kinds
    others = tuple(kind for kind in kinds if kind is not type(None))
    decode = _decoder(others[0]) if len(others) == 1 else _class_decoder(others)
    return lambda value, blobs: None if optional and value is None else decode(value, blobs)


@cache
def _class_decoder(kinds: tuple[Any, ...]) -> Decode:
    """Decodes a message, or a dataclass in one, which names its own class among these."""
    by_name = {kind.__name__: kind for kind in kinds}

    def decode(value: Any, blobs: Blobs) -> Any:
        name, *values = _check_list(value)
        if type(name) is not str or name not in by_name:
            raise TypeError
        kind: Any = by_name[name]
        decoders = zip(_field_decoders(kind), values, strict=True)
        return kind(**{field: decode(item, blobs) for (field, decode), item in decoders})

    return decode


@cache
def _field_decoders(kind: Any) -> tuple[tuple[str, Decode], ...]:
    hints = get_type_hints(kind)
    return tuple((name, _decoder(hints[name])) for name in _field_names(kind))


def _check_list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise TypeError
    return value
