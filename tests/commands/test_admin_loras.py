"""Admins keep the LoRAs of a space: who may have them, at which weights, whose they are."""

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from commands.answers import Answer, CreateJob, LoraCards, Text, UpdateCards
from commands.syntax.lora_syntax import OperatorFiles
from engine.messages import InvalidRequest, JobId, Sha256
from storage import adapters, people
from storage.adapters import NewLora
from tests.commands.chat import Chat, request_of


@pytest.fixture
async def zoe(chat: Chat) -> JobId:
    """Ana's training, of a LoRA that she shares with everybody here."""
    job = await chat.drafts("ana", "zoe", subject="woman")
    await chat.trains(job)
    await chat.says("ana", "/lora zoe --share space")
    return job


async def answer_text(chat: Chat, line: str, name: str = "root") -> str:
    answer: Answer = await chat.says(name, line)
    assert isinstance(answer, Text | UpdateCards | LoraCards)
    return answer.text


async def refusal(chat: Chat, name: str, line: str, space: str = "general") -> str:
    with pytest.raises(InvalidRequest) as refused:
        await chat.says(name, line, space)
    return str(refused.value)


async def uses(chat: Chat, name: str, line: str) -> list[tuple[str, float]]:
    return [(use.name, use.weight) for use in request_of(await chat.says(name, line)).adapters]


CHANGES = (
    "--approve",
    "--refuse no",
    "--retire",
    "--restore",
    "--usual 0.6",
    "--weights '0.2 to 1'",
    "--give bob",
    "--delete --sure",
)


@pytest.mark.parametrize("change", ["", *CHANGES])
async def test_only_admins_keep_loras(chat: Chat, zoe: JobId, change: str) -> None:
    assert await refusal(chat, "ana", f"/admin loras zoe {change}") == (
        "/admin loras is for admins. Ask one of them."
    )


@pytest.mark.parametrize("change", ["", *CHANGES])
async def test_a_lora_of_another_space_is_not_found(chat: Chat, zoe: JobId, change: str) -> None:
    await chat.says("ana", "/lora zoe --share everybody")

    assert await refusal(chat, "root", f"/admin loras zoe {change}", "art") == (
        "No LoRA made here is called 'zoe'. /admin loras lists them."
    )


async def test_all_loras_of_the_space_are_listed_also_those_of_one_person_alone(
    chat: Chat, zoe: JobId
) -> None:
    await chat.trains(await chat.drafts("bob", "oils"))

    text = await answer_text(chat, "/admin loras")

    assert text.splitlines() == [
        "2 LoRAs made here (new ones need no admin, see /admin rules --approve):",
        "  oils  by bob, for its owner only, 0 uses",
        "  zoe   by ana, for everybody here, 0 uses",
    ]


async def test_where_the_space_asks_for_it_a_new_lora_is_its_owners_until_it_is_approved(
    chat: Chat,
) -> None:
    await answer_text(chat, "/admin rules --approve true")
    await chat.trains(await chat.drafts("ana", "zoe"))

    shared = await answer_text(chat, "/lora zoe --share everybody", "ana")
    assert shared.endswith("once an admin approves it (waiting for an admin).")
    assert await uses(chat, "ana", "/imagine a fox --lora zoe") == [("zoe", 1.0)]
    assert "There is no LoRA 'zoe'" in await refusal(chat, "bob", "/imagine a fox --lora zoe")
    assert "There is no LoRA 'zoe'" in await refusal(chat, "bob", "/imagine a fox --lora zoe", "art")

    await answer_text(chat, "/admin loras zoe --refuse 'the pictures are not yours'")
    assert "refused by an admin: the pictures are not yours" in await answer_text(chat, "/lora zoe", "ana")
    assert "There is no LoRA 'zoe'" in await refusal(chat, "bob", "/imagine a fox --lora zoe")

    assert await answer_text(chat, "/admin loras zoe --approve") == (
        "The LoRA zoe can be used by everybody everywhere now."
    )
    assert await uses(chat, "bob", "/imagine a fox --lora zoe") == [("zoe", 1.0)]


