"""Starting: tokens and scopes that will not do, and the way in by signed requests."""

import socket

import aiohttp
import pytest

from bot.config import SlackSettings
from bot.front import ChatUnavailable
from tests.bot.slack.atelier import OpenAtelier, button


async def test_a_wrong_token_is_told_in_a_sentence(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(starts=False)
    atelier.slack.platform.bot_token = "xoxb-another"
    atelier.bot_token = "xoxb-wrong"

    with pytest.raises(ChatUnavailable, match=r"^Slack does not take SLACK_BOT_TOKEN: .* \(invalid_auth\)"):
        await atelier.start()


async def test_a_revoked_token_is_told_in_a_sentence(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(starts=False)
    atelier.slack.revoke()

    with pytest.raises(ChatUnavailable, match="it was revoked"):
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


async def test_a_slack_that_cannot_be_reached_is_told(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(starts=False)
    atelier.base_url = "http://127.0.0.1:9/api/"

    with pytest.raises(ChatUnavailable, match="Slack cannot be reached"):
        await atelier.start()


async def test_signed_requests_do_what_sockets_do(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(over="requests", settings=SlackSettings(port=0))
    assert not atelier.slack.sockets

    card = await atelier.paints(atelier.ana, "a red fox")
    await atelier.slack.react(atelier.bo, card, "🔁")
    await atelier.slack.act(atelier.bo, card, button(card, "keep"))

    await atelier.slack.until(lambda: "⭐ 1" in card.words)
    await atelier.slack.until(lambda: sum("painted in" in one.words for one in atelier.cards()) == 2)


async def test_a_request_without_a_signature_does_nothing(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(over="requests", settings=SlackSettings(port=0))
    said = {"command": "/imagine", "text": "a red fox", "channel_id": atelier.channel.id, "trigger_id": "1.1"}

    async with (
        aiohttp.ClientSession() as session,
        session.post(atelier.url, data={**said, "user_id": atelier.ana.id}) as response,
    ):
        assert response.status == 401
    assert not atelier.channel.messages


async def test_a_port_in_use_is_told(open_atelier: OpenAtelier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        atelier = await open_atelier(over="requests", settings=SlackSettings(port=port), starts=False)

        with pytest.raises(ChatUnavailable, match=f"port {port}: it is in use"):
            await atelier.start()


async def test_a_token_revoked_later_leaves_the_bot_running(open_atelier: OpenAtelier) -> None:
    atelier = await open_atelier(seconds=0.1)
    await atelier.says(atelier.ana, "/imagine", "a red fox --steps 5")
    await atelier.shows(lambda one: "▓" in one.words)

    atelier.slack.revoke()
    calls = len(atelier.slack.calls("chat.update"))
    await atelier.slack.until(lambda: len(atelier.slack.calls("chat.update")) > calls + 1)
    atelier.slack.platform.revoked = False

    await atelier.shows(lambda one: "painted in" in one.words and bool(one.pictures), seconds=20)
    assert len(atelier.cards()) == 1
