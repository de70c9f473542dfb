"""Discord as a chat under test: the real discord.py and a Discord on the loopback."""

from collections.abc import Mapping, Sequence
from typing import Any

from commands.registry import find
from tests.bot.discord.harness import DiscordBot
from tests.chats.harness import Seen, SeenCard
from tests.fakes.discord import Attached, FakeDiscord, Heard, Message, User


class DiscordSeen:
    """An interaction's answer for its person alone, and what has come by direct message since."""

    def __init__(self, discord: FakeDiscord, heard: Heard) -> None:
        self.heard = heard
        self._direct = discord.direct(heard.person)
        self._before = len(self._direct.messages)

    @property
    def text(self) -> str:
        return "\n".join(message.text for message in self._messages)

    @property
    def files(self) -> Sequence[str]:
        return [name for message in self._messages for name in message.files]

    @property
    def form(self) -> Mapping[str, Any] | None:
        modal = self.heard.modal
        return (
            None if modal is None else {str(field["custom_id"]): field.get("value") for field in modal.fields}
        )

    @property
    def seconds(self) -> float | None:
        return self.heard.seconds

    @property
    def _messages(self) -> list[Message]:
        answers = [message for message in (self.heard.message, *self.heard.followups) if message is not None]
        private = [
            answer for answer in answers if answer.ephemeral and not answer.deleted and not answer.loading
        ]
        return [*private, *self._direct.messages[self._before :]]


class DiscordHarness:
    """A guild with one channel."""

    def __init__(self, harness: DiscordBot) -> None:
        self._bot = harness
        self._discord = harness.discord

    async def start(self) -> None:
        await self._bot.start()

    async def stop(self) -> None:
        await self._bot.stop()

    async def say(self, who: str, command: str, words: str = "", **options: object) -> Seen:
        given = {find(command).parameters[0].name: words} if words else {}
        heard = await self._discord.command(self._person(who), self._bot.channel, command, **given, **options)
        return DiscordSeen(self._discord, heard)

    async def press(self, who: str, card: SeenCard, action: str) -> Seen:
        message, chosen = _message(card), card.buttons[action]
        lists = [str(part["custom_id"]) for part in message.components if chosen in _options(part)]
        custom_id, values = (lists[0], [chosen]) if lists else (chosen, [])
        heard = await self._discord.click(self._person(who), message, custom_id, values=values)
        return DiscordSeen(self._discord, heard)

    async def fill(self, who: str, seen: Seen, **values: str) -> Seen:
        assert isinstance(seen, DiscordSeen)
        heard = await self._discord.submit(self._person(who), seen.heard.modal, values)
        return DiscordSeen(self._discord, heard)

    async def send_lora(self, who: str, name: str, content: bytes) -> Seen:
        return await self.say(who, "lora import", name, file=Attached(f"{name}.safetensors", content))

    async def verify_picture(self, who: str, content: bytes) -> Seen:
        return await self.say(who, "verify", image=Attached("fox.png", content))

    async def send_picture(self, who: str, content: bytes, words: str) -> Seen:
        return await self.say(who, "imagine", words, steps=2, image=Attached("fox.png", content))

    def post_picture(self, who: str, content: bytes) -> Message:
        return self._discord.posts(self._person(who), self._bot.channel, Attached("fox.png", content))

    async def paint_from(self, who: str, message: object) -> Seen:
        assert isinstance(message, Message)
        heard = await self._discord.menu(self._person(who), message, "Paint from this")
        return DiscordSeen(self._discord, heard)

    def link(self, message: object) -> str:
        assert isinstance(message, Message)
        return f"https://discord.com/channels/{self._bot.guild.id}/{message.channel.id}/{message.id}"

    async def react(self, who: str, card: SeenCard, emoji: str) -> None:
        await self._discord.react(self._person(who), _message(card), emoji)

    async def redeliver(self, seen: Seen) -> None:
        assert isinstance(seen, DiscordSeen)
        events = [event for session in self._discord.gateway.sessions for event in session.events]
        payload = next(event for event in events if event["d"].get("id") == str(seen.heard.id))
        await self._discord.gateway.dispatch(payload["t"], payload["d"], self._bot.guild.id)

    def cards(self) -> list[SeenCard]:
        return [_card(message) for message in self._public if message.components]

    def others(self) -> list[str]:
        return [message.text for message in self._public if not message.components]

    @property
    def _public(self) -> list[Message]:
        return [
            message for message in self._bot.channel.messages if not (message.ephemeral or message.loading)
        ]

    def _person(self, who: str) -> User:
        return {"ana": self._bot.ana, "bo": self._bot.bo}[who]


def _message(card: SeenCard) -> Message:
    assert isinstance(card.key, Message)
    return card.key


def _options(part: Mapping[str, Any]) -> list[str]:
    """The ids in a list of actions."""
    return [str(option["value"]) for option in part.get("options", ())]


def _card(message: Message) -> SeenCard:
    ids = [
        id
        for part in message.components
        for id in (_options(part) if "options" in part else [str(part.get("custom_id") or "")])
        if id
    ]
    return SeenCard(
        key=message,
        text=message.text.replace("*", ""),
        pictures=len(message.files),
        buttons={name.partition(":")[0]: name for name in reversed(ids)},
    )
