"""Uploads in three calls, as the real slack_sdk sees them."""

from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import Channel, FakeSlack, User
from tests.fakes.slack.samples import PNG, refusal_of


async def test_an_uploaded_file_is_shared_and_shown_after_a_while(
    slack: FakeSlack, client: AsyncWebClient, channel: Channel
) -> None:
    slack.processing(0.3)
    sent = await client.files_upload_v2(channel=channel.id, filename="a.png", content=PNG)
    file = sent["file"]["id"]
    block = {"type": "image", "slack_file": {"id": file}, "alt_text": "a fox"}

    early = await client.files_info(file=file)
    error = await refusal_of(client.chat_postMessage(channel=channel.id, text="look", blocks=[block]))
    await slack.until(lambda: slack.world.files[file].ready)
    late = await client.files_info(file=file)
    await client.chat_postMessage(channel=channel.id, text="look", blocks=[block])

    assert (early["file"]["mimetype"], early["file"]["shares"], error) == ("", {}, "invalid_blocks")
    assert late["file"]["mimetype"] == "image/png"
    assert list(late["file"]["shares"]["public"]) == [channel.id]
    assert channel.messages[1].pictures == [file]


async def test_an_upload_may_never_be_shared_and_is_completed_once(
    slack: FakeSlack, client: AsyncWebClient, channel: Channel
) -> None:
    slack.never_share()
    sent = await client.files_upload_v2(channel=channel.id, filename="a.png", content=PNG)
    file = slack.world.files[sent["file"]["id"]]

    await slack.until(lambda: file.ready)
    assert (await client.files_info(file=file.id))["file"]["shares"] == {}
    again = client.files_completeUploadExternal(files=[{"id": file.id}], channel_id=channel.id)

    assert await refusal_of(again) == "file_not_found"
    assert not channel.messages


async def test_a_picture_is_shown_to_those_alone_who_may_see_its_file(
    slack: FakeSlack, client: AsyncWebClient, channel: Channel, ana: User
) -> None:
    direct = slack.direct(ana)
    sent = await client.files_upload_v2(channel=direct.id, filename="a.png", content=PNG)
    file = sent["file"]["id"]
    await slack.until(lambda: slack.world.files[file].ready)
    ben = slack.platform.home.user("ben")
    block = {"type": "image", "slack_file": {"id": file}, "alt_text": "a fox"}
    shown: dict[str, Any] = {"channel": channel.id, "text": "look", "blocks": [block]}

    assert await refusal_of(client.chat_postMessage(**shown)) == "invalid_blocks"
    assert await refusal_of(client.chat_postEphemeral(**shown, user=ben.id)) == "invalid_blocks"
    await client.chat_postEphemeral(**shown, user=ana.id)
    await client.chat_postMessage(**{**shown, "channel": direct.id})


async def test_a_file_by_slack_connect_is_a_stub_until_it_is_asked_for(
    slack: FakeSlack, client: AsyncWebClient, channel: Channel
) -> None:
    guests = slack.team("guests")
    gus = guests.user("gus")
    channel.share_with(guests)
    file = slack.upload(gus, "a.png", PNG)
    slack.say(gus, channel, "look", files=[file])

    history = await client.conversations_history(channel=channel.id)
    (stub,) = history["messages"][0]["files"]

    assert stub["file_access"] == "check_file_info" and "mimetype" not in stub
    assert (await client.files_info(file=stub["id"]))["file"]["mimetype"] == "image/png"


async def test_only_the_token_opens_a_private_address(
    slack: FakeSlack, client: AsyncWebClient, ana: User
) -> None:
    file = slack.upload(ana, "a.png", PNG)
    url = (await client.files_info(file=file.id))["file"]["url_private_download"]

    async with aiohttp.ClientSession() as session:
        async with session.get(url, headers={"Authorization": f"Bearer {slack.bot_token}"}) as opened:
            content = await opened.read()
        async with session.get(url) as closed:
            page = await closed.text()

    assert content == PNG
    assert (closed.status, closed.content_type) == (200, "text/html")
    assert "Sign in" in page
