"""Words into values: a flag starts with "--", everything else is what the command is about."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from commands.spec import Option, Parameter
from engine.messages import InvalidRequest, whole, within

LONGEST_ECHO = 60  # characters of a person's words that an error repeats


def parse(words: Sequence[str], parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The values that were given, by parameter name; the first parameter takes the words without a flag.

    "--steps 20" and "--steps=20" are the same, "--" ends the flags. Raises InvalidRequest with one sentence.
    """
    values: dict[str, Any] = {}
    spoken: list[str] = []
    flags = {_flag(name): parameter for parameter in parameters[1:] for name in _names(parameter)}
    rest = iter(words)
    for word in rest:
        if word == "--":
            spoken.extend(rest)
        elif word.startswith("--"):
            flag, equals, text = word.partition("=")
            parameter = _known(flag, flags)
            _add(values, parameter, flag, text if equals else _next(rest, flag, parameter))
        else:
            spoken.append(word)
    first = parameters[0]
    if spoken:
        values[first.name] = value(first, " ".join(spoken))
    elif first.required:
        raise InvalidRequest(f"the {first.name} is missing: say {first.option.help}.")
    return values


def value(parameter: Parameter, text: str) -> Any:
    """One value from its text. Raises InvalidRequest with one sentence."""
    option = parameter.option
    if option.read is not None:
        return option.read(text)
    if parameter.kind is int:
        return _whole(parameter.name, text, option)
    if parameter.kind is float:
        return _number(parameter.name, text, option)
    return text


def near(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or an empty string."""
    return next(iter(difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)), "")


def listed(words: Sequence[str], last: str = "and") -> str:
    """A list as people write it: "a, b and c"."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def short(text: str) -> str:
    """A person's words, cut to what fits into a sentence."""
    return text if len(text) <= LONGEST_ECHO else text[: LONGEST_ECHO - 1] + "…"


def _add(values: dict[str, Any], parameter: Parameter, flag: str, text: str) -> None:
    read = value(parameter, text)
    if parameter.repeated:
        values[parameter.name] = (*values.get(parameter.name, ()), *read)
    elif parameter.name in values:
        raise InvalidRequest(f"{flag} was given twice: give it once.")
    else:
        values[parameter.name] = read


def _known(flag: str, flags: dict[str, Parameter]) -> Parameter:
    if flag in flags:
        return flags[flag]
    meant = near(flag, flags)
    hint = f"did you mean {meant}?" if meant else f"the known ones are {listed(list(flags))}."
    raise InvalidRequest(f"there is no option {short(flag)}: {hint}")


def _next(rest: Iterable[str], flag: str, parameter: Parameter) -> str:
    for word in rest:
        return word
    raise InvalidRequest(f"{flag} needs a value: {parameter.option.help}.")


def _names(parameter: Parameter) -> tuple[str, ...]:
    return (parameter.name, *parameter.option.aliases)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _whole(name: str, text: str, option: Option) -> object:
    low, high = cast("tuple[int, int]", (option.low, option.high))
    number = _or_text(int, text)
    whole(name, number, low, high)
    return number


def _number(name: str, text: str, option: Option) -> object:
    number = _or_text(float, text)
    within(name, number, option.low, option.high)
    return number


def _or_text(number: Callable[[str], float], text: str) -> float | str:
    try:
        return number(text)
    except ValueError:
        return short(text)
