"""LoRAs that were trained here: who sees them, who may use them, and what their owners do with them."""

import pytest

from commands.answers import CreateJob, Form, LoraCards, SendFiles, Text, UpdateCards
from engine.messages import InvalidRequest, JobId, Sha256
from tests.commands.chat import Chat, request_of


async def train_lora(chat: Chat, name: str = "ana", lora: str = "zoe", **texts: str) -> JobId:
    """The training of a LoRA that is there."""
    job = await chat.drafts(name, lora, **({"subject": "woman"} | texts))
    await chat.trains(job)
    return job


async def lora_names(chat: Chat, name: str, line: str = "/loras", space: str = "general") -> list[str]:
    answer = await chat.says(name, line, space)
    assert isinstance(answer, LoraCards)
    return [lora.name for lora in answer.loras]


async def refusal_of(chat: Chat, name: str, line: str, space: str = "general") -> str:
    with pytest.raises(InvalidRequest) as refusal:
        await chat.says(name, line, space)
    return str(refusal.value)


async def test_a_lora_is_its_owners_until_it_is_shared(chat: Chat) -> None:
    await train_lora(chat)
    seen = "The LoRA zoe can be used by"

    assert (await lora_names(chat, "ana"), await lora_names(chat, "bob")) == (["zoe"], [])
    assert await refusal_of(chat, "bob", "/imagine a fox --lora zoe") == (
        "There is no LoRA 'zoe'. The LoRAs are ink and maria."
    )
    answer = await chat.says("ana", "/lora zoe --share space")
    assert isinstance(answer, UpdateCards) and answer.text == f"{seen} everybody here."
    assert (await lora_names(chat, "bob"), await lora_names(chat, "bob", space="art")) == (["zoe"], [])
    answer = await chat.says("ana", "/lora zoe --share everybody")
    assert isinstance(answer, UpdateCards) and answer.text == f"{seen} everybody everywhere."
    assert await lora_names(chat, "bob", space="art") == ["zoe"]
    await chat.says("ana", "/lora zoe --share me")
    assert await lora_names(chat, "bob") == []


async def test_a_picture_with_a_lora_has_what_calls_it_up(chat: Chat) -> None:
    job = await train_lora(chat)
    training = (await chat.sees(job)).training
    assert training is not None

    request = request_of(await chat.says("ana", "/imagine a portrait --lora zoe"))

    assert request.prompt == "a portrait, ohwx woman"
    (use,) = request.adapters
    assert (use.name, use.weight, use.sha256) == ("zoe", 1.0, training.checkpoints[0].sha256)
    listing = await chat.says("ana", "/loras")
    assert isinstance(listing, LoraCards)
    assert listing.loras[0].uses == 1


async def test_a_picture_with_a_lora_is_painted_again_by_those_who_may_use_it(chat: Chat) -> None:
    await train_lora(chat)
    job = await chat.files("ana", "/imagine a portrait --lora zoe")
    await chat.paints(job)
    barred = "The LoRA zoe is not shared with you, or was retired or deleted."

    for button in ("again", "vary"):
        with pytest.raises(InvalidRequest) as refusal:
            await chat.presses("bob", f"{button}:{job}")
        assert str(refusal.value) == barred
    assert isinstance(await chat.presses("ana", f"again:{job}"), CreateJob)
    await chat.says("ana", "/lora zoe --share space")
    assert isinstance(await chat.presses("bob", f"again:{job}"), CreateJob)
    await chat.says("ana", "/lora zoe --delete")
    with pytest.raises(InvalidRequest) as refusal:
        await chat.presses("ana", f"again:{job}")
    assert str(refusal.value) == barred


async def test_loras_are_found_by_words_of_name_phrase_preset_and_owner(chat: Chat) -> None:
    await train_lora(chat, "ana", "zoe", preset="face")
    await train_lora(chat, "ana", "oils", preset="style", subject="")

    assert await lora_names(chat, "ana") == ["oils", "zoe"]
    assert await lora_names(chat, "ana", "/loras style") == ["oils"]
    assert await lora_names(chat, "ana", "/loras OHWX woman") == ["zoe"]
    assert await lora_names(chat, "ana", "/loras ana face") == ["zoe"]
    assert await lora_names(chat, "ana", "/loras bob") == []


async def test_the_operators_loras_are_listed_too_and_nobody_changes_them(chat: Chat) -> None:
    listing = await chat.says("ana", "/loras")

    assert isinstance(listing, LoraCards)
    assert listing.text.splitlines() == [
        "2 LoRAs you may use:",
        "  ink    the operator's",
        "  maria  the operator's",
    ]
    info = await chat.says("ana", "/lora ink")
    assert isinstance(info, Text) and info.text.startswith("ink belongs to the operator")
    assert await refusal_of(chat, "ana", "/lora ink --delete") == (
        "The LoRA ink belongs to the operator and cannot be changed here."
    )
    empty = await chat.says("ana", "/loras zzz")
    assert isinstance(empty, LoraCards)
    assert empty.text == "There is no such LoRA here. Make one with /train NAME."


