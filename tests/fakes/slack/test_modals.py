"""Modals, searches, buttons and shortcuts, as the real slack-bolt gets them."""

from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import Channel, FakeSlack, User
from tests.fakes.slack.conftest import App
from tests.fakes.slack.samples import PNG, actions, button, field, modal


async def test_a_modal_comes_back_filled_in(
    slack: FakeSlack, client: AsyncWebClient, app: App, ana: User, channel: Channel
) -> None:
    presets = [{"text": {"type": "plain_text", "text": word}, "value": word} for word in ("style", "person")]
    form = modal(
        field("pictures", {"type": "file_input", "filetypes": ["png"], "max_files": 10}),
        field("preset", {"type": "static_select", "options": presets, "initial_option": presets[0]}),
        field("trigger", {"type": "plain_text_input", "max_length": 20}, optional=True),
        field(
            "steps", {"type": "number_input", "is_decimal_allowed": False, "min_value": "1"}, optional=True
        ),
    )
    sent: list[Any] = []

    async def opens(ack: Any, body: dict[str, Any]) -> None:
        await client.views_open(trigger_id=body["trigger_id"], view=form)
        await ack()

    async def takes(ack: Any, view: dict[str, Any]) -> None:
        sent.append(view["state"]["values"])
        await ack(response_action="errors", errors={"trigger": "taken"}) if len(sent) == 1 else await ack()

    app.bolt.command("/train")(opens)
    app.bolt.view("form")(takes)
    await app.connect()
    files = [slack.upload(ana, f"{number}.png", PNG) for number in range(10)]

    heard = await slack.command(ana, channel, "/train")
    with pytest.raises(AssertionError, match="must be filled in"):
        await slack.submit(ana, heard.view, {"trigger": "inky"})
    first = await slack.submit(ana, heard.view, {"Pictures": files, "trigger": "inky", "steps": 100})
    second = await slack.submit(ana, first.view, {"pictures": files[:1], "preset": "person"})

    assert first.errors == {"trigger": "taken"}
    assert second.errors == {} and second.view is None
    assert [file["id"] for file in sent[0]["pictures"]["pictures"]["files"]] == [file.id for file in files]
    assert sent[0]["preset"]["preset"]["selected_option"]["value"] == "style"
    assert (sent[0]["trigger"]["trigger"]["value"], sent[0]["steps"]["steps"]["value"]) == ("inky", "100")
    assert sent[1]["preset"]["preset"]["selected_option"]["value"] == "person"


async def test_a_search_offers_what_can_then_be_chosen(
    slack: FakeSlack, client: AsyncWebClient, app: App, ana: User, channel: Channel
) -> None:
    chosen: list[Any] = []

    async def opens(ack: Any, body: dict[str, Any]) -> None:
        search = field("lora", {"type": "external_select", "min_query_length": 0})
        await client.views_open(trigger_id=body["trigger_id"], view=modal(search))
        await ack()

    async def offers(ack: Any, payload: dict[str, Any]) -> None:
        text = {"type": "plain_text", "text": f"{payload['value']}ky"}
        await ack(options=[{"text": text, "value": "ink:0.8"}])

    async def takes(ack: Any, view: dict[str, Any]) -> None:
        chosen.append(view["state"]["values"]["lora"]["lora"]["selected_option"]["value"])
        await ack()

    app.bolt.command("/train")(opens)
    app.bolt.options("lora")(offers)
    app.bolt.view("form")(takes)
    await app.connect()

    heard = await slack.command(ana, channel, "/train")
    choices = await slack.suggest(ana, "lora", "in")
    await slack.submit(ana, heard.view, {"lora": choices[0].value})

    assert [(choice.value, choice.text) for choice in choices] == [("ink:0.8", "inky")]
    assert chosen == ["ink:0.8"]


async def test_a_button_and_a_shortcut_tell_of_their_message(
    slack: FakeSlack, client: AsyncWebClient, app: App, ana: User, channel: Channel
) -> None:
    async def press(ack: Any, body: dict[str, Any], respond: Any) -> None:
        await ack()
        await respond(f"{body['actions'][0]['value']} in {body['message']['ts']}")

    async def call(ack: Any, shortcut: dict[str, Any]) -> None:
        app.heard.append([file["name"] for file in shortcut["message"]["files"]])
        await ack()

    app.bolt.action("again")(press)
    app.bolt.shortcut("train")(call)
    await app.connect()
    await client.chat_postMessage(channel=channel.id, text="x", blocks=[actions(button("again", "k3f9qa"))])
    own = slack.say(ana, channel, "mine", files=[slack.upload(ana, "a.png", PNG)])

    heard = await slack.act(ana, channel.messages[0], "again")
    await slack.shortcut(ana, own, "train")
    with pytest.raises(AssertionError, match="there is no stop"):
        await slack.act(ana, channel.messages[0], "stop")
    forged = await slack.act(ana, channel.messages[0], "again", "nonsense", forged=True)

    await slack.until(lambda: forged.ephemerals)
    assert heard.words == f"k3f9qa in {channel.messages[0].ts}\nnonsense in {channel.messages[0].ts}"
    assert app.heard == [["a.png"]]


async def test_a_response_url_answers_five_times(
    slack: FakeSlack, app: App, ana: User, channel: Channel
) -> None:
    statuses: list[int] = []

    async def talks(ack: Any, respond: Any) -> None:
        await ack()
        statuses.extend([(await respond(f"answer {number}")).status_code for number in range(6)])

    app.bolt.command("/talk")(talks)
    await app.connect()

    heard = await slack.command(ana, channel, "/talk")

    await slack.until(lambda: len(statuses) == 6)
    assert statuses == [200] * 5 + [404]
    assert heard.words.splitlines()[-1] == "answer 4"


async def test_a_click_in_a_shared_channel_and_one_in_a_grid_tell_whose_team_it_is(
    slack: FakeSlack, client: AsyncWebClient, app: App, channel: Channel
) -> None:
    elsewhere = slack.team("elsewhere", enterprise="E0GRID")
    ben = elsewhere.user("ben")
    channel.share_with(elsewhere)

    async def press(ack: Any, body: dict[str, Any]) -> None:
        app.heard.append((body["team"], body["user"]["team_id"], body["enterprise"]))
        await ack()

    app.bolt.action("again")(press)
    await app.connect()
    await client.chat_postMessage(channel=channel.id, text="x", blocks=[actions(button("again", "k3f9qa"))])

    await slack.act(ben, channel.messages[0], "again")
    slack.install_for_enterprise()
    await slack.act(ben, channel.messages[0], "again")

    stranger, of_grid = app.heard
    assert (stranger[0]["id"], stranger[1]) == (elsewhere.id, elsewhere.id)
    assert of_grid == (None, elsewhere.id, {"id": "E0GRID", "name": "e0grid"})
