"""LoRAs from outside and from each other: listed once the engine has said so, and else without a trace."""

import asyncio
import hashlib
import struct
from pathlib import Path

import pytest
import safetensors.torch

from bot.engine_client.client import PROGRAM
from bot.uploads.lora_check import LARGEST_LORA, check_lora
from engine.messages import EngineSettings, InvalidRequest, Sha256
from engine.sdxl.model import load_model
from tests.bot.fake_chat import Chat, OpenChat, Seen, a_config, caller
from tests.bot.quick_lora import a_file
from tests.bot.uploads.coming import pieces
from tests.lora_files import attention, diffusers_new, kohya, make_lora


async def sends(chat: Chat, who: str, content: bytes) -> Sha256:
    return await chat.bot.intake.take_lora(caller(who), pieces(content, 7))


async def imports(chat: Chat, who: str, name: str, words: str = "", space: str = "home") -> Seen:
    """Somebody sends a file and says what it is to be called."""
    sha256 = await sends(chat, who, a_file(words))
    return await Seen.of(
        chat.bot.dispatch.fill(caller(who, space), "lora import", {"name": name, "file": sha256})
    )


def files_in_store(chat: Chat) -> set[str]:
    return {path.name for path in (chat.folder / "files").glob("??/*")}


async def test_an_imported_lora_is_its_persons_alone_and_paints(open_chat: OpenChat) -> None:
    chat = await open_chat()

    reply = await imports(chat, "ana", "fox")
    painted = await chat.says("ana", "/imagine a tree --lora fox")

    assert reply.ok, reply.text
    assert "The LoRA fox is ready, for you only (rank 8, 722 modules, from PEFT names)." in reply.text
    assert [(lora.name, lora.phrase, lora.preset, lora.access) for lora in reply.loras] == [
        ("fox", "ohwx woman", "imported", "me")
    ]
    assert reply.loras[0].thumbnail in files_in_store(chat)
    assert (await chat.ends(painted.job)).state == "succeeded"
    assert not (await chat.says("bo", "/imagine a tree --lora fox")).ok
    assert "There is no LoRA" in (await chat.says("ana", "/lora fox", space="elsewhere")).text


async def test_a_pasted_recipe_knows_an_imported_lora_by_the_hash_that_a1111_writes(
    open_chat: OpenChat,
) -> None:
    chat = await open_chat()
    (lora,) = (await imports(chat, "ana", "fox")).loras
    content = (chat.folder / "files" / lora.sha256[:2] / lora.sha256).read_bytes()
    numbers = hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()

    reply = await chat.says(
        "ana",
        "/imagine a tree <lora:Foxy v2:0.7>\n"
        f'Steps: 3, Seed: 5, CFG scale: 4, Lora hashes: "Foxy v2: {numbers[:12]}"',
    )

    assert reply.ok, reply.text
    assert "Foxy" not in reply.text


async def test_looking_at_loras_counts_towards_the_limits_once_it_went_well(open_chat: OpenChat) -> None:
    chat = await open_chat()
    keeper = caller("root", "home", admin=True)
    await Seen.of(chat.bot.dispatch.say(keeper, "/admin limits --seconds 200"))
    assert (await imports(chat, "ana", "fox", "refuse this")).text == "the LoRA is none."
    assert "0 s of 200 s, 200 s left" in (await chat.says("ana", "/me")).text

    assert (await imports(chat, "ana", "fox")).ok
    assert (await imports(chat, "ana", "hare", "another")).ok
    assert "200 s of 200 s, 0 s left" in (await chat.says("ana", "/me")).text

    refused = await imports(chat, "ana", "hen", "a third")
    merged = await chat.says("ana", "/lora merge both fox hare")
    assert not refused.ok and "You have 0 s of your 200 s a day left" in refused.text
    assert not merged.ok and "You have 0 s of your 200 s a day left" in merged.text
    assert (await imports(chat, "eve", "hen")).ok


async def test_what_the_engine_refuses_is_told_and_not_listed(open_chat: OpenChat) -> None:
    chat = await open_chat()

    reply = await imports(chat, "ana", "fox", "refuse this")

    assert (reply.ok, reply.text) == (False, "the LoRA is none.")
    assert "no such LoRA here" in (await chat.says("ana", "/loras")).text


async def test_a_file_that_kills_the_engine_is_told_and_the_next_one_is_looked_at(
    open_chat: OpenChat,
) -> None:
    chat = await open_chat()

    killed = await imports(chat, "ana", "fox", "die")
    again = await imports(chat, "ana", "fox")

    assert (killed.ok, killed.text) == (False, "The engine died meanwhile. Send the command again.")
    assert again.ok, again.text


async def test_two_of_one_name_at_once_are_one_lora(open_chat: OpenChat) -> None:
    chat = await open_chat()

    replies = await asyncio.gather(imports(chat, "ana", "fox", "one"), imports(chat, "bo", "fox", "two"))

    assert sorted(reply.ok for reply in replies) == [False, True]
    assert "There is already a LoRA fox here" in next(reply.text for reply in replies if not reply.ok)


async def test_a_merge_whose_name_is_taken_meanwhile_leaves_no_file(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.5)
    for name in ("fox", "hare", "owl"):
        assert (await imports(chat, "ana", name, name)).ok
    before = files_in_store(chat)
    merging = asyncio.create_task(chat.says("ana", "/lora merge both fox hare"))
    await chat.sees(lambda: len(chat.notes_of("merge")) == 1)

    assert (await chat.says("ana", "/lora owl --rename both")).ok

    assert "There is already a LoRA both here" in (await merging).text
    assert files_in_store(chat) == before


