"""The bot as a service: everything is wired here, started in order, and stopped in order."""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import structlog

from bot.adapters import AdapterFolder
from bot.config import LOCAL_TOKEN, Config, ConfigError, LocalSettings, read_config
from bot.delivery import Delivery
from bot.dispatch import Dispatch
from bot.drafts import Drafts
from bot.engine_client import PROGRAM, EngineClient
from bot.exits import BAD_INPUT, FAILED, FINE, INTERRUPTED, say
from bot.front import Front
from bot.leftovers import DAY, Leftovers
from bot.live import Live
from bot.logs import set_up
from bot.metrics import Metrics
from bot.on_local import LocalChat, LocalChatError
from bot.pace import Pace
from bot.queue import Queue
from commands.parse import parse
from commands.presets import SMALL
from commands.spec import Option, parameters
from engine.messages import Event, InvalidRequest
from storage.database import CannotStore, Database, DatabaseError
from storage.files import Files

log = structlog.get_logger(__name__)

GRACE = 12.0  # seconds that running jobs have to end when the bot is stopped
LAST_CARDS = 3.0  # seconds to show what became of them
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class CannotServe(Exception):
    """One sentence for the operator: why the bot does not start."""


class Served(Front, Protocol):
    """A chat that is started and stopped with the bot."""

    async def start(self) -> str:
        """Be there for people; where they find it."""

    async def stop(self) -> None:
        """Let everybody go."""


