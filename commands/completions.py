"""Completions of LoRA names and weights while somebody types."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from rapidfuzz import fuzz, process

from commands.syntax.values import value_text
from engine.messages import ADAPTER_WEIGHT

NEAR = 60.0  # of 100: how alike a name must be to what was typed
WEIGHTS = (0.4, 0.6, 0.8, 1.0, 1.2)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A LoRA that can be suggested."""

    name: str
    weight: float = 1.0
    trigger: str = ""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A completion: `value` is the whole text to write, `label` what people choose from."""

    value: str
    label: str


def suggestions(words: str, candidates: Sequence[Candidate], limit: int) -> list[Suggestion]:
    """Completions of these words, best first."""
    before, comma, last = words.rpartition(",")
    typed = last.strip().lower()
    prefix = f"{before.strip()}, " if comma and before.strip() else ""
    taken = {part.partition(":")[0].strip().lower() for part in before.split(",")}
    free = [hint for hint in candidates if hint.name not in taken]
    name, colon, number = typed.partition(":")
    matches = _with_weights(name.strip(), number.strip(), free) if colon else _by_name(typed, free)
    return [
        Suggestion(value=f"{prefix}{match.name}:{value_text(match.weight)}", label=_label(match))
        for match, _ in zip(matches, range(limit), strict=False)
    ]


def _by_name(typed: str, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    """Those that start with what was typed, then those that contain it, then those that are similar."""
    if not typed:
        yield from candidates
        return
    begin = [hint for hint in candidates if hint.name.startswith(typed)]
    inside = [hint for hint in candidates if typed in hint.name or typed in hint.trigger]
    yield from begin
    yield from _others(inside, begin)
    rest = _others(candidates, [*begin, *inside])
    names = [hint.name for hint in rest]
    for _, _, place in process.extract(typed, names, scorer=fuzz.WRatio, score_cutoff=NEAR, limit=None):
        yield rest[place]


def _with_weights(name: str, number: str, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    """The LoRA of this name with weights that start with this number, its usual weight first."""
    hint = next((weight for weight in candidates if weight.name == name), None)
    if hint is None:
        yield from _by_name(name, candidates)
        return
    typed = _read_weight(number)
    for weight in dict.fromkeys((*typed, hint.weight, *WEIGHTS)):
        if weight in typed or value_text(weight).startswith(number):
            yield replace(hint, weight=weight)


def _read_weight(number: str) -> tuple[float, ...]:
    """The typed weight, if it is a valid one already."""
    low, high = ADAPTER_WEIGHT
    if number.endswith("."):
        return ()
    try:
        typed = float(number)
    except ValueError:
        return ()
    return (typed,) if low <= typed <= high else ()


def _label(hint: Candidate) -> str:
    called = f" ({hint.trigger})" if hint.trigger else ""
    return f"{hint.name} {value_text(hint.weight)}{called}"


def _others(hints: Sequence[Candidate], without: Collection[Candidate]) -> list[Candidate]:
    names = {hint.name for hint in without}
    return [hint for hint in hints if hint.name not in names]
