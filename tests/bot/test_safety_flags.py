"""What people see of pictures that the safety check flags, as their space has it."""

from dataclasses import replace
from pathlib import Path

from tests.bot.fake_chat import Chat, OpenChat, Seen, caller
from tests.bot.running_bot import rows

FLAGGED = "/imagine a flag --steps 2"


async def admin(chat: Chat, text: str) -> Seen:
    return await Seen.of(chat.bot.dispatch.say(caller("root", admin=True), text))


async def test_a_refused_picture_is_nowhere_and_its_card_says_so(open_chat: OpenChat, tmp_path: Path) -> None:
    chat = await open_chat()

    card = await chat.ends((await chat.says("ana", FLAGGED)).job)
    mine = await chat.says("ana", "/me")
    reply = await admin(chat, "/admin stats")

    assert (card.state, card.pictures) == ("succeeded", ())
    assert card.line.startswith("Safety check: held back (painted in ")
    assert not {button.id.partition(":")[0] for button in card.buttons} & {"keep", "send"}
    assert rows(tmp_path, "SELECT count(*) FROM pictures") == [(0,)]
    assert list((tmp_path / "files").glob("??/*")) == []
    assert rows(tmp_path, "SELECT charged > 0 FROM jobs") == [(1,)]
    assert mine.ok
    assert "ana: safety check" in reply.text


async def test_the_others_of_a_job_stay_in_their_places(open_chat: OpenChat) -> None:
    chat = await open_chat()

    card = await chat.ends((await chat.says("ana", f"{FLAGGED} --count 3 --seed 5")).job)
    again = await chat.presses("ana", "again", f"{card.job}:2")  # type: ignore[arg-type]

    assert card.line.startswith("Safety check: 1 of 3 held back")
    assert [(picture.place, picture.seed, picture.hidden) for picture in card.pictures] == [
        (2, 6, False),
        (3, 7, False),
    ]
    assert again.ok


async def test_an_admin_may_have_them_hidden_instead(open_chat: OpenChat, tmp_path: Path) -> None:
    chat = await open_chat()
    assert "hidden until somebody opens it" in (await admin(chat, "/admin rules --filtered spoiler")).text

    card = await chat.ends((await chat.says("ana", f"{FLAGGED} --count 2")).job)
    noted = await admin(chat, "/admin audit")

    assert card.line.startswith("Safety check: 1 of 2 hidden until you open it")
    assert [picture.hidden for picture in card.pictures] == [True, False]
    assert "filtered: refuse -> spoiler" in noted.text
    assert rows(tmp_path, "SELECT count(*) FROM pictures") == [(2,)]


async def test_a_channel_for_adults_shows_what_it_is_asked_for(open_chat: OpenChat) -> None:
    chat = await open_chat()

    reply = await Seen.of(chat.bot.dispatch.say(replace(caller("ana"), adult=True), FLAGGED))
    card = await chat.ends(reply.job)

    elsewhere = await chat.says("ana", f"/show {card.job}")
    again = await Seen.of(chat.bot.dispatch.say(replace(caller("ana"), adult=True), f"/show {card.job}"))

    assert card.line.startswith("Painted in ")
    assert [picture.hidden for picture in card.pictures] == [False]
    assert not elsewhere.ok and "is from a channel for adults" in elsewhere.text
    assert again.ok
