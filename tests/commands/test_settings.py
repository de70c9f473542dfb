"""Everybody's own defaults."""

import pytest

from commands.answers import Form, Text
from commands.imagine import imagine
from commands.settings import with_defaults
from engine.messages import InvalidRequest, Paint, Ratio, Sampler
from tests.commands.chat import Chat, request_of


async def answer_lines(chat: Chat, line: str, name: str = "ana") -> list[str]:
    answer = await chat.says(name, line)
    assert isinstance(answer, Text)
    return answer.text.splitlines()


async def paint(chat: Chat, line: str, name: str = "ana") -> Paint:
    return request_of(await chat.says(name, line))


NOTHING_SET = [
    "Your defaults for /imagine:",
    "  no       nothing",
    "  steps    30",
    "  cfg      5",
    "  size     1:1",
    "  sampler  Euler",
]


async def test_without_options_it_shows_what_holds(chat: Chat) -> None:
    assert await answer_lines(chat, "/settings") == NOTHING_SET


async def test_what_was_set_is_used_by_imagine_until_it_says_otherwise(chat: Chat) -> None:
    lines = await answer_lines(
        chat, '/settings --size 3:2 --steps 20 --no "hat, glasses" --sampler "euler a"'
    )

    assert lines == [
        "Your defaults for /imagine:",
        "  no       hat, glasses (yours)",
        "  steps    20 (yours)",
        "  cfg      5",
        "  size     3:2 (yours)",
        "  sampler  Euler a (yours)",
    ]
    usual = await paint(chat, "/imagine a fox")
    assert (usual.size, usual.steps, usual.negative_prompt) == (Ratio(across=3, down=2), 20, "hat, glasses")
    assert usual.sampler is Sampler.EULER_ANCESTRAL
    other = await paint(chat, '/imagine a fox --steps 5 --no ""')
    assert (other.steps, other.negative_prompt, other.size) == (5, "", Ratio(across=3, down=2))


async def test_they_are_one_persons_own(chat: Chat) -> None:
    await answer_lines(chat, "/settings --steps 20")

    assert (await paint(chat, "/imagine a fox", "bob")).steps == Paint.steps


async def test_one_is_changed_without_the_others_and_goes_back_to_the_usual(chat: Chat) -> None:
    await answer_lines(chat, "/settings --steps 20 --cfg 3")
    await answer_lines(chat, "/settings --cfg 4")

    assert "  steps    20 (yours)" in await answer_lines(chat, "/settings")
    assert await answer_lines(chat, "/settings --steps 30 --cfg 5") == NOTHING_SET


async def test_reset_forgets_them_and_may_set_others(chat: Chat) -> None:
    await answer_lines(chat, "/settings --steps 20 --cfg 3")

    lines = await answer_lines(chat, "/settings --reset --cfg 4")

    assert lines[2:4] == ["  steps    30", "  cfg      4 (yours)"]
    assert await answer_lines(chat, "/settings --reset true") == NOTHING_SET


async def test_what_cannot_be_painted_together_is_refused_and_changes_nothing(chat: Chat) -> None:
    await answer_lines(chat, "/settings --steps 60")

    with pytest.raises(InvalidRequest, match=r"^--steps must be at most 50 with the LCM sampler, not 60\.$"):
        await chat.says("ana", "/settings --sampler LCM")

    assert "  sampler  Euler" in await answer_lines(chat, "/settings")


async def test_a_value_out_of_its_range_is_refused(chat: Chat) -> None:
    with pytest.raises(InvalidRequest, match=r"^--steps must be from 1 to 100, not 0\.$"):
        await chat.says("ana", "/settings --steps 0")


def test_what_is_no_longer_allowed_is_forgotten() -> None:
    stored = {"steps": "1000", "cfg": "3", "colour": "red", "size": 7}

    assert with_defaults(stored, imagine, {"prompt": "fox"}) == {"prompt": "fox", "cfg": 3.0}


async def test_an_edited_recipe_avoids_nothing_if_it_did_before(chat: Chat) -> None:
    job = await chat.files("bob", "/imagine a fox")
    await answer_lines(chat, "/settings --no hat")

    form = await chat.presses("ana", f"edit:{job}")

    assert isinstance(form, Form)
    assert form.values["no"] == '""'
