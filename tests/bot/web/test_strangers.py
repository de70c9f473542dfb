"""What strangers send to the web chat before anybody asked them for the token, and how little it does."""

import asyncio
import json
import resource
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar

from bot.chats.web.token_throttle import TokenThrottle
from bot.http.connections import Bounds
from tests.bot.running_bot import connect, quick_config, serving, until
from tests.bot.web.page_client import TOKEN, Place, a_place
from tests.bot.web.raw import Line, ask

BEARER = f"Authorization: Bearer {TOKEN}".encode()
RAW = b"\xff\xfe\x80\xc3\x28"  # bytes that are no UTF-8


# Bodies


@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-7", "unicode_escape", "klingon", "hex"])
async def test_a_bodys_charset_is_not_looked_at(guarded: Place, charset: str) -> None:
    kind = f"Content-Type: text/plain; charset={charset}".encode()

    answer = await ask(guarded.address, "POST", "/token", kind, body=TOKEN.encode())

    assert answer.status == 204


async def test_a_megabyte_in_a_slow_charset_holds_nobody_up(guarded: Place) -> None:
    started = time.monotonic()

    kind = b"Content-Type: text/plain; charset=punycode"
    answer = await ask(guarded.address, "POST", "/token", kind, body=b"a" * 2**20)
    healthy = await ask(guarded.address, "GET", "/healthz")

    assert (answer.status, healthy.status) == (413, 200)
    assert time.monotonic() - started < 10  # it was 52 s


async def test_a_token_that_is_no_text_is_refused(guarded: Place) -> None:
    assert (await ask(guarded.address, "POST", "/token", body=RAW)).status == 400


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "klingon"])
async def test_a_body_that_says_that_it_is_compressed_is_refused(place: Place, coding: str) -> None:
    header = f"Content-Encoding: {coding}".encode()

    for path in ("/uploads?name=a.png", "/lora-files", "/token"):
        answer = await ask(place.address, "POST", path, header, body=b"this is no gzip")
        assert (answer.status, answer.body) == (415, b"The body must not be compressed.")


async def test_who_asks_comes_before_the_body(guarded: Place) -> None:
    line = await Line.to(guarded.address)
    host = line.host.encode()
    head = b"POST /uploads HTTP/1.1\r\nHost: %b\r\nOrigin: http://%b\r\nContent-Length: 99999\r\n\r\n"

    await line.send(head % (host, host))

    assert (await line.answer()).status == 401  # and not one byte of the body was sent
    line.close()


async def test_a_browser_asks_whether_the_page_changed(place: Place) -> None:
    first = await ask(place.address, "GET", "/app.js")
    again = await ask(place.address, "GET", "/app.js", f"If-None-Match: {first.headers['etag']}".encode())

    assert (first.status, first.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert (again.status, again.body) == (304, b"")


# Bytes where text belongs


@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Bearer " + RAW,
        b"Authorization: " + RAW,
        b"Cookie: atelier_key=" + RAW,
        b"Cookie: atelier_person=" + RAW * 8,
        b"Cookie: " + RAW + b"=" + RAW,
        b"Origin: " + RAW,
        b"Content-Type: text/plain; charset=" + RAW,
        b"Content-Encoding: " + RAW,
        b"If-None-Match: " + RAW,
        b"Range: bytes=" + RAW,
        RAW + b": x",
    ],
)
@pytest.mark.parametrize("token", [TOKEN, None])
async def test_raw_bytes_in_a_header_are_no_fault_of_ours(
    tmp_path: Path, header: bytes, token: str | None
) -> None:
    async with a_place(tmp_path, token=token) as place:
        for method, path in (
            ("GET", "/commands.json"),
            ("GET", "/app.js"),
            ("GET", "/gifts/" + "0" * 64 + "/x.png?for=%C3%BC"),
            ("POST", "/token"),
            ("POST", "/uploads?name=%ED%A0%80"),
        ):
            assert (await ask(place.address, method, path, header)).status < 500


@pytest.mark.parametrize(
    "path",
    [
        "/gifts/" + "0" * 64 + "/%ED%A0%80.png?for=%ED%A0%80",
        "/gifts/" + "0" * 64 + "/x.png?for=%C3%BC",
        "/loras.json?channel=%ED%A0%80&like=%FF",
        "/gallery?before=%D9%A1",
        "/pictures/%ED%A0%80/k3f9qa/1.png",
        "/%FF",
        "/?%FF=%FF",
    ],
)
async def test_odd_characters_in_an_address_are_no_fault_of_ours(place: Place, path: str) -> None:
    assert (await ask(place.address, "GET", path)).status < 500


# Guesses


