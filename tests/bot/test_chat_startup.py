"""Chats that cannot be served are told in one sentence, and the others go on."""

import asyncio
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.cards.card import Card
from bot.chat_startup import ChatStartup
from bot.chats.interface import ChatUnavailable
from engine.messages import JobId
from tests.bot.fake_chat import Chat, FakeChat, OpenChat, Seen, caller
from tests.bot.running_bot import change, connect, quick_config, serving, until
from tests.fakes.discord import FakeDiscord

WRONG = "Discord does not know DISCORD_TOKEN."


@dataclass
class Elsewhere:
    """A chat on somebody's server, which is there after a while, or never."""

    name: str
    refusal: str = ""
    fault: str = ""
    seconds: float = 0.0
    every: float = 0.02
    absent: str = ""
    cards: list[JobId] = field(default_factory=list)
    stopped: bool = False

    async def start(self) -> str:
        await asyncio.sleep(self.seconds)
        if self.fault:
            raise RuntimeError(self.fault)
        if self.refusal:
            raise ChatUnavailable(self.refusal)
        return f"{self.name} as atelier"

    async def stop(self) -> None:
        self.stopped = True

    async def show(self, channel: str, message: str | None, card: Card) -> str:
        self.cards.append(card.job)
        return "a message"

    async def remove(self, channel: str, message: str) -> None:
        pass

    async def tell(self, channel: str, card: Card, text: str) -> None:
        pass


async def test_one_that_is_refused_or_slow_keeps_no_other_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    added: list[object] = []
    chats = [
        Elsewhere("red", refusal="red: no."),
        Elsewhere("broken", fault="nobody expects that"),
        Elsewhere("slow", seconds=60),
        Elsewhere("blue"),
    ]
    startup = ChatStartup(chats, added.append, alone=True)
    begun = asyncio.create_task(startup.start())

    async with asyncio.timeout(10):
        while not added:  # noqa: ASYNC110  nobody tells when
            await asyncio.sleep(0.01)
    begun.cancel()
    await asyncio.gather(begun, return_exceptions=True)
    await startup.stop()

    output = capsys.readouterr()
    assert added == [chats[3]]
    assert "Atelier is on blue as atelier" in output.out
    assert "red: no." in output.err
    assert all(chat.stopped for chat in chats)


async def test_when_nobody_is_there_for_anybody_that_is_told() -> None:
    for refusals, sentence in ((["red: no."], "red: no."), (["red: no.", "blue: no."], "None of the chats")):
        chats = [Elsewhere(refusal[:3], refusal=refusal) for refusal in refusals]
        with pytest.raises(ChatUnavailable, match=sentence):
            await ChatStartup(chats, lambda chat: None, alone=True).start()
        await ChatStartup(chats, lambda chat: None, alone=False).start()


async def test_cards_of_a_chat_that_is_there_late_are_shown_then(open_chat: OpenChat) -> None:
    chat: Chat = await open_chat(fake=FakeChat(name="other"))
    reply = await Seen.of(chat.bot.dispatch.say(caller("ana"), "/imagine a fox --steps 3"))
    await chat.bot.delivery.wait_until_shown()
    late = Elsewhere("fake")

    chat.bot.add(late)

    await chat.sees(lambda: reply.job in late.cards)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return quick_config(tmp_path)


async def test_a_wrong_token_is_one_sentence_and_the_page_goes_on(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "wrong-token")
    async with FakeDiscord() as discord:
        words = ("tests.bot.pointed_bot", discord.base, str(config.parent / "notes"), "0.01")
        async with serving(config, 0.01, *words) as service:
            await service.ready()
            await until(lambda: any(WRONG in line for line in service.logged))
            async with connect(service.address) as ana:
                assert (await ana.says("/imagine a fox --steps 3"))["ok"]
            assert await service.end(signal.SIGTERM) == 0

    log = "".join(service.logged)
    assert log.count(WRONG) == 1
    assert "Traceback" not in log
    assert "wrong-token" not in log


async def test_a_wrong_token_alone_ends_the_program(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "wrong-token")
    change(config, "port = 0", "enabled = false")
    async with FakeDiscord() as discord:
        words = ("tests.bot.pointed_bot", discord.base, str(config.parent / "notes"), "0.01")
        started = time.monotonic()
        async with serving(config, 0.01, *words) as service:
            assert await service.end() == 1

    assert time.monotonic() - started < 30
    assert WRONG in service.logged[-1]
    assert "Traceback" not in "".join(service.logged)


async def test_tokens_that_are_not_enough_are_told(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-half-of-it")
    change(config, "port = 0", "enabled = false")

    async with serving(config) as service:
        assert await service.end() == 1

    log = "".join(service.logged)
    assert "Slack: SLACK_BOT_TOKEN is set alone" in log
    assert "No chat is enabled" in service.logged[-1]
    assert "xoxb" not in log
