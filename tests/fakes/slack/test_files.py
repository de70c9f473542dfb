"""Uploads in three calls, as the real slack_sdk sees them."""

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import Channel, FakeSlack, User
from tests.fakes.slack.samples import PNG, refused


async def test_an_uploaded_file_is_shared_and_shown_after_a_while(
    slack: FakeSlack, client: AsyncWebClient, channel: Channel
) -> None:
    slack.processing(0.3)
    sent = await client.files_upload_v2(channel=channel.id, filename="a.png", content=PNG)
    file = sent["file"]["id"]
    block = {"type": "image", "slack_file": {"id": file}, "alt_text": "a fox"}

    early = await client.files_info(file=file)
    error = await refused(client.chat_postMessage(channel=channel.id, text="look", blocks=[block]))
    await slack.until(lambda: slack.world.files[file].ready)
    late = await client.files_info(file=file)
    await client.chat_postMessage(channel=channel.id, text="look", blocks=[block])

    assert (early["file"]["mimetype"], early["file"]["shares"], error) == ("", {}, "invalid_blocks")
    assert late["file"]["mimetype"] == "image/png"
    assert list(late["file"]["shares"]["public"]) == [channel.id]
    assert channel.messages[1].pictures == [file]


async def test_an_upload_may_never_be_shared_and_be_shared_again(
    slack: FakeSlack, client: AsyncWebClient, channel: Channel
) -> None:
    slack.never_share()
    sent = await client.files_upload_v2(channel=channel.id, filename="a.png", content=PNG)
    file = slack.world.files[sent["file"]["id"]]

    await slack.until(lambda: file.ready)
    assert (await client.files_info(file=file.id))["file"]["shares"] == {}
    await client.files_completeUploadExternal(files=[{"id": file.id}], channel_id=channel.id)

    assert file.shares == channel.messages


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
