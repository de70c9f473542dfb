"""What callers send and never end, or ask for and never read, does not fill the memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar

from bot.http.connections import Bounds
from tests.bot.web.page_client import Place, a_place
from tests.bot.web.raw import Line

MB = 2**20
PERSON = b"Cookie: atelier_person=" + b"p" * 43
LONG = "🦊" * 3_900  # a prompt: as long as it may be
PAGE = 4096  # bytes


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Place]:
    """A chat that waits for nobody long."""
    async with a_place(tmp_path, bounds=Bounds(patience=1.0)) as place:
        yield place


def resident() -> int:
    """Bytes of memory that this process, the bot's, has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


async def test_twenty_large_uploads_at_once_lie_on_the_disk(place: Place) -> None:
    host = place.address.removeprefix("http://").encode()
    head = b"POST /uploads?name=a.zip HTTP/1.1\r\nHost: %b\r\nOrigin: http://%b\r\n%b\r\n"
    before = resident()
    lines = [await Line.to(place.address) for _ in range(20)]

    async def send(line: Line) -> None:
        await line.send(head % (host, host, PERSON) + b"Content-Length: %d\r\n\r\n" % (95 * MB))
        await line.send(b"PK\x03\x04")
        for _ in range(10):
            await line.send(bytes(MB))

    await asyncio.gather(*(send(line) for line in lines))
    await asyncio.sleep(0.5)

    assert resident() - before < 60 * MB  # of 200 that were sent
    for line in lines:
        line.close()


async def test_twenty_large_bodies_at_the_door_are_not_kept(place: Place) -> None:
    host = place.address.removeprefix("http://").encode()
    head = b"POST /token HTTP/1.1\r\nHost: %b\r\nOrigin: http://%b\r\nContent-Length: %d\r\n\r\n"
    before = resident()
    lines = [await Line.to(place.address) for _ in range(20)]

    async def send(line: Line) -> None:
        await line.send(head % (host, host, 20 * MB))
        for _ in range(10):
            await line.send(bytes(MB))

    await asyncio.gather(*(send(line) for line in lines))

    assert resident() - before < 60 * MB  # of 200 that were sent
    assert [(await line.answer()).status for line in lines] == [413] * 20
    for line in lines:
        line.close()


