"""A Slack with one workspace in it, and a Bolt app that listens."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import Channel, FakeSlack, User


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as slack:
        slack.team("atelier")
        yield slack


@pytest.fixture
def channel(slack: FakeSlack) -> Channel:
    return slack.platform.home.channel("paintings")


@pytest.fixture
def ana(slack: FakeSlack) -> User:
    return slack.platform.home.user("ana")


@pytest.fixture
def client(slack: FakeSlack) -> AsyncWebClient:
    return AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)


class App:
    """A Bolt app that writes down what it hears, over so many sockets."""

    def __init__(self, slack: FakeSlack, client: AsyncWebClient) -> None:
        self.slack = slack
        self.heard: list[Any] = []
        self.bolt = AsyncApp(client=client, signing_secret=slack.signing_secret, process_before_response=True)
        self.bolt.command("/imagine")(self._command)
        self.bolt.event("reaction_added")(self._event)
        self.handlers: list[AsyncSocketModeHandler] = []

    async def _command(self, ack: Any, body: dict[str, Any]) -> None:
        self.heard.append(body["text"])
        await ack()

    async def _event(self, body: dict[str, Any], request: Any) -> None:
        self.heard.append((body["event_id"], request.headers.get("x-slack-retry-num")))

    async def connect(self, sockets: int = 1) -> None:
        self.handlers = [
            AsyncSocketModeHandler(self.bolt, self.slack.app_token, ping_interval=0.2) for _ in range(sockets)
        ]
        for handler in self.handlers:
            await handler.connect_async()  # type: ignore[no-untyped-call]
        await self.slack.until(lambda: len(self.slack.sockets) == sockets)

    async def close(self) -> None:
        for handler in self.handlers:
            await handler.close_async()  # type: ignore[no-untyped-call]


@pytest.fixture
async def app(slack: FakeSlack, client: AsyncWebClient) -> AsyncIterator[App]:
    app = App(slack, client)
    yield app
    await app.close()
