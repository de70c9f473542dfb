"""A command's definition, read once from a function's signature: flags, forms and help are made from it."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """What a signature says about a parameter beside its type: help, bounds, other names, how to read it.

    `read` turns a person's text into the value and raises InvalidRequest with a sentence; None stands for the
    type's own way. A parameter that is a tuple may be given several times, and `read` returns a tuple.
    """

    help: str
    low: float = -math.inf
    high: float = math.inf
    aliases: tuple[str, ...] = ()
    read: Callable[[str], Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One thing that a command can be told. `choices` is empty unless its type is an enumeration."""

    name: str
    type: Any
    option: Option
    required: bool
    default: Any = None

    @property
    def repeated(self) -> bool:
        """Whether it can be given several times."""
        return get_origin(self.type) is tuple

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of an enumeration, as people write them."""
        for kind in self._kinds:
            if isinstance(kind, type) and issubclass(kind, StrEnum):
                return tuple(kind)
        return ()

    @property
    def kind(self) -> Any:
        """The type without the None that stands for "not given"."""
        kinds = [kind for kind in self._kinds if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else self.type

    @property
    def _kinds(self) -> tuple[Any, ...]:
        return get_args(self.type) if get_origin(self.type) in (Union, UnionType) else (self.type,)


@dataclass(frozen=True, kw_only=True)
class Command(Generic[P, T]):
    """A thing people can say; calling it runs its handler. Its first parameter is said without a flag."""

    name: str
    help: str
    parameters: tuple[Parameter, ...]
    run: Callable[P, T]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(*args, **kwargs)


def command(function: Callable[P, T]) -> Command[P, T]:
    """The definition of a command: its name, its docstring's first line, and its Annotated parameters.

    Parameters without an Option, such as the context, come from the caller and not from a person.
    """
    return Command(
        name=function.__name__,
        help=(inspect.getdoc(function) or "").partition("\n")[0],
        parameters=parameters(function),
        run=function,
    )


def parameters(function: Callable[..., object]) -> tuple[Parameter, ...]:
    """The parameters of a signature that carry an Option, in their order."""
    hints = get_type_hints(function, include_extras=True)
    signature = inspect.signature(function).parameters
    return tuple(
        Parameter(
            name=name,
            type=get_args(hints[name])[0],
            option=option,
            required=given.default is given.empty,
            default=None if given.default is given.empty else given.default,
        )
        for name, given in signature.items()
        if (option := _option(hints[name])) is not None
    )


def _option(hint: Any) -> Option | None:
    if get_origin(hint) is not Annotated:
        return None
    return next((extra for extra in get_args(hint)[1:] if isinstance(extra, Option)), None)
