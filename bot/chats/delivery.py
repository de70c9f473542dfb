"""Delivery of cards: each message is brought up to its row, as often as its chat allows."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import structlog

from bot.cards.job_card import card
from bot.chats.interface import CardRefused, Chat, NotYet
from bot.jobs.progress import LiveProgress
from bot.metrics import Metrics
from bot.pacing.backoff import Backoff
from commands.answers import Notice
from engine.messages import JobId
from storage import jobs, views
from storage.database import CannotStore, Database
from storage.views import JobView

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds before a card that failed is tried again, doubled each time
GATHERING = 0.02  # seconds: cards touched within it are read together, and replies go out before them
REPLIES_FIRST = 0.5  # seconds that cards wait at most for the commands of a crowd to be answered
AT_ONCE = 20  # cards that are drawn before the event loop sees to others
PATIENCE = 30.0  # seconds that a chat may take to show a card
ON_ITS_WAY = 2.0  # seconds in which most chats say what message it is
SWEEP_SECONDS = 60.0  # between two looks for cards that were missed
SWEEP = 500  # cards at once


@dataclass(frozen=True, kw_only=True)
class Bare:
    """A card that its chat takes without its pictures alone: in which state and message, and why."""

    state: str
    message: str
    reason: str


@dataclass(kw_only=True)
class CardRecord:
    """What is known of one card beyond its row, as long as there is anything to know."""

    resting: bool = False  # being shown, shown a moment ago, or waiting after a failure
    backoff: Backoff | None = None  # since it failed last
    posted: str | None = None  # a message that the row does not know yet
    left: list[tuple[str, str]] = field(default_factory=list)  # channels and messages that it leaves
    bare: Bare | None = None
    refused: int | None = None  # the revision that the chat refused for good
    owner_told: bool = False  # that it cannot be shown
    absent: bool = False  # its chat is switched off


class Delivery:
    """Shows what was touched. The last state wins, and the chat has it before the row says so."""

    def __init__(
        self, database: Database, chats: Mapping[str, Chat], progress: LiveProgress, metrics: Metrics
    ) -> None:
        self._database = database
        self._chats = chats
        self._progress = progress
        self._metrics = metrics
        self._records: defaultdict[JobId, CardRecord] = defaultdict(CardRecord)
        self._dirty: set[JobId] = set()  # to be shown
        self._busy: set[JobId] = set()  # being read or shown
        self._unwritten: dict[int, tuple[int, str | None]] = {}  # what rows must be told, by number
        self._writing = asyncio.Lock()
        self._woken = asyncio.Event()
        self._calm = asyncio.Event()
        self._calm.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._services: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start, with all cards that the chats may not show yet."""
        self._services = [asyncio.create_task(self._work()), asyncio.create_task(self._sweep())]

    def touch(self, touched: Collection[JobId]) -> None:
        """These cards may look different now."""
        if touched:
            self._dirty.update(touched)
            self._calm.clear()
            self._woken.set()

    @property
    def jobs(self) -> Collection[JobId]:
        """Those whose cards are being shown, or are about to be."""
        return self._dirty | self._busy

    def retry_absent(self) -> None:
        """A chat is there that was not: its cards are looked for again."""
        absent = [job for job, record in self._records.items() if record.absent]
        for job in absent:
            self._records[job].absent = False
        self.touch(absent)

    def repost(self, job: JobId, left: tuple[str, str] | None) -> None:
        """The job's card is to be shown in a new message, whatever was refused: the old one goes first."""
        record = self._records[job]
        if left is not None:
            record.left.append(left)
        record.bare, record.refused, record.owner_told = None, None, False

    async def wait_until_shown(self) -> None:
        """Wait until every touched card is shown, but for those that a chat did not take at once."""
        await self._calm.wait()

    async def wait_for_posts(self) -> None:
        """Wait a moment for the cards that are on their way.

        People see a card, and can react to it, before the chat has told us which message it is.
        """
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=ON_ITS_WAY)

    async def stop(self, grace: float) -> None:
        """Show what can be shown within the grace in seconds; the rest is shown after the next start."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.wait_until_shown()
        ending = [*self._services, *self._tasks]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            await self._woken.wait()
            await asyncio.sleep(GATHERING)
            await self._database.wait_for_writers(REPLIES_FIRST)
            self._woken.clear()
            due = {job for job in self._dirty if not self._records[job].resting}
            for job in due:
                self._records[job].resting = True
            self._dirty -= due
            self._busy |= due
            for number, view in enumerate(await self._read(due) if due else (), start=1):
                task = asyncio.create_task(self._deliver(view), name=f"card {view.id}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)

    async def _read(self, due: Collection[JobId]) -> list[JobView]:
        """Read the rows of these cards in one query."""
        try:
            async with self._database.reading() as session:
                rows = await views.views(session, due)
        except Exception:
            log.exception("Cards not read", cards=len(due))
            for job in due:
                self._retry(job)
            return []
        for job in set(due) - {view.id for view in rows}:
            self._rest(job, 0.0)
        return rows

    async def _sweep(self) -> None:
        """Look for cards that nobody touched: at the start all undelivered, later missed ones."""
        while True:
            try:
                more = await self._look_for_more()
            except Exception:
                log.exception("Undelivered cards not looked for")
                more = False
            await asyncio.sleep(1.0 if more else SWEEP_SECONDS)

    async def _look_for_more(self) -> bool:
        """Touch the oldest undelivered cards; whether there are more of them."""
        noted = self._dirty | {
            job for job, record in self._records.items() if record.resting or record.absent
        }
        async with self._database.reading() as session:
            missing = await jobs.list_unshown(session, SWEEP + len(noted))
        unknown = [job for job in missing if job not in noted][:SWEEP]
        self.touch(unknown)
        return len(unknown) == SWEEP

    async def _deliver(self, view: JobView) -> None:
        """Show one card; if that fails, try again later."""
        chat = self._chats.get(view.chat)
        record = self._records[view.id]
        if chat is None:  # that chat is switched off; the card is shown when it is back
            record.absent = True
            self._rest(view.id, 0.0)
            return
        if record.refused == view.revision:
            self._finish(view.id, 0.0)
            return
        try:
            try:
                async with asyncio.timeout(PATIENCE):
                    message = await self._show(chat, view, record)
                await self._note_shown(view, record, message)
            except CardRefused as refusal:
                await self._handle_refusal(chat, view, record, refusal)
                return
        except NotYet as wait:
            self._dirty.add(view.id)
            record.backoff = record.backoff or Backoff(FIRST_PAUSE, LONGEST_PAUSE)
            self._rest(view.id, wait.seconds)
        except Exception as error:
            self._metrics.cards.labels("failed").inc()
            log.warning("Card failed", job=view.id, chat=view.chat, reason=repr(error))
            self._retry(view.id)
        else:
            self._metrics.cards.labels("shown").inc()
            record.refused = None
            self._finish(view.id, chat.every)

    async def _show(self, chat: Chat, view: JobView, record: CardRecord) -> str | None:
        for channel, left in record.left:
            with suppress(CardRefused):  # it stays; the new one is the card
                await chat.remove(channel, left)
        record.left.clear()
        message = view.message or record.posted
        if not view.deleted:
            return await self._draw(chat, view, record, message)
        if message is not None:
            await chat.remove(view.channel, message)
        return None

    async def _draw(self, chat: Chat, view: JobView, record: CardRecord, message: str | None) -> str:
        """Show the card, without its pictures where the chat refuses them; the message's key."""
        full = card(view, self._progress.get(view.id))
        bare = record.bare
        if bare is None or (bare.state, bare.message) != (view.state, message):
            try:
                shown = await chat.show(view.channel, message, full)
            except CardRefused as refusal:
                if not refusal.bare:
                    raise
                reason = str(refusal)
                log.info("Card refused with its pictures", job=view.id, chat=view.chat, reason=reason)
            else:
                record.bare = None
                return shown
        else:
            reason = bare.reason
        shown = await chat.show(view.channel, message, replace(full, bare=reason))
        record.bare = Bare(state=view.state, message=shown, reason=reason)
        return shown

    async def _handle_refusal(
        self, chat: Chat, view: JobView, record: CardRecord, refusal: CardRefused
    ) -> None:
        """Tell the card's owner once, and let the card rest until it changes."""
        if refusal.anew and view.message is not None and view.ended_at is not None and not view.deleted:
            await self._post_anew(view, view.message)
            return
        self._metrics.cards.labels("refused").inc()
        log.warning("Card refused", job=view.id, chat=view.chat, reason=str(refusal))
        if not refusal.anew and not view.deleted and not record.owner_told:
            record.owner_told = True
            await self._tell(chat, view, str(refusal))
        await self._park(view, record)

    async def _tell(self, chat: Chat, view: JobView, reason: str) -> None:
        text = f"The card of job {view.id} cannot be shown. {reason} /show {view.id} tries it again."
        try:
            async with asyncio.timeout(PATIENCE):
                await chat.tell(view.channel, card(view, None), text)
        except Exception as error:
            log.warning("Owner not told of a refused card", job=view.id, reason=repr(error))

    def notify(self, notice: Notice) -> None:
        """Tell one person of a job directly, if the chat lets it through."""
        task = asyncio.create_task(self._notify(notice), name=f"notice {notice.job}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self, notice: Notice) -> None:
        async with self._database.reading() as session:
            (view,) = await views.views(session, [notice.job])
        chat = self._chats.get(view.chat)
        if chat is None:
            return
        # Under the job's own id it would be told where the job's person asks.
        addressed = replace(card(view, None), job=JobId(f"notice of {view.id}"), person_key=notice.person_key)
        try:
            async with asyncio.timeout(PATIENCE):
                await chat.tell(view.channel, addressed, notice.text)
        except Exception as error:
            log.warning("Person not told", job=view.id, reason=repr(error))

    async def _post_anew(self, view: JobView, message: str) -> None:
        """Post the card again, since its message can no longer be changed."""
        log.info("Card posted anew", job=view.id, chat=view.chat)
        move = partial(jobs.move, number=view.number, channel=view.channel, private=view.private)
        await self._database.write(move)
        self.repost(view.id, (view.channel, message))
        self._retry(view.id)

    async def _note_shown(self, view: JobView, record: CardRecord, message: str | None) -> None:
        """Write down that the chat shows it, unless the row says so already."""
        if view.shown >= view.revision and view.message == message:
            return
        if message is not None:
            record.posted = message
        self._unwritten[view.number] = (view.revision, message)
        async with self._writing:  # who comes first writes for all who wait
            if view.number in self._unwritten:
                await self._write()
        record.posted = None

    async def _write(self) -> None:
        written, self._unwritten = self._unwritten, {}
        try:
            await self._database.write(lambda session: jobs.mark_all_shown(session, written))
        except BaseException:
            self._unwritten = written | self._unwritten
            raise

    async def _park(self, view: JobView, record: CardRecord) -> None:
        """Treat the card as shown until it changes."""
        with suppress(CannotStore):
            await self._note_shown(view, record, view.message or record.posted)
            record.refused = view.revision
        record.posted = None
        self._finish(view.id, 0.0)

    def _finish(self, job: JobId, seconds: float) -> None:
        """Let the card rest, with nothing to try again."""
        self._records[job].backoff = None
        self._rest(job, seconds)

    def _retry(self, job: JobId) -> None:
        record = self._records[job]
        record.backoff = record.backoff or Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._dirty.add(job)
        self._rest(job, record.backoff.next())

    def _rest(self, job: JobId, seconds: float) -> None:
        self._busy.discard(job)
        if not self._busy and all(self._records[dirty].backoff for dirty in self._dirty):
            self._calm.set()
        asyncio.get_running_loop().call_later(seconds, self._end_rest, job)

    def _end_rest(self, job: JobId) -> None:
        record = self._records[job]
        record.resting = False
        if job in self._dirty:
            self._woken.set()
        elif record == CardRecord():
            del self._records[job]
