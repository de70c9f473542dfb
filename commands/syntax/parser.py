"""The parser of command lines: words and flags become typed values."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from commands.syntax.flags import Flag, normalize, read_flag
from commands.syntax.form_files import read_pictures, read_stored_file
from commands.syntax.quotes import Quotation
from commands.syntax.spec import Kind, Option, Parameter, is_enumeration
from engine.messages import InvalidRequest, check_integer, check_number

LONGEST_ECHO = 60  # characters of a person's words that an error repeats
LONGEST_NAME = 8  # words
NEARLY = {False: 0.75, True: 0.85}  # how alike a word with other dashes, or with only one, is to an option
UNPACKED = "unpacked"  # under this name a command is handed what it was made from
WEIGHTED = re.compile(r"[^\s:]+:[-+]?[\d.,]+")  # a LoRA with its weight
COMMA = re.compile(r"[-+]?\d+,\d+")  # a number as most of Europe writes it
PAINTS = "--cfg"  # the flag of those commands to which people bring the options of other programs
ELSEWHERE = {
    "--s": "stylize",
    "--stylize": "stylize",
    "--c": "chaos",
    "--chaos": "chaos",
    "--v": "version",
    "--q": "quality",
    "--quality": "quality",
    "--iw": "image weight",
    "--niji": "anime model",
    "--weird": "weird",
}
FILE_READERS: Mapping[Kind, Callable[[str], Any]] = MappingProxyType(
    {"picture": read_stored_file, "lora_file": read_stored_file, "pictures": read_pictures}
)
SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def parse(words: Sequence[str], parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The values that were given, by parameter name; words without a flag go to the spoken parameter.

    "--steps 20" and "--steps=20" are the same. After the spoken words a value that is text, or a list, has
    all words up to the next flag; in front of them it has one, so that they are left. One of known values,
    such as a sampler, has as many words as make the longest that is known. Raises InvalidRequest with one
    sentence, also for words that belong to nothing.
    """
    values: dict[str, Any] = {}
    spoken: Sequence[str]
    spoken, runs = _split_runs(words, _flags(parameters))
    first = next((parameter for parameter in parameters if parameter.spoken), None)
    flagged = any(run.parameter.spoken for run in runs)  # "--prompt a red fox"
    for run in runs:
        must = first is not None and (first.required or bool(first.option.unless))
        waits = must and not spoken and not flagged
        if run.parameter.spoken:
            spoken = _take_spoken(run, spoken)
            continue
        read = _take_value(run, waits=waits)
        _add(values, run, read.text)
        if spoken and read.rest:
            raise InvalidRequest(_stray_words_text(read.rest, run, first))
        spoken = spoken or read.rest
    _join(values, parameters)
    _add_spoken(values, spoken, parameters)
    given = {name: item for name, item in values.items() if first is None or name != first.name}
    return values | unpack(values, parameters) | given


def join_words(words: Sequence[str]) -> str:
    """Words as one text. A quotation that is all of it loses its quotes, others keep them."""
    if len(words) == 1:
        return str(words[0])
    return " ".join(word.raw if isinstance(word, Quotation) else word for word in words)


def value(parameter: Parameter, text: str) -> Any:
    """One value from its text. Raises InvalidRequest."""
    option = parameter.option
    if parameter.value_type is not str and not parameter.repeated:
        text = normalize(text).strip()  # what looks alike is alike, but in words
    read = option.read or FILE_READERS.get(parameter.kind)
    if read is not None:
        return read(text)
    if parameter.choices:
        return _read_choice(parameter, text)
    match parameter.kind:
        case "boolean":
            return _read_switch(_subject(parameter), text)
        case "integer":
            return _read_whole(_subject(parameter), text, option)
        case "number":
            return _read_number(_subject(parameter), text, option)
        case _:
            return text


