"""A recipe from elsewhere, pasted whole into /imagine, becomes the recipe here."""

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest

from commands.answers import CreateJob
from commands.context import Context
from commands.forms import read_form
from commands.imagine import imagine
from commands.syntax.lora_syntax import OperatorFiles
from commands.syntax.parser import parse
from commands.text_command import read_line
from engine.messages import AdapterUse, InvalidRequest, JobId, Paint, Sampler, Size
from engine.sdxl.png_file import Recipe
from tests.commands.chat import LORAS, Chat, Shelf, request_of

JOB = JobId("k3f9qa")
BLOCK = """masterpiece, a red fox <lora:Ink:0.8>
in the snow
Negative prompt: blurry, "bad" art
low quality
Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 1234, Size: 832x1216, \
Model hash: 31e35c80fc, Model: demo, Lora hashes: "Ink: 111111111111", Version: v1.10.1"""
ONE_LINE = " ".join(BLOCK.split())  # what a field of one line makes of it


async def create(given: Mapping[str, Any]) -> CreateJob:
    answer = await imagine(Context(job=JOB, library=Shelf(), model="demo"), **given)
    assert isinstance(answer, CreateJob)
    return answer


def as_pasted(prompt: str, avoided: str) -> Paint:
    return Paint(
        job=JOB,
        prompt=prompt,
        negative_prompt=avoided,
        adapters=(AdapterUse(name="ink", sha256=LORAS["ink"], weight=0.8),),
        steps=25,
        sampler=Sampler.DPM_2M_KARRAS,
        guidance_scale=6.5,
        seed=1234,
        size=Size(width=832, height=1216),
    )


WHOLE = as_pasted("masterpiece, a red fox\nin the snow", 'blurry, "bad" art\nlow quality')
FLAT = as_pasted("masterpiece, a red fox in the snow", 'blurry, "bad" art low quality')


@pytest.mark.parametrize("line", [f"/imagine {BLOCK}", f"/imagine\n{BLOCK}\n", BLOCK])
async def test_the_text_of_a1111_in_a_line_is_the_recipe(line: str) -> None:
    answer = await create(read_line(line)[1])

    assert (answer.request, answer.text) == (WHOLE, "")


async def test_it_is_the_recipe_in_a_form_a_field_of_one_line_and_a_terminal_too(chat: Chat) -> None:
    assert (await create(read_form(imagine, {"prompt": BLOCK, "steps": "30", "cfg": "5"}))).request == WHOLE
    assert (await create(read_form(imagine, {"prompt": ONE_LINE}))).request == FLAT
    assert (await create(parse([BLOCK], imagine.parameters))).request == WHOLE
    assert (await create(parse(BLOCK.split(), imagine.parameters))).request == FLAT


async def test_flags_after_it_say_otherwise() -> None:
    answer = await create(read_line(f"/imagine {BLOCK} --steps 9 --no blue circle --count 2")[1])

    paint = answer.request
    assert isinstance(paint, Paint)
    assert (paint.steps, paint.negative_prompt, paint.count) == (9, "blue circle", 2)
    assert (paint.seed, paint.prompt) == (1234, WHOLE.prompt)


async def test_it_goes_before_what_somebody_usually_wants(chat: Chat) -> None:
    await chat.says("ana", "/settings --no hats --steps 7 --sampler Heun")

    paint = request_of(await chat.says("ana", "/imagine a fox\nSteps: 9, Seed: 5, CFG scale: 4"))

    assert (paint.negative_prompt, paint.steps, paint.seed, paint.sampler) == ("", 9, 5, Sampler.HEUN)