class Bot:
    """One bot: what all chats share. Lives from open() to stop()."""

    def __init__(self, config: Config, database: Database, program: Sequence[str]) -> None:
        self.config = config
        self.database = database
        self.files = Files(Path(config.engine.files))
        self.library = AdapterFolder(config.adapters, self.files)
        self.metrics = Metrics()
        self.engine = EngineClient(config.engine, program, self._hear)
        self.live = Live()
        self.pace = Pace()
        self.leftovers = Leftovers(database, self.files)
        self._fronts: dict[str, Front] = {}
        self.delivery = Delivery(database, self._fronts, self.live, self.metrics)
        self.queue = Queue(
            database=database,
            files=self.files,
            leftovers=self.leftovers,
            engine=self.engine,
            live=self.live,
            pace=self.pace,
            touch=self.delivery.touch,
            metrics=self.metrics,
            settings=config.queue,
            largest_batch=config.engine.largest_batch,
            training_share=config.engine.training_share,
        )
        self.drafts = Drafts(
            database=database,
            files=self.files,
            leftovers=self.leftovers,
            engine=self.engine,
            touch=self.delivery.touch,
        )
        self.dispatch = Dispatch(
            database=database,
            leftovers=self.leftovers,
            folder=self.library,
            queue=self.queue,
            drafts=self.drafts,
            delivery=self.delivery,
            live=self.live,
            pace=self.pace,
            limits=config.queue,
            largest_rank=config.training.largest_rank,
            small=config.engine.model == SMALL,
        )
        self._started = time.monotonic()
        self._services: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, config: Config, program: Sequence[str] = PROGRAM) -> "Bot":
        """A bot on the configured database, made or migrated where that is needed. Raises DatabaseError."""
        return cls(config, await Database.open(config.database), program)

    def add(self, front: Front) -> None:
        """Let this chat have its cards."""
        self._fronts[front.chat] = front

    async def start(self) -> None:
        """Begin to deliver and to paint; the engine loads its model meanwhile. Raises CannotStore."""
        self._services = [
            asyncio.create_task(self.metrics.watch_the_loop()),
            asyncio.create_task(self._tidy()),
        ]
        await self.queue.start()
        self._services.append(asyncio.create_task(self.drafts.work()))
        await self.delivery.start()

    async def stop(self, grace: float = GRACE) -> None:
        """Take no more, let what runs end within the grace or put it back, and leave every card right."""
        self.dispatch.refuse()
        for service in self._services:
            service.cancel()
        await asyncio.gather(*self._services, return_exceptions=True)
        await self.queue.stop(grace)
        await self.delivery.stop(LAST_CARDS)

    async def close(self) -> None:
        """Let go of the database; the last thing to do."""
        await self.database.close()

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether all is well, and what an operator would look at first."""
        state = self._engine_state()
        well = state in ("ready", "starting")
        return well, {
            "well": well,
            "up_seconds": round(time.monotonic() - self._started, 1),
            "engine": {
                "state": state,
                "pid": self.engine.pid,
                "starts": self.engine.starts,
                "silent_seconds": None if self.engine.silent is None else round(self.engine.silent, 1),
                "reason": self.queue.trouble,
            },
            "jobs": {"queued": self.queue.length, "running": self.queue.running},
        }

    def _hear(self, event: Event) -> None:
        self.metrics.hear(event)
        self.queue.hear(event)

    async def _tidy(self) -> None:
        """Once a day files go that nobody needs: what killed programs left, what was sent and never used."""
        while True:
            try:
                await self.files.tidy()
                await self.leftovers.sweep()
            except (CannotStore, OSError) as error:
                log.warning("the store could not be tidied", reason=str(error))
            await asyncio.sleep(DAY)

    def _engine_state(self) -> str:
        if self.queue.trouble:
            return "dead"
        if self.engine.ready:
            return "hung" if self.engine.overdue else "ready"
        return "starting" if self.engine.starts <= 1 else "starting again"


async def serve(config: Config, program: Sequence[str] = PROGRAM) -> None:
    """Serve all configured chats until SIGTERM or SIGINT. Raises CannotServe with one sentence."""
    told = _signals()
    try:
        bot = await Bot.open(config, program)
        try:
            await _serve(bot, _fronts(bot), told)
        finally:
            await bot.close()
    except (DatabaseError, CannotStore, LocalChatError) as error:
        raise CannotServe(str(error)) from error


def main(words: Sequence[str], program: Sequence[str] = PROGRAM) -> int:
    """Serve until told to stop, with the configuration that these words name; the exit status."""
    try:
        config = _told(**parse(words, parameters(_told)))
        set_up(config.log)
        asyncio.run(serve(config, program))
    except (ConfigError, InvalidRequest) as error:
        return say(str(error), BAD_INPUT)
    except CannotServe as error:
        return say(str(error), FAILED)
    except KeyboardInterrupt:  # before anything had begun
        return say("stopped.", INTERRUPTED)
    return FINE


def _told(
    *,
    config: Annotated[Path | None, Option("settings to read instead of config.toml", read=Path)] = None,
) -> Config:
    return read_config(config)


async def _serve(bot: Bot, fronts: Sequence[Served], told: asyncio.Queue[str]) -> None:
    """The chats come first: a port in use is told before anything has begun."""
    addresses = [await front.start() for front in fronts]
    for front in fronts:
        bot.add(front)
    try:
        await bot.start()
        gc.collect()
        gc.freeze()  # what is there by now stays: each look at all of it would block the event loop for 60 ms
        for address in addresses:
            log.info("listening", address=address)
            sys.stdout.write(f"Atelier is at {address} (Ctrl-C stops it)\n")
            sys.stdout.flush()
        log.info("stopping", signal=await told.get())
    finally:
        await _stop(bot, fronts, told)


def local_chat(bot: Bot, settings: LocalSettings, token: str | None) -> LocalChat:
    """The bot's page; whoever comes from another machine must know the token."""
    return LocalChat(
        settings=settings,
        token=token,
        database=bot.database,
        dispatch=bot.dispatch,
        files=bot.files,
        library=bot.library,
        leftovers=bot.leftovers,
        health=bot.health,
        metrics=bot.metrics.text,
    )


def _fronts(bot: Bot) -> list[Served]:
    config = bot.config
    if not config.local.enabled:
        raise CannotServe("no chat is enabled: set [local] enabled = true.")
    return [local_chat(bot, config.local, os.environ.get(LOCAL_TOKEN))]


def _signals() -> asyncio.Queue[str]:
    """SIGTERM and SIGINT as they come; the second one means: at once."""
    told: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, told.put_nowait, number.name)
    return told


async def _stop(bot: Bot, fronts: Sequence[Served], told: asyncio.Queue[str]) -> None:
    """Orderly, within GRACE and a little; another signal ends the grace at once."""
    started = time.monotonic()
    stopping = asyncio.create_task(bot.stop())
    hurry = asyncio.create_task(told.get())
    await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        bot.queue.hurry()
    await stopping
    hurry.cancel()
    for front in fronts:
        await front.stop()
    log.info("stopped", seconds=round(time.monotonic() - started, 1))