async def test_a_lora_tells_how_it_was_made_and_how_it_is_used(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe", subject="woman", preset="face", rank="8", dora="true")
    await chat.trains(job, (100, 200))

    listing = await chat.says("ana", "/lora zoe")

    assert isinstance(listing, LoraCards)
    (lora,) = listing.loras
    lines = dict(line.split(maxsplit=1) for line in listing.text.splitlines()[1:-1])
    assert listing.text.startswith("zoe:\n")
    assert listing.text.endswith("\n/imagine a picture of ohwx woman --lora zoe")
    assert (lines["preset"], lines["pictures"], lines["rank"], lines["dora"]) == ("face", "1", "8", "true")
    assert lines["loss"]
    assert (lora.job, lora.name) == (job, "zoe")


async def test_owners_rename_their_loras_and_the_card_tells_the_new_name(chat: Chat) -> None:
    job = await train_lora(chat)
    before = await chat.sees(job)

    assert await chat.says("ana", "/lora zoe --rename mia") == UpdateCards(
        jobs=(job,), text="The LoRA zoe is now called mia."
    )

    after = await chat.sees(job)
    assert after.training is not None
    assert (after.training.adapter, after.revision > before.revision) == ("mia", True)
    assert request_of(await chat.says("ana", "/imagine a fox --lora mia")).adapters[0].name == "mia"
    assert await refusal_of(chat, "ana", "/lora mia --rename ink") == (
        "There is already a LoRA ink here. Choose another name."
    )
    assert await refusal_of(chat, "ana", "/lora mia --rename Mia!") == (
        "The LoRA name 'mia!' may only have a-z, 0-9, - and _, at most 32 of them."
    )


async def test_a_lora_of_another_space_is_renamed_to_what_is_free_there(chat: Chat) -> None:
    await train_lora(chat, "ana", "zoe")
    await chat.says("ana", "/lora zoe --share everybody")
    await train_lora(chat, "ana", "mia")

    assert await refusal_of(chat, "ana", "/lora zoe --rename mia", "art") == (
        "There is already a LoRA mia here. Choose another name."
    )
    assert isinstance(await chat.says("ana", "/lora zoe --rename kim", "art"), UpdateCards)
    assert sorted(await lora_names(chat, "ana")) == ["kim", "mia"]


async def test_a_lora_is_downloaded_as_a_file_of_its_name(chat: Chat) -> None:
    await train_lora(chat)

    gift = await chat.says("ana", "/lora zoe --download")

    assert isinstance(gift, SendFiles)
    ((name, sha256),) = gift.files
    assert (name, len(sha256)) == ("zoe.safetensors", 64)


async def test_a_deleted_lora_is_gone_and_its_training_can_be_done_again(chat: Chat) -> None:
    job = await train_lora(chat)

    answer = await chat.says("ana", "/lora zoe --delete")

    assert isinstance(answer, UpdateCards)
    assert (answer.jobs, answer.text, len(answer.unneeded)) == ((job,), "The LoRA zoe is deleted.", 1)
    assert await lora_names(chat, "ana") == []
    assert await refusal_of(chat, "ana", "/lora zoe") == "There is no LoRA 'zoe'. /loras lists them all."
    form = await chat.presses("ana", f"edit:{job}")
    assert isinstance(form, Form)
    assert (form.values["name"], form.values["trigger"]) == ("zoe", "ohwx")


async def test_only_its_owner_changes_a_lora(chat: Chat) -> None:
    await train_lora(chat)
    await chat.says("ana", "/lora zoe --share space")

    for name in ("bob", "root"):
        for flag, verb in (("--rename x", "rename"), ("--share me", "share"), ("--delete", "delete")):
            sentence = await refusal_of(chat, name, f"/lora zoe {flag}")
            assert sentence == f"Only ana can {verb} the LoRA zoe."
    assert await refusal_of(chat, "ana", "/lora zoe --delete --download") == (
        "Use only one of --rename, --share, --delete, --download or --paint."
    )
    assert await refusal_of(chat, "ana", "/lora zoe --share friends") == (
        "--share must be me, space or everybody, not 'friends'."
    )


async def test_two_loras_with_tokens_do_not_mix(chat: Chat) -> None:
    for lora in ("zoe", "mia"):
        await chat.trains(await chat.drafts("ana", lora, new_tokens="1"), tokens=1)

    assert len(request_of(await chat.says("ana", "/imagine a fox --lora zoe,ink")).adapters) == 2
    assert (await refusal_of(chat, "ana", "/imagine a fox --lora zoe,mia")).startswith(
        "zoe and mia each bring"
    )


async def test_the_words_of_a_private_lora_are_private(chat: Chat) -> None:
    await train_lora(chat)

    assert await refusal_of(chat, "bob", "/lora zoe") == "There is no LoRA 'zoe'. /loras lists them all."
    assert await refusal_of(chat, "bob", "/lora zoe --download") == (
        "There is no LoRA 'zoe'. /loras lists them all."
    )


async def test_a_chosen_checkpoint_is_what_the_lora_paints_with(chat: Chat) -> None:
    job = await chat.drafts("ana", "zoe")
    view = await chat.trains(job, (100, 200))
    assert view.training is not None
    second = view.training.checkpoints[1]

    assert await chat.presses("ana", f"choose:{job}:{second.place}") == UpdateCards(
        jobs=(job,), text="The LoRA is now the checkpoint at step 200."
    )

    (use,) = request_of(await chat.says("ana", "/imagine a fox --lora zoe")).adapters
    assert use.sha256 == Sha256(f"{view.number:032x}{200:032x}") == second.sha256
