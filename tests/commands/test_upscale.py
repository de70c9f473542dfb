"""/upscale: which picture becomes how large, with what of its recipe."""

import pytest

from commands.actions import available_actions
from commands.recipe_text import command_text, fields, form_texts
from engine.messages import Finish, InvalidRequest, Ratio, Sha256
from storage.requests import from_json, to_json
from tests.commands.chat import Chat, request_of

SENT = Sha256("a" * 64)


async def test_a_picture_is_enlarged_with_its_recipe_and_nothing_is_painted(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --steps 9 --seed 5 --lora ink --hires 1.5 --count 2")
    await chat.paints(job, 2)

    request = request_of(await chat.says("bob", f"/upscale 4 --image {job}:2"))

    assert request.source is not None
    assert (request.source.job, request.source.place, request.source.strength) == (job, 2, 0)
    assert request.source.change == "enlarged 4 times"
    assert request.finish == Finish(enlarge=4)
    assert (request.prompt, request.seed, request.count, request.hires) == ("a fox", 6, 1, 1)
    assert not request.denoises and request.adapters == ()
    assert from_json(request.job, to_json(request)) == request


async def test_the_command_the_form_and_the_card_say_what_is_done(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox")
    await chat.paints(job)
    request = request_of(await chat.says("ana", f"/upscale --image {job} --refine 0.2"))

    assert command_text(request) == f"/upscale 2 --image {job}:1 --refine 0.2"
    assert fields(request, request.seed) == (("times", "2"), ("refine", "0.2"))
    filled = request_of(await chat.fills("ana", "upscale", form_texts(request)))
    assert (filled.source, filled.finish) == (request.source, Finish(enlarge=2, refine=0.2))


async def test_what_somebody_sent_needs_no_words(chat: Chat) -> None:
    await chat.sends("ana", SENT, size=(333, 500))

    request = request_of(await chat.fills("ana", "upscale", {"times": "4", "image": SENT}))

    assert (request.prompt, request.sent_files, request.finish.enlarge) == ("", (SENT,), 4)
    assert isinstance(request.size, Ratio)


async def test_the_button_enlarges_twice_and_what_is_enlarged_is_not_painted_again(chat: Chat) -> None:
    job = await chat.files("ana", "/imagine a fox --count 2")
    await chat.paints(job, 2)

    request = request_of(await chat.presses("bob", f"upscale:{job}:2"))

    assert request.source is not None and request.source.place == 2
    assert request.finish.enlarge == 2
    await chat.paints(request.job)
    view = await chat.sees(request.job)
    assert view.request == request
    for name in ("vary", "again"):
        assert name not in {action.name for action, _ in available_actions(view)}
    with pytest.raises(InvalidRequest, match="enlarges a picture"):
        await chat.presses("bob", f"vary:{request.job}")


async def test_a_large_picture_is_refused_with_what_is_allowed(chat: Chat) -> None:
    await chat.sends("ana", SENT, size=(4000, 3000))

    with pytest.raises(InvalidRequest) as refused:
        await chat.fills("ana", "upscale", {"times": "2", "image": SENT})
    with pytest.raises(InvalidRequest, match="must be 2 or 4, not '3'"):
        await chat.says("ana", "/upscale 3")
    with pytest.raises(InvalidRequest, match="Which picture"):
        await chat.says("ana", "/upscale 4")

    assert str(refused.value) == (
        "4000x3000 enlarged 2 times would be 8000x6000. At most 16,777,216 pixels are allowed, such as "
        "4096x4096."
    )


async def test_refining_needs_the_right_to_its_loras(chat: Chat) -> None:
    draft = await chat.drafts("ana", lora="mine")
    await chat.trains(draft)
    job = await chat.files("ana", "/imagine a fox --lora mine")
    await chat.paints(job)

    assert request_of(await chat.says("bob", f"/upscale --image {job}")).adapters == ()
    assert request_of(await chat.says("ana", f"/upscale --image {job} --refine 0.2")).adapters
    with pytest.raises(InvalidRequest, match="LoRA mine is not shared with you"):
        await chat.says("bob", f"/upscale --image {job} --refine 0.2")
