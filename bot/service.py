"""The bot as a service: everything is wired here, started in order, and stopped in order."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import structlog

from bot.chat_startup import NO_CHAT, Opening, announce, others
from bot.chats.delivery import Delivery
from bot.chats.interface import Chat, ChatUnavailable
from bot.chats.web.server import WebChat, WebChatError
from bot.cli.exit_status import BAD_INPUT, FAILED, FINE, INTERRUPTED, say
from bot.config import Config, ConfigError, LocalSettings, check_local, local_token, read_config
from bot.dispatch.apply import Effects
from bot.dispatch.dispatcher import Dispatcher
from bot.engine_client.client import PROGRAM, EngineClient
from bot.garbage_collection import DAY, GarbageCollector
from bot.http.connections import BOUNDS, Bounds
from bot.http.file_handles import raise_limit
from bot.jobs.estimates import Estimates
from bot.jobs.inspections import Inspections
from bot.jobs.interactive_tasks import InteractiveTasks
from bot.jobs.progress import LiveProgress
from bot.jobs.queue import Queue
from bot.logs import set_up
from bot.metrics import Metrics
from bot.privacy.export import Exports
from bot.privacy.purge import Purge
from bot.uploads.intake import Intake
from bot.uploads.lora_folder import AdapterFolder
from commands.permissions import Admins
from commands.presets import SMALL
from commands.syntax.parser import parse
from commands.syntax.spec import Option, parameters
from engine.messages import Event, InvalidRequest, JobId, Sha256
from storage.database import CannotStore, Database, DatabaseError
from storage.files import Files

log = structlog.get_logger(__name__)

GRACE = 12.0  # seconds that running jobs have to end when the bot is stopped
A_MOMENT = 0.1  # seconds: the time that a file has may be that much behind the clock
PRIVATE_FILES = 0o077  # what nobody but this user may do with what the bot and its engine write
LAST_CARDS = 3.0  # seconds to show what became of them
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class CannotServe(Exception):
    """One sentence for the operator: why the bot does not start."""


class Bot:
    """One bot: what all chats share. Lives from open() to stop()."""

    def __init__(self, config: Config, database: Database, program: Sequence[str]) -> None:
        self.config = config
        self.database = database
        self.files = Files(Path(config.engine.files))
        self.library = AdapterFolder(config.adapters, self.files)
        self.metrics = Metrics()
        self.engine = EngineClient(config.engine, program, self._hear, self._remove)
        self.progress = LiveProgress()
        self.estimates = Estimates()
        self.garbage = GarbageCollector(database, self.files)
        self.intake = Intake(database, self.files, self.garbage)
        self._chats: dict[str, Chat] = {}
        self.delivery = Delivery(database, self._chats, self.progress, self.metrics)
        self.queue = Queue(
            database=database,
            files=self.files,
            garbage=self.garbage,
            engine=self.engine,
            progress=self.progress,
            estimates=self.estimates,
            touch=self.delivery.touch,
            metrics=self.metrics,
            settings=config.queue,
            largest_batch=config.engine.largest_batch,
            training_share=config.engine.training_share,
        )
        self.inspections = Inspections(
            database=database,
            files=self.files,
            garbage=self.garbage,
            engine=self.engine,
            touch=self.delivery.touch,
        )
        self.purge = Purge(database, self.garbage, self._busy)
        effects = Effects(
            files=self.files,
            garbage=self.garbage,
            queue=self.queue,
            inspections=self.inspections,
            tasks=InteractiveTasks(self.engine, self.files, self.garbage),
            delivery=self.delivery,
            exports=Exports(database, self.files, self.garbage),
            purge=self.purge,
        )
        self.dispatch = Dispatcher(
            database=database,
            files=self.files,
            garbage=self.garbage,
            folder=self.library,
            queue=self.queue,
            delivery=self.delivery,
            effects=effects,
            progress=self.progress,
            estimates=self.estimates,
            limits=config.queue,
            largest_rank=config.training.largest_rank,
            small=config.engine.model == SMALL,
            model=config.engine.model,
            admins=admins(config),
        )
        self._started = time.monotonic()
        self._opened = time.time() - A_MOMENT
        self._services: list[asyncio.Task[None]] = []
        self._removing: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, config: Config, program: Sequence[str] = PROGRAM) -> "Bot":
        """A bot on the configured database, made or migrated where that is needed. Raises DatabaseError."""
        return cls(config, await Database.open(config.database), program)

    def add(self, chat: Chat) -> None:
        """Let this chat have its cards."""
        self._chats[chat.name] = chat
        self.delivery.retry_absent()

    async def start(self) -> None:
        """Begin to deliver and to paint; the engine loads its model meanwhile. Raises CannotStore."""
        self._services = [
            asyncio.create_task(self.metrics.watch_the_loop()),
            asyncio.create_task(self._tidy()),
        ]
        await self.queue.start()
        self._services.append(asyncio.create_task(self.inspections.run()))
        await self.delivery.start()
        self._services.append(asyncio.create_task(self.purge.run()))

    async def stop(self, grace: float = GRACE) -> None:
        """Take no more, let what runs end within the grace or put it back, and leave every card right."""
        self.dispatch.refuse()
        for service in self._services:
            service.cancel()
        await asyncio.gather(*self._services, return_exceptions=True)
        await self.queue.stop(grace)
        await asyncio.gather(*self._removing)
        await self.delivery.stop(LAST_CARDS)

    async def close(self) -> None:
        """Let go of the processes that read pictures, and of the database; the last thing to do."""
        await self.intake.close()
        await self.database.close()

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether all is well, and what an operator would look at first."""
        state = self._engine_state()
        well = state in ("ready", "starting") and not self.queue.held
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
            "chats": {name: chat.absent or "served" for name, chat in self._chats.items()},
            "store": {"reason": self.queue.held},
            "jobs": {"queued": self.queue.length, "running": self.queue.running},
        }

    def _busy(self) -> set[JobId]:
        """The jobs whose rows somebody may be about to change."""
        return {*self.queue.jobs, *self.inspections.jobs, *self.delivery.jobs}

    def _hear(self, event: Event) -> None:
        self.metrics.hear(event)
        self.queue.hear(event)

    def _remove(self, left: Sequence[Sha256]) -> None:
        """The engine put these into the store for a job that had ended."""
        removing = asyncio.create_task(self.garbage.remove(left))
        self._removing.add(removing)
        removing.add_done_callback(self._removing.discard)

    async def _tidy(self) -> None:
        """Once a day files go that nobody needs: what killed programs left, what was sent and never used."""
        started: float | None = self._opened
        while True:
            try:
                await self.files.close_to_others()
                await self.files.tidy(started)
                started = None
                await self.library.list_files()  # what is passed over is in the log before somebody misses it
                await self.garbage.sweep()
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
            await _serve(bot, told)
        finally:
            await bot.close()
    except (DatabaseError, CannotStore, WebChatError, ChatUnavailable) as error:
        raise CannotServe(str(error)) from error