async def test_one_person_has_one_file_looked_at_at_a_time(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.3)
    for name in ("fox", "owl"):
        assert (await imports(chat, "ana", name, name)).ok
    merges = [chat.says("ana", f"/lora merge {name} fox owl") for name in ("both", "twice")]

    replies = await asyncio.gather(*merges)

    assert sorted(reply.ok for reply in replies) == [False, True]
    assert "still being worked on" in next(reply.text for reply in replies if not reply.ok)


async def test_a_merge_says_what_it_lost_and_shows_itself_beside_the_mix(open_chat: OpenChat) -> None:
    chat = await open_chat()
    for name in ("fox", "owl"):
        await imports(chat, "ana", name, name)

    exact = await chat.says("ana", "/lora merge both fox:0.7 owl:0.5")
    smaller = await chat.says("ana", "/lora merge small fox:0.7 owl:0.5 --rank 4")
    reply = await chat.says("ana", "/lora small")

    assert exact.text.startswith("both merges fox:0.7 and owl:0.5 into one LoRA of rank 16")
    assert "It loses nothing of what they change" in exact.text
    assert "It loses 25.0% of what they change" in smaller.text
    assert [name for name, _ in exact.files] == ["both-beside-its-mix.png"]
    assert {sha256 for _, sha256 in exact.files} <= files_in_store(chat)
    assert "fox:0.7, owl:0.5" in reply.text


async def test_a_deleted_import_leaves_no_file(open_chat: OpenChat) -> None:
    chat = await open_chat()
    for name in ("fox", "owl"):
        await imports(chat, "ana", name, name)
    before = files_in_store(chat)
    merged = await chat.says("ana", "/lora merge both fox owl")
    assert files_in_store(chat) > before

    await chat.says("ana", "/lora both --delete")

    assert merged.ok
    assert files_in_store(chat) == before


async def test_what_was_imported_is_there_after_a_restart(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await imports(chat, "ana", "fox")
    await chat.close()

    chat = await open_chat()

    assert "fox" in (await chat.says("ana", "/loras")).text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x80\x02}q\x00." * 9, "which can run code"),
        (b"PK\x03\x04" * 9, "which can run code"),
        (b"GIF89a" * 9, "not a safetensors file"),
        (b"", "not a safetensors file"),
        (struct.pack("<Q", 17 * 2**20) + b"{}", "must be at most 16 MB"),
    ],
)
async def test_what_is_plainly_no_lora_never_reaches_the_store(
    open_chat: OpenChat, content: bytes, reason: str
) -> None:
    chat = await open_chat()

    with pytest.raises(InvalidRequest, match=reason):
        await sends(chat, "ana", content)

    assert files_in_store(chat) == set()
    assert not list((chat.folder / "files").glob("incoming-*"))


def test_a_file_of_more_than_512_mb_is_refused_before_it_is_all_there() -> None:
    with pytest.raises(InvalidRequest, match="larger than 512 MB"):
        check_lora(LARGEST_LORA + 1, b"")


async def test_a_comparison_is_a_card_that_is_kept_with_its_lora(open_chat: OpenChat) -> None:
    chat = await open_chat()
    await imports(chat, "ana", "fox")

    filed = await chat.says("ana", "/compare a tree --lora fox --steps 2")
    card = await chat.ends(filed.job)
    reply = await chat.says("ana", "/lora fox")

    assert (card.state, len(card.pictures)) == ("succeeded", 1)
    assert card.command.startswith("/compare ")
    assert "without 20.0, fox:0.5 21.0" in reply.text
    assert f"/show {filed.job}" in reply.text


async def test_the_upload_waits_a_day_for_its_name(open_chat: OpenChat, tmp_path: Path) -> None:
    chat = await open_chat()
    sha256 = await sends(chat, "ana", a_file())

    await chat.bot.garbage.sweep()

    assert sha256 in files_in_store(chat)


async def test_the_real_engine_lets_a_lora_in_and_merges_it_with_another(
    open_chat: OpenChat, tmp_path: Path
) -> None:
    engine = EngineSettings(model="demo", files=str(tmp_path / "files"), device="cpu")
    chat = await open_chat(config=a_config(tmp_path, engine=engine), program=PROGRAM)
    model = load_model(EngineSettings(model="demo", device="cpu")).base
    replies: dict[str, Seen] = {}
    for name, form in (("ink", kohya), ("chalk", diffusers_new)):
        tensors = form(make_lora(model, of=attention, seed=len(replies)))
        sha256 = await sends(chat, "ana", safetensors.torch.save(tensors))
        replies[name] = await Seen.of(
            chat.bot.dispatch.fill(caller("ana"), "lora import", {"name": name, "file": sha256})
        )

    merged = await chat.says("ana", "/lora merge both ink:0.7 chalk:-0.5 --prompt 'a red star'")

    assert "from kohya names" in replies["ink"].text and "from diffusers names" in replies["chalk"].text
    assert merged.ok and "It loses nothing" in merged.text, merged.text
    (lora,) = merged.loras
    assert int(lora.info["merged"]["apart"].split()[0]) <= 2