async def test_a_retired_lora_is_used_no_more_and_old_recipes_name_it(chat: Chat, zoe: JobId) -> None:
    old = await chat.files("ana", "/imagine a fox --lora zoe")
    await chat.paints(old)
    await answer_text(chat, "/admin loras zoe --retire")

    for line in ("/imagine a fox --lora zoe", "/lora zoe"):
        assert await refusal(chat, "ana", line) == "The LoRA zoe is retired here. An admin can restore it."
    listing = await chat.says("ana", "/loras")
    assert isinstance(listing, LoraCards) and "zoe" not in listing.text
    with pytest.raises(
        InvalidRequest, match="The LoRA zoe is not shared with you, or was retired or deleted"
    ):
        await chat.presses("ana", f"again:{old}")
    request = (await chat.sees(old)).request
    assert request is not None and "zoe" in str(request)

    await answer_text(chat, "/admin loras zoe --restore")
    assert isinstance(await chat.presses("ana", f"again:{old}"), CreateJob)
    assert await refusal(chat, "root", "/admin loras zoe --restore") == "The LoRA zoe is not retired."


async def test_a_usual_lora_is_in_every_new_picture_that_does_not_say_otherwise(
    chat: Chat, zoe: JobId
) -> None:
    chat.per_person = 10
    await answer_text(chat, "/admin loras zoe --usual 0.6")

    plain = request_of(await chat.says("bob", "/imagine a fox"))
    assert [(use.name, use.weight) for use in plain.adapters] == [("zoe", 0.6)]
    assert plain.prompt == "a fox, ohwx woman"
    assert await uses(chat, "bob", "/imagine a fox --lora zoe:0.2") == [("zoe", 0.2)]
    assert await uses(chat, "bob", "/imagine a fox --lora ink") == [("ink", 1.0), ("zoe", 0.6)]
    without = request_of(await chat.says("bob", "/imagine a fox --lora zoe:0"))
    assert (without.adapters, without.prompt) == ((), "a fox")

    await answer_text(chat, "/admin loras zoe --usual none")
    assert await uses(chat, "bob", "/imagine a fox") == []


async def test_what_not_everybody_here_may_have_cannot_be_usual(chat: Chat, zoe: JobId) -> None:
    await chat.says("ana", "/lora zoe --share me")

    assert await refusal(chat, "root", "/admin loras zoe --usual 0.6") == (
        "The LoRA zoe is not for everybody here. ana shares it with /lora zoe --share space, "
        "and an admin approves it."
    )


async def test_a_usual_lora_that_is_taken_back_stops_nobody(chat: Chat, zoe: JobId) -> None:
    await answer_text(chat, "/admin loras zoe --usual 0.6")
    await chat.says("ana", "/lora zoe --share me")

    assert await uses(chat, "bob", "/imagine a fox") == []


@pytest.mark.parametrize("line", ["/imagine a fox --lora zoe:1.5", "/imagine a fox <lora:zoe:1.5>"])
async def test_weights_beyond_the_limits_are_refused_however_they_are_said(
    chat: Chat, zoe: JobId, line: str
) -> None:
    old = await chat.files("ana", line)
    await chat.paints(old)
    await answer_text(chat, "/admin loras zoe --weights '0.2 to 1'")
    sentence = "The weight of LoRA zoe must be from 0.2 to 1 here, not 1.5."

    assert await refusal(chat, "ana", line) == sentence
    with pytest.raises(InvalidRequest) as refused:
        await chat.presses("ana", f"again:{old}")
    assert str(refused.value) == sentence
    assert await uses(chat, "ana", "/imagine a fox --lora zoe:0.4") == [("zoe", 0.4)]
    await answer_text(chat, "/admin loras zoe --weights none")
    await chat.files("ana", line)


