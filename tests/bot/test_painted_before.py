"""What was painted before is answered from the store, for those who could see it."""

from dataclasses import replace
from pathlib import Path

from tests.bot.fake_chat import Chat, OpenChat, Seen, a_config, caller
from tests.bot.running_bot import rows

FOX = "/imagine a red fox --steps 2 --seed 7"


def painted(chat: Chat) -> int:
    return len(chat.notes_of("painted"))


async def test_the_same_again_is_answered_at_once_from_the_store(open_chat: OpenChat, tmp_path: Path) -> None:
    chat = await open_chat()
    first = await chat.ends((await chat.says("ana", FOX)).job)

    second = await chat.ends((await chat.says("bo", FOX)).job)
    starred = await chat.presses("bo", "keep", second.job)

    assert painted(chat) == 1
    assert second.line == f"The same as {first.job}, painted before. --fresh paints it again."
    assert [(p.sha256, p.seed) for p in second.pictures] == [(p.sha256, p.seed) for p in first.pictures]
    assert starred.ok
    assert rows(tmp_path, "SELECT charged FROM jobs ORDER BY number")[1] == (0.0,)
    assert rows(tmp_path, "SELECT queued FROM people") == [(0,), (0,)]
    marks = "SELECT job_number, watermark, band0 FROM picture_marks ORDER BY job_number"
    assert [row[1:] for row in rows(tmp_path, marks)[:1]] == [row[1:] for row in rows(tmp_path, marks)[1:]]

    await chat.presses("ana", "delete", first.job)
    third = await chat.ends((await chat.says("ana", FOX)).job)
    assert third.line.startswith(f"The same as {second.job}")
    assert (tmp_path / "files").is_dir() and painted(chat) == 1

    other = await chat.ends((await chat.says("ana", FOX.replace("7", "8"))).job)
    fresh = await chat.ends((await chat.says("ana", f"{FOX} --fresh")).job)
    assert painted(chat) == 3
    assert other.line.startswith("Painted in") and fresh.line.startswith("Painted in")


async def test_nobody_gets_what_they_could_not_see(open_chat: OpenChat) -> None:
    chat = await open_chat()
    direct = replace(caller("ana"), direct=True)
    adult = replace(caller("bo"), adult=True)
    flagged = "/imagine a flag --steps 2 --seed 7"
    await chat.rules("/admin rules --filtered spoiler")

    await chat.ends((await Seen.of(chat.bot.dispatch.say(direct, FOX))).job)
    bos = await chat.ends((await Seen.of(chat.bot.dispatch.say(adult, FOX))).job)  # not of ana's message
    cys = await chat.ends((await chat.says("cy", FOX)).job)  # nor of the channel for adults
    elsewhere = await chat.ends((await chat.says("cy", FOX, "other")).job)
    await chat.ends((await chat.says("cy", flagged)).job)
    hidden = await chat.ends((await chat.says("cy", flagged)).job)
    anas = await chat.ends((await Seen.of(chat.bot.dispatch.say(direct, FOX))).job)

    assert all(card.line.startswith("Painted in") for card in (bos, cys, elsewhere))
    assert hidden.line.startswith("Safety check")
    assert anas.line.startswith(f"The same as {cys.job}")


async def test_another_model_under_the_same_name_paints_anew(open_chat: OpenChat, tmp_path: Path) -> None:
    model = tmp_path / "upscaler.safetensors"
    model.write_bytes(b"weights")
    config = a_config(tmp_path)
    config = replace(config, engine=replace(config.engine, upscaler=str(model)))
    chat = await open_chat(config=config)
    await chat.ends((await chat.says("ana", FOX)).job)
    await chat.close()
    model.write_bytes(b"other weights")

    chat = await open_chat(config=config)
    card = await chat.ends((await chat.says("ana", FOX)).job)

    assert card.line.startswith("Painted in")
