"""/lora import and /lora merge: what the engine is asked for, and what is refused before it is."""

import pytest

from commands.answers import Form, RunTask
from engine.messages import ImportLora, InvalidRequest, MergeLoras
from tests.commands.chat import LORAS, Chat

FILE = "e" * 64


async def test_importing_without_a_file_shows_the_form(chat: Chat) -> None:
    answer = await chat.says("ana", "/lora import Fox --trigger 'ohwx fox'")

    assert answer == Form(command="lora import", values={"name": "fox", "trigger": "ohwx fox"})


async def test_a_file_that_somebody_sent_is_looked_at_by_the_engine(chat: Chat) -> None:
    await chat.sends("ana", FILE)

    answer = await chat.fills("ana", "lora import", {"name": "fox", "file": FILE, "trigger": " sks  fox "})

    assert isinstance(answer, RunTask)
    assert isinstance(answer.request, ImportLora)
    assert (answer.request.name, answer.request.sha256, answer.request.phrase) == ("fox", FILE, "sks fox")


async def test_nobody_imports_the_file_of_somebody_else(chat: Chat) -> None:
    await chat.sends("ana", FILE)

    with pytest.raises(InvalidRequest, match=r"no longer here\. Send it again"):
        await chat.fills("bo", "lora import", {"name": "fox", "file": FILE})


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"name": "../fox", "file": FILE}, "may only have a-z"),
        ({"name": "ink", "file": FILE}, "There is already a LoRA ink here"),
        ({"name": "fox", "file": "../../etc/passwd"}, "Send it with the form"),
        ({"name": "fox", "file": FILE, "trigger": "x" * 81}, "81 characters"),
        ({"name": "fox", "file": FILE, "trigger": "a\x00b"}, "control character"),
    ],
)
async def test_an_import_that_cannot_be_is_refused_at_once(
    chat: Chat, form: dict[str, str], reason: str
) -> None:
    await chat.sends("ana", FILE)

    with pytest.raises(InvalidRequest, match=reason):
        await chat.fills("ana", "lora import", form)


@pytest.mark.parametrize(
    "line",
    [
        "/lora merge both ink:0.7 maria:0.5",
        "/lora merge both ink:0.7, maria:0.5",
        "/lora merge both --lora ink:0.7,maria:0.5",
        "/lora merge both ink:0.7 --lora maria:0.5",
        "/LORA Merge both ink:0.7 , maria:0.5 --rank 8",
    ],
)
async def test_what_is_merged_follows_the_name_or_its_flag(chat: Chat, line: str) -> None:
    answer = await chat.says("ana", line)

    assert isinstance(answer, RunTask)
    assert isinstance(answer.request, MergeLoras)
    assert answer.request.name == "both"
    assert [(use.name, use.sha256, use.weight) for use in answer.request.parts] == [
        ("ink", LORAS["ink"], 0.7),
        ("maria", LORAS["maria"], 0.5),
    ]
    assert answer.request.rank == (8 if "--rank" in line else None)


async def test_a_merge_paints_what_calls_up_its_parts_unless_somebody_says_what(chat: Chat) -> None:
    first, second = (
        await chat.says("ana", "/lora merge both ink maria"),
        await chat.says("ana", "/lora merge both ink maria --prompt 'a red fox'"),
    )

    assert isinstance(first, RunTask) and isinstance(first.request, MergeLoras)
    assert isinstance(second, RunTask) and isinstance(second.request, MergeLoras)
    assert (first.request.prompt, second.request.prompt) == ("a picture", "a red fox")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("/lora merge both ink", "Name at least two"),
        ("/lora merge both", "Name at least two"),
        ("/lora merge both ink:0.7 ink:0.5", "there twice"),
        ("/lora merge both ink:0 maria", "weight 0"),
        ("/lora merge both ink maria --rank 4096", "from 1 to 128"),
        ("/lora merge both ink maria --rank -1", "from 1 to 128"),
        ("/lora merge ink ink maria", "There is already a LoRA ink here"),
        ("/lora merge both ink:3 maria", "from -2 to 2"),
        ("/lora merge both ink marai", "Did you mean maria"),
    ],
)
async def test_a_merge_that_cannot_be_is_refused_at_once(chat: Chat, line: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        await chat.says("ana", line)


async def test_nobody_merges_what_is_not_shared_with_them(chat: Chat) -> None:
    await chat.trains(await chat.drafts("ana", "ana"))

    with pytest.raises(InvalidRequest, match="There is no LoRA 'ana'"):
        await chat.says("bo", "/lora merge both ink ana")


async def test_words_that_the_rules_refuse_are_not_painted_by_a_merge_either(chat: Chat) -> None:
    await chat.says("root", "/admin rules --refuse gore")
    await chat.sends("ana", FILE)

    with pytest.raises(InvalidRequest, match="do not allow this prompt"):
        await chat.says("ana", "/lora merge both ink maria --prompt 'much gore'")
    with pytest.raises(InvalidRequest, match="do not allow this prompt"):
        await chat.fills("ana", "lora import", {"name": "fox", "file": FILE, "trigger": "gore"})
