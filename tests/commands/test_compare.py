"""/compare: the ways that are painted, and what is refused."""

import pytest

from commands.actions import available_actions
from commands.answers import Form
from commands.recipe_text import command_text
from commands.text_command import read_line
from engine.messages import ClipScore, InvalidRequest
from storage import comparisons
from tests.commands.chat import LORAS, Chat, request_of


async def test_a_lora_is_compared_at_three_weights_without_it_and_with_the_refiner(chat: Chat) -> None:
    paint = request_of(await chat.says("ana", "/compare a fox --lora ink --seed 7"))

    assert [variant.name for variant in paint.variants] == [
        "without",
        "ink:0.5",
        "ink:1",
        "ink:1.3",
        "ink:1 and the refiner",
    ]
    assert [variant.refiner for variant in paint.variants] == [0, 0, 0, 0, 0.2]
    assert [use.sha256 for use in paint.adapters] == [LORAS["ink"]]
    assert (paint.seed, paint.count, paint.picture_count) == (7, 1, 5)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("/compare a fox", "Name one LoRA"),
        ("/compare a fox --lora ink,maria", "Name one LoRA"),
        ("/compare a fox --lora ink --weights 0.5,many", "'many' is not a weight"),
        ("/compare a fox --lora ink --weights 9", "from -2 to 2"),
        ("/compare a fox --lora ink --weights 1,2,0.1,0.2,0.3", "At most 4"),
        ("/compare --lora ink", "missing"),
    ],
)
async def test_what_cannot_be_compared_is_refused(chat: Chat, line: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        await chat.says("ana", line)


async def test_its_line_and_its_form_ask_for_the_same_again(chat: Chat) -> None:
    job = await chat.files("ana", "/compare a fox --lora ink:0.8 --weights 0.3,0.9 --refiner 0 --seed 7")
    view = await chat.paints(job)
    form = await chat.presses("ana", f"edit:{job}")

    assert view.request is not None
    line = command_text(view.request)  # type: ignore[arg-type]
    command, _ = read_line(line)
    again = request_of(await chat.says("bo", line))
    assert command.name == "compare"
    assert again.variants == view.request.variants  # type: ignore[union-attr]
    assert isinstance(form, Form)
    assert form.command == "compare"
    filled = request_of(await chat.fills("ana", "compare", form.values))
    assert filled.variants == again.variants


async def test_its_buttons_are_those_that_mean_something(chat: Chat) -> None:
    view = await chat.paints(await chat.files("ana", "/compare a fox --lora ink"))

    again = request_of(await chat.presses("bo", f"again:{view.id}"))

    assert "vary" not in {action.name for action, _ in available_actions(view)}
    with pytest.raises(InvalidRequest, match="is a comparison"):
        await chat.presses("ana", f"vary:{view.id}")
    assert again.variants == view.request.variants  # type: ignore[union-attr]
    assert again.seed != view.request.seed  # type: ignore[union-attr]


async def test_what_clip_said_is_kept_with_the_lora_in_its_space_alone(chat: Chat) -> None:
    trained = await chat.trains(await chat.drafts("ana", "ana"))
    await chat.says("ana", "/lora ana --share everybody")
    view = await chat.paints(await chat.files("ana", "/compare a fox --lora ana"))
    paint = view.request
    scores = [ClipScore(name="without", clip=21.25), ClipScore(name="ana:1", clip=None)]
    await chat.database.write(
        lambda session: comparisons.save(session, view.number, paint, scores)  # type: ignore[arg-type]
    )
    await chat.presses("bo", f"keep:{view.id}")

    here = await chat.says("bo", "/lora ana")
    elsewhere = await chat.says("bo", "/lora ana", space="elsewhere")

    assert trained.training is not None
    assert f"without 21.2, ana:1 (1 ⭐, /show {view.id})" in here.text  # type: ignore[union-attr]
    assert view.id not in elsewhere.text  # type: ignore[union-attr]
    await chat.presses("ana", f"delete:{view.id}")
    assert view.id not in (await chat.says("bo", "/lora ana")).text  # type: ignore[union-attr]
