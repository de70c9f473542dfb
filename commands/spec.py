"""A command's definition, read once from a function's signature: flags, forms and help are made from it."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePath
from types import UnionType
from typing import (
    Annotated,
    Any,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)

P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)


class Unpacked(Protocol):
    """A text that is more than one value."""

    @property
    def texts(self) -> Mapping[str, str]:
        """The texts of parameters, by name."""


@dataclass(frozen=True)
class Option:
    """What a signature says about a parameter beside its type: help, bounds, other names, how to read it.

    `read` turns a person's text into the value and raises InvalidRequest with a sentence; None stands for the
    type's own way. A parameter that is a tuple may be given several times, and `read` returns a tuple.
    `parts` are flags that give it in parts, each with its other names: width and height, which an "x" joins.
    `unpack` tells what a text says for others, too; it is handed to the command as `unpacked`.
    `otherwise` tells what happens when it is not given, where the default does not say it. `among` names the
    values that it may have, with a line on each. `more` is for those who know: forms fold it away. What is
    `hidden` nobody says: a form that the bot has filled in brings it back.
    """

    help: str
    low: float = -math.inf
    high: float = math.inf
    aliases: tuple[str, ...] = ()
    parts: tuple[tuple[str, ...], ...] = ()
    read: Callable[[str], Any] | None = None
    unpack: Callable[[str], Unpacked | None] | None = None
    otherwise: str = ""
    among: Callable[[], Mapping[str, str]] | None = None
    more: bool = False
    hidden: bool = False


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One thing that a command can be told. `choices` is empty unless there are only a few."""

    name: str
    type: Any
    option: Option
    required: bool
    default: Any = None
    spoken: bool = False  # said without a flag
    part: bool = False  # of the value of another one

    @property
    def flags(self) -> tuple[str, ...]:
        """What stands before its value in a line: ("--size", "--ar"); nothing if it is spoken."""
        names = () if self.spoken else (self.name, *self.option.aliases)
        return tuple("--" + name.replace("_", "-") for name in names)

    @property
    def label(self) -> str:
        """Its name as people read it."""
        return self.name.replace("_", "-")

    @property
    def parts(self) -> "tuple[Parameter, ...]":
        """What its value can be given in."""
        return tuple(
            Parameter(
                name=name,
                type=int,
                option=Option(self.option.help, self.option.low, self.option.high, aliases=others),
                required=False,
                part=True,
            )
            for name, *rest in self.option.parts
            for others in [tuple(rest)]
        )

    @property
    def named(self) -> bool:
        """Whether it has known values, which may have several words: "DPM++ 2M Karras", "832 x 1216"."""
        exact = isinstance(self.kind, type) and issubclass(self.kind, PurePath)
        return self.option.read is not None and not self.repeated and not exact

    @property
    def repeated(self) -> bool:
        """Whether it can be given several times."""
        return get_origin(self.type) is tuple

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it may have, as people write them."""
        if self.option.among is not None:
            return tuple(self.option.among())
        for kind in self.kinds:
            if isinstance(kind, type) and issubclass(kind, StrEnum):
                return tuple(kind)
        return ()

    @property
    def kind(self) -> Any:
        """The type without the None that stands for "not given"."""
        kinds = [kind for kind in self.kinds if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else self.type

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types of a union, or the only one."""
        return get_args(self.type) if get_origin(self.type) in (Union, UnionType) else (self.type,)


@dataclass(frozen=True, kw_only=True)
class Command(Generic[P, T_co]):
    """A thing people can say, in a word or two; calling it runs its handler. `admin`: only admins may.

    `lists_folder`: the handler asks what lies in the operator's folder of LoRAs, whatever was said.
    """

    name: str
    help: str
    parameters: tuple[Parameter, ...]
    run: Callable[P, T_co]
    admin: bool = False
    lists_folder: bool = False

    @property
    def group(self) -> str:
        """The first of two words, which other commands may have too; nothing if there is only one."""
        first, _, second = self.name.partition(" ")
        return first if second else ""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T_co:
        return self.run(*args, **kwargs)


def command(function: Callable[P, T_co]) -> Command[P, T_co]:
    """The definition of a command: its name, its docstring's first line, and its Annotated parameters.

    Parameters without an Option, such as the context, come from the caller and not from a person. The first
    of the others is said without a flag, unless it can be given by keyword only. Those of a TypedDict at the
    end, **more: Unpack[More], need not be given and have no default. admin_people is said "/admin people".
    """
    return Command(
        name=function.__name__.replace("_", " "),
        help=(inspect.getdoc(function) or "").partition("\n")[0],
        parameters=parameters(function),
        run=function,
    )


def admin_command(function: Callable[P, T_co]) -> Command[P, T_co]:
    """The same, for admins alone."""
    return replace(command(function), admin=True)


def lists_folder(command: Command[P, T_co]) -> Command[P, T_co]:
    """The same, for a handler that asks for all LoRAs: the folder is read before its transaction opens."""
    return replace(command, lists_folder=True)


def parameters(function: Callable[..., object]) -> tuple[Parameter, ...]:
    """The parameters of a signature that carry an Option, in their order."""
    hints = get_type_hints(function, include_extras=True)
    found: list[Parameter] = []
    for name, given in inspect.signature(function).parameters.items():
        if given.kind is given.VAR_KEYWORD:
            found.extend(_unpacked(hints[name]))
            continue
        kind, option = _annotated(hints[name])
        if option is None:
            continue
        found.append(
            Parameter(
                name=name,
                type=kind,
                option=option,
                required=given.default is given.empty,
                default=None if given.default is given.empty else given.default,
                spoken=not found and given.kind is not given.KEYWORD_ONLY,
            )
        )
    return tuple(found)


def _unpacked(hint: Any) -> Iterator[Parameter]:
    if get_origin(hint) is not Unpack:
        return
    (keywords,) = get_args(hint)
    for name, one in get_type_hints(keywords, include_extras=True).items():
        kind, option = _annotated(one)
        if option is not None:
            yield Parameter(name=name, type=kind | None, option=option, required=False)


def _annotated(hint: Any) -> tuple[Any, Option | None]:
    """The type and Option of an annotation, which may say "or None" around another one."""
    if get_origin(hint) is Annotated:
        kind, *extras = get_args(hint)
        return kind, next((extra for extra in extras if isinstance(extra, Option)), None)
    if get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            kind, option = _annotated(part)
            if option is not None:
                return kind | None, option
    return hint, None
