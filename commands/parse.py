"""Words into values: a flag starts with "--", everything else is what the command is about."""

import difflib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, cast

from commands.quotes import LONG_DASHES, Quoted
from commands.spec import Option, Parameter
from engine.messages import InvalidRequest, whole, within

LONGEST_ECHO = 60  # characters of a person's words that an error repeats
SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def parse(words: Sequence[str], parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The values that were given, by parameter name; the spoken parameter takes the words without a flag.

    "--steps 20" and "--steps=20" are the same, "--" ends the flags. Raises InvalidRequest with one sentence.
    """
    values: dict[str, Any] = {}
    said: list[str] = []
    flags = {flag: parameter for parameter in parameters for flag in parameter.flags}
    rest = deque(words)
    while rest:
        word = rest.popleft()
        if word == "--" and not isinstance(word, Quoted):
            said.extend(rest)
            break
        flag, equals, text = _flag(word, flags).partition("=")
        if not flag:
            said.append(word)
            continue
        parameter = _known(flag, flags)
        text = _goes_on(text, rest, parameter, flags) if equals else _next(rest, flag, parameter, flags)
        _add(values, parameter, flag, text)
    _speak(values, said, parameters, flags)
    return values


def spoken(words: Sequence[str]) -> str:
    """Words as one text: a quotation that is all of it loses its quotes, among others it keeps them."""
    if len(words) == 1:
        return str(words[0])
    return " ".join(word.raw if isinstance(word, Quoted) else word for word in words)


def value(parameter: Parameter, text: str) -> Any:
    """One value from its text. Raises InvalidRequest with one sentence."""
    option = parameter.option
    if option.read is not None:
        return option.read(text)
    if parameter.kind is bool:
        return _switch(parameter.label, text)
    if parameter.kind is int:
        return _whole(parameter.label, text, option)
    if parameter.kind is float:
        return _number(parameter.label, text, option)
    if isinstance(parameter.kind, type) and issubclass(parameter.kind, StrEnum):
        return _one_of(parameter.label, text, parameter.kind)
    return text


def check_given(values: Mapping[str, Any], parameters: Sequence[Parameter]) -> None:
    """Raise InvalidRequest with one sentence when something is missing that must be said."""
    for parameter in parameters:
        if parameter.required and parameter.name not in values:
            raise InvalidRequest(f"the {parameter.label} is missing: say {parameter.option.help}.")


def near(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or an empty string."""
    return next(iter(difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)), "")


def listed(words: Sequence[str], last: str = "and") -> str:
    """A list as people write it: "a, b and c"."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def short(text: str) -> str:
    """A person's words, cut to what fits into a sentence."""
    return text if len(text) <= LONGEST_ECHO else text[: LONGEST_ECHO - 1] + "…"


def _flag(word: str, flags: Collection[str]) -> str:
    """The word with its flag in the usual spelling, or an empty string if it is none.

    A long dash is two dashes when what follows is a known flag; in a prompt it is just a dash.
    """
    if isinstance(word, Quoted):
        return ""
    name, equals, text = word.partition("=")
    if name.startswith("--"):
        return name.lower().replace("_", "-") + equals + text
    if name.startswith(LONG_DASHES):
        name = "--" + name[1:].lower().replace("_", "-")
        return name + equals + text if name in flags else ""
    return ""


def _known(flag: str, flags: Mapping[str, Parameter]) -> Parameter:
    if flag in flags:
        return flags[flag]
    meant = near(flag, flags)
    hint = f"did you mean {meant}?" if meant else _all(flags)
    raise InvalidRequest(f"there is no option {short(flag)}: {hint}")


def _all(flags: Collection[str]) -> str:
    return f"the known ones are {listed(list(flags))}." if flags else "this command has none."


def _next(rest: deque[str], flag: str, parameter: Parameter, flags: Collection[str]) -> str:
    """The value that follows its flag; a switch needs none."""
    if parameter.kind is bool:
        return rest.popleft() if rest and rest[0].lower() in SWITCH else "true"
    if not rest or _flag(rest[0], flags):
        raise InvalidRequest(f"{flag} needs a value: {parameter.option.help}.")
    word = rest.popleft()
    return str(word) if isinstance(word, Quoted) else _goes_on(word, rest, parameter, flags)


def _goes_on(text: str, rest: deque[str], parameter: Parameter, flags: Collection[str]) -> str:
    """A list goes on after its commas, though spaces stand there: "ink:0.8, maria"."""
    if parameter.repeated or parameter.kind is str:
        while rest and not _flag(rest[0], flags) and (text.endswith(",") or rest[0].startswith(",")):
            text = f"{text} {rest.popleft()}"
    return text


def _add(values: dict[str, Any], parameter: Parameter, flag: str, text: str) -> None:
    read = value(parameter, text)
    if parameter.repeated:
        values[parameter.name] = (*values.get(parameter.name, ()), *read)
    elif parameter.name in values:
        raise InvalidRequest(f"{flag} was given twice: give it once.")
    else:
        values[parameter.name] = read


def _speak(
    values: dict[str, Any], said: Sequence[str], parameters: Sequence[Parameter], flags: Collection[str]
) -> None:
    """Give the words without a flag to the parameter that takes them."""
    first = next((parameter for parameter in parameters if parameter.spoken), None)
    if said and first is None:
        raise InvalidRequest(f"{short(spoken(said))!r} belongs to no option: {_all(flags)}")
    if said and first is not None:
        values[first.name] = value(first, spoken(said))
    check_given(values, parameters)


def _switch(name: str, text: str) -> bool:
    try:
        return SWITCH[text.strip().lower()]
    except KeyError:
        raise InvalidRequest(f"{name} is {short(text)!r}, but it must be true or false.") from None


def _whole(name: str, text: str, option: Option) -> object:
    low, high = cast("tuple[int, int]", (option.low, option.high))
    number = _or_text(int, text)
    whole(name, number, low, high)
    return number


def _number(name: str, text: str, option: Option) -> object:
    number = _or_text(float, text)
    within(name, number, option.low, option.high)
    return number


def _one_of(name: str, text: str, kind: type[StrEnum]) -> StrEnum:
    try:
        return kind(text.strip().lower())
    except ValueError:
        raise InvalidRequest(
            f"{name} is {short(text)!r}, but it must be {listed(list(kind), 'or')}."
        ) from None


def _or_text(number: Callable[[str], float], text: str) -> float | str:
    if len(text) > LONGEST_ECHO:
        return short(text)
    try:
        return number(text)
    except ValueError:
        return short(text)