def unpack(values: Mapping[str, Any], parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The values that one of these says for others, too, such as a recipe in place of a prompt; or nothing.

    Raises InvalidRequest with one sentence.
    """
    by_name = {parameter.name: parameter for parameter in parameters}
    for name, parameter in by_name.items():
        unpack = parameter.option.unpack
        parts = unpack(values[name]) if unpack is not None and name in values else None
        if parts is not None:
            read = {
                other: value(by_name[other], text) for other, text in parts.texts.items() if other in by_name
            }
            return {**read, UNPACKED: parts}
    return {}


def check_required(values: Mapping[str, Any], parameters: Sequence[Parameter]) -> None:
    """Raise InvalidRequest when a required value is missing."""
    for parameter in parameters:
        needed = parameter.required or (parameter.option.unless and parameter.option.unless not in values)
        if needed and parameter.name not in values:
            raise InvalidRequest(f"The {parameter.label} is missing ({parameter.option.inline_help}).")


def closest(word: str, candidates: Iterable[str], cutoff: float = 0.5) -> str:
    """The known word that is most similar, or ""."""
    return next(iter(difflib.get_close_matches(word.lower(), list(candidates), n=1, cutoff=cutoff)), "")


def join_list(words: Sequence[str], last: str = "and") -> str:
    """A list in words: "a, b and c"."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def shorten(text: str) -> str:
    """Somebody's words, cut to fit into a sentence."""
    return text if len(text) <= LONGEST_ECHO else text[: LONGEST_ECHO - 1] + "…"


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A flag with the words up to the next one; `joined` is what stood in one word with it, after a sign."""

    flag: str
    parameter: Parameter
    joined: str | None
    words: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class _FlagValue:
    """The text that belongs to a flag, and the words after it that do not."""

    text: str
    rest: Sequence[str]


def _flags(parameters: Sequence[Parameter]) -> dict[str, Parameter]:
    """The parameter of each flag; a part of a value is a parameter of its own until all are read."""
    flags = {flag: parameter for parameter in parameters for flag in parameter.flags}
    for parameter in parameters:
        if parameter.spoken:
            flags.setdefault(f"--{parameter.label}", parameter)
        flags |= {flag: part for part in parameter.parts for flag in part.flags if flag not in flags}
    return flags


def _split_runs(words: Sequence[str], flags: Mapping[str, Parameter]) -> tuple[list[str], list[_Run]]:
    """The words before the first flag, and those after each. Raises InvalidRequest.

    Dashes alone are dashes; before anything else they only keep a name apart: "/lora -- merge".
    """
    if words and words[0] == "--" and not isinstance(words[0], Quotation):
        words = words[1:]
    first: list[str] = []
    runs: list[_Run] = []
    after = first
    for word in words:
        read = _find_flag(word, flags)
        if read is None:
            after.append(word)
        else:
            after = []
            runs.append(_Run(flag=read.name, parameter=flags[read.name], joined=read.value, words=after))
    return first, runs


def _find_flag(word: str, flags: Mapping[str, Parameter]) -> Flag | None:
    """The known flag that this word is; None if it is just a word. Raises InvalidRequest.

    What begins with two hyphens is nothing but a flag. Other dashes belong to sentences, too: then it is one
    where it names an option, and an error where it nearly does.
    """
    read = None if isinstance(word, Quotation) else read_flag(word)
    if read is None or read.name in flags:
        return read
    if read.plain or closest(read.name[2:], [other[2:] for other in flags], NEARLY[read.single]):
        raise InvalidRequest(f"There is no option {shorten(read.name)}. {_suggest(read.name, flags)}")
    return None


def _suggest(name: str, flags: Mapping[str, Parameter]) -> str:
    """What an unknown flag probably stands for."""
    begin = [other for other in flags if other.startswith(name)]
    if name in ELSEWHERE and PAINTS in flags:
        say = f" Say {join_list(begin, 'or')} in full." if begin else ""
        return f"It is Midjourney's {ELSEWHERE[name]}, and nothing here does that.{say}"
    if len(begin) > 1:
        return f"Did you mean {join_list(begin, 'or')}?"
    meant = closest(name, flags)
    if meant:
        return f"Did you mean {meant}?" if name.isascii() else f"Did you mean {meant}, in plain letters?"
    return _list_flags(flags)


def _list_flags(flags: Mapping[str, Parameter]) -> str:
    names = [name for name in flags if name in flags[name].flags and not flags[name].part]
    return f"The options are {join_list(names)}." if names else "This command has none."


def _take_value(run: _Run, *, waits: bool) -> _FlagValue:
    """The value of a flag from the words after it. `waits`: spoken words are still to come.

    Raises InvalidRequest when there is none.
    """
    parameter, words = run.parameter, list(run.words)
    if run.joined or (run.joined is not None and (waits or not words)):
        words = [run.joined, *words]
    elif parameter.kind == "boolean":
        return _take_switch(words)
    elif not words:
        raise InvalidRequest(f"{run.flag} needs a value ({parameter.option.inline_help}).")
    if parameter.value_type is str and not parameter.has_known_values:
        many = _count_list_words(words) if waits else len(words)
        return _FlagValue(text=join_words(words[:many]), rest=words[many:])
    if parameter.repeated:
        many = _count_list_words(words) if waits else len(words)
    else:
        many = _count_longest_value(words, parameter, waits=waits)
    return _FlagValue(text=" ".join(words[:many]), rest=words[many:])


def _take_spoken(run: _Run, before: Sequence[str]) -> Sequence[str]:
    """The spoken words where they were given a flag."""
    words = run.words if run.joined is None else [run.joined, *run.words]
    if before:
        raise InvalidRequest(f"The {run.parameter.label} was given twice. Give it once.")
    if not words:
        raise InvalidRequest(f"{run.flag} needs a value ({run.parameter.option.inline_help}).")
    return words


def _take_switch(words: Sequence[str]) -> _FlagValue:
    """The value of a switch, which needs none."""
    if words and words[0].lower() in SWITCH:
        return _FlagValue(text=words[0], rest=words[1:])
    return _FlagValue(text="true", rest=words)


def _count_list_words(words: Sequence[str]) -> int:
    """How many words make up a list: it goes on after commas, and over "maria:0.5"."""
    many = 1
    while many < len(words) and not isinstance(words[many - 1], Quotation):
        before, word = words[many - 1], words[many]
        if not (before.endswith(",") or word.startswith(",") or WEIGHTED.fullmatch(word)):
            break
        many += 1
    return many


def _count_longest_value(words: Sequence[str], parameter: Parameter, *, waits: bool) -> int:
    """How many words make up the longest value that this parameter knows."""
    if not parameter.has_known_values or isinstance(words[0], Quotation):
        return 1
    for many in range(min(len(words), LONGEST_NAME), 1, -1):
        with suppress(InvalidRequest):
            value(parameter, " ".join(words[:many]))
            return many
    with suppress(InvalidRequest):
        value(parameter, words[0])
        return 1
    return 1 if waits else min(len(words), LONGEST_NAME)


def _stray_words_text(words: Sequence[str], run: _Run, first: Parameter | None) -> str:
    """The refusal of words after a value, where the spoken words have come already."""
    choices = run.parameter.choices
    takes = f"{run.flag} takes {join_list(choices, 'or')}. " if choices else ""
    whole = f"Say all of the {first.label if first else 'words'} in one piece, before the options."
    return f"{shorten(join_words(words))!r} after {run.flag} belongs to nothing. {takes}{whole}"


def _add(values: dict[str, Any], run: _Run, text: str) -> None:
    parameter = run.parameter
    read = value(parameter, text)
    if parameter.repeated:
        values[parameter.name] = (*values.get(parameter.name, ()), *read)
    elif parameter.name in values:
        raise InvalidRequest(f"{run.flag} was given twice. Give it once.")
    else:
        values[parameter.name] = read


def _join(values: dict[str, Any], parameters: Sequence[Parameter]) -> None:
    """Join parts into one value, such as width and height into a size. Raises InvalidRequest."""
    for parameter in parameters:
        parts = {part.flags[0]: values.pop(part.name, None) for part in parameter.parts}
        missing = [flag for flag, part_value in parts.items() if part_value is None]
        if not parts or len(missing) == len(parts):
            continue
        if missing:
            given = next(flag for flag in parts if flag not in missing)
            raise InvalidRequest(f"{given} needs {missing[0]} beside it. Give both, or {parameter.flags[0]}.")
        if parameter.name in values:
            raise InvalidRequest(f"{next(iter(parts))} and {parameter.flags[0]} say the same. Give only one.")
        values[parameter.name] = value(parameter, "x".join(map(str, parts.values())))


def _add_spoken(values: dict[str, Any], words: Sequence[str], parameters: Sequence[Parameter]) -> None:
    """Give the words without a flag to the spoken parameter."""
    first = next((parameter for parameter in parameters if parameter.spoken), None)
    if words and first is None:
        flags = _flags(parameters)
        raise InvalidRequest(f"{shorten(join_words(words))!r} belongs to no option. {_list_flags(flags)}")
    if words and first is not None:
        values[first.name] = value(first, join_words(words))
    check_required(values, parameters)


def _subject(parameter: Parameter) -> str:
    """What opens a sentence about this parameter: its flag, or "The" and its name."""
    return f"--{parameter.label}" if parameter.flags else f"The {parameter.label}"


def _read_switch(name: str, text: str) -> bool:
    try:
        return SWITCH[text.strip().lower()]
    except KeyError:
        raise InvalidRequest(f"{name} must be true or false, not {shorten(text)!r}.") from None


def _read_whole(name: str, text: str, option: Option) -> object:
    low, high = cast("tuple[int, int]", (option.low, option.high))
    number = _read_or_text(int, text)
    check_integer(name, number, low, high)
    return number


def _read_number(name: str, text: str, option: Option) -> object:
    number = _read_or_text(float, text.replace(",", ".") if COMMA.fullmatch(text) else text)
    check_number(name, number, option.low, option.high)
    return number


def _read_choice(parameter: Parameter, text: str) -> str:
    """The choice with this spelling, in any case."""
    choices = {choice.lower(): choice for choice in parameter.choices}
    choice = choices.get(" ".join(normalize(text).lower().split()))
    if choice is None:
        must = join_list(parameter.choices, "or")
        raise InvalidRequest(f"{_subject(parameter)} must be {must}, not {shorten(text)!r}.")
    return parameter.value_type(choice) if is_enumeration(parameter.value_type) else choice


def _read_or_text(number: Callable[[str], float], text: str) -> float | str:
    if len(text) > LONGEST_ECHO:
        return shorten(text)
    try:
        return number(text)
    except ValueError:
        return shorten(text)
