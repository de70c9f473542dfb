"""Who is not let into the web chat, and what nobody can do there."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, CookieJar, WSMsgType, WSServerHandshakeError

from bot.chats.interface import Caller
from bot.chats.web import page_files
from tests.bot.fake_chat import Seen
from tests.bot.web.page_client import Place


@pytest.fixture
async def browser() -> AsyncIterator[ClientSession]:
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        yield session


# What travels over the wire


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("hello", "This is not JSON."),
        ("", "This is not JSON."),
        ("[" * 30_000, "This is not JSON."),
        ("[1, 2]", "This is not a message. It must be an object with a number n."),
        ('{"n": "x"}', "This is not a message. It must be an object with a number n."),
        ('{"n": 7}', "There is no such message."),
        ('{"n": 7, "open": "cellar"}', "There is no such channel."),
        ('{"n": 7, "open": 1}', "There is no such message."),
        ('{"n": 7, "say": null}', "There is no such message."),
        ('{"n": 7, "older": "x"}', "There is no such message."),
        ('{"n": 7, "fill": {"command": "imagine"}}', "There is no such message."),
        (
            '{"n": 7, "fill": {"command": "imagine", "values": {"prompt": 1}}}',
            "The values of a form must be texts.",
        ),
        ('{"n": 7, "name": {}}', "There is no such message."),
    ],
)
async def test_a_message_that_means_nothing_gets_one_sentence(
    place: Place, words: str, sentence: str
) -> None:
    ana = await place.comes()

    await ana.wire.send_str(words)

    await ana.until(lambda: ana.errors != [])
    assert ana.errors == [sentence]
    assert (await ana.says("/help"))["ok"]


async def test_a_number_that_no_card_has_finds_what_there_is(place: Place) -> None:
    ana = await place.comes()
    job = (await ana.paints())["job"]

    assert [card["job"] for card in (await ana.ask(older=10**40))["cards"]] == [job]
    assert (await ana.ask(older=-(10**40)))["cards"] == []
    assert len((await ana.open("general", limit=10**40))["cards"]) == 1


async def test_bytes_get_one_sentence(place: Place) -> None:
    ana = await place.comes()

    await ana.wire.send_bytes(b"\xff\x00")

    await ana.until(lambda: ana.errors == ["This is not text. Messages are JSON."])


async def test_nothing_is_said_before_a_channel_is_open(place: Place) -> None:
    ana = await place.comes(channel=None)

    assert (await ana.ask(say="/help"))["error"] == "Open a channel first."


async def test_broken_unicode_is_answered(place: Place) -> None:
    ana = await place.comes()

    assert not (await ana.says("/imagine \ud800 --steps 2"))["ok"]
    assert not (await ana.says("/\udfff"))["ok"]
    assert (await ana.ask(card="\ud800"))["cards"] == []
    assert (await ana.says("/imagine a fox --steps 2"))["ok"]
    assert (await ana.ask(card="\ud800"))["cards"] == []


async def test_a_message_of_fifty_megabytes_ends_its_own_connection_only(place: Place) -> None:
    ana, ben = await place.comes(), await place.comes()
    ana._listening.cancel()

    try:
        await ana.wire.send_str(json.dumps({"n": 1, "say": "x" * 50_000_000}))
    except ConnectionError:
        pass  # cut off while it was still sending
    else:
        while (await ana.wire.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING):
            pass
        assert ana.wire.close_code in (1006, 1009)

    assert (await ben.says("/help"))["ok"]
    assert (await ben.paints())["state"] == "succeeded"


@pytest.mark.parametrize(
    "button",
    [
        "",
        "again",
        "again:",
        "again:zzzzzz",
        "again:../../x",
        "burn:k3f9qa",
        "keep:k3f9qa:9",
        "x" * 9000,
        "🔁",
    ],
)
async def test_a_forged_button_does_nothing_and_says_so(place: Place, button: str) -> None:
    ana = await place.comes()

    reply = await ana.presses(button)

    assert not reply["ok"]
    assert reply["text"].endswith(".")
    assert ana.cards == {}


@pytest.mark.parametrize("action", ["delete", "stop"])
async def test_somebody_elses_job_is_safe(place: Place, action: str) -> None:
    ana, ben = await place.comes(), await place.comes()
    card = await ana.paints()

    reply = await ben.presses(f"{action}:{card['job']}")

    assert not reply["ok"]
    assert (await ben.get(card["pictures"][0]["url"]))[0] == 200


async def test_a_button_of_another_channel_is_unknown_here(place: Place) -> None:
    ana, ben = await place.comes(), await place.comes(channel="ideas")
    card = await ana.paints()

    assert not (await ben.presses(f"again:{card['job']}"))["ok"]
    assert (await ben.ask(card=card["job"]))["cards"] == []


async def test_html_travels_as_it_was_written(place: Place) -> None:
    ana = await place.comes()

    card = await ana.paints("/imagine <script>alert(1)</script> & <b> --steps 1")

    assert card["title"] == "<script>alert(1)</script> & <b>"


# Pictures


async def test_a_picture_of_another_space_is_not_found(place: Place) -> None:
    ana = await place.comes()
    card = await ana.paints()
    stranger = Caller(
        chat="fake",
        space="general",
        space_name="x",
        channel="general",
        person="x",
        person_name="x",
    )
    elsewhere = await Seen.of(place.bot.dispatch.say(stranger, "/imagine a secret --steps 1"))
    assert elsewhere.ok

    for kind, ending in (("pictures", "png"), ("thumbs", "webp")):
        assert (await ana.get(f"/{kind}/general/{card['job']}/1.{ending}"))[0] == 200
        assert (await ana.get(f"/{kind}/ideas/{card['job']}/1.{ending}"))[0] == 404
        assert (await ana.get(f"/{kind}/general/{elsewhere.job}/1.{ending}"))[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/general/../../etc/passwd",
        "/pictures/general/%2e%2e%2f%2e%2e%2fetc%2fpasswd/1.png",
        "/pictures/..%2f..%2f/k3f9qa/1.png",
        "/pictures/general/k3f9qa/0.png",
        "/pictures/general/k3f9qa/1.png%00.txt",
        "/pictures/general/k3f9qa/1.jpg",
        "/pictures//etc/1.png",
        "/gifts/" + "0" * 64 + "/x.png",
        "/gifts/" + "0" * 64 + "/..%2f..%2fx.png?for=1",
        "/app.js/../config.toml",
        "/page/../server.py",
        "/static/..%2fservice.py",
    ],
)
async def test_paths_lead_nowhere_else(place: Place, path: str) -> None:
    host, _, port = place.address.removeprefix("http://").partition(":")
    ana = await place.comes()

    status = await raw(host, int(port), f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")

    assert status in (400, 404)
    assert (await ana.says("/help"))["ok"]


# Origins and hosts


async def test_another_sites_page_cannot_open_the_wire(place: Place, browser: ClientSession) -> None:
    await browser.get(f"{place.address}/commands.json")

    for origin in ("http://evil.example", "null", place.address.replace("127.0.0.1", "localhost"), None):
        with pytest.raises(WSServerHandshakeError) as refused:
            await browser.ws_connect(f"{place.address}/live", origin=origin)
        assert refused.value.status == 403


async def test_another_sites_page_cannot_send_anything(place: Place, browser: ClientSession) -> None:
    for headers in ({"Origin": "http://evil.example"}, {}):
        for path in ("/uploads", "/token"):
            answer = await browser.post(f"{place.address}{path}", data=b"x", headers=headers)
            assert answer.status == 403


@pytest.mark.parametrize("path", ["/", "/commands.json", "/live", "/healthz", "/metrics", "/gallery"])
async def test_a_foreign_name_for_this_machine_is_refused(
    place: Place, browser: ClientSession, path: str
) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example:80", "[::1", "192.168.0.7", ""):
        answer = await browser.get(f"{place.address}{path}", headers={"Host": host})
        assert answer.status in (400, 403)


async def test_this_machines_own_names_are_let_in(place: Place, browser: ClientSession) -> None:
    for host in ("localhost", "localhost:8765", "127.0.0.1", "[::1]:8765"):
        assert (await browser.get(f"{place.address}/", headers={"Host": host})).status == 200


async def test_every_answer_forbids_scripts_of_others(place: Place, browser: ClientSession) -> None:
    for path in ("/", "/app.js", "/commands.json", "/nowhere", "/pictures/general/k3f9qa/1.png"):
        answer = await browser.get(f"{place.address}{path}")
        assert "default-src 'none'; script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "unsafe" not in answer.headers["Content-Security-Policy"]


async def test_the_page_takes_nothing_from_elsewhere(place: Place, browser: ClientSession) -> None:
    for path in ("/", "/style.css", "/app.js"):
        text = await (await browser.get(f"{place.address}{path}")).text()
        addresses = {part.split("'")[0].split('"')[0] for part in text.split("http")[1:]}
        assert all(part.startswith("://www.w3.org/2000/svg") or "://" not in part for part in addresses)


async def test_the_page_asks_only_for_files_that_strangers_get_too(
    guarded: Place, browser: ClientSession
) -> None:
    for address in page_files.addresses():
        answer = await browser.get(f"{guarded.address}{address}")
        assert answer.status == 200, address
        files = re.findall(r"""(?:href|src|from|import)[ =(]*"\.?(/[^"#]+)\"""", await answer.text())
        assert {file for file in files if file.endswith((".js", ".css"))} <= page_files.addresses().keys()


async def test_a_persons_secret_is_only_for_this_sites_requests(place: Place, browser: ClientSession) -> None:
    answer = await browser.get(f"{place.address}/commands.json")

    (cookie,) = answer.headers.getall("Set-Cookie")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert not (await browser.get(f"{place.address}/")).headers.getall("Set-Cookie", [])


async def test_without_a_greeting_there_is_no_wire(place: Place, browser: ClientSession) -> None:
    with pytest.raises(WSServerHandshakeError) as refused:
        await browser.ws_connect(f"{place.address}/live", origin=place.address)
    assert refused.value.status == 403


# The token


async def test_with_a_token_only_the_empty_page_is_shown_to_strangers(
    guarded: Place, browser: ClientSession
) -> None:
    for path in ("/", "/style.css", "/app.js", "/healthz"):
        assert (await browser.get(f"{guarded.address}{path}")).status == 200
    for path in (
        "/commands.json",
        "/live",
        "/metrics",
        "/gallery",
        "/loras",
        "/pictures/general/k3f9qa/1.png",
    ):
        assert (await browser.get(f"{guarded.address}{path}")).status == 401
    with pytest.raises(WSServerHandshakeError) as refused:
        await browser.ws_connect(f"{guarded.address}/live", origin=guarded.address)
    assert refused.value.status == 401


async def test_the_token_is_asked_once(guarded: Place, browser: ClientSession) -> None:
    headers = {"Origin": guarded.address}
    started = time.monotonic()
    wrong = await browser.post(f"{guarded.address}/token", data=b"open barley", headers=headers)
    assert wrong.status == 401
    assert time.monotonic() - started > 0.9

    right = await browser.post(f"{guarded.address}/token", data=b"open sesame, please", headers=headers)

    assert right.status == 204
    assert "open sesame, please" not in right.headers["Set-Cookie"]
    ana = await guarded.comes(session=browser)
    assert (await ana.paints())["state"] == "succeeded"


async def test_programs_bring_the_token_themselves(guarded: Place, browser: ClientSession) -> None:
    for token, status in (("open sesame, please", 200), ("open barley", 401), ("", 401)):
        answer = await browser.get(f"{guarded.address}/metrics", headers={"Authorization": f"Bearer {token}"})
        assert answer.status == status


async def raw(host: str, port: int, request: str) -> int:
    """The status of a request that no client would send as it is."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request.encode())
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])
