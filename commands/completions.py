"""LoRAs suggested while somebody types: the last of several names, with the weight that suits it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from rapidfuzz import fuzz, process

from commands.syntax.values import written_value
from engine.messages import ADAPTER_WEIGHT

NEAR = 60.0  # of 100: how alike a name must be to what was typed
WEIGHTS = (0.4, 0.6, 0.8, 1.0, 1.2)


@dataclass(frozen=True, kw_only=True)
class Hint:
    """A LoRA that could be suggested."""

    name: str
    weight: float = 1.0
    trigger: str = ""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """`value` is what to write, with all that was typed before it; `label` is what people choose from."""

    value: str
    label: str


def suggestions(words: str, known: Sequence[Hint], limit: int) -> list[Suggestion]:
    """What the words could become, best first."""
    before, comma, last = words.rpartition(",")
    typed = last.strip().lower()
    kept = f"{before.strip()}, " if comma and before.strip() else ""
    taken = {part.partition(":")[0].strip().lower() for part in before.split(",")}
    free = [hint for hint in known if hint.name not in taken]
    name, colon, number = typed.partition(":")
    found = _weighted(name.strip(), number.strip(), free) if colon else _named(typed, free)
    return [
        Suggestion(value=f"{kept}{one.name}:{written_value(one.weight)}", label=_label(one))
        for one, _ in zip(found, range(limit), strict=False)
    ]


def _named(typed: str, known: Sequence[Hint]) -> Iterator[Hint]:
    """Those that begin so, then those that have it inside, then those that are much alike."""
    if not typed:
        yield from known
        return
    begin = [hint for hint in known if hint.name.startswith(typed)]
    inside = [hint for hint in known if typed in hint.name or typed in hint.trigger]
    yield from begin
    yield from _others(inside, begin)
    rest = _others(known, [*begin, *inside])
    names = [hint.name for hint in rest]
    for _, _, place in process.extract(typed, names, scorer=fuzz.WRatio, score_cutoff=NEAR, limit=None):
        yield rest[place]


def _weighted(name: str, number: str, known: Sequence[Hint]) -> Iterator[Hint]:
    """The named one with weights that begin with this number, the one that suits it first."""
    hint = next((one for one in known if one.name == name), None)
    if hint is None:
        yield from _named(name, known)
        return
    typed = _read(number)
    for one in dict.fromkeys((*typed, hint.weight, *WEIGHTS)):
        if one in typed or written_value(one).startswith(number):
            yield replace(hint, weight=one)


def _read(number: str) -> tuple[float, ...]:
    """The weight that was typed, if it is one already."""
    low, high = ADAPTER_WEIGHT
    if number.endswith("."):
        return ()
    try:
        typed = float(number)
    except ValueError:
        return ()
    return (typed,) if low <= typed <= high else ()


def _label(hint: Hint) -> str:
    called = f" ({hint.trigger})" if hint.trigger else ""
    return f"{hint.name} {written_value(hint.weight)}{called}"


def _others(hints: Sequence[Hint], without: Collection[Hint]) -> list[Hint]:
    names = {hint.name for hint in without}
    return [hint for hint in hints if hint.name not in names]