async def test_who_goes_away_in_between_is_no_fault_of_ours(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    ana = await place.comes()
    sha256 = await place.bot.files.put(bytes(16 * MB))
    url = place.chat.private_url(ana.hello["key"], "atelier.zip", sha256)
    (cookie,) = [morsel for morsel in ana.session.cookie_jar if morsel.key == "atelier_person"]
    me = f"Cookie: atelier_person={cookie.value}\r\n"
    for request in (f"GET {url} HTTP/1.1\r\n", "POST /token HTTP/1.1\r\n", "POST /uploads HTTP/1.1\r\n"):
        line = await Line.to(place.address)
        rest = f"Host: {line.host}\r\nOrigin: http://{line.host}\r\n{me}Content-Length: 9\r\n\r\n"
        await line.send(f"{request}{rest}".encode())
        await asyncio.sleep(0.3)
        line.writer.transport.abort()
    await asyncio.sleep(0.5)

    assert (await ana.says("/help"))["ok"]
    assert [record for record in caplog.records if record.name == "aiohttp.server"] == []


async def test_twenty_unread_downloads_stay_on_the_disk(place: Place) -> None:
    ana = await place.comes()
    sha256 = await place.bot.files.put(bytes(64 * MB))
    url = place.chat.private_url(ana.hello["key"], "atelier.zip", sha256)
    (cookie,) = [morsel for morsel in ana.session.cookie_jar if morsel.key == "atelier_person"]
    before = resident()

    lines = [await Line.to(place.address) for _ in range(20)]
    for line in lines:
        request = f"GET {url} HTTP/1.1\r\nHost: {line.host}\r\nCookie: atelier_person={cookie.value}\r\n\r\n"
        await line.send(request.encode())
    await asyncio.sleep(1.5)

    assert resident() - before < 100 * MB  # of 1,280 that were asked for
    for line in lines:
        line.close()


async def test_a_download_is_whole_and_is_asked_for_once(place: Place) -> None:
    ana = await place.comes()
    card = await ana.paints()
    url = f"{place.address}{card['pictures'][0]['url']}"

    async with ana.session.get(url) as first:
        content = await first.read()
    async with ana.session.get(url, headers={"If-None-Match": first.headers["ETag"]}) as again:
        assert again.status == 304
    async with ana.session.head(url) as head:
        assert int(head.headers["Content-Length"]) == len(content)

    assert content.startswith(b"\x89PNG")
    assert int(first.headers["Content-Length"]) == len(content)


async def test_who_does_not_read_a_download_is_hung_up_on(hasty: Place) -> None:
    ana = await hasty.comes()
    sha256 = await hasty.bot.files.put(bytes(64 * MB))
    url = hasty.chat.private_url(ana.hello["key"], "atelier.zip", sha256)
    (cookie,) = [morsel for morsel in ana.session.cookie_jar if morsel.key == "atelier_person"]
    line = await Line.to(hasty.address)
    request = f"GET {url} HTTP/1.1\r\nHost: {line.host}\r\nCookie: atelier_person={cookie.value}\r\n\r\n"

    await line.send(request.encode())
    await asyncio.sleep(4)

    with suppress(ConnectionError):
        assert len(await line.reader.read(-1)) < 60 * MB
    line.close()


async def test_a_file_that_is_no_picture_is_not_shown_as_one(place: Place) -> None:
    ana = await place.comes()
    header = json.dumps({"x": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    status, sent = await ana.post("/lora-files", len(header).to_bytes(8, "little") + header + b"\0\0")
    assert status == 200

    status, words = await ana.get(f"/uploads/{json.loads(sent)['sha256']}.webp")

    assert (status, words) == (404, b"This file is not a picture.")


async def test_a_page_that_asks_and_never_reads_is_hung_up_on(hasty: Place) -> None:
    ana = await hasty.comes()
    await fill(hasty, 8)
    before = resident()
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser:
        await browser.get(f"{hasty.address}/commands.json")
        (cookie,) = [morsel for morsel in browser.cookie_jar if morsel.key == "atelier_person"]
    line = await Line.to(hasty.address)
    await line.send(
        f"GET /live HTTP/1.1\r\nHost: {line.host}\r\nOrigin: http://{line.host}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n"
        f"Cookie: atelier_person={cookie.value}\r\n\r\n".encode()
    )

    largest = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(15):
            for nth in range(400):
                await line.send(frame({"n": nth, "open": "general", "limit": 200}))
                largest = max(largest, resident() - before)
                await asyncio.sleep(0.02)
                if line.writer.is_closing():
                    break

    assert largest < 60 * MB
    assert await line.ended(10)
    assert (await ana.says("/help"))["ok"]
    line.close()


async def test_a_channel_full_of_long_prompts_holds_nobody_up(place: Place) -> None:
    ana = await place.comes()
    await fill(place, 24)

    answer = await ana.open("general", limit=200)

    assert answer["more"]
    assert len(json.dumps(answer)) < 3 * MB
    numbers = [card["number"] for card in answer["cards"]]
    while answer["more"]:
        answer = await ana.ask(older=numbers[-1])
        numbers += [card["number"] for card in answer["cards"]]
    assert numbers == sorted(numbers, reverse=True)  # page by page, none is missing
    assert len(numbers) == 24


async def fill(place: Place, many: int) -> None:
    """So many cards with the longest prompts."""
    people = [await place.comes() for _ in range(4)]
    for nth in range(many):
        assert (await people[nth % 4].says(f"/imagine {LONG} --steps 1"))["ok"]


def frame(message: dict[str, object]) -> bytes:
    """A message as a browser sends it, with a mask of nothing."""
    content = json.dumps(message).encode()
    assert len(content) < 126
    return bytes([0x81, 0x80 | len(content)]) + bytes(4) + content