@pytest.mark.parametrize(
    ("settings", "changes", "text"),
    [
        ("Sampler: Euler a", {"sampler": Sampler.EULER_ANCESTRAL}, ""),
        ("Sampler: DPM++ 2M Karras", {"sampler": Sampler.DPM_2M_KARRAS}, ""),
        ("Sampler: DPM++ 2M, Schedule type: Automatic", {"sampler": Sampler.DPM_2M}, ""),
        (
            "Sampler: Euler, Schedule type: Karras",
            {"sampler": Sampler.EULER},
            "Left out, because it is not known here: Schedule type: Karras.",
        ),
        (
            "Sampler: DPM2 a, Clip skip: 2, Hires upscaler: Latent",
            {},
            "Left out, because it is not known here: Sampler: DPM2 a, Clip skip: 2, Hires upscaler: Latent.",
        ),
        ('Model: "other, v1"', {}, "It was painted with another model, other, v1."),
        ("Size: 512x768, Variation seed: 9", {"size": Size(width=512, height=768)}, ""),
        (
            "Variation seed: 9, Variation seed strength: 0.15",
            {"variation": 0.15, "variation_seed": 9},
            "",
        ),
        ("Fast: true", {"fast": True}, ""),
        (
            "Refiner: xl, Refiner switch at: 0.8",
            {"refiner": 0.2},
            "Left out, because it is not known here: Refiner: xl.",
        ),
    ],
)
async def test_what_is_known_here_is_taken_and_the_rest_is_said(
    settings: str, changes: dict[str, Any], text: str
) -> None:
    answer = await create(read_line(f"/imagine a fox\nSteps: 9, Seed: 5, CFG scale: 4, {settings}")[1])

    plain = Paint(job=JOB, prompt="a fox", steps=9, seed=5, guidance_scale=4.0)
    expected = {
        **{name: getattr(plain, name) for name in ("size", "sampler", "variation", "refiner", "fast")},
        **changes,
    }
    assert {name: getattr(answer.request, name) for name in expected} == expected
    assert answer.text == text


async def test_a_lora_that_is_not_here_is_left_out_and_said() -> None:
    answer = await create(
        read_line(
            "/imagine a fox <lora:My Style v1.2:0.7> <lora:maria:0.5:0.5>\nSteps: 3, Seed: 5, CFG scale: 4"
        )[1]
    )

    paint = answer.request
    assert isinstance(paint, Paint)
    assert [(use.name, use.weight) for use in paint.adapters] == [("maria", 0.5)]
    assert answer.text == "Left out, because it is not known here: the LoRA My Style v1.2."


class Folder(Shelf):
    """A folder in which one LoRA's file has a name that cannot be said."""

    async def list_files(self) -> OperatorFiles:
        return OperatorFiles(offered={"ink": "styles/Ink Wash v2.0.safetensors"})


async def test_a_lora_whose_file_has_a_name_that_cannot_be_said_is_known_by_it() -> None:
    given = read_line("/imagine a hen <lora:Ink Wash v2.0:0.7>\nSteps: 3, Seed: 5, CFG scale: 4")[1]

    answer = await imagine(Context(job=JOB, library=Folder()), **given)

    assert [(use.name, use.weight) for use in request_of(answer).adapters] == [("ink", 0.7)]
    assert answer.text == ""


async def test_a_lora_that_has_another_name_here_is_known_by_its_hash(chat: Chat) -> None:
    await chat.trains(await chat.drafts("ana", "fox"))
    (use,) = request_of(await chat.says("ana", "/imagine a hen --lora fox")).adapters

    paint = request_of(
        await chat.says(
            "ana",
            "/imagine a hen <lora:renamed:0.7>\nSteps: 3, Seed: 5, CFG scale: 4, "
            f'Lora hashes: "renamed: {use.sha256[:12]}"',
        )
    )

    assert [(use.name, use.weight) for use in paint.adapters] == [("fox", 0.7)]


