"""/extend: how much is added to which side of a picture, and what of its recipe stays."""

import pytest

from commands.answers import Form
from commands.extend import Way, margins
from commands.recipe_text import command_text, form_texts
from engine.messages import InvalidRequest, Margins, Sha256
from storage.requests import from_json, to_json
from tests.commands.chat import Chat, request_of

SENT = Sha256("a" * 64)
LARGE = Sha256("b" * 64)


@pytest.mark.parametrize(
    ("way", "added"),
    [
        (Way.LEFT, Margins(left=100)),
        (Way.RIGHT, Margins(right=100)),
        (Way.UP, Margins(top=60)),
        (Way.DOWN, Margins(bottom=60)),
        (Way.SQUARE, Margins(top=40, bottom=40)),
        (Way.ZOOM, Margins(left=33, right=34, top=20, bottom=20)),
        (Way.WIDE, Margins(left=50, right=50, top=30, bottom=30)),
    ],
)
def test_each_way_adds_to_its_sides(way: Way, added: Margins) -> None:
    assert margins(200, 120, way, 0.5) == added


async def test_a_picture_is_extended_with_its_own_recipe(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --steps 9 --no fog --lora ink:0.4 --count 2")
    await chat.paints(job, 2)

    request = request_of(await chat.says("bob", f"/extend --image {job}:2 --to right --by 0.25"))

    assert request.source is not None
    assert request.source.margins == Margins(right=32)
    assert (request.prompt, request.negative_prompt, request.steps, request.count) == ("a fox", "fog", 9, 1)
    assert [(use.name, use.weight) for use in request.adapters] == [("ink", 0.4)]
    assert request.source.change == "extended to the right"
    assert from_json(request.job, to_json(request)) == request
    typed = request_of(await chat.says("bob", command_text(request)))
    filled = request_of(await chat.fills("bob", "extend", form_texts(request)))
    assert typed.source == filled.source == request.source


async def test_a_single_picture_has_a_button_for_each_way_and_a_grid_a_form(chat: Chat) -> None:
    single, grid = (
        await chat.files("ana", "/imagine a fox"),
        await chat.files("ana", "/imagine a fox --count 2"),
    )
    await chat.paints(single)
    await chat.paints(grid, 2)

    zoomed = request_of(await chat.presses("bob", f"zoom:{single}"))
    form = await chat.presses("bob", f"extend:{grid}:2")

    assert zoomed.source is not None
    assert (zoomed.source.shrink, zoomed.source.change) == (1.5, "zoomed out 1.5 times")
    assert isinstance(form, Form)
    assert (form.command, form.values) == ("extend", {"image": f"{grid}:2"})


async def test_what_cannot_be_extended_is_refused_in_a_sentence(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")
    await chat.paints(job)
    await chat.sends("ana", SENT, size=(1600, 800))
    await chat.sends("ana", LARGE, size=(4000, 1000))
    refusals = []
    for flags in (
        "--to left",
        f"--image {job} --to square",
        f"--image {SENT} --to left",
        f"--image {LARGE} --to square",
        f"--image {LARGE} --to zoom",
        f"--image {job} --by 9",
    ):
        with pytest.raises(InvalidRequest) as refused:
            await chat.says("ana", f"/extend {flags}")
        refusals.append(str(refused.value))

    assert refusals == [
        "Which picture? Send one, or name a job's, such as --image k3f9qa:2.",
        "The picture is square already. Extend it to one side instead.",
        "Extended so, the picture would have 2400x800 pixels. At most 2048 a side are allowed.",
        "Extended so, the picture would have 4000x4000 pixels. At most 2048 a side are allowed.",
        "Extended so, the picture would have 4000x1000 pixels. At most 2048 a side are allowed.",
        "--by must be from 0.1 to 1, not 9.",
    ]
