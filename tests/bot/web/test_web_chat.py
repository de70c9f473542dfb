"""The web chat over its real server: what people who have the page open see of each other."""

import asyncio
import io
import json
import re
from pathlib import Path

import pytest
from aiohttp import WSMsgType
from PIL import Image

from bot.chats.web.server import WebChat, WebChatError
from bot.config import LocalSettings
from bot.service import local_chat
from tests.bot.quick_lora import a_file
from tests.bot.web.page_client import PageClient, Place, a_place


async def test_what_somebody_paints_appears_before_everybody_in_the_channel(place: Place) -> None:
    ana, ben = await place.comes(), await place.comes()

    card = await ana.paints("/imagine a red fox --steps 4 --seed 7")

    seen = await ben.sees(card["job"], lambda card: card["state"] == "succeeded")
    assert seen["title"] == "a red fox"
    assert seen["person_key"] == ana.hello["key"] != ben.hello["key"]
    assert seen["pictures"][0]["seed"] == "7"
    status, png = await ben.get(seen["pictures"][0]["url"])
    assert status == 200
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG"


async def test_a_card_tells_its_progress_on_the_way(tmp_path: Path) -> None:
    async with a_place(tmp_path, seconds=0.15) as place:
        ana = await place.comes()
        job = (await ana.says("/imagine a fox --steps 20"))["job"]

        card = await ana.sees(job, lambda card: bool(card["done"]))

        assert card["state"] == "running"
        assert 0 < card["done"] < 1
        assert card["preview"].startswith("data:image/jpeg;base64,")
        assert "Step" in card["line"]


async def test_another_channel_is_told_that_there_is_something_new_and_no_more(place: Place) -> None:
    ana, ben = await place.comes(), await place.comes(channel="ideas")

    card = await ana.paints()

    await ben.until(lambda: ben.news != [])
    assert ben.news == ["general"]
    assert ben.cards == {}
    cleo = await place.comes(channel=None)
    assert cleo.hello["channels"] == [
        {"name": "general", "newest": card["number"]},
        {"name": "ideas", "newest": 0},
    ]


async def test_a_page_that_was_away_finds_everything_when_it_comes_back(tmp_path: Path) -> None:
    async with a_place(tmp_path, seconds=0.05) as place:
        ana, ben = await place.comes(), await place.comes()
        job = (await ana.says("/imagine a fox --steps 10"))["job"]
        await ana.leave(session=False)
        await ben.sees(job, lambda card: card["state"] == "succeeded")
        missed = (await ben.paints())["job"]

        again = await place.comes(session=ana.session)

        assert again.hello["key"] == ana.hello["key"]
        assert {job: again.cards[job]["state"] for job in (job, missed)} == {
            job: "succeeded",
            missed: "succeeded",
        }


async def test_after_a_restart_everything_is_there_and_old_buttons_work(tmp_path: Path) -> None:
    async with a_place(tmp_path) as place:
        ana = await place.comes()
        card = await ana.paints("/imagine a fox --steps 2 --seed 7")
        session = ana.session
        place.clients.clear()
        await ana.leave(session=False)

    async with a_place(tmp_path) as place:
        ana = await place.comes(session=session)
        assert ana.cards[card["job"]]["pictures"] == card["pictures"]

        reply = await ana.presses(card["buttons"][0]["id"])

        again = await ana.sees(reply["job"], lambda card: card["state"] == "succeeded")
        assert again["title"] == "a fox"
        assert again["pictures"][0]["seed"] != "7"


async def test_older_cards_come_page_by_page_without_a_gap(place: Place) -> None:
    ana = await place.comes(channel="ideas")
    for _ in range(3):  # one person may have 20 waiting
        jobs = [(await ana.says("/imagine a fox --steps 1"))["job"] for _ in range(12)]
        await ana.sees(jobs[-1], lambda card: card["state"] == "succeeded")

    newest = await ana.open("ideas")
    older = await ana.ask(older=newest["cards"][-1]["number"])

    numbers = [card["number"] for card in newest["cards"] + older["cards"]]
    assert len(newest["cards"]) == 30
    assert newest["more"] and not older["more"]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == 36
    assert len((await ana.open("ideas", limit=36))["cards"]) == 36


