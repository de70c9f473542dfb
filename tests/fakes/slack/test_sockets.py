"""What happens reaches the app over its sockets, as the real slack-bolt hears it."""

import aiohttp
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import Channel, FakeSlack, User, sign
from tests.fakes.slack.conftest import App


async def test_two_sockets_get_commands_in_turn(
    slack: FakeSlack, app: App, ana: User, channel: Channel
) -> None:
    await app.connect(sockets=2)

    heard = [await slack.command(ana, channel, "/imagine", f"fox {number}") for number in range(4)]

    assert app.heard == ["fox 0", "fox 1", "fox 2", "fox 3"]
    assert all(answer.acked is not None and not answer.failed for answer in heard)
    assert [socket.sent for socket in slack.sockets] == [2, 2]


async def test_what_people_write_comes_escaped(
    slack: FakeSlack, app: App, ana: User, channel: Channel
) -> None:
    await app.connect()

    await slack.command(ana, channel, "/imagine", "<!channel> & a fox")

    assert app.heard == ["&lt;!channel&gt; &amp; a fox"]


async def test_a_command_that_nobody_listens_to_fails(slack: FakeSlack, ana: User, channel: Channel) -> None:
    heard = await slack.command(ana, channel, "/imagine", "a fox")

    assert (heard.acked, heard.failed) == (None, "dispatch_failed")


async def test_an_envelope_may_come_twice(slack: FakeSlack, app: App, ana: User, channel: Channel) -> None:
    await app.connect(sockets=2)
    heard = await slack.command(ana, channel, "/imagine", "a fox")

    await slack.duplicate(heard)

    await slack.until(lambda: len(heard.envelope.acks) == 2)
    assert app.heard == ["a fox", "a fox"]


async def test_an_event_whose_ack_is_lost_is_sent_again(
    slack: FakeSlack, app: App, client: AsyncWebClient, ana: User, channel: Channel
) -> None:
    await app.connect()
    await client.chat_postMessage(channel=channel.id, text="look")
    slack.patience(0.3)
    slack.lose_acks()

    heard = await slack.react(ana, channel.messages[0], "🔁")

    assert heard is not None
    await slack.until(lambda: heard.acked)
    event = heard.envelope.payload["event_id"]
    assert app.heard == [(event, None), (event, ["1"])]


async def test_a_command_whose_ack_is_lost_is_not_sent_again(
    slack: FakeSlack, app: App, ana: User, channel: Channel
) -> None:
    await app.connect()
    slack.patience(0.3)
    slack.lose_acks()

    heard = await slack.command(ana, channel, "/imagine", "a fox")
    again = await slack.redeliver(heard)

    assert heard.failed == "operation_timeout"
    assert again.acked is not None
    assert app.heard == ["a fox", "a fox"]


async def test_a_refreshed_socket_is_replaced_while_the_other_works(
    slack: FakeSlack, app: App, ana: User, channel: Channel
) -> None:
    await app.connect(sockets=2)
    old, other = slack.sockets

    await slack.refresh(old)
    heard = await slack.command(ana, channel, "/imagine", "in between")
    await slack.until(lambda: len(slack.sockets) == 2 and old not in slack.sockets)

    assert heard.envelope.sent == [other]
    assert app.heard == ["in between"]


async def test_a_reset_socket_comes_back(slack: FakeSlack, app: App, ana: User, channel: Channel) -> None:
    await app.connect(sockets=2)
    first = slack.sockets[0]

    await slack.reset(first)
    heard = await slack.command(ana, channel, "/imagine", "still there")
    await slack.until(lambda: len(slack.sockets) == 2)

    assert heard.acked is not None
    assert app.heard == ["still there"]


async def test_signed_requests_reach_an_app_without_sockets(
    slack: FakeSlack, app: App, client: AsyncWebClient, ana: User, channel: Channel
) -> None:
    await client.chat_postMessage(channel=channel.id, text="look")
    server = web.AppRunner(app.bolt.web_app(path="/slack/events"))
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{server.addresses[0][1]}/slack/events"
    slack.http(url)

    heard = await slack.command(ana, channel, "/imagine", "a fox")
    reacted = await slack.react(ana, channel.messages[0], "🔁")
    async with aiohttp.ClientSession() as session:
        forged = await session.post(url, data="command=/imagine", headers=sign("guessed", "command=/imagine"))
    await server.cleanup()

    assert heard.acked is not None
    assert reacted is not None and reacted.acked is not None
    assert app.heard[0] == "a fox" and len(app.heard) == 2
    assert forged.status == 401