async def test_a_lora_of_the_operator_is_known_by_the_name_of_its_file(chat: Chat) -> None:
    chat.list_files = OperatorFiles(offered={"my-style-v1-2": "styles/My Style v1.2.safetensors"})

    paint = request_of(
        await chat.says("ana", "/imagine a hen <lora:My Style v1.2:0.5>\nSteps: 3, Seed: 5, CFG scale: 4")
    )

    assert [(use.name, use.weight) for use in paint.adapters] == [("my-style-v1-2", 0.5)]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("Steps: 300, Seed: 5, CFG scale: 4", "--steps must be from 1 to 100, not 300."),
        ("Steps: 3, Seed: 5, CFG scale: 40", "--cfg must be from 0 to 20, not 40."),
        ("Steps: 3, Seed: 5, Size: 100x64", "The width must be a multiple of 8, such as 96, not 100."),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_one_sentence(settings: str, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_line(f"/imagine a fox\n{settings}")

    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    "prompt",
    [
        "a sign with Steps: 3 on it",
        "Steps: 20, and a door",
        "Negative prompt: is what the sign says",
        '{"a": 1}',
        "{prompt}",
    ],
)
def test_an_ordinary_prompt_stays_one(prompt: str) -> None:
    assert read_line(f"/imagine {prompt}")[1] == {"prompt": prompt}


PIECES = [
    "fox",
    "Negative prompt:",
    "Steps: 3,",
    "Seed: 5",
    "CFG scale: 4, Size: 8x8",
    '"',
    ",",
    ":",
    "--steps",
    "<b>",
    "(a:1.2)",
    "星",
]


def some_words(dice: random.Random) -> str:
    return " ".join(dice.choice(PIECES) for _ in range(dice.randrange(1, 6)))


@pytest.mark.parametrize("seed", range(10))
async def test_what_our_own_pngs_carry_reads_back(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(50):
        size = Size(width=832, height=1216)
        paint = Paint(
            job=JOB,
            prompt=some_words(dice),
            negative_prompt=dice.choice(["", some_words(dice)]),
            seed=dice.randrange(2**32),
            steps=dice.randrange(9, 50),
            guidance_scale=dice.choice([5.0, 3.5]),
            size=size,
            sampler=dice.choice(list(Sampler)),
            adapters=(AdapterUse(name="ink", sha256=LORAS["ink"], weight=0.8),)
            if dice.random() < 0.5
            else (),
            refiner=dice.choice([0.0, 0.2]),
            fast=dice.random() < 0.5,
        )
        recipe = Recipe(request=paint, seed=paint.seed, size=size, model="demo, v1")

        for text in (recipe.a1111_text(), json.dumps(recipe.values())):
            answer = await create(read_line(f"/imagine {text}")[1])

            assert answer.request == paint, text
            assert answer.text == "It was painted with another model, demo, v1."


@pytest.mark.parametrize(
    "told",
    [
        {"prompt": 3, "steps": [], "seed": None},
        {"prompt": "x", "steps": 1e400, "seed": 5},
        {
            "prompt": "x",
            "steps": 3,
            "seed": 5,
            "adapters": [1, {"name": "../x"}, {"name": "ink", "weight": "y"}],
        },
        {"prompt": "x", "steps": 3, "seed": 5, "width": {}, "height": "q"},
        {"prompt": "x", "steps": 3, "seed": True},
    ],
)
async def test_a_recipe_that_somebody_made_up_is_read_or_refused(told: dict[str, Any]) -> None:
    try:
        given = read_line(f"/imagine {json.dumps(told)}")[1]
        await create(given)
    except InvalidRequest as refusal:
        assert str(refusal).endswith(".")


@pytest.mark.timeout(20)
def test_a_page_that_is_nearly_a_recipe_is_read_at_once() -> None:
    for page in (
        "Steps: 3, " * 4000,
        "a: " * 13_000,
        'Steps: 1, a: "' * 2800,
        "{" * 40_000,
        "<lora:a" * 5000 + BLOCK,
    ):
        try:
            read_line(f"/imagine {page}")
        except InvalidRequest:
            continue
