"""Definitions of commands and options, read once from the signatures of functions."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import PurePath
from types import MappingProxyType, UnionType
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
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

Kind = Literal[
    "text",  # words
    "name",  # what something new will be called
    "integer",
    "number",
    "boolean",
    "choice",  # one of a few values
    "sampler",  # a choice that has several spellings
    "size",  # pixels, a ratio, or a name such as portrait
    "command",  # a command of the bot's, by name
    "lora",  # a LoRA that is there, by name
    "loras",  # some of them, with weights
    "picture",  # one, by the hash of what was sent
    "image",  # the same, or one that was painted here, by its job
    "pictures",  # several, with names and captions, as JSON
    "lora_file",  # a .safetensors file, by its hash
]
UPLOADED: frozenset[Kind] = frozenset({"picture", "pictures", "lora_file"})  # and not written
FILES: frozenset[Kind] = UPLOADED | {"image"}  # what can be uploaded


class UnpackedText(Protocol):
    """A text with the values of several parameters."""

    @property
    def texts(self) -> Mapping[str, str]:
        """The texts of parameters, by name."""


BUILT_IN: Mapping[Any, Kind] = MappingProxyType({bool: "boolean", int: "integer", float: "number"})


@dataclass(frozen=True)
class Option:
    """What a signature says about a parameter beside its type: help, bounds, other names, how to read it.

    `kind` is what chats go by: how a form asks for it, how it is completed, whether a file is uploaded. It
    need not be said of numbers, switches, enumerations and plain words. `read` turns a person's text into the
    value and raises InvalidRequest with a sentence; None stands for the kind's own way. A parameter that is a
    tuple may be given several times, and `read` returns a tuple.
    `parts` are flags that give it in parts, each with its other names: width and height, which an "x" joins.
    `unpack` reads the values of other options from a text; the command gets them as `unpacked`.
    `otherwise` says what happens without it, where the default does not. `unless` is the option with which
    it need not be given, though it must without that. `among` names the
    values that it may have, with a line on each.

    How forms show it: `long` has several lines. `needed` may be left out of a line, but not of a form. `main`
    has a field of its own in a form with room for a few; the others share one there, in which those that are
    `bare` stand first, without flags: a word each, and the last one has the rest. `more` is for those who
    know: forms fold it away. What is `hidden` nobody says: a form that the bot has filled in brings it back.
    """

    help: str
    low: float = -math.inf
    high: float = math.inf
    kind: Kind | None = None
    aliases: tuple[str, ...] = ()
    parts: tuple[tuple[str, ...], ...] = ()
    read: Callable[[str], Any] | None = None
    unpack: Callable[[str], UnpackedText | None] | None = None
    otherwise: str = ""
    unless: str = ""
    among: Callable[[], Mapping[str, str]] | None = None
    long: bool = False
    needed: bool = False
    main: bool = False
    bare: bool = False
    more: bool = False
    hidden: bool = False

    @property
    def inline_help(self) -> str:
        """Its help as a part of a sentence: "denoising steps"."""
        return self.help if self.help[1:2].isupper() else self.help[:1].lower() + self.help[1:]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a command. `choices` is empty unless there are only a few."""

    name: str
    type: Any
    option: Option
    required: bool
    default: Any = None
    spoken: bool = False  # said without a flag
    part: bool = False  # of the value of another one

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """What stands before its value in a line: ("--size", "--ar"); nothing if it is spoken."""
        names = () if self.spoken else (self.name, *self.option.aliases)
        return tuple("--" + name.replace("_", "-") for name in names)

    @property
    def label(self) -> str:
        """Its name as people read it."""
        return self.name.replace("_", "-")

    @cached_property
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
    def has_known_values(self) -> bool:
        """Whether not every text is a value; one may have several words: "DPM++ 2M Karras", "832 x 1216"."""
        exact = isinstance(self.value_type, type) and issubclass(self.value_type, PurePath)
        return not (self.repeated or exact) and bool(self.choices or self.option.read)

    @property
    def repeated(self) -> bool:
        """Whether it can be given several times."""
        return get_origin(self.type) is tuple

    @cached_property
    def kind(self) -> Kind:
        """What kind of thing it is, as its option says, or else its type."""
        if self.option.kind is not None:
            return self.option.kind
        if self.choices:
            return "choice"
        return BUILT_IN.get(self.value_type, "text")

    @property
    def is_file(self) -> bool:
        """Whether it is uploaded, and not written."""
        return self.kind in UPLOADED

    @property
    def takes_file(self) -> bool:
        """Whether it can be uploaded."""
        return self.kind in FILES

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """The values that it may have, as people write them."""
        if self.option.among is not None:
            return tuple(self.option.among())
        return tuple(self.value_type) if is_enumeration(self.value_type) else ()

    @cached_property
    def value_type(self) -> Any:
        """The type without the None that stands for "not given"."""
        union = get_origin(self.type) in (Union, UnionType)
        types = (
            [member for member in get_args(self.type) if member is not type(None)] if union else [self.type]
        )
        return types[0] if len(types) == 1 else self.type


