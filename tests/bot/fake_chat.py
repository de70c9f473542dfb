"""A bot with the smallest chat there is: one of twenty lines that keeps its messages in a dict."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Protocol

from bot.cards.card import Card
from bot.chats import router
from bot.chats.interface import (
    Caller,
    CardReply,
    FilesReply,
    FormReply,
    ImageReply,
    LorasReply,
    RefusalReply,
    Reply,
    TextReply,
)
from bot.config import (
    Config,
    LocalSettings,
    LogSettings,
    PictureSettings,
    QueueSettings,
    TrainingLimits,
)
from bot.service import Bot
from commands.answers import Form
from engine.messages import EngineSettings, JobId, Sha256
from storage.adapters import LoraView
from tests.bot.quick_engine import QUICK_ENGINE
from tests.new_database import new_database

SLEEPER = (sys.executable, "-c", "import time; time.sleep(60)")  # an engine that never gets ready
ENDED = ("succeeded", "failed", "cancelled")


@dataclass
class FakeChat:
    """A chat: it keeps its messages in a dict. `trouble` is raised after `slow` seconds."""

    name: str = "fake"
    every: float = 0.02
    absent: str = ""
    cards: dict[str, Card] = field(default_factory=dict)
    posts: list[str] = field(default_factory=list)
    shows: list[Card] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    trouble: Exception | None = None
    slow: float = 0.0
    keys: "count[int]" = field(default_factory=count)

    async def show(self, channel: str, message: str | None, card: Card) -> str:
        await asyncio.sleep(self.slow)
        if self.trouble is not None:
            raise self.trouble
        if message is None:
            message = f"{channel}/{next(self.keys)}"
            self.posts.append(message)
        self.cards[message] = card
        self.shows.append(card)
        return message

    async def remove(self, channel: str, message: str) -> None:
        self.cards.pop(message, None)

    async def tell(self, channel: str, card: Card, text: str) -> None:
        self.told.append((card.person, text))


@dataclass
class Seen:
    """The reply to one call, as its caller sees it in this chat: a sink that keeps what it is shown."""

    ok: bool = True
    text: str = ""
    job: JobId | None = None
    form: Form | None = None
    files: tuple[tuple[str, Sha256], ...] = ()
    loras: tuple[LoraView, ...] = ()
    drawn: tuple[str, bytes] | None = None

    @classmethod
    async def of(cls, asking: Awaitable[Reply]) -> "Seen":
        """What is seen of the reply to this."""
        return await cls.of_reply(await asking)

    @classmethod
    async def of_reply(cls, reply: Reply) -> "Seen":
        """What is seen of this reply."""
        seen = cls()
        await router.show(reply, seen)
        return seen

    async def defer(self) -> None:
        raise AssertionError("nobody is in a hurry here")

    async def show_text(self, reply: TextReply) -> None:
        self.text = reply.text

    async def show_refusal(self, reply: RefusalReply) -> None:
        self.ok, self.text = False, reply.text

    async def open_form(self, reply: FormReply) -> None:
        self.form, self.text = reply.form, reply.text

    async def send_files(self, reply: FilesReply) -> None:
        self.files, self.text = reply.files, reply.text

    async def show_image(self, reply: ImageReply) -> None:
        self.drawn, self.text = (reply.name, reply.content), reply.text

    async def show_loras(self, reply: LorasReply) -> None:
        self.loras, self.files, self.text = reply.loras, reply.files, reply.text

    async def show_card(self, reply: CardReply) -> None:
        self.job, self.text = reply.job, reply.text


def a_config(folder: Path, **changes: object) -> Config:
    """A bot of its own in this folder, whose engine is the quick one."""
    config = Config(
        engine=EngineSettings(
            model="quick", files=str(folder / "files"), largest_batch=4, deadline_floor_seconds=1.0
        ),
        training=TrainingLimits(),
        adapters=folder / "adapters",
        database=new_database(folder),
        queue=QueueSettings(),
        local=LocalSettings(port=0),
        log=LogSettings(),
        pictures=PictureSettings(content_credentials=False),  # with them no two files are the same
    )
    return replace(config, **changes)  # type: ignore[arg-type]


def quick(folder: Path, seconds: float = 0.01) -> tuple[str, ...]:
    """The program of an engine whose steps take so long."""
    return (*QUICK_ENGINE, str(folder / "notes"), str(seconds))


class Chat:
    """People around one bot in a fake chat."""

    def __init__(self, bot: Bot, fake: FakeChat, folder: Path) -> None:
        self.bot = bot
        self.fake = fake
        self.folder = folder
        self.closed = False

    @classmethod
    async def open(cls, folder: Path, config: Config, program: Sequence[str], fake: FakeChat) -> "Chat":
        bot = await Bot.open(config, program)
        bot.add(fake)
        await bot.start()
        return cls(bot, fake, folder)

    async def close(self, grace: float = 0.0) -> None:
        if not self.closed:
            self.closed = True
            await self.bot.stop(grace)
            await self.bot.close()

    async def says(self, who: str, text: str, space: str = "home") -> Seen:
        return await Seen.of(self.bot.dispatch.say(caller(who, space), text))

    async def rules(self, text: str, space: str = "home") -> Seen:
        """An admin says it, and it is done."""
        reply = await Seen.of(self.bot.dispatch.say(caller("root", space, admin=True), text))
        assert reply.ok, reply.text
        return reply

    async def presses(self, who: str, action: str, job: JobId | None, space: str = "home") -> Seen:
        return await Seen.of(self.bot.dispatch.press(caller(who, space), f"{action}:{job}"))

    def card(self, job: JobId | None) -> Card | None:
        """The job's card in the fake chat; there is never more than one."""
        cards = [card for card in self.fake.cards.values() if card.job == job]
        assert len(cards) <= 1, f"{len(cards)} messages show job {job}"
        return cards[0] if cards else None

    async def sees(self, wanted: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until it is so."""
        deadline = time.monotonic() + seconds
        while not wanted():
            assert time.monotonic() < deadline, "it never came to that"
            await asyncio.sleep(0.01)

    async def shows(self, job: JobId | None, wanted: Callable[[Card], bool], seconds: float = 20.0) -> Card:
        """Wait until the job's card is as wanted."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            card = self.card(job)
            if card is not None and wanted(card):
                return card
            await asyncio.sleep(0.01)
        raise AssertionError(f"the card of {job} is {self.card(job)}")

    async def ends(self, job: JobId | None, seconds: float = 20.0) -> Card:
        """Wait for the end of the job, as its card shows it."""
        return await self.shows(job, lambda card: card.state in ENDED, seconds)

    async def runs(self, job: JobId | None) -> Card:
        """Wait until the job is seen to be painted."""
        return await self.shows(job, lambda card: card.state == "running" and bool(card.done))

    def notes_of(self, what: str) -> list[str]:
        """What the quick engines wrote down, in order: jobs taken, jobs painted, processes started."""
        path = self.folder / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.partition(" ")[2] for line in lines if line.startswith(what)]


def caller(who: str, space: str = "home", *, admin: bool = False) -> Caller:
    return Caller(
        chat="fake", space=space, space_name=space, channel=space, person=who, person_name=who, admin=admin
    )


class OpenChat(Protocol):
    """Starts a bot in the test's folder; a second one there is the first one started again."""

    def __call__(
        self,
        *,
        seconds: float = 0.01,
        config: Config | None = None,
        program: Sequence[str] | None = None,
        fake: FakeChat | None = None,
    ) -> Awaitable[Chat]: ...
