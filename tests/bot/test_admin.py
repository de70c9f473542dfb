"""Admins at work in a running bot: what they set holds over restarts, and what did not end is given back."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot.config import AdminSettings
from bot.service import admins
from tests.bot.fake_chat import Chat, FakeChat, OpenChat, Seen, a_config, caller
from tests.bot.running_bot import connect, quick_config, rows, serving, until
from tests.bot.web.page_client import a_place

USED = "SELECT sum(charged) FROM jobs WHERE state = 'succeeded'"


async def time_left(chat: Chat, who: str) -> str:
    """What of their engine seconds somebody has left."""
    text = (await chat.says(who, "/me")).text
    (line,) = (line for line in text.splitlines() if "Engine time today:" in line)
    return line.split(", ")[-1]


async def test_a_paused_queue_stays_paused_over_a_restart_and_says_so_on_the_card(
    open_chat: OpenChat,
) -> None:
    fake = FakeChat()
    chat = await open_chat(fake=fake)
    await chat.rules("/admin queue --pause")
    held = (await chat.says("ana", "/imagine a fox --steps 2")).job
    await chat.shows(held, lambda card: card.line == "Queued, paused by an admin")
    assert (await chat.ends((await chat.says("eve", "/imagine a fox", "away")).job)).state == "succeeded"
    await chat.close()

    chat = await open_chat(fake=fake)
    other = (await chat.says("eve", "/imagine a fox", "away")).job
    assert (await chat.ends(other)).state == "succeeded"
    await chat.shows(held, lambda card: card.line == "Queued, paused by an admin")
    await chat.rules("/admin queue --resume")

    assert (await chat.ends(held)).state == "succeeded"


async def test_a_block_holds_over_a_restart_and_files_nothing(open_chat: OpenChat, tmp_path: Path) -> None:
    chat = await open_chat()
    job = (await chat.says("ana", "/imagine a fox --steps 2")).job
    await chat.ends(job)
    await chat.rules("/admin people ana --block")
    await chat.close()

    chat = await open_chat()
    typed, pressed = await chat.says("ana", "/imagine a fox"), await chat.presses("ana", "again", job)

    assert (typed.ok, pressed.ok) == (False, False)
    assert typed.text == pressed.text == "An admin has blocked you here. Ask one of them about it."
    assert rows(tmp_path, "SELECT count(*) FROM jobs") == [(1,)]
    assert rows(tmp_path, "SELECT why, count(*) FROM refusals GROUP BY why") == [("blocked", 2)]


async def test_engine_time_is_charged_once_as_measured(open_chat: OpenChat, tmp_path: Path) -> None:
    chat = await open_chat()
    await chat.rules("/admin limits --seconds 1000")
    await chat.ends((await chat.says("ana", "/imagine a fox --steps 20")).job)

    ((measured,),) = rows(tmp_path, USED)
    assert 0 < measured < 60
    assert await time_left(chat, "ana") == f"{round(1000 - measured):,} s left"


async def test_what_is_cancelled_or_fails_is_given_back(open_chat: OpenChat) -> None:
    chat = await open_chat(seconds=0.05)
    await chat.rules("/admin limits --seconds 1000")
    running = (await chat.says("ana", "/imagine a fox --steps 90")).job
    await chat.runs(running)
    assert await time_left(chat, "ana") != "1,000 s left"

    await chat.presses("ana", "stop", running)
    await chat.ends(running)
    assert await time_left(chat, "ana") == "1,000 s left"

    failed = await chat.ends((await chat.says("ana", "/imagine a refuse --steps 9")).job)
    assert failed.state == "failed"
    assert await time_left(chat, "ana") == "1,000 s left"


async def test_a_bot_that_is_killed_gives_back_what_did_not_end_and_charges_it_once(tmp_path: Path) -> None:
    config = quick_config(tmp_path)
    config.write_text(f'{config.read_text()}[admins]\nlocal = ["root"]\n')
    async with serving(config, 0.05) as service:
        await service.ready()
        async with connect(service.address) as client:
            await client.ask(name="root")
            assert (await client.says("/admin limits --seconds 1000"))["ok"]
            assert (await client.says("/imagine a fox --steps 60"))["ok"]
            await until(lambda: rows(tmp_path, "SELECT state FROM jobs") == [("running",)])
            service.process.kill()
    (charged,) = rows(tmp_path, "SELECT charged > 0 FROM jobs")
    assert charged == (1,)

    async with serving(config) as service:
        await service.ready()
        await until(lambda: rows(tmp_path, "SELECT state FROM jobs") == [("succeeded",)])
    ((used, measured),) = rows(tmp_path, "SELECT charged, charged < 30 FROM jobs")
    assert (used > 0, measured) == (True, 1)
    assert rows(tmp_path, "SELECT count(*), count(counted_at) FROM jobs") == [(1, 1)]


async def test_on_the_page_only_those_are_admins_whom_the_config_names(tmp_path: Path) -> None:
    async with a_place(tmp_path, admins=AdminSettings(local=("Ana",))) as place:
        ana, bo = await place.comes(), await place.comes()
        refused = await ana.says("/admin people")
        assert (refused["ok"], refused["text"]) == (False, "/admin people is for admins. Ask one of them.")
        assert b"admin people" not in (await ana.get("/commands.json"))[1]

        await ana.ask(name="Ana")

        assert (await ana.says("/admin people"))["ok"]
        assert b"admin people" in (await ana.get("/commands.json"))[1]
        assert not (await bo.says("/admin people"))["ok"]


def test_a_name_is_no_key_where_others_can_open_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(a_config(tmp_path), admins=AdminSettings(local=("Ana", "0123456789abcdef")))
    assert admins(config).has("local", "somebody", "Ana")

    monkeypatch.setenv("ATELIER_LOCAL_TOKEN", "secret-of-ours")

    assert not admins(config).has("local", "somebody", "Ana")
    assert admins(config).has("local", "0123456789abcdef", "Ana")


async def test_a_form_of_an_admins_command_is_refused_to_others(open_chat: OpenChat) -> None:
    chat = await open_chat()

    reply = await Seen.of(chat.bot.dispatch.fill(caller("ana"), "admin queue", {"pause": "true"}))

    assert (reply.ok, reply.text) == (False, "/admin queue is for admins. Ask one of them.")


async def test_the_rules_hold_for_buttons_and_forms_as_for_words(open_chat: OpenChat) -> None:
    chat = await open_chat()
    job = (await chat.says("ana", "/imagine a gory fox --steps 2")).job
    await chat.ends(job)
    await chat.rules("/admin rules --refuse gory --negative watermark")

    again = await chat.presses("bo", "again", job)
    filled = await Seen.of(chat.bot.dispatch.fill(caller("bo"), "imagine", {"prompt": "gory"}))
    fine = await chat.ends((await chat.says("bo", "/imagine a fox --steps 2")).job)

    assert again.text == filled.text == "The rules here do not allow this prompt."
    assert "watermark" in [value for _, value in fine.recipe]
    assert "2  bo: rule: gory" in (await chat.rules("/admin stats")).text


async def test_what_an_admin_sets_holds_for_whoever_comes_at_the_same_moment(open_chat: OpenChat) -> None:
    chat = await open_chat()
    assert (await chat.says("ana", "/queue")).ok  # what holds for her is read

    _, same_moment = await asyncio.gather(
        chat.rules("/admin rules --refuse fox"), chat.says("ana", "/imagine a fox")
    )

    assert not same_moment.ok
    assert not (await chat.says("ana", "/imagine a fox")).ok
    await chat.rules("/admin rules --allow fox")
    assert (await chat.says("ana", "/imagine a fox")).ok