async def test_what_another_space_allows_of_the_same_file_is_nothing_to_a_space_that_has_it(
    chat: Chat, zoe: JobId
) -> None:
    training = (await chat.sees(zoe)).training
    assert training is not None
    same = NewLora(
        name="copy",
        sha256=Sha256(str(training.checkpoints[0].sha256)),
        phrase="",
        preset="imported",
        thumbnail=Sha256("e" * 64),
        tokens=0,
        info={},
    )

    async def add_copy(session: AsyncSession) -> None:
        there = await people.upsert_space(session, "local", "art", "art")
        eve = await people.upsert_person(session, "local", "eve", "eve")
        await adapters.add(session, there.id, eve.id, same, chat.now)

    await chat.database.write(add_copy)
    await chat.says("eve", "/lora copy --share everybody", "art")
    await chat.says("root", "/admin loras copy --weights '0 to 0.1'", "art")

    assert isinstance(await chat.says("ana", "/imagine a fox --lora zoe:1"), CreateJob)
    assert "must be from 0 to 0.1" in await refusal(chat, "bob", "/imagine a fox --lora copy:1", "music")


async def test_a_lora_given_to_another_person_is_theirs(chat: Chat, zoe: JobId) -> None:
    await chat.files("bob", "/imagine a fox")

    assert await answer_text(chat, "/admin loras zoe --give bob") == "The LoRA zoe now belongs to bob."

    assert await refusal(chat, "ana", "/lora zoe --rename eve") == "Only bob can rename the LoRA zoe."
    assert isinstance(await chat.says("bob", "/lora zoe --rename eve"), UpdateCards)


async def test_a_lora_is_deleted_for_good_once_that_is_sure(chat: Chat, zoe: JobId) -> None:
    assert "Add --sure" in await refusal(chat, "root", "/admin loras zoe --delete")

    gone = await chat.says("root", "/admin loras zoe --delete --sure")

    view = await chat.sees(zoe)
    assert isinstance(gone, UpdateCards) and view.training is not None
    assert len(gone.unneeded) >= 1
    assert "No LoRA made here" in await refusal(chat, "root", "/admin loras zoe")


async def test_every_change_is_written_down_with_before_and_after(chat: Chat, zoe: JobId) -> None:
    await chat.files("bob", "/imagine a fox")
    for change in ("--retire", "--restore", "--usual 0.5", "--weights '0 to 1'", "--give bob"):
        await answer_text(chat, f"/admin loras zoe {change}")
    await answer_text(chat, "/admin loras zoe --delete --sure")

    text = await answer_text(chat, "/admin audit loras")

    assert len([line for line in text.splitlines() if "LoRA zoe" in line]) == 6
    assert "retired" in text and "bob" in text and "0.5" in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("--usual 5", "A weight must be from -2 to 2, not 5."),
        ("--usual much", "A weight must be a number or none, not 'much'."),
        ("--weights 1", "--weights must be two weights such as 0.2 to 1, or none, not '1'."),
        ("--weights '1 to 0'", "The lowest weight, 1, is above the highest, 0."),
        ("--approve", "Nothing changed. The LoRA zoe is already approved."),
        ("--give ana", "The LoRA zoe already belongs to ana."),
        ("--give nobody", "Nobody here is called 'nobody'"),
        ("--retire --approve", "Use only one of --approve, --refuse,"),
    ],
)
async def test_what_makes_no_sense_gets_a_sentence(
    chat: Chat, zoe: JobId, change: str, sentence: str
) -> None:
    assert sentence in await refusal(chat, "root", f"/admin loras zoe {change}")


async def test_admins_are_told_which_files_of_the_operator_are_passed_over(chat: Chat) -> None:
    chat.list_files = OperatorFiles(
        offered={"ink-wash": "Ink Wash.safetensors"},
        passed={"old.ckpt": "a pickle, which can run code: only .safetensors is read"},
    )

    text = await answer_text(chat, "/admin loras")

    assert text.endswith(
        "1 file in the operator's folder skipped:\n"
        "  old.ckpt  a pickle, which can run code: only .safetensors is read"
    )
    assert "  ink-wash  the operator's Ink Wash.safetensors" in await answer_text(chat, "/loras wash")