def main(words: Sequence[str], program: Sequence[str] = PROGRAM) -> int:
    """Serve until told to stop, with the configuration that these words name; the exit status."""
    try:
        config = _told(**parse(words, parameters(_told)))
        set_up(config.log)
        raise_limit()
        os.umask(PRIVATE_FILES)
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
    told = read_config(config)
    check_local(told.local)
    return told


async def _serve(bot: Bot, told: asyncio.Queue[str]) -> None:
    """The page comes first: a port in use is told before anything has begun."""
    here = local_chat(bot, bot.config.local, local_token()) if bot.config.local.enabled else None
    opening = Opening(others(bot), bot.add, alone=here is None)
    if here is None and not opening.chats:
        raise CannotServe(NO_CHAT)
    address = None if here is None else await here.start()
    if here is not None:
        bot.add(here)
    try:
        await bot.start()
        gc.collect()
        gc.freeze()  # what is there by now stays: each look at all of it would block the event loop for 60 ms
        if address is not None:
            announce(address)
        log.info("stopping", signal=await _told_to_stop(opening, told, bot.database))
    finally:
        await _stop(bot, opening, told)
        if here is not None:
            await here.stop()


async def _told_to_stop(opening: Opening, told: asyncio.Queue[str], database: Database) -> str:
    """Open the other chats meanwhile.

    Raises ChatUnavailable when there is none for anybody, CannotServe when the database is gone.
    """
    begun, signal, gone = (
        asyncio.create_task(opening.begin()),
        asyncio.create_task(told.get()),
        asyncio.create_task(database.wait_until_lost()),
    )
    try:
        await asyncio.wait({begun, signal, gone}, return_when=asyncio.FIRST_COMPLETED)
        if begun.done():
            begun.result()
            await asyncio.wait({signal, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done() and not signal.done():
            raise CannotServe(gone.result())
        return await signal
    finally:
        for task in (begun, signal, gone):
            task.cancel()


def admins(config: Config) -> Admins:
    """A name on the page is anybody's to take: it counts where nobody but this machine can open the page."""
    named = {"local": config.admins.local, "discord": config.admins.discord, "slack": config.admins.slack}
    alone = config.local.is_loopback and local_token() is None
    return Admins(named=named, by_name=("local",) if alone else ())


def local_chat(
    bot: Bot,
    settings: LocalSettings,
    token: str | None,
    bounds: Bounds = BOUNDS,
) -> WebChat:
    """The bot's page; whoever comes from another machine must know the token."""
    return WebChat(
        settings=settings,
        token=token,
        database=bot.database,
        dispatch=bot.dispatch,
        files=bot.files,
        library=bot.library,
        intake=bot.intake,
        health=bot.health,
        metrics=bot.metrics.text,
        bounds=bounds,
    )


def _signals() -> asyncio.Queue[str]:
    """SIGTERM and SIGINT as they come; the second one means: at once."""
    told: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, told.put_nowait, number.name)
    return told


async def _stop(bot: Bot, opening: Opening, told: asyncio.Queue[str]) -> None:
    """Orderly, within GRACE and a little; another signal ends the grace at once."""
    started = time.monotonic()
    stopping = asyncio.create_task(bot.stop())
    hurry = asyncio.create_task(told.get())
    await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        bot.queue.hurry()
    await stopping
    hurry.cancel()
    await opening.stop()
    log.info("stopped", seconds=round(time.monotonic() - started, 1))
