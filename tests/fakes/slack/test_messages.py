"""Messages and who may post them, as the real slack_sdk sees it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import Channel, FakeSlack, Fault
from tests.fakes.slack.samples import JOB, actions, button, field, refusal_of

PLAIN = {"type": "plain_text", "text": "x"}


async def test_a_message_keeps_its_blocks_and_tells_its_metadata(
    client: AsyncWebClient, channel: Channel
) -> None:
    posted = await client.chat_postMessage(
        channel=channel.id, text="<!channel> look", metadata=JOB, blocks=[actions(button("again", "k3f9qa"))]
    )

    await client.chat_update(channel=channel.id, ts=posted["ts"], text="done")
    plain = await client.conversations_history(channel=channel.id)
    history = await client.conversations_history(channel=channel.id, include_all_metadata=True)

    (message,) = channel.messages
    assert (message.text, message.edits, message.buttons[0]["value"]) == ("done", 1, "k3f9qa")
    assert "metadata" not in plain["messages"][0]
    assert history["messages"][0]["metadata"] == JOB


async def test_mentions_and_links_are_seen(client: AsyncWebClient, channel: Channel) -> None:
    await client.chat_postMessage(channel=channel.id, text="<!channel> <@U012> <https://example.test|here>")
    await client.chat_postMessage(channel=channel.id, text="&lt;!channel&gt;")

    loud, quiet = channel.messages
    assert loud.pings == ["!channel", "@U012"]
    assert loud.links == ["https://example.test"]
    assert quiet.pings == []


async def test_the_client_posts_twice_when_it_is_cut_after_the_message_was_there(
    slack: FakeSlack, client: AsyncWebClient, channel: Channel
) -> None:
    slack.faults.add("POST", r"/api/chat\.postMessage", Fault.CUT_AFTER)

    await client.chat_postMessage(channel=channel.id, text="look")

    assert [message.text for message in channel.messages] == ["look", "look"]


async def test_a_limit_says_how_long_to_wait(
    slack: FakeSlack, client: AsyncWebClient, channel: Channel
) -> None:
    slack.faults.add("POST", r"/api/chat\.postMessage", Fault.LIMITED, times=2, seconds=1)

    assert await refusal_of(client.chat_postMessage(channel=channel.id, text="look")) == "ratelimited"
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    await client.chat_postMessage(channel=channel.id, text="look")

    _, second, third = slack.calls("chat.postMessage")
    assert third.at - second.at >= 1
    assert len(channel.messages) == 1


async def test_a_stranger_in_a_shared_channel_keeps_their_own_team(
    slack: FakeSlack, client: AsyncWebClient, channel: Channel
) -> None:
    elsewhere = slack.team("elsewhere")
    ben = elsewhere.user("ben")
    channel.share_with(elsewhere)

    info = await client.users_info(user=ben.id)
    home = await client.auth_test()

    assert (info["user"]["team_id"], info["user"]["is_stranger"]) == (elsewhere.id, True)
    assert home["team_id"] == slack.platform.home.id


async def test_tokens_scopes_and_channels_are_checked(slack: FakeSlack, client: AsyncWebClient) -> None:
    closed = slack.platform.home.channel("elsewhere", member=False)
    wrong = AsyncWebClient(token="xoxb-guessed", base_url=slack.api_url)
    message: dict[str, Any] = {"channel": closed.id, "text": "look"}

    assert await refusal_of(wrong.auth_test()) == "invalid_auth"
    assert await refusal_of(client.chat_postMessage(**message)) == "not_in_channel"
    assert await refusal_of(client.chat_postMessage(channel="C404", text="look")) == "channel_not_found"
    assert (
        await refusal_of(client.apps_connections_open(app_token=slack.bot_token)) == "not_allowed_token_type"
    )
    slack.without_scope("chat:write")
    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(**message)
    assert (caught.value.response["error"], caught.value.response["needed"]) == (
        "missing_scope",
        "chat:write",
    )
    slack.revoke()
    assert await refusal_of(client.auth_test()) == "token_revoked"


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        ([{"type": "divider"}] * 51, "no more than 50 items"),
        ([{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}], "less than 3001"),
        ([{"type": "section", "text": {"type": "mrkdwn", "text": ""}}], "more than 0"),
        ([{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}], "less than 151"),
        ([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}], "must be plain_text"),
        ([actions(*(button(f"a{number}", "x") for number in range(26)))], "no more than 25 items"),
        ([actions(button("a", "x"), button("a", "y"))], "already exists"),
        ([actions(button("a", "x" * 2001))], "less than 2001"),
        ([{"type": "context", "elements": [PLAIN] * 11}], "no more than 10 items"),
        ([{"type": "image", "image_url": "https://example.test/a.png"}], "missing required field: alt_text"),
        ([{"type": "image", "slack_file": {"id": "F404"}, "alt_text": "x"}], "invalid slack file"),
        ([{"type": "divider", "block_id": "x"}, {"type": "divider", "block_id": "x"}], "already exists"),
        ([{"type": "divider", "text": "x"}], "invalid additional property: text"),
        ([field("file", {"type": "file_input"})], "unsupported type: file_input"),
    ],
)
async def test_blocks_beyond_the_limits_are_refused(
    client: AsyncWebClient, channel: Channel, blocks: Sequence[dict[str, Any]], problem: str
) -> None:
    with pytest.raises(SlackApiError) as caught:
        await client.chat_postMessage(channel=channel.id, text="x", blocks=blocks)

    assert caught.value.response["error"] == "invalid_blocks"
    assert problem in caught.value.response["response_metadata"]["messages"][0]
    assert channel.messages == []


async def test_a_method_is_called_so_often_a_minute(
    slack: FakeSlack, client: AsyncWebClient, channel: Channel
) -> None:
    posted = await client.chat_postMessage(channel=channel.id, text="look")
    edit = partial(client.chat_update, channel=channel.id, ts=posted["ts"])
    for number in range(50):
        await edit(text=f"look {number}")

    assert await refusal_of(edit(text="look again")) == "ratelimited"


async def test_blocks_are_too_long_together(client: AsyncWebClient, channel: Channel) -> None:
    blocks = [{"type": "section", "text": {"type": "plain_text", "text": "x" * 2900}}] * 5

    assert await refusal_of(client.chat_postMessage(channel=channel.id, text="x", blocks=blocks)) == (
        "msg_blocks_too_long"
    )


async def test_what_is_not_as_documented_is_noted(
    slack: FakeSlack, client: AsyncWebClient, channel: Channel
) -> None:
    await client.chat_postMessage(channel=channel.id, text="look", colour="red")
    with pytest.raises(SlackApiError):
        await client.chat_update(channel=channel.id, ts="now", text="x" * 4001)

    assert slack.problems == [
        "chat.postMessage: it takes no colour",
        "chat.update: ts is 'now'",
        "chat.update: the text has more than 4000 characters",
    ]