async def test_answers_come_in_the_order_of_the_questions_and_only_to_who_asked(place: Place) -> None:
    ana, ben = await place.comes(), await place.comes()

    replies = await asyncio.gather(ana.says("/help"), ana.says("/queue"), ben.says("a fox"))

    assert [reply["ok"] for reply in replies] == [True, True, False]
    assert "/imagine" in replies[0]["text"]
    assert replies[2]["text"].startswith("Start with a command")


async def test_a_form_is_filled_in_and_painted(place: Place) -> None:
    ana = await place.comes()
    card = await ana.paints("/imagine a fox --steps 2 --seed 5")
    form = (await ana.presses(f"edit:{card['job']}"))["form"]
    assert form["command"] == "imagine"
    assert form["values"]["prompt"] == "a fox"

    changed = {**form["values"], "prompt": "two foxes"}
    reply = (await ana.ask(fill={"command": "imagine", "values": changed}))["reply"]

    painted = await ana.sees(reply["job"], lambda card: card["state"] == "succeeded")
    assert painted["title"] == "two foxes"
    assert painted["pictures"][0]["seed"] == "5"


async def test_a_deleted_job_goes_from_every_page_with_its_pictures(place: Place) -> None:
    ana, ben = await place.comes(), await place.comes()
    card = await ana.paints()
    await ben.sees(card["job"], lambda card: card["state"] == "succeeded")

    await ana.presses(f"delete:{card['job']}")

    await ben.until(lambda: ben.gone == [card["job"]])
    assert (await ben.get(card["pictures"][0]["url"]))[0] == 404
    assert (await place.comes()).cards == {}


async def test_a_card_that_is_brought_back_stays(place: Place) -> None:
    ana = await place.comes()
    card = await ana.paints()
    line = card["line"]

    reply = await ana.says(f"/show {card['job']}")

    assert reply["job"] == card["job"]
    await asyncio.sleep(0.5)
    assert ana.gone == []
    assert (await ana.ask(card=card["job"]))["cards"][0]["line"] == line


async def test_a_name_is_shown_on_cards_and_remembered(place: Place) -> None:
    ana = await place.comes()
    assert re.fullmatch(r"guest-[0-9a-f]{4}", ana.hello["name"])

    assert (await ana.ask(name="  Ana   Lima "))["name"] == "Ana Lima"

    assert (await ana.paints())["person"] == "Ana Lima"
    assert (await place.comes(session=ana.session)).hello["name"] == "Ana Lima"


@pytest.mark.parametrize("name", ["", "   ", "x" * 33, "a\u0007b", "\u202eana"])
async def test_a_name_that_cannot_be_shown_is_refused(place: Place, name: str) -> None:
    ana = await place.comes()

    answer = await ana.ask(name=name)

    assert answer["error"] == "A name must have 1 to 32 visible characters."


async def test_a_present_can_be_fetched_by_its_person_alone(place: Place) -> None:
    ana, ben = await place.comes(), await place.comes()
    card = await ana.paints()

    (file,) = (await ana.presses(f"send:{card['job']}"))["files"]

    assert (await ana.get(file["url"]))[0] == 200
    assert (await ben.get(file["url"]))[0] == 404
    assert (await ana.get(file["url"].replace(card["job"], "other")))[0] == 404


async def test_the_gallery_has_what_i_painted_and_what_i_keep(place: Place) -> None:
    ana, ben = await place.comes(), await place.comes(channel="ideas")
    mine, theirs = await ana.paints(), await ben.paints()
    await ana.open("ideas")
    await ana.presses(f"keep:{theirs['job']}")

    async with ana.session.get(f"{place.address}/gallery") as answer:
        painted = await answer.json()
    async with ana.session.get(f"{place.address}/gallery?starred=1") as answer:
        kept = await answer.json()

    assert [picture["job"] for picture in painted["pictures"]] == [mine["job"]]
    assert [picture["url"] for picture in kept["pictures"]] == [theirs["pictures"][0]["url"]]
    assert kept["pictures"][0]["starred"]


