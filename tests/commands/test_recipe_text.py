"""What is written about a request can be read again, and means the same."""

import random
import string
from dataclasses import replace
from typing import Any

import pytest

from commands.context import Context
from commands.forms import read_form
from commands.imagine import imagine
from commands.recipe_text import command_text, fields, form_texts, single_picture
from commands.registry import COMMANDS
from commands.settings import with_defaults
from commands.syntax.samplers import LEAST_STEPS
from commands.text_command import read_line
from engine.messages import AdapterUse, JobId, Paint, Ratio, Sampler, Size
from tests.commands.chat import LORAS, Shelf, request_of

JOB = JobId("k3f9qa")
INK, MARIA = (AdapterUse(name=name, sha256=sha256) for name, sha256 in LORAS.items())
FRAGMENTS = [
    *(
        "fox",
        "a",
        "don't",
        "'tis",
        '"',
        "'",
        '"open"',
        "\\",
        '\\"',
        "--",
        "--steps",
        "--steps=3",
        "-x",
        "=",
        ",",
    ),
    *(
        "\u2014",
        "\u2014no",
        "-steps",
        "\uff0d\uff0dno",
        "\u200b--seed",
        "\u2212",
        "--w=",
        "-x:",
        "\u2013steps=4",
        "\u201cred\u201d",
        "\u2019",
        "\u00ab",
        "/imagine",
        "<b>",
        "&amp;",
        "🦊",
    ),
    *("\n", "  ", "\t", "\u00a0", "ink:0.8,", "true", "--help", "星", "%s", "{}", "\u2028", "#", "|"),
]


OTHER_DEFAULTS = {"no": "hat", "steps": "7", "cfg": "2", "size": "3:2", "sampler": "Euler a"}
USUAL = {"no": '""', "steps": "30", "cfg": "5", "seed": "7", "size": "1:1", "sampler": "Euler"}


def line(prompt: str = "a red fox", after: str = "", **options: str) -> str:
    """A command with all that people may have other defaults for."""
    flags = [f"--{name} {value}" for name, value in (USUAL | options).items()]
    return " ".join(["/imagine", prompt, *flags, after]).rstrip()


def paint(**changes: Any) -> Paint:
    values: dict[str, Any] = {"job": JOB, "prompt": "a red fox", "seed": 7}
    return Paint(**(values | changes))


async def request_from(given: dict[str, Any]) -> Paint:
    return request_of(await imagine(Context(job=JOB, library=Shelf()), **given))


def some_text(dice: random.Random) -> str:
    """Words, quotes, dashes and white space in any order."""
    pieces = [dice.choice([*FRAGMENTS, *string.punctuation]) for _ in range(dice.randrange(9))]
    return dice.choice(["", " "]).join(pieces).replace("<lora:", "")


def some_paint(dice: random.Random) -> Paint:
    """Any request that somebody could have filed."""
    variation = dice.choice([0.0, 0.15, dice.random()])
    weights = [dice.choice([1.0, 0.8, dice.uniform(-2, 2)]) for _ in range(2)]
    uses = [replace(use, weight=weight) for use, weight in zip((INK, MARIA), weights, strict=True)]
    sampler, refiner = dice.choice(list(Sampler)), dice.choice([0.0, 0.2])
    fewest = max(LEAST_STEPS.get(sampler, (1, sampler))[0], 5 if refiner else 1)
    return paint(
        prompt=some_text(dice).strip() or "fox",
        negative_prompt=some_text(dice),
        seed=dice.choice([0, 7, 2**63 - 1]),
        steps=dice.choice([30, fewest, 50]),
        guidance_scale=dice.choice([5.0, 0.0, 20, dice.uniform(0, 20)]),
        size=dice.choice([Ratio(across=1, down=1), Ratio(across=16, down=9), Size(width=832, height=1216)]),
        sampler=sampler,
        count=dice.choice([1, 4]),
        adapters=tuple(dice.sample(uses, dice.randrange(3))),
        refiner=refiner,
        variation=variation,
        variation_seed=dice.randrange(2**32) if variation else 0,
        fast=dice.random() < 0.5,
    )


@pytest.mark.parametrize("seed", range(20))
async def test_the_command_of_any_request_paints_the_same_again_whoever_says_it(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(100):
        request = some_paint(dice)

        command, given = read_line(command_text(request))

        assert command is COMMANDS["imagine"]
        assert await request_from(given) == request, command_text(request)
        assert await request_from(with_defaults(OTHER_DEFAULTS, command, given)) == request, command_text(
            request
        )


@pytest.mark.parametrize("seed", range(5))
async def test_a_form_filled_with_any_request_paints_the_same_again(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(100):
        request = some_paint(dice)
        if request.negative_prompt.strip() != request.negative_prompt:
            continue  # white space alone is an empty field

        assert await request_from(read_form(imagine, form_texts(request))) == request


@pytest.mark.parametrize(
    ("changes", "command"),
    [
        ({}, line()),
        ({"prompt": "I don't know"}, line("I don't know")),
        ({"prompt": 'a sign that says "open"'}, line('a sign that says "open"')),
        ({"prompt": '"open"'}, line(r'"\"open\""')),
        ({"prompt": "two\nlines"}, line('"two\nlines"')),
        ({"prompt": "a --steps 3"}, line('"a --steps 3"')),
        ({"negative_prompt": "hat"}, line(no="hat")),
        ({"negative_prompt": "hat, glasses"}, line(no='"hat, glasses"')),
        (
            {"sampler": Sampler.DPM_2M_KARRAS, "guidance_scale": 3.5, "size": Size(width=832, height=1216)},
            line(cfg="3.5", size="832x1216", sampler='"DPM++ 2M Karras"'),
        ),
        (
            {"count": 4, "variation": 0.15, "variation_seed": 9},
            line(after="--count 4 --variation 0.15 --variation-seed 9"),
        ),
        ({"fast": True}, line(after="--fast true")),
    ],
)
def test_a_command_says_the_seed_and_what_people_set_for_themselves_and_what_else_was_asked_for(
    changes: dict[str, Any], command: str
) -> None:
    assert command_text(paint(**changes)) == command


def test_a_command_names_its_loras_with_their_weights() -> None:
    assert '/imagine a red fox --no "" --lora "ink:0.8, maria:1" --steps 30' in command_text(
        paint(adapters=(replace(INK, weight=0.8), MARIA))
    )


def test_a_recipe_tells_the_usual_values_and_whatever_else_was_asked_for() -> None:
    assert fields(paint(), 8) == (
        ("steps", "30"),
        ("cfg", "5"),
        ("seed", "8"),
        ("size", "1:1"),
        ("sampler", "Euler"),
    )
    assert dict(fields(paint(negative_prompt="hat", variation=0.15, variation_seed=3), 7)) == {
        "no": "hat",
        "steps": "30",
        "cfg": "5",
        "seed": "7",
        "size": "1:1",
        "sampler": "Euler",
        "variation": "0.15",
        "variation-seed": "3",
    }


def test_each_picture_of_several_has_a_request_of_its_own() -> None:
    several, nearby = paint(count=4), paint(count=4, variation=0.15, variation_seed=20)

    assert single_picture(several, 3) == paint(seed=9)
    assert single_picture(nearby, 3) == paint(variation=0.15, variation_seed=22)
