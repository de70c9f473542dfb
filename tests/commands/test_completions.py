"""LoRAs while somebody types: by how they begin, by what is in them, by what is nearly so."""

import time

from commands.completions import Candidate, suggestions

KNOWN = (
    Candidate(name="ink", weight=0.8, trigger="inkx"),
    Candidate(name="inkwell", weight=1.0),
    Candidate(name="maria", weight=0.9, trigger="ohwx"),
    Candidate(name="thin-ink", weight=1.0),
)


def values(words: str, limit: int = 25) -> list[str]:
    return [suggestion.value for suggestion in suggestions(words, KNOWN, limit)]


def test_nothing_typed_suggests_all_of_them_with_the_weights_that_suit_them() -> None:
    assert values("") == ["ink:0.8", "inkwell:1", "maria:0.9", "thin-ink:1"]
    assert suggestions("", KNOWN, 1)[0].label == "ink 0.8 (inkx)"
    assert len(values("", limit=2)) == 2


def test_what_begins_so_comes_before_what_has_it_inside() -> None:
    assert values("INK")[:3] == ["ink:0.8", "inkwell:1", "thin-ink:1"]
    assert values("ohw")[0] == "maria:0.9"  # by the word that calls it up


def test_a_slip_of_the_finger_finds_it_all_the_same() -> None:
    assert values("mraia")[0] == "maria:0.9"
    assert values("inkwel")[0] == "inkwell:1"
    assert values("zzzzzzzz") == []


def test_the_last_of_several_is_completed_and_none_is_said_twice() -> None:
    assert values("ink:0.5, mar") == ["ink:0.5, maria:0.9"]
    assert "ink:0.5, ink:0.8" not in values("ink:0.5,")
    assert values(" , mar") == ["maria:0.9"]


def test_a_colon_asks_for_weights() -> None:
    assert values("ink:") == ["ink:0.8", "ink:0.4", "ink:0.6", "ink:1", "ink:1.2"]
    assert values("ink:0.") == ["ink:0.8", "ink:0.4", "ink:0.6"]
    assert values("ink:0.75") == ["ink:0.75"]
    assert values("ink:99") == []
    assert values("mari:0.5")[0] == "maria:0.9"


def test_a_thousand_are_searched_while_somebody_types() -> None:
    many = [Candidate(name=f"lora-{number:04}", trigger=f"trg{number}") for number in range(1000)]
    started = time.perf_counter()

    matches = suggestions("lora-0420x, lroa-0777", many, 25)

    assert time.perf_counter() - started < 1  # 5 ms on a machine that does nothing else
    assert matches[0].value == "lora-0420x, lora-0777:1"