async def test_guesses_side_by_side_do_not_see_the_right_one(guarded: Place) -> None:
    async def guess(nth: int) -> int:
        token = TOKEN if nth == 20 else f"a wrong guess no. {nth}"
        if nth % 2:
            header = f"Authorization: Bearer {token}".encode()
            return (await ask(guarded.address, "GET", "/metrics", header)).status
        return (await ask(guarded.address, "POST", "/token", body=token.encode())).status

    guesses = [asyncio.create_task(guess(nth)) for nth in range(60)]
    done, waiting = await asyncio.wait(guesses, timeout=3.5)

    answered = [asked.result() for asked in done]
    assert answered.count(401) <= 4  # one a second
    assert set(answered) <= {401, 429}  # the right one among them is not told from the others
    assert answered.count(429) >= 40
    for asked in waiting:
        asked.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_all_addresses_together_are_slowed_too() -> None:
    guesses = TokenThrottle(pause=0.1, pause_of_all=0.05, longest_wait=1.0)

    started = time.monotonic()
    wrong = (guess_wrong(guesses, f"192.0.2.{nth}") for nth in range(100))
    answers = await asyncio.gather(*wrong, return_exceptions=True)

    assert answers.count(None) <= 22  # those that found a turn within a second
    assert time.monotonic() - started >= 0.9


async def test_who_gave_the_right_token_is_not_kept_out_by_strangers_elsewhere() -> None:
    guesses = TokenThrottle(pause=60.0, pause_of_all=60.0, longest_wait=120.0)
    async with guesses.attempt("192.0.2.1") as guess:
        guess.right = True
    stranger = asyncio.create_task(guess_wrong(guesses, "192.0.2.2"))
    await asyncio.sleep(0.05)

    async with asyncio.timeout(1), guesses.attempt("192.0.2.1") as guess:
        guess.right = True

    stranger.cancel()
    await asyncio.gather(stranger, return_exceptions=True)


async def guess_wrong(guesses: TokenThrottle, address: str) -> None:
    """A wrong guess, which waits for its answer."""
    async with guesses.attempt(address):
        pass


async def test_an_address_of_ipv6_is_a_whole_network() -> None:
    guesses = TokenThrottle(pause=0.3, pause_of_all=0.0)
    started = time.monotonic()

    await guess_wrong(guesses, "2001:db8::1")
    async with guesses.attempt("2001:db8::2") as guess:
        guess.right = True

    assert time.monotonic() - started >= 0.3


async def test_a_browser_that_is_in_stays_in_while_others_guess(guarded: Place) -> None:
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser:
        headers = {"Origin": guarded.address}
        assert (await browser.post(f"{guarded.address}/token", data=TOKEN, headers=headers)).status == 204
        wrong = [asyncio.create_task(ask(guarded.address, "POST", "/token", body=b"x")) for _ in range(30)]
        await asyncio.sleep(0.2)

        started = time.monotonic()
        assert (await browser.get(f"{guarded.address}/commands.json")).status == 200
        assert time.monotonic() - started < 1.5

        for guess in wrong:
            guess.cancel()
        await asyncio.gather(*wrong, return_exceptions=True)


async def test_a_cookie_cannot_be_made_from_a_guess(tmp_path: Path) -> None:
    cookies = []
    for folder in ("one", "other"):
        async with a_place(tmp_path / folder, token=TOKEN) as place:
            answer = await ask(place.address, "POST", "/token", body=TOKEN.encode())
            cookies.append(answer.headers["set-cookie"].split(";")[0])

    assert cookies[0] != cookies[1]  # there is more in it than the token


async def test_a_browser_is_still_in_after_a_restart(tmp_path: Path) -> None:
    async with a_place(tmp_path, token=TOKEN) as place:
        answer = await ask(place.address, "POST", "/token", body=TOKEN.encode())
    cookie = f"Cookie: {answer.headers['set-cookie'].split(';')[0]}".encode()

    async with a_place(tmp_path, token=TOKEN) as place:
        assert (await ask(place.address, "GET", "/commands.json", cookie)).status == 200
    async with a_place(tmp_path, token=f"{TOKEN}!") as place:
        assert (await ask(place.address, "GET", "/commands.json", cookie)).status == 401
    (secret,) = (tmp_path / "files").glob("page.secret")
    assert secret.stat().st_mode & 0o777 == 0o600


# What strangers are told


async def test_strangers_learn_only_whether_the_bot_is_well(guarded: Place, tmp_path: Path) -> None:
    assert json.loads((await ask(guarded.address, "GET", "/healthz")).body) == {"well": True}
    assert "pid" in json.loads((await ask(guarded.address, "GET", "/healthz", BEARER)).body)["engine"]
    assert (await ask(guarded.address, "GET", "/healthz", b"Authorization: Bearer nonsense")).status == 401


async def test_on_this_machine_alone_the_health_is_told_in_full(place: Place) -> None:
    assert "pid" in json.loads((await ask(place.address, "GET", "/healthz")).body)["engine"]


async def test_what_is_personal_is_kept_by_no_cache(place: Place) -> None:
    ana = await place.comes()
    await ana.paints()
    (file,) = (await ana.says("/privacy export"))["files"]

    for path in (file["url"], "/gallery", "/loras.json?channel=general", "/commands.json", "/healthz"):
        async with ana.session.get(f"{place.address}{path}") as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"


# Connections


