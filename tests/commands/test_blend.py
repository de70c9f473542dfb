"""/blend: which pictures are mixed, at which weights, and with which words."""

import pytest

from commands.recipe_text import command_text, form_texts
from engine.messages import Ingredient, InvalidRequest, Sha256, Size
from storage.requests import from_json, to_json
from tests.commands.chat import Chat, request_of

SENT = Sha256("a" * 64)


async def test_pictures_of_jobs_and_sent_ones_are_mixed(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --count 2")
    view = await chat.paints(job, 2)
    await chat.sends("ana", SENT, size=(640, 640))

    request = request_of(
        await chat.says("ana", f"/blend --image {job}:2 --image-2 {SENT} --weights 1, 0.5 --strength 0.5")
    )

    assert request.blend == (
        Ingredient(sha256=view.pictures[1].sha256, job=job, place=2),
        Ingredient(sha256=SENT, weight=0.5),
    )
    assert (request.prompt, request.blend_strength) == ("a fox", 0.5)
    assert request.size == Size(width=128, height=128)
    assert request.sent_files == (SENT,)
    assert from_json(request.job, to_json(request)) == request
    typed = request_of(await chat.says("ana", command_text(request)))
    filled = request_of(await chat.fills("ana", "blend", form_texts(request)))
    assert typed.blend == filled.blend == request.blend


async def test_what_cannot_be_blended_is_refused_in_a_sentence(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")
    await chat.paints(job)
    both = f"--image {job} --image-2 {job}"
    refusals = []
    for flags in (
        f"--image {job}",
        f"{both} --weights 1",
        f"{both} --weights 1, x",
        f"{both} --weights 0, 0",
    ):
        with pytest.raises(InvalidRequest) as refused:
            await chat.says("ana", f"/blend {flags}")
        refusals.append(str(refused.value))

    assert refusals == [
        "A blend needs 2 to 5 pictures, such as --image k3f9qa --image-2 m2x8ab:3.",
        "There are 1 weights for 2 pictures. Give each one.",
        "'x' is not a weight. Write weights like 1, 0.5.",
        "All pictures of the blend have the weight 0. Give at least one more.",
    ]
