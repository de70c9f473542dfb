"""Paint settings that a LoRA keeps, and hints about prompts, as people in a chat meet them."""

import pytest

from commands.answers import Answer, Text
from engine.messages import InvalidRequest, Paint, Sampler, Size
from tests.commands.chat import Chat, request_of

KEPT = "a studio photo of --sampler ddim --steps 12 --cfg 6.5 --size 128x192 --no blurry"


async def make_lora(
    chat: Chat, *, name: str = "wool", preset: str = "subject", trigger: str = "ohwx", words: str = KEPT
) -> None:
    job = await chat.drafts("ana", name, preset=preset, trigger=trigger, subject="woman")
    await chat.trains(job)
    if words:
        await chat.says("ana", f'/lora {name} --paint "{words}"')


async def test_a_lora_is_painted_with_the_settings_that_it_keeps(chat: Chat) -> None:
    await make_lora(chat)

    paint = request_of(await chat.says("ana", "/imagine ohwx woman at the sea --lora wool"))

    assert paint.prompt == "a studio photo of ohwx woman at the sea"
    assert (paint.sampler, paint.steps, paint.guidance_scale) == (Sampler.DDIM, 12, 6.5)
    assert (paint.size, paint.negative_prompt) == (Size(width=128, height=192), "blurry")
    assert paint.note == "Painted with the settings of wool."


async def test_what_is_said_goes_over_what_a_lora_keeps_and_that_over_defaults(chat: Chat) -> None:
    await make_lora(chat)
    await chat.says("ana", "/settings --steps 44 --cfg 2")

    said = request_of(await chat.says("ana", "/imagine a studio photo of ohwx --lora wool:0.5 --steps 20"))
    alone = request_of(await chat.says("ana", "/imagine a fox"))

    assert (said.prompt, said.steps, said.guidance_scale) == ("a studio photo of ohwx", 20, 6.5)
    assert (alone.steps, alone.guidance_scale, alone.note) == (44, 2, "")


async def test_of_several_loras_the_first_that_is_named_counts(chat: Chat) -> None:
    await make_lora(chat, words="--steps 12")
    await make_lora(chat, name="silk", trigger="zwx", words="--steps 20 --cfg 3")

    paint = request_of(await chat.says("ana", "/imagine ohwx and zwx --lora wool, silk"))

    assert (paint.steps, paint.guidance_scale) == (12, 3)
    assert paint.note == "Painted with the settings of wool and silk."


async def test_settings_that_do_not_go_with_what_is_said_are_left_out(chat: Chat) -> None:
    await make_lora(chat, words="--sampler heun --cfg 3")

    paint = request_of(await chat.says("ana", "/imagine ohwx --lora wool --steps 4"))

    assert (paint.sampler, paint.steps, paint.note) == (Paint.sampler, 4, "")


async def test_settings_can_be_seen_and_taken_back(chat: Chat) -> None:
    await make_lora(chat)

    shown = await chat.says("ana", "/lora wool")
    await chat.says("ana", "/lora wool --paint none")

    assert KEPT in str(shown)
    assert request_of(await chat.says("ana", "/imagine ohwx --lora wool")).steps == Paint.steps


async def test_only_the_owner_changes_what_a_lora_keeps(chat: Chat) -> None:
    await make_lora(chat)
    await chat.says("ana", "/lora wool --share space")

    with pytest.raises(InvalidRequest, match="Only ana can change the LoRA wool"):
        await chat.says("bob", "/lora wool --paint none")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--steps 1000", "--steps must be from 1 to 100"),
        ("--seed 7", "There is no option --seed"),
        ("--size 7x7", "must"),
    ],
)
async def test_settings_that_nothing_could_be_painted_with_are_refused(
    chat: Chat, words: str, sentence: str
) -> None:
    await make_lora(chat, words="")

    with pytest.raises(InvalidRequest, match=sentence):
        await chat.says("ana", f'/lora wool --paint "{words}"')


@pytest.mark.parametrize(
    ("preset", "sampler", "cfg"),
    [("portrait-and-landscape", Sampler.DPM_2M, 7.0), ("one-garment", Sampler.DDIM, 5.0)],
)
async def test_a_published_recipe_leaves_its_settings_with_the_lora(
    chat: Chat, preset: str, sampler: Sampler, cfg: float
) -> None:
    await make_lora(chat, preset=preset, words="")

    paint = request_of(await chat.says("ana", "/imagine ohwx --lora wool"))

    assert (paint.sampler, paint.guidance_scale) == (sampler, cfg)
    assert paint.refiner == 0  # the model here has none


def note(answer: Answer) -> str:
    return request_of(answer).note


async def test_a_hint_is_given_once(chat: Chat) -> None:
    first = note(await chat.says("ana", "/imagine a fox --no EasyNegative, blurry"))
    await chat.says("ana", "/settings --steps 20")
    again = note(await chat.says("ana", "/imagine a fox --no easynegative"))

    assert "embeddings of SD 1.5" in first
    assert not again
    assert "embeddings" in note(await chat.says("bob", "/imagine a fox --no easynegative"))


async def test_hints_are_about_what_was_said(chat: Chat) -> None:
    chat.per_person = 9
    await make_lora(chat, preset="face", words="")
    long_negative = " ".join(["blurry"] * 31)
    long_prompt = " ".join(["ohwx"] * 41)

    notes = [
        note(await chat.says("ana", line))
        for line in (
            f"/imagine a fox --no {long_negative}",
            f"/imagine {long_prompt} --lora wool",
            "/imagine ohwx --lora wool",
            "/imagine ohwx --lora wool",
            f"/imagine {long_prompt}",
        )
    ]

    assert ["long negative" in notes[0], "40 words" in notes[1], "euler-a" in notes[2]] == [True] * 3
    assert notes[3:] == ["", ""]


async def test_settings_show_no_hints(chat: Chat) -> None:
    await chat.says("ana", "/imagine a fox --no easynegative")

    answer = await chat.says("ana", "/settings")

    assert isinstance(answer, Text)
    assert "embedding" not in answer.text
