"""/edit: which part of which picture is painted anew, and with what of its recipe."""

import pytest

from commands.answers import Form
from commands.edit import NO_PLACE
from commands.recipe_text import command_text, form_texts
from commands.syntax.places import read_places
from engine.messages import InvalidRequest, JobId, Paint, Sampler, Sha256, Size
from storage.requests import from_json, to_json
from tests.commands.chat import Chat, request_of

SENT = Sha256("a" * 64)


def boxes(text: str) -> list[tuple[float, ...]]:
    """Left, top, right and bottom of each place, in twelfths of the picture."""
    return [
        tuple(round(12 * share, 6) for share in (region.left, region.top, region.right, region.bottom))
        for region in read_places(text).regions
    ]


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("left half", (0, 0, 6, 12)),
        ("left", (0, 0, 6, 12)),
        ("the upper right corner", (6, 0, 12, 6)),
        ("Bottom third", (0, 8, 12, 12)),
        ("middle", (3, 3, 9, 9)),
        ("centre third", (4, 4, 8, 8)),
        ("top middle", (3, 0, 9, 6)),
        ("lower-left quarter", (0, 9, 3, 12)),
        ("topleft", (0, 0, 6, 6)),
        ("bottom right-hand corner", (6, 6, 12, 12)),
        ("A1", (0, 0, 4, 4)),
        ("c2", (8, 4, 12, 8)),
        ("A1-B2", (0, 0, 8, 8)),
        ("c3 to a2", (0, 4, 12, 12)),
    ],
)
def test_a_place_is_said_in_words_or_cells(text: str, box: tuple[float, ...]) -> None:
    assert boxes(text) == [box]


def test_several_places_have_commas_between_them() -> None:
    assert boxes("A1, C3") == [(0, 0, 4, 4), (8, 8, 12, 12)]


@pytest.mark.parametrize("text", ["A0", "D4", "a dog", "top bottom", "", "half", ","])
def test_what_is_no_place_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"Say a place such as top left|Put a comma"):
        read_places(text)


async def test_a_part_is_painted_with_the_rest_of_its_recipe(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --steps 9 --sampler DDIM --no fog --lora ink:0.4 --count 2")
    await chat.paints(job, 2)

    request = request_of(await chat.says("bob", f"/edit a blue heart --image {job}:2 --place top left"))

    source = request.source
    assert source is not None and source.regions == read_places("top left").regions
    assert (source.job, source.place, source.change, source.area) == (job, 2, "part changed", "top left")
    assert (request.prompt, request.negative_prompt, request.steps) == ("a blue heart", "fog", 9)
    assert (request.sampler, request.count) == (Sampler.DDIM, 1)
    assert [(use.name, use.weight) for use in request.adapters] == [("ink", 0.4)]
    assert from_json(request.job, to_json(request)) == request


async def test_what_is_said_goes_before_the_recipe(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --steps 9 --lora ink")
    await chat.paints(job)

    request = request_of(
        await chat.says("ana", f"/edit a <lora:maria:0.7> heart --image {job} --place A1 --steps 5 --cfg 2")
    )

    assert (request.steps, request.guidance_scale) == (5, 2)
    assert [use.name for use in request.adapters] == ["maria"]


async def test_the_command_and_the_form_say_the_same_again(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")
    await chat.paints(job)
    request = request_of(
        await chat.says("ana", f"/edit a heart --image {job} --place A1-B2, c3 --invert --grow 0.1 --seed 4")
    )

    typed = request_of(await chat.says("ana", command_text(request)))
    filled = request_of(await chat.fills("ana", "edit", form_texts(request)))

    for again in (typed, filled):
        assert (again.source, again.seed, again.size) == (request.source, 4, request.size)


async def test_the_picture_may_be_said_before_the_words(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --count 2")
    await chat.paints(job, 2)

    request = request_of(await chat.says("ana", f"/edit {job}:2 a blue heart --place A1"))

    assert request.source is not None
    assert (request.source.job, request.source.place, request.prompt) == (job, 2, "a blue heart")
    with pytest.raises(InvalidRequest, match="That is the whole picture"):
        await chat.says("ana", f"/edit {job}:2 a blue heart --place A1-C3")


async def test_the_button_opens_the_form_with_the_picture(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --count 2")
    await chat.paints(job, 2)

    form = await chat.presses("bob", f"part:{job}:2")

    assert isinstance(form, Form)
    assert (form.command, form.values) == ("edit", {"image": f"{job}:2"})


async def test_what_cannot_be_changed_is_refused_in_a_sentence(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")
    await chat.paints(job)
    refusals = []
    for flags in ("--place top left", f"--image {job}", f"--image {job} --place top left --strength 0"):
        with pytest.raises(InvalidRequest) as refused:
            await chat.says("ana", f"/edit a heart {flags}")
        refusals.append(str(refused.value))

    assert refusals == [
        "Which picture? Send one, or name a job's, such as --image k3f9qa:2.",
        NO_PLACE,
        "A strength of 0 is less than one of 30 steps. Give it at least 0.04.",
    ]


async def test_a_mask_that_was_sent_is_used_by_who_sent_it(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")
    await chat.paints(job)
    await chat.sends("ana", SENT)
    values = {"prompt": "a heart", "image": str(job), "mask": SENT}

    request = request_of(await chat.fills("ana", "edit", values))

    assert isinstance(request, Paint) and request.source is not None
    assert (request.source.mask, request.sent_files) == (SENT, (SENT,))
    assert request.size == Size(width=128, height=128)
    with pytest.raises(InvalidRequest, match="no longer here"):
        await chat.fills("bob", "edit", values)
    assert JobId(job)


async def test_a_private_lora_goes_with_nobody_else_from_its_picture(chat: Chat) -> None:
    await chat.trains(await chat.drafts("ana", "zoe"))
    job = await chat.files("ana", "/imagine a fox --lora zoe")
    await chat.paints(job)

    for line in (f"/edit a heart --image {job} --place top left", f"/extend left --image {job}"):
        with pytest.raises(InvalidRequest, match="The LoRA zoe is not shared with you"):
            await chat.files("bob", line)
    await chat.files("ana", f"/edit a heart --image {job} --place top left")
