"""Slack as a chat under test: the real slack-bolt and a Slack on the loopback."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.bot.slack.harness import Atelier
from tests.chats.harness import Seen, SeenCard, line
from tests.fakes.slack import FakeSlack, Heard, Message, User


class SlackSeen:
    """What followed for one person alone: ephemeral messages, modals, and their conversation with the bot."""

    def __init__(self, slack: FakeSlack, heard: Heard) -> None:
        self.heard = heard
        self._direct = slack.direct(heard.user)
        self._before = len(self._direct.messages)

    @property
    def text(self) -> str:
        written = [message.words for message in self._direct.messages[self._before :]]
        return "\n".join([self.heard.words, *self.heard.errors.values(), *written])

    @property
    def files(self) -> Sequence[str]:
        return [file.name for message in self._direct.messages[self._before :] for file in message.files]

    @property
    def form(self) -> Mapping[str, Any] | None:
        view = self.heard.view
        return (
            None
            if view is None
            else {element["block_id"]: element.get("initial_value") for element in view.elements}
        )

    @property
    def seconds(self) -> float | None:
        return self.heard.acked


class SlackHarness:
    """A workspace with one channel."""

    def __init__(self, atelier: Atelier) -> None:
        self._atelier = atelier
        self._slack = atelier.slack

    async def start(self) -> None:
        await self._atelier.start()

    async def stop(self) -> None:
        await self._atelier.stop()

    async def say(self, who: str, command: str, words: str = "", **options: object) -> Seen:
        slash, _, text = line(command, words, options).partition(" ")
        return SlackSeen(self._slack, await self._atelier.says(self._person(who), slash, text))

    async def press(self, who: str, card: SeenCard, action: str) -> Seen:
        message, chosen = _message(card), card.buttons[action]
        lists = [str(part["action_id"]) for part in message.elements if chosen in _options(part)]
        name, value = (lists[0], chosen) if lists else (chosen, None)
        return SlackSeen(self._slack, await self._slack.act(self._person(who), message, name, value))

    async def fill(self, who: str, seen: Seen, **values: object) -> Seen:
        assert isinstance(seen, SlackSeen)
        heard = await self._slack.submit(self._person(who), seen.heard.view, values)
        return SlackSeen(self._slack, heard)

    async def send_lora(self, who: str, name: str, content: bytes) -> Seen:
        file = self._slack.upload(self._person(who), f"{name}.safetensors", content)
        opened = await self.say(who, "lora import", name)
        assert isinstance(opened, SlackSeen)
        heard = await self._slack.submit(self._person(who), opened.heard.view, {"name": name, "file": [file]})
        return SlackSeen(self._slack, heard)

    async def verify_picture(self, who: str, content: bytes) -> Seen:
        file = self._slack.upload(self._person(who), "fox.png", content)
        opened = await self.say(who, "verify")
        return await self.fill(who, opened, **{"image-sent": [file]})

    async def send_picture(self, who: str, content: bytes, words: str) -> Seen:
        file = self._slack.upload(self._person(who), "fox.png", content)
        opened = await self.say(who, "imagine")
        return await self.fill(who, opened, prompt=words, steps="2", **{"image-sent": [file]})

    def post_picture(self, who: str, content: bytes) -> Message:
        file = self._slack.upload(self._person(who), "fox.png", content)
        return self._slack.say(self._person(who), self._atelier.channel, "look", files=[file])

    async def paint_from(self, who: str, message: object) -> Seen:
        assert isinstance(message, Message)
        heard = await self._slack.shortcut(self._person(who), message, "paint_from_this")
        return SlackSeen(self._slack, heard)

    def link(self, message: object) -> str:
        assert isinstance(message, Message)
        return f"https://art.slack.com/archives/{message.channel.id}/p{message.ts.replace('.', '')}"

    async def react(self, who: str, card: SeenCard, emoji: str) -> None:
        await self._slack.react(self._person(who), _message(card), emoji)

    async def redeliver(self, seen: Seen) -> None:
        assert isinstance(seen, SlackSeen)
        await self._slack.redeliver(seen.heard)

    def cards(self) -> list[SeenCard]:
        return [_card(message) for message in self._atelier.cards()]

    def others(self) -> list[str]:
        cards = self._atelier.cards()
        return [message.words for message in self._atelier.channel.messages if message not in cards]

    def _person(self, who: str) -> User:
        return {"ana": self._atelier.ana, "bo": self._atelier.bo}[who]


def _message(card: SeenCard) -> Message:
    assert isinstance(card.key, Message)
    return card.key


def _options(part: Mapping[str, Any]) -> list[str]:
    """The ids in a list of actions."""
    return [str(option["value"]) for option in part.get("options", ())]


def _card(message: Message) -> SeenCard:
    ids = [str(button["action_id"]) for button in message.buttons]
    ids += [id for part in message.elements for id in _options(part)]
    return SeenCard(
        key=message,
        text=message.words,
        pictures=len(message.pictures),
        buttons={name.partition(":")[0]: name for name in reversed(ids)},
    )
