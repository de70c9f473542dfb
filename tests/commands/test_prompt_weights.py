"""Weights that people bring along from other programs are words here, and a hint says so."""

import pytest

from commands.syntax.prompt_weights import weights_hint
from engine.messages import JobId, Paint

SAYS = "Painted as plain words, for weights are not understood here: "


def hint(prompt: str, avoided: str = "") -> str:
    return weights_hint(Paint(job=JobId("k3f9qa"), prompt=prompt, negative_prompt=avoided, seed=0))


@pytest.mark.parametrize(
    ("prompt", "marks"),
    [
        ("a (red:1.3) fox", "(red:1.3)"),
        ("a (red and very big: .8) fox", "(red and very big: .8)"),
        ("a ((red)) fox", "((red))"),
        ("a [red] fox", "[red]"),
        ("[fox:cat:0.5] in snow", "[fox:cat:0.5]"),
        ("a fox BREAK a hill", "BREAK"),
        ("(a:1) (b:1) (a:1) [c] BREAK", "(a:1), (b:1), [c] and more"),
    ],
)
def test_what_other_programs_take_for_a_weight_is_named(prompt: str, marks: str) -> None:
    assert hint(prompt) == f"{SAYS}{marks}."
    assert hint("a fox", prompt) == f"{SAYS}{marks}."


@pytest.mark.parametrize(
    "prompt",
    ["a fox (in the snow)", "a fox :) and (", "at 10:30 (morning)", "the daybreak", "a [", r"\(fox:1.3\)"],
)
def test_an_ordinary_prompt_has_no_hint(prompt: str) -> None:
    assert hint(prompt) == ""


@pytest.mark.timeout(10)
def test_a_long_prompt_of_brackets_is_looked_through_at_once() -> None:
    assert hint("(" * 2000 + "[" * 1990) == ""
