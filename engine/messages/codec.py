"""Messages as plain data: JSON, and bytes beside it.

To read them runs nothing of what they say. A message is written as its class's name and its fields in order,
bytes as their place among those beside. Who reads it allows some classes and no others, and holds each field
to its type.
"""

import json
import types
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from engine.messages.checks import InvalidRequest

Beside = Sequence[bytes]
Read = Callable[[Any, Beside], Any]

PLAIN = frozenset({str, int, float, bool, type(None)})


class BrokenMessage(Exception):
    """What came is no message that may come here."""


def written(message: object) -> tuple[bytes, list[bytes]]:
    """A message as JSON, and the bytes that go beside it. Raises TypeError for what no message holds."""
    beside: list[bytes] = []
    return json.dumps(_plain(message, beside), separators=(",", ":")).encode(), beside


def read(text: bytes, beside: Beside, kinds: tuple[type, ...]) -> Any:
    """The message again, which must be of one of these kinds. Raises BrokenMessage."""
    try:
        return _one_of(kinds)(json.loads(text), beside)
    except (ValueError, TypeError, IndexError, RecursionError) as error:  # InvalidRequest is a ValueError
        why = str(error) if isinstance(error, BrokenMessage | InvalidRequest) else type(error).__name__
        raise BrokenMessage(f"this is no message: {why}") from error


def _plain(value: Any, beside: list[bytes]) -> Any:
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is bytes:
        beside.append(value)
        return len(beside) - 1
    if kind is tuple:
        return [_plain(one, beside) for one in value]
    if is_dataclass(kind):
        return [kind.__name__, *(_plain(getattr(value, name), beside) for name in _names(kind))]
    if isinstance(value, str | int | float):  # one of a kind of its own: an Enum, a library's number
        return value
    raise TypeError(f"a message holds no {kind.__name__}")


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@cache
def _reads(hint: Any) -> Read:
    """What reads a value of this type, and raises TypeError for one of another."""
    hint = getattr(hint, "__supertype__", hint)  # a NewType
    if get_origin(hint) in (Union, types.UnionType):
        return _either(get_args(hint))
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint))
    if is_dataclass(hint):
        return _one_of((hint,))
    if hint is bytes:
        return _bytes
    if hint is float:
        return _float
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda value, beside: hint(value)
    if hint in PLAIN:
        return _exactly(hint)
    raise AssertionError(f"no message has a field of {hint}")


def _exactly(kind: type) -> Read:
    def read(value: Any, beside: Beside) -> Any:
        if type(value) is not kind:
            raise TypeError
        return value

    return read


def _float(value: Any, beside: Beside) -> float:
    if type(value) is not float and type(value) is not int:
        raise TypeError
    return float(value)


def _bytes(value: Any, beside: Beside) -> bytes:
    if type(value) is not int or value < 0:
        raise TypeError
    return beside[value]


def _tuple(kinds: tuple[Any, ...]) -> Read:
    if kinds[1:] == (...,):
        reads = _reads(kinds[0])
        return lambda value, beside: tuple([reads(one, beside) for one in _listed(value)])
    each = [_reads(kind) for kind in kinds]
    return lambda value, beside: tuple(
        [one(part, beside) for one, part in zip(each, _listed(value), strict=True)]
    )


def _either(kinds: tuple[Any, ...]) -> Read:
    """Of several types one, told apart by nothing or something, and then by the class's name."""
    optional = type(None) in kinds
    some = tuple(kind for kind in kinds if kind is not type(None))
    reads = _reads(some[0]) if len(some) == 1 else _one_of(some)
    return lambda value, beside: None if optional and value is None else reads(value, beside)


@cache
def _one_of(kinds: tuple[Any, ...]) -> Read:
    """Reads a message or a part of one, which says itself which of these classes it is of."""
    known = {kind.__name__: kind for kind in kinds}

    def read(value: Any, beside: Beside) -> Any:
        name, *values = _listed(value)
        if type(name) is not str or name not in known:
            raise TypeError
        kind: Any = known[name]
        made = {field: reads(one, beside) for (field, reads), one in zip(_fields(kind), values, strict=True)}
        return kind(**made)

    return read


@cache
def _fields(kind: Any) -> tuple[tuple[str, Read], ...]:
    hints = get_type_hints(kind)
    return tuple((name, _reads(hints[name])) for name in _names(kind))


def _listed(value: Any) -> list[Any]:
    if type(value) is not list:
        raise TypeError
    return value
