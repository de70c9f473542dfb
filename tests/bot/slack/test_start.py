"""Starting: tokens and scopes that will not do, and the way in by signed requests."""

import asyncio
import gzip
import io
import re
import socket
import time
from urllib.parse import urlencode

import aiohttp
import pytest

from bot.chats import reconnect
from bot.chats.interface import ChatUnavailable
from bot.config import SlackSettings
from bot.http.connections import BOUNDS
from tests.bot.slack.harness import OpenAtelier, button
from tests.fakes.slack import Fault, sign


async def test_a_wrong_token_is_told_in_a_sentence(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(starts=False)
    atelier.slack.platform.bot_token = "xoxb-another"
    atelier.bot_token = "xoxb-wrong"

    with pytest.raises(
        ChatUnavailable, match=r"^Slack does not accept SLACK_BOT_TOKEN\. .* \(invalid_auth\)"
    ):
        await atelier.start()


async def test_a_revoked_token_is_told_in_a_sentence(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(starts=False)
    atelier.slack.revoke()

    with pytest.raises(ChatUnavailable, match="It was revoked"):
        await atelier.start()


async def test_a_wrong_app_token_is_told_by_its_name(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(starts=False)
    atelier.slack.platform.app_token = "xapp-another"
    atelier.app_token = "xapp-wrong"

    with pytest.raises(ChatUnavailable, match="SLACK_APP_TOKEN"):
        await atelier.start()


@pytest.mark.parametrize("scope", ["files:write", "reactions:read", "connections:write"])
async def test_a_missing_scope_is_named(open_atelier: OpenAtelier, scope: str) -> None:
    atelier = await open_atelier(starts=False)
    atelier.slack.without_scope(scope)

    with pytest.raises(ChatUnavailable, match=scope):
        await atelier.start()


@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open"])
@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.ERROR_BEFORE])
async def test_a_slack_that_is_down_at_the_start_is_tried_again(
    open_atelier: OpenAtelier, method: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnect, "FIRST_PAUSE", 0.05)
    atelier = await open_atelier(starts=False)
    atelier.slack.faults.add("POST", f"/api/{re.escape(method)}", fault, times=3)

    assert await atelier.start() == "Slack, as soon as it can be reached"

    await atelier.slack.until(lambda: len(atelier.slack.sockets) == 2)
    await atelier.paints(atelier.ana, "a red fox")


async def test_signed_requests_do_what_sockets_do(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(over="requests", settings=SlackSettings(port=0))
    assert not atelier.slack.sockets

    card = await atelier.paints(atelier.ana, "a red fox")
    await atelier.slack.react(atelier.bo, card, "🔁")
    await atelier.slack.act(atelier.bo, card, button(card, "keep"))

    await atelier.slack.until(lambda: "⭐ 1" in card.words)
    await atelier.slack.until(lambda: sum("Painted in" in card.words for card in atelier.cards()) == 2)


async def test_a_request_without_a_signature_does_nothing(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(over="requests", settings=SlackSettings(port=0))
    fields = {
        "command": "/imagine",
        "text": "a red fox",
        "channel_id": atelier.channel.id,
        "trigger_id": "1.1",
    }

    async with (
        aiohttp.ClientSession() as session,
        session.post(atelier.url, data={**fields, "user_id": atelier.ana.id}) as response,
    ):
        assert response.status == 401
    assert not atelier.channel.messages


@pytest.mark.parametrize(
    "more",
    [{}, {"X-Slack-Signature": "v0=" + "0" * 64, "X-Slack-Request-Timestamp": "now"}, sign("guessed", "a")],
    ids=["unsigned", "no time", "guessed"],
)
async def test_nothing_that_a_stranger_says_of_a_body_is_believed(
    open_atelier: OpenAtelier, more: dict[str, str]
) -> None:
    atelier = await open_atelier(over="requests", settings=SlackSettings(port=0))
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=punycode"}

    async with aiohttp.ClientSession() as session:
        began = time.monotonic()
        async with session.post(atelier.url, data=b"a" * 1_000_000, headers={**form, **more}) as response:
            assert response.status == 401
        assert time.monotonic() - began < 5  # decoded as it says it takes 20 s


async def test_a_signed_request_is_read_as_utf8_and_no_further_than_allowed(
    open_atelier: OpenAtelier,
) -> None:
    atelier = await open_atelier(over="requests", settings=SlackSettings(port=0))
    secret = atelier.slack.signing_secret
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-16"}
    body = urlencode({"command": "/help", "text": "", "channel_id": atelier.channel.id, "trigger_id": "1.1"})
    body += f"&user_id={atelier.ana.id}&team_id={atelier.team.id}"
    large = "a" * (2**20 + 1)

    async with aiohttp.ClientSession() as session:
        headers = {**form, **sign(secret, body)}
        async with session.post(atelier.url, data=body.encode(), headers=headers) as heard:
            assert heard.status == 200 and "/imagine" in await heard.text()
        headers = {**form, **sign(secret, large)}
        async with session.post(atelier.url, data=io.BytesIO(large.encode()), headers=headers) as refused:
            assert refused.status == 413
        headers = {**form, **sign(secret, "?"), "Content-Encoding": "gzip"}
        async with session.post(atelier.url, data=gzip.compress(b"?"), headers=headers) as refused:
            assert refused.status == 415
        headers = {**form, **sign(secret, "?")}
        async with session.post(atelier.url, data=b"\xff\xfe", headers=headers) as refused:
            assert refused.status == 400


async def test_hundreds_of_half_sent_requests_do_not_keep_slack_out(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(over="requests", settings=SlackSettings(port=0))
    port = int(atelier.url.split(":")[2].partition("/")[0])
    halves = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
    for _, writer in halves:
        writer.write(b"POST /slack/events HTTP/1.1\r\n")

    await atelier.paints(atelier.ana, "a red fox")

    ended = [reader for reader, _ in halves if reader.at_eof() or reader.exception() is not None]
    assert len(ended) >= 300 - BOUNDS.strangers
    for _, writer in halves:
        writer.close()


async def test_a_port_in_use_is_told(open_atelier: OpenAtelier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        atelier = await open_atelier(over="requests", settings=SlackSettings(port=port), starts=False)

        with pytest.raises(ChatUnavailable, match=rf"port {port} \(in use\)"):
            await atelier.start()


async def test_a_token_revoked_later_leaves_the_bot_running(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(seconds=0.1)
    await atelier.says(atelier.ana, "/imagine", "a red fox --steps 5")
    await atelier.shows(lambda message: "▓" in message.words)

    atelier.slack.revoke()
    calls = len(atelier.slack.calls("chat.update"))
    await atelier.slack.until(lambda: len(atelier.slack.calls("chat.update")) > calls + 1)
    atelier.slack.platform.revoked = False

    await atelier.shows(lambda message: "Painted in" in message.words and bool(message.pictures), seconds=20)
    assert len(atelier.cards()) == 1