@dataclass(frozen=True, kw_only=True)
class Command(Generic[P, T_co]):
    """A command of one or two words; calling it runs its handler.

    `submit` is what the button of its form says; one that has such a word is mostly used by its form, which
    opens when it is said alone. `private`: who asks can have what it makes for themselves alone. `admin`:
    only admins may. `lists_folder`: the handler asks what lies in the operator's folder of LoRAs, whatever
    was said.
    """

    name: str
    help: str
    parameters: tuple[Parameter, ...]
    run: Callable[P, T_co]
    submit: str = ""
    private: bool = False
    admin: bool = False
    lists_folder: bool = False

    @cached_property
    def files(self) -> tuple[Parameter, ...]:
        """What can be uploaded for it."""
        return tuple(parameter for parameter in self.parameters if parameter.takes_file)

    @property
    def spoken(self) -> Parameter | None:
        """What is said without a flag."""
        return next((parameter for parameter in self.parameters if parameter.spoken), None)

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


def form_command(submit: str, *, private: bool = False) -> Callable[[Callable[P, T_co]], Command[P, T_co]]:
    """The same of one that is mostly used by its form: what the form's button says."""
    return lambda function: replace(command(function), submit=submit, private=private)


def admin_command(function: Callable[P, T_co]) -> Command[P, T_co]:
    """The same, for admins alone."""
    return replace(command(function), admin=True)


def lists_folder(command: Command[P, T_co]) -> Command[P, T_co]:
    """The same, for a handler that asks for all LoRAs: the folder is read before its transaction opens."""
    return replace(command, lists_folder=True)


def is_enumeration(kind: Any) -> bool:
    """Whether this is the type of a few known texts."""
    return isinstance(kind, type) and issubclass(kind, StrEnum)


def parameters(function: Callable[..., object]) -> tuple[Parameter, ...]:
    """The parameters of a signature that carry an Option, in their order."""
    hints = get_type_hints(function, include_extras=True)
    result: list[Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            result.extend(_parameters_of_typed_dict(hints[name]))
            continue
        kind, option = _find_option(hints[name])
        if option is None:
            continue
        result.append(
            Parameter(
                name=name,
                type=kind,
                option=option,
                required=parameter.default is parameter.empty,
                default=None if parameter.default is parameter.empty else parameter.default,
                spoken=not result and parameter.kind is not parameter.KEYWORD_ONLY,
            )
        )
    return tuple(result)


def _parameters_of_typed_dict(hint: Any) -> Iterator[Parameter]:
    if get_origin(hint) is not Unpack:
        return
    (keywords,) = get_args(hint)
    for name, keyword in get_type_hints(keywords, include_extras=True).items():
        kind, option = _find_option(keyword)
        if option is not None:
            yield Parameter(name=name, type=kind | None, option=option, required=False)


def _find_option(hint: Any) -> tuple[Any, Option | None]:
    """The type and Option of an annotation, which may say "or None" around another one."""
    if get_origin(hint) is Annotated:
        kind, *extras = get_args(hint)
        return kind, next((extra for extra in extras if isinstance(extra, Option)), None)
    if get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            kind, option = _find_option(part)
            if option is not None:
                return kind | None, option
    return hint, None