async def test_small_pictures_of_pictures_are_webp(place: Place) -> None:
    ana = await place.comes()
    card = await ana.paints("/imagine a fox --steps 1 --count 2")

    status, small = await ana.get(card["pictures"][1]["thumb"])

    assert status == 200
    with Image.open(io.BytesIO(small)) as picture:
        assert picture.format == "WEBP"


async def test_the_page_learns_commands_buttons_and_loras(place: Place, tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    for name in ("ink", "pink", "maria"):
        (tmp_path / "adapters" / f"{name}.safetensors").write_bytes(a_file())
    ana = await place.comes()

    async with ana.session.get(f"{place.address}/commands.json") as answer:
        told = await answer.json()
    async with ana.session.get(f"{place.address}/loras.json?channel=general&like=in") as answer:
        loras = await answer.json()

    assert next(command["name"] for command in told["commands"]) == "imagine"
    assert {"again", "vary", "edit", "keep", "send"} <= {action["name"] for action in told["actions"]}
    assert [lora["name"] for lora in loras] == ["ink", "pink"]


async def test_the_page_learns_my_own_defaults(place: Place) -> None:
    ana, ben = await place.comes(), await place.comes()
    await ana.says("/settings --steps 12 --no hat")

    defaults = [await defaults_of_imagine(somebody) for somebody in (ana, ben)]

    assert [(values["steps"], values["no"]) for values in defaults] == [("12", "hat"), ("30", "")]


async def defaults_of_imagine(somebody: PageClient) -> dict[str, str]:
    definitions = json.loads((await somebody.get("/commands.json"))[1])
    return {option["name"]: option["default"] for option in definitions["commands"][0]["parameters"]}


async def test_each_of_several_pictures_has_a_recipe_of_its_own(place: Place) -> None:
    ana = await place.comes()
    card = await ana.paints("/imagine a fox --steps 1 --count 3 --seed 10")

    told = json.loads((await ana.get(card["pictures"][2]["recipe"]))[1])

    assert ["seed", "12"] in told["rows"]
    assert "--seed 12" in told["command"]
    assert "--count" not in told["command"]
    assert (await ana.get(f"/recipes/ideas/{card['job']}/3.json"))[0] == 404
    assert (await ana.get(f"/recipes/general/{card['job']}/4.json"))[0] == 404


async def test_an_operator_can_ask_how_it_goes(place: Place) -> None:
    ana = await place.comes()
    await ana.paints()

    assert (await ana.get("/healthz"))[0] == 200
    status, metrics = await ana.get("/metrics")
    assert status == 200
    assert b"# HELP" in metrics


async def test_pages_are_told_when_the_bot_stops(tmp_path: Path) -> None:
    async with a_place(tmp_path) as place:
        ana = await place.comes()
        ana._listening.cancel()
        stopping = asyncio.create_task(place.chat.stop())

        message = await asyncio.wait_for(ana.wire.receive(), 5)

        assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)
        assert ana.wire.close_code == 1001
        await asyncio.wait_for(stopping, 5)


async def test_a_port_in_use_is_told_in_one_sentence(place: Place) -> None:
    port = int(place.address.rpartition(":")[2])
    second = another(place, LocalSettings(port=port))

    with pytest.raises(WebChatError, match=rf"Port {port} on 127\.0\.0\.1 is in use\. .*\.$"):
        await second.start()


async def test_an_address_of_another_machine_is_told_in_one_sentence(place: Place) -> None:
    with pytest.raises(WebChatError, match=r"cannot listen on 192\.0\.2\.1"):
        await another(place, LocalSettings(address="192.0.2.1", port=0), token="a secret of ours").start()


async def test_others_are_not_let_in_without_a_token(place: Place) -> None:
    with pytest.raises(WebChatError, match="Set ATELIER_LOCAL_TOKEN"):
        another(place, LocalSettings(address="0.0.0.0", port=0))


def another(place: Place, settings: LocalSettings, token: str | None = None) -> WebChat:
    """A second chat of the same bot."""
    return local_chat(place.bot, settings, token)
