"""What the page is handed of trainings and LoRAs over HTTP, and who is not."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar

from tests.bot.quick_lora import a_file
from tests.bot.training_cases import QUICK, a_picture
from tests.bot.web.page_client import Card, PageClient, Place, a_place


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    (tmp_path / "adapters").mkdir()
    for name in ("ink", "pink"):
        (tmp_path / "adapters" / f"{name}.safetensors").write_bytes(a_file())
    async with a_place(tmp_path) as place:
        yield place


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return out.getvalue()


async def sends(client: PageClient, content: bytes, name: str = "") -> dict[str, Any]:
    status, text = await client.post(f"/uploads?name={name}", content)
    assert status == 200, text
    told: dict[str, Any] = json.loads(text)
    return told


async def drafts(client: PageClient, name: str, **values: str) -> Card:
    """Fill in the form of /train with three pictures; the card with the report."""
    pictures = [(await sends(client, a_picture(nth), f"{nth}.png"))["pictures"][0] for nth in range(3)]
    filled = {**QUICK, "name": name, "steps": "10", "pictures": json.dumps(pictures), **values}
    reply = (await client.ask(fill={"command": "train", "values": filled}))["reply"]
    assert reply["ok"], reply
    return await client.sees(reply["job"], lambda card: bool(card["sheet"]))


async def trains(client: PageClient, name: str) -> Card:
    """Teach a LoRA; the card once it is there."""
    job = (await drafts(client, name))["job"]
    assert (await client.presses(f"start:{job}"))["ok"]
    return await client.sees(job, lambda card: card["state"] == "succeeded")


async def loras(client: PageClient, like: str = "", channel: str = "general") -> list[dict[str, Any]]:
    status, content = await client.get(f"/loras.json?channel={channel}&like={like}")
    assert status == 200
    told: list[dict[str, Any]] = json.loads(content)
    return told


async def test_a_zip_becomes_its_pictures_with_captions_and_reasons(place: Place) -> None:
    ana = await place.comes()
    packed = zipped(a__png=a_picture(1), a__txt=b"a red gear", b__gif=b"GIF89a")

    told = await sends(ana, packed, "many.zip")

    (picture,) = told["pictures"]
    assert (picture["name"], picture["caption"], picture["width"]) == ("a.png", "a red gear", 128)
    assert told["refused"] == [{"name": "b.gif", "reason": "It is not a PNG, JPEG or WebP."}]


async def test_a_zip_that_leads_out_of_itself_is_refused_in_one_sentence(place: Place) -> None:
    ana = await place.comes()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../a.png", a_picture(1))

    status, text = await ana.post("/uploads?name=a.zip", out.getvalue())

    assert (status, text) == (422, "The zip has a file named '../a.png', which leads out of it.")


async def test_a_zip_larger_than_two_gigabytes_is_not_read(place: Place) -> None:
    ana = await place.comes()

    status, text = await ana.post("/uploads?name=a.zip", b"PK\x03\x04", length=3 * 2**30)

    assert status == 413
    assert text.startswith("The zip is larger than 2 GB. Send a smaller one, or train in a terminal")


async def test_a_picture_that_was_sent_is_seen_again_by_its_sender_alone(place: Place) -> None:
    ana, ben = await place.comes(), await place.comes()
    sha256 = (await sends(ana, a_picture(1)))["pictures"][0]["sha256"]

    statuses = [
        (await person.get(f"/uploads/{sha256}.{ending}"))[0]
        for person in (ana, ben)
        for ending in ("webp", "png")
    ]

    assert statuses == [200, 200, 404, 404]


async def test_a_training_shows_its_report_its_curve_and_its_samples_in_its_channel(place: Place) -> None:
    ana = await place.comes()

    card = await trains(ana, "gear")

    assert (card["kind"], card["title"]) == ("train", "gear: ohwx gear")
    assert [note["name"] for note in card["notes"]] == ["0.png", "1.png", "2.png"]
    assert [step for step, _ in card["curve"]["losses"]][-1] == 10
    assert card["curve"]["best"] == 10
    assert card["line_to_copy"] == "/imagine a photo of ohwx gear --lora gear"
    assert {checkpoint["step"]: checkpoint["chosen"] for checkpoint in card["checkpoints"]} == {
        5: False,
        10: True,
    }
    shown = [card["sheet"], *(checkpoint["samples"][0]["url"] for checkpoint in card["checkpoints"])]
    shown.append(card["untrained"][0]["url"])
    assert [(await ana.get(url))[0] for url in shown] == [200] * 4
    assert [(await ana.get(url.replace("/general/", "/ideas/")))[0] for url in shown] == [404] * 4
    assert (await ana.get(shown[1].replace("-1.png", "-9.png")))[0] == 404


async def test_what_was_deleted_is_handed_out_no_more(place: Place) -> None:
    ana = await place.comes()
    card = await drafts(ana, "gear")

    assert (await ana.presses(f"delete:{card['job']}"))["ok"]

    assert (await ana.get(card["sheet"]))[0] == 404


async def test_loras_are_listed_for_who_may_use_them(place: Place) -> None:
    ana, ben = await place.comes(), await place.comes()
    await trains(ana, "gear")

    assert [lora["name"] for lora in await loras(ana)] == ["gear", "ink", "pink"]
    assert [lora["name"] for lora in await loras(ana, "ohwx")] == ["gear"]
    assert [lora["name"] for lora in await loras(ben)] == ["ink", "pink"]
    own = (await loras(ana, "gear"))[0]
    assert own["mine"] and own["phrase"] == "ohwx gear" and own["access"] == "me"
    assert (await ben.get(own["details"]))[0] == 404
    details = json.loads((await ana.get(own["details"]))[1])
    assert details["curve"]["best"] == 10 and ["preset", "object"] in details["rows"]
    assert (await ana.says("/lora gear --share space"))["ok"]

    shared = (await loras(ben, "gear"))[0]

    assert not shared["mine"]
    assert (await ben.get(shared["details"]))[0] == 200
    assert [lora["name"] for lora in await loras(ben, "gear", "ideas")] == []


async def test_a_form_of_fifty_pictures_with_long_captions_is_read(place: Place) -> None:
    ana = await place.comes()
    sent = (await sends(ana, a_picture(1)))["pictures"][0]
    pictures = [{**sent, "caption": "\u00e9" * 990} for _ in range(50)]
    filled = {**QUICK, "name": "gear", "pictures": json.dumps(pictures)}

    reply = (await ana.ask(fill={"command": "train", "values": filled}))["reply"]

    assert reply["ok"], reply
    await asyncio.wait_for(ana.sees(reply["job"], lambda card: bool(card["sheet"])), 20)


async def test_nobody_unknown_sends_pictures(place: Place) -> None:
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        headers = {"Origin": place.address}
        async with session.post(f"{place.address}/uploads", data=a_picture(1), headers=headers) as answer:
            assert answer.status == 403
