"""What people read about the commands, in the chat and in docs/commands.md."""

import re
from pathlib import Path

import pytest

from commands.answers import Text
from commands.command_tables import update
from commands.help import flags_text, usage
from commands.registry import COMMANDS, AnyCommand, find
from engine.messages import InvalidRequest
from tests.commands.chat import Chat

DOCUMENT = Path(__file__).parents[2] / "docs/commands.md"
SENTENCE = re.compile(r"[A-Z][^.\n]*\.")


async def answer_text(chat: Chat, line: str) -> str:
    answer = await chat.says("ana", line)
    assert isinstance(answer, Text)
    return answer.text


def test_the_commands_are_in_the_order_in_which_people_learn_them() -> None:
    assert list(COMMANDS) == [
        *(
            "imagine",
            "edit",
            "extend",
            "upscale",
            "blend",
            "describe",
            "train",
            "training",
            "loras",
            "lora",
            "lora import",
            "lora merge",
            "compare",
            "verify",
        ),
        *("queue", "cancel", "show", "gallery", "report", "settings", "me"),
        *("privacy", "privacy export", "privacy delete", "help"),
        *(
            "admin people",
            "admin reports",
            "admin loras",
            "admin queue",
            "admin limits",
            "admin rules",
            "admin audit",
            "admin stats",
        ),
    ]


@pytest.mark.parametrize("known", COMMANDS.values())
def test_each_commands_help_is_a_sentence_and_each_option_has_a_line(known: AnyCommand) -> None:
    first, *lines = usage(known, prefix="/").splitlines()
    shown = [flags_text(parameter) for parameter in known.parameters if not parameter.option.hidden]

    assert SENTENCE.fullmatch(known.help)
    assert first == f"/{known.name}: {known.help}"
    assert all(sum(line.startswith(f"  {name} ") for line in lines) == 1 for name in shown)
    assert all(parameter.option.help for parameter in known.parameters)


async def test_help_tells_all_commands_and_all_buttons(chat: Chat) -> None:
    text = await answer_text(chat, "/help")

    for known in (one for one in COMMANDS.values() if not one.admin):
        assert f"/{known.name} " in text
        assert known.help in text
    assert "/imagine also takes a whole recipe" in text
    assert "🎲  Paint four variations nearby (strength 0.15)." in text
    assert "⏹️  End the training now and keep what it has learned." in text


async def test_help_of_one_command_tells_each_option_with_what_is_allowed(chat: Chat) -> None:
    text = await answer_text(chat, "/help imagine")

    assert text.startswith("/imagine: Paint a picture from words.")
    assert "  --steps                 Denoising steps (1 to 100, default 30)" in text
    assert "  --no, --negative        What to avoid" in text
    assert "  --size, --ar, --aspect  832x1216, 3:2, square" in text
    assert "64 to 2048, also as --width and --height" in text
    assert "(0 to 2^63 - 1, otherwise random)" in text


async def test_help_tells_which_samplers_make_much_of_little(chat: Chat) -> None:
    text = await answer_text(chat, "/help imagine")

    assert "DPM++ SDE and LCM vary more at a high cfg" in text


async def test_help_of_train_tells_the_usual_first_then_the_presets_then_the_rest(chat: Chat) -> None:
    lines = (await answer_text(chat, "/help train")).splitlines()

    usual, preset, more = (
        next(number for number, line in enumerate(lines) if line.startswith(start))
        for start in ("  --steps ", "  style ", "  --lr ")
    )
    assert usual < preset < more
    assert "  --draft" not in "\n".join(lines)


def test_a_command_is_found_by_its_name_whatever_its_case() -> None:
    assert find("/Imagine") is find("imagine") is COMMANDS["imagine"]


def test_a_name_that_is_nearly_one_is_answered_with_it() -> None:
    with pytest.raises(InvalidRequest, match=r"^There is no command /setings\. Did you mean /settings\?$"):
        find("setings")


def test_the_tables_of_the_document_are_those_of_the_definitions() -> None:
    text = DOCUMENT.read_text()

    assert update(text) == text, "run python -m commands.command_tables"


def test_a_document_without_a_place_for_the_tables_is_not_changed() -> None:
    with pytest.raises(ValueError, match="The document needs the lines"):
        update("# Commands")
