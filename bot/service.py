"""The bot as a service: wires all its parts, starts them in order, and stops them in order."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import structlog

from bot.chat_startup import NO_CHAT, ChatStartup, announce, configured_chats
from bot.chats.delivery import Delivery
from bot.chats.interface import Chat, ChatUnavailable
from bot.chats.web.server import WebChat, WebChatError
from bot.cli.exit_status import BAD_INPUT, FAILED, FINE, INTERRUPTED, say
from bot.config import Config, ConfigError, LocalSettings, check_local, local_token, read_config
from bot.dispatch.apply import Effects
from bot.dispatch.dispatcher import Dispatcher
from bot.engine_client.client import PROGRAM, EngineClient
from bot.engine_client.identity import engine_identity
from bot.garbage_collection import DAY, GarbageCollector
from bot.http.connections import BOUNDS, Bounds
from bot.http.file_handles import raise_limit
from bot.jobs.estimates import Estimates
from bot.jobs.inspections import Inspections
from bot.jobs.interactive_tasks import InteractiveTasks
from bot.jobs.progress import LiveProgress
from bot.jobs.queue import Queue
from bot.logs import configure_logging
from bot.metrics import Metrics
from bot.privacy.export import Exports
from bot.privacy.purge import Purge
from bot.provenance.marking import Marker
from bot.uploads.caption_downloads import CaptionDownloads
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

COPY_DAYS = 7  # that copies of the database from before an upgrade or a restoration stay
GRACE = 12.0  # seconds that running jobs have to end in when the bot stops
A_MOMENT = 0.1  # seconds that the time of a file may be behind the clock
PRIVATE_FILES = 0o077  # umask: only this user may read and write the files of the bot and the engine
LAST_CARDS = 3.0  # seconds to update the last cards in
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class CannotServe(Exception):
    """Why the bot does not start, in one sentence for the operator."""


class Bot:
    """One bot: all that its chats share."""

    def __init__(self, config: Config, database: Database, program: Sequence[str]) -> None:
        self.config = config
        self.database = database
        self.files = Files(Path(config.engine.files))
        self.library = AdapterFolder(config.adapters, self.files)
        self.metrics = Metrics()
        self.engine = EngineClient(config.engine, program, self._observe, self._remove_files)
        self.progress = LiveProgress()
        self.estimates = Estimates()
        self.garbage = GarbageCollector(database, self.files)
        self.marker = Marker(
            Path(config.engine.files),
            watermark=config.pictures.watermark,
            credentials=config.pictures.content_credentials,
        )
        identity = engine_identity(config.engine)
        self.intake = Intake(database, self.files, self.garbage, self.marker.chain)
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
            marker=self.marker,
            identity=identity,
        )
        self.inspections = Inspections(
            database=database,
            files=self.files,
            garbage=self.garbage,
            engine=self.engine,
            progress=self.progress,
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
            write_captions=CaptionDownloads(database, self.files, self.garbage).write,
            purge=self.purge,
            marker=self.marker,
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
            refines=config.engine.model == SMALL or bool(config.engine.refiner),
            model=config.engine.model,
            engine=identity,
            admins=admins(config),
        )
        self._started = time.monotonic()
        self._opened = time.time() - A_MOMENT
        self._services: list[asyncio.Task[None]] = []
        self._removing: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, config: Config, program: Sequence[str] = PROGRAM) -> "Bot":
        """Open the configured database, created or migrated where needed. Raises DatabaseError."""
        return cls(config, await Database.open(config.database), program)

    def add(self, chat: Chat) -> None:
        """Deliver cards to this chat from now on."""
        self._chats[chat.name] = chat
        self.delivery.retry_absent()

    async def start(self) -> None:
        """Start to deliver and to paint; the engine loads its model meanwhile. Raises CannotStore."""
        self._services = [
            asyncio.create_task(self.metrics.watch_event_loop()),
            asyncio.create_task(self._clean_up_daily()),
        ]
        await self.queue.start()
        self._services.append(asyncio.create_task(self.inspections.run()))
        await self.delivery.start()
        self._services.append(asyncio.create_task(self.purge.run()))

    async def stop(self, grace: float = GRACE) -> None:
        """Accept no more, let jobs end within the grace or queue them again, and update every card."""
        self.dispatch.refuse()
        for service in self._services:
            service.cancel()
        await asyncio.gather(*self._services, return_exceptions=True)
        await self.queue.stop(grace)
        await asyncio.gather(*self._removing)
        await self.delivery.stop(LAST_CARDS)

    async def close(self) -> None:
        """End the processes and threads of pictures, and close the database."""
        await self.intake.close()
        self.marker.close()
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
        """The jobs whose rows may be about to change."""
        return {*self.queue.jobs, *self.inspections.jobs, *self.delivery.jobs}

    def _observe(self, event: Event) -> None:
        self.metrics.observe(event)
        self.queue.observe(event)

    def _remove_files(self, left: Sequence[Sha256]) -> None:
        """Remove files that the engine stored for a job that had already ended."""
        removing = asyncio.create_task(self.garbage.remove(left))
        self._removing.add(removing)
        removing.add_done_callback(self._removing.discard)

    async def _clean_up_daily(self) -> None:
        """Once a day remove files that nobody needs: leftovers of killed programs, unused uploads."""
        started: float | None = self._opened
        while True:
            try:
                await self.files.make_private()
                await self.files.tidy(started)
                started = None
                await self.library.list_files()  # logs which files are skipped before somebody misses them
                await self.garbage.sweep()
                await self.database.remove_old_copies(time.time() - COPY_DAYS * DAY)
            except (CannotStore, OSError) as error:
                log.warning("Store could not be cleaned up", reason=str(error))
            await asyncio.sleep(DAY)

    def _engine_state(self) -> str:
        if self.queue.trouble:
            return "dead"
        if self.engine.ready:
            return "hung" if self.engine.overdue else "ready"
        return "starting" if self.engine.starts <= 1 else "starting again"


async def serve(config: Config, program: Sequence[str] = PROGRAM) -> None:
    """Serve all configured chats until SIGTERM or SIGINT. Raises CannotServe with one sentence."""
    signals = _listen_for_signals()
    try:
        bot = await Bot.open(config, program)
        try:
            await _serve(bot, signals)
        finally:
            await bot.close()
    except (DatabaseError, CannotStore, WebChatError, ChatUnavailable) as error:
        raise CannotServe(str(error)) from error


def main(words: Sequence[str], program: Sequence[str] = PROGRAM) -> int:
    """Serve until a signal, with the configuration that these words name; returns the exit status."""
    try:
        config = _read_config(**parse(words, parameters(_read_config)))
        configure_logging(config.log)
        raise_limit()
        os.umask(PRIVATE_FILES)
        asyncio.run(serve(config, program))
    except (ConfigError, InvalidRequest) as error:
        return say(str(error), BAD_INPUT)
    except CannotServe as error:
        return say(str(error), FAILED)
    except KeyboardInterrupt:  # before anything had started
        return say("Stopped.", INTERRUPTED)
    return FINE


def _read_config(
    *,
    config: Annotated[Path | None, Option("Settings file instead of config.toml", read=Path)] = None,
) -> Config:
    settings = read_config(config)
    check_local(settings.local)
    return settings


async def _serve(bot: Bot, signals: asyncio.Queue[str]) -> None:
    """Serve until a signal. The web chat is started first: a port in use is reported before all else."""
    web = local_chat(bot, bot.config.local, local_token()) if bot.config.local.enabled else None
    startup = ChatStartup(configured_chats(bot), bot.add, alone=web is None)
    if web is None and not startup.chats:
        raise CannotServe(NO_CHAT)
    address = None if web is None else await web.start()
    if web is not None:
        bot.add(web)
    try:
        await bot.start()
        gc.collect()
        gc.freeze()  # what is there now stays: each full collection would block the event loop for 60 ms
        if address is not None:
            announce(address)
        log.info("Stopping", signal=await _wait_for_stop(startup, signals, bot.database))
    finally:
        await _stop(bot, startup, signals)
        if web is not None:
            await web.stop()


async def _wait_for_stop(startup: ChatStartup, signals: asyncio.Queue[str], database: Database) -> str:
    """Wait for a signal, and start the other chats meanwhile.

    Raises ChatUnavailable when no chat can be served, CannotServe when the database is gone.
    """
    started, signal, gone = (
        asyncio.create_task(startup.start()),
        asyncio.create_task(signals.get()),
        asyncio.create_task(database.wait_until_lost()),
    )
    try:
        await asyncio.wait({started, signal, gone}, return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            started.result()
            await asyncio.wait({signal, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done() and not signal.done():
            raise CannotServe(gone.result())
        return await signal
    finally:
        for task in (started, signal, gone):
            task.cancel()


def admins(config: Config) -> Admins:
    """The admins. Names on the web page count only where nobody but this machine can open it."""
    named = {"local": config.admins.local, "discord": config.admins.discord, "slack": config.admins.slack}
    alone = config.local.is_loopback and local_token() is None
    return Admins(named=named, by_name=("local",) if alone else ())


def local_chat(
    bot: Bot,
    settings: LocalSettings,
    token: str | None,
    bounds: Bounds = BOUNDS,
) -> WebChat:
    """The web chat; whoever comes from another machine must know the token."""
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


def _listen_for_signals() -> asyncio.Queue[str]:
    """SIGTERM and SIGINT as they arrive; the second one means to stop at once."""
    signals: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, signals.put_nowait, number.name)
    return signals


async def _stop(bot: Bot, startup: ChatStartup, signals: asyncio.Queue[str]) -> None:
    """Stop in order, within GRACE and a little; another signal ends the grace at once."""
    started = time.monotonic()
    stopping = asyncio.create_task(bot.stop())
    hurry = asyncio.create_task(signals.get())
    await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        bot.queue.hurry()
    await stopping
    hurry.cancel()
    await startup.stop()
    log.info("Stopped", seconds=round(time.monotonic() - started, 1))