@pytest.fixture
async def narrow(tmp_path: Path) -> AsyncIterator[Place]:
    """A chat with room for few, which waits for nobody."""
    bounds = Bounds(patience=0.5, in_all=24, strangers=16)
    async with a_place(tmp_path, token=TOKEN, bounds=bounds) as place:
        yield place


async def half_sent(address: str, many: int) -> list[Line]:
    """Requests that begin and never end."""
    lines = [await Line.to(address) for _ in range(many)]
    for line in lines:
        await line.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    return lines


async def test_half_a_request_is_not_waited_for(narrow: Place) -> None:
    (begun,) = await half_sent(narrow.address, 1)
    silent = await Line.to(narrow.address)

    for line in (begun, silent):
        assert await line.ended(5)
        line.close()


async def test_half_a_body_is_not_waited_for(narrow: Place) -> None:
    host = narrow.address.removeprefix("http://").encode()
    for path in (b"/token", b"/uploads", b"/lora-files"):
        line = await Line.to(narrow.address)
        head = b"POST %b HTTP/1.1\r\nHost: %b\r\nOrigin: http://%b\r\nCookie: atelier_person=%b\r\n%b\r\n"
        await line.send(head % (path, host, host, b"p" * 43, BEARER) + b"Content-Length: 500\r\n\r\nhalf")

        assert (await line.answer(5)).status == 408
        line.close()


async def test_a_body_that_drips_is_not_waited_for(narrow: Place) -> None:
    line = await Line.to(narrow.address)
    host = line.host.encode()
    await line.send(b"POST /token HTTP/1.1\r\nHost: %b\r\nOrigin: http://%b\r\n" % (host, host))
    await line.send(b"Content-Length: 500\r\n\r\n")

    answer = asyncio.create_task(line.answer(10))
    while not answer.done():
        await line.send(b"x")
        await asyncio.sleep(0.05)

    assert (await answer).status == 408
    line.close()


async def test_many_half_sent_requests_keep_nobody_out(narrow: Place) -> None:
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as browser:
        headers = {"Origin": narrow.address}
        assert (await browser.post(f"{narrow.address}/token", data=TOKEN, headers=headers)).status == 204
        ana = await narrow.comes(session=browser)

        lines = await half_sent(narrow.address, 60)

        assert (await ana.paints())["state"] == "succeeded"  # who was in stays in
        assert (await ask(narrow.address, "GET", "/healthz")).status == 200  # and others get in
        for line in lines:
            line.close()


async def test_more_than_all_who_may_be_here_are_told_so(tmp_path: Path) -> None:
    async with a_place(tmp_path, bounds=Bounds(in_all=4)) as place:
        inside = [await Line.to(place.address) for _ in range(4)]
        for line in inside:
            assert (await line.ask("GET", "/healthz")).status == 200

        refused = await ask(place.address, "GET", "/healthz")

        assert refused.status == 503
        assert refused.body == b"Too many connections are open here. Try again in a moment."
        inside.pop().close()
        await asyncio.sleep(0.1)
        assert (await ask(place.address, "GET", "/healthz")).status == 200
        for line in inside:
            line.close()


async def test_where_it_is_full_every_newcomer_takes_the_place_of_a_half_sent_request(tmp_path: Path) -> None:
    async with a_place(tmp_path, bounds=Bounds(in_all=8)) as place:
        lines = await half_sent(place.address, 8)
        newcomers = [await Line.to(place.address) for _ in range(6)]

        assert [(await line.ask("GET", "/healthz")).status for line in newcomers] == [200] * 6

        for line in (*lines, *newcomers):
            line.close()


async def test_a_thousand_half_sent_requests_leave_handles_for_pictures(tmp_path: Path) -> None:
    async with serving(quick_config(tmp_path)) as service:
        resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (600, 600))
        await service.ready()
        lines = await half_sent(service.address, 900)

        async with connect(service.address) as ana:
            reply = await ana.says("/imagine a fox --steps 2")
            assert reply["ok"]
            await until(lambda: (reply["job"], "succeeded") in ana.seen)

        for line in lines:
            line.close()
        await service.end(signal.SIGTERM)
    log = "".join(service.logged)
    assert "Too many open files" not in log
    assert len(log) < 20_000


async def test_the_bot_takes_as_many_handles_as_it_may(tmp_path: Path) -> None:
    async with serving(quick_config(tmp_path)) as service:
        resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (256, 5000))
        await service.ready()

        assert resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE) == (5000, 5000)


async def test_a_flood_of_nonsense_is_one_line_in_the_log(tmp_path: Path) -> None:
    async with serving(quick_config(tmp_path)) as service:
        await service.ready()
        for _ in range(50):
            line = await Line.to(service.address)
            await line.send(b"GET / HTTP/1.1\r\nHo st: x\r\n\r\n")
            assert (await line.answer()).status == 400
            line.close()
        await service.end(signal.SIGTERM)

    log = "".join(service.logged)
    assert log.count("Request cannot be read") == 1
    assert "Traceback" not in log
