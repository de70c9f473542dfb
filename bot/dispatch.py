"""What people say is carried out: written down first, answered after."""

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from bot.card import Card
from bot.cards import card
from bot.config import QueueSettings
from bot.delivery import Delivery
from bot.drafts import Drafts
from bot.front import Asker
from bot.known import Known, NotYetKnown
from bot.leftovers import Leftovers
from bot.library import PersonLibrary
from bot.live import Live
from bot.pace import Pace
from bot.queue import Queue
from commands import actions, book, forms, settings, text
from commands.answers import (
    Answer,
    Cancelling,
    Changed,
    Filed,
    Finishing,
    Form,
    Gift,
    Listing,
    Said,
    Shown,
    Started,
)
from commands.context import ChatContext
from commands.jobs import job_here
from commands.limits import check_room
from commands.loras import Library
from commands.spec import Command
from engine.messages import InvalidRequest, JobId, Paint, Sha256
from storage import adapters, jobs, people, trainings, views
from storage.adapters import LoraView
from storage.database import CannotStore, Database
from storage.ids import new_job_id
from storage.tables import Space

log = structlog.get_logger(__name__)

STOPPING = "the bot is being restarted: nothing was filed, please say it again in a minute."
LOOK_UPS = 20  # of the library, within one call

Handler = Callable[[ChatContext], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the person who asked is told, and nobody else. A job's card comes to the channel by itself."""

    text: str = ""
    job: JobId | None = None
    form: Form | None = None
    files: tuple[tuple[str, Sha256], ...] = ()
    loras: tuple[LoraView, ...] = ()
    ok: bool = True


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """A reply, and what is to be done once it is on disk."""

    reply: Reply
    touched: tuple[JobId, ...] = ()
    filed: Paint | None = None
    ended: tuple[JobId, ...] = ()  # which the engine may still be at
    finishing: JobId | None = None
    unneeded: tuple[Sha256, ...] = ()
    moved: tuple[str, str] | None = None  # the channel and the message that a card leaves


class Dispatch:
    """Every front end's words, forms and buttons come here."""

    def __init__(
        self,
        *,
        database: Database,
        leftovers: Leftovers,
        folder: Library,
        queue: Queue,
        drafts: Drafts,
        delivery: Delivery,
        live: Live,
        pace: Pace,
        limits: QueueSettings,
        largest_rank: int,
        small: bool,
    ) -> None:
        self._database = database
        self._leftovers = leftovers
        self._folder = folder
        self._queue = queue
        self._drafts = drafts
        self._delivery = delivery
        self._live = live
        self._pace = pace
        self._limits = limits
        self._largest_rank = largest_rank
        self._small = small
        self._spaces: dict[tuple[str, str], Space] = {}  # as they are in the table, by chat and key
        self._stopping = False

    async def say(self, asker: Asker, text: str) -> Reply:
        """Carry out a command as somebody wrote it."""
        return await self._answered(asker, text, lambda: _said(text))

    async def fill(self, asker: Asker, command: str, values: Mapping[str, str]) -> Reply:
        """Carry out a command whose form somebody filled in."""
        return await self._answered(asker, str(dict(values)), lambda: _filled(command, values))

    async def press(self, asker: Asker, button: str) -> Reply:
        """Carry out what a button under a card stands for."""
        return await self._answered(asker, button, lambda: _pressed(button))

    async def jobs(self, asker: Asker, before: int | None, limit: int) -> list[Card]:
        """The cards of the asker's channel, newest first: those with numbers under `before`, or all."""
        async with self._database.reading() as session:
            space = await people.space_id(session, asker.chat, asker.space)
            if space is None:
                return []
            found = await views.views(
                session, await jobs.recent(session, space, asker.channel, before, limit)
            )
        shown = sorted(found, key=lambda view: view.number, reverse=True)
        return [card(view, self._live.get(view.id)) for view in shown]

    async def card(self, asker: Asker, job: JobId) -> Card | None:
        """The card of one job of the asker's space; None when there is none."""
        async with self._database.reading() as session:
            space = await people.space_id(session, asker.chat, asker.space)
            view = None if space is None else await views.view(session, space, job)
        return None if view is None or view.deleted else card(view, self._live.get(view.id))

    def refuse(self) -> None:
        """Take nothing more: the bot is about to stop."""
        self._stopping = True

    async def _answered(self, asker: Asker, words: str, read: Callable[[], tuple[str, Handler]]) -> Reply:
        """The reply to one call; every error ends here."""
        job, started = new_job_id(), time.monotonic()
        if self._stopping:
            return Reply(ok=False, text=STOPPING)
        name, noted = "", log.bind(chat=asker.chat, person=asker.person, text=words)
        try:
            name, handler = read()
            outcome = await self._carried_out(asker, job, handler)
            await self._after(outcome)
        except (InvalidRequest, CannotStore) as refusal:
            noted.info("refused", what=name, kind=type(refusal).__name__)
            return Reply(ok=False, text=str(refusal))
        except Exception:
            noted.exception("unexpected error", what=name, number=job)
            return Reply(ok=False, text=f"sorry, something went wrong: the log has it under {job}.")
        seconds = round(time.monotonic() - started, 4)
        noted.info("answered", what=name, job=outcome.reply.job, seconds=seconds)
        return outcome.reply

    async def _carried_out(self, asker: Asker, job: JobId, handler: Handler) -> _Outcome:
        """One transaction; what the folder of LoRAs is asked is asked between two tries, outside of it.

        What that puts into the store has to stay there until the row that needs it is written.
        """
        folder = Known()
        async with AsyncExitStack() as asking:
            for tries in range(LOOK_UPS):
                try:
                    space, outcome = await self._database.write(self._work(asker, job, handler, folder))
                except NotYetKnown as question:
                    if not tries:
                        await asking.enter_async_context(self._leftovers.keeping())
                    folder = await folder.asked(question, self._folder)
                else:
                    self._spaces[asker.chat, asker.space] = space  # it is on disk, and no space ever goes
                    return outcome
        raise InvalidRequest("too many LoRAs were asked for at once.")

    def _work(
        self, asker: Asker, job: JobId, handler: Handler, folder: Known
    ) -> Callable[[AsyncSession], Awaitable[tuple[Space, _Outcome]]]:
        async def work(session: AsyncSession) -> tuple[Space, _Outcome]:
            space = self._spaces.get((asker.chat, asker.space))
            if space is None or space.name != asker.space_name:
                space = await people.space(session, asker.chat, asker.space, asker.space_name)
            person = await people.person(session, asker.chat, asker.person, asker.person_name)
            context = ChatContext(
                job=job,
                library=PersonLibrary(session=session, space_id=space.id, person_id=person.id, folder=folder),
                small=self._small,
                largest_rank=self._largest_rank,
                session=session,
                space=space,
                person=person,
                channel=asker.channel,
                admin=asker.admin,
                now=time.time(),
                pace=self._pace,
                per_person=self._limits.per_person,
            )
            return space, await self._settled(context, await handler(context))

        return work

    async def _settled(self, context: ChatContext, answer: Answer) -> _Outcome:
        """What an answer means for the tables, and for afterwards."""
        match answer:
            case Said():
                return _Outcome(reply=Reply(text=answer.text))
            case Form():
                return _Outcome(reply=Reply(form=answer))
            case Gift():
                return _Outcome(reply=Reply(text=answer.text, files=answer.files))
            case Listing():
                return _Outcome(reply=Reply(text=answer.text, loras=answer.loras))
            case Changed():
                reply = Reply(text=answer.text)
                return _Outcome(
                    reply=reply, touched=answer.jobs, ended=answer.stopped, unneeded=answer.unneeded
                )
            case Started():
                return _Outcome(reply=Reply(text=answer.text), touched=(answer.job,))
            case Finishing():
                return _Outcome(reply=Reply(text=answer.text), finishing=answer.job)
            case Filed():
                return await self._filed(context, answer)
            case Shown():
                return await self._shown(context, answer)
            case Cancelling():
                return await self._cancelling(context, answer)

    async def _filed(self, context: ChatContext, answer: Filed) -> _Outcome:
        request = answer.request
        if isinstance(request, Paint):
            check_room(context)
        job = await jobs.file(
            context.session,
            id=context.job,
            space_id=context.space.id,
            person_id=context.person.id,
            channel=context.channel,
            request=request,
            parent=answer.parent,
            now=context.now,
            state="draft" if answer.draft else "queued",
        )
        if isinstance(request, Paint):
            for use in request.adapters:
                await adapters.remember(context.session, use, context.now)
        else:
            await trainings.begin(context.session, job.number, request, consent_at=context.now)
        replaced = () if answer.replaced is None else (answer.replaced,)
        return _Outcome(
            reply=Reply(job=job.id),
            touched=(job.id, *replaced),
            filed=request if isinstance(request, Paint) else None,
            ended=replaced,
            unneeded=answer.unneeded,
        )

    async def _shown(self, context: ChatContext, answer: Shown) -> _Outcome:
        view = await job_here(context, answer.job)
        await jobs.move(context.session, view.number, context.channel)
        moved = None if view.message is None else (view.channel, view.message)
        return _Outcome(reply=Reply(job=view.id), touched=(view.id,), moved=moved)

    async def _cancelling(self, context: ChatContext, answer: Cancelling) -> _Outcome:
        """The row ends here and now; the engine is told when that is on disk."""
        view = await job_here(context, answer.job)
        seconds = self._queue.spent(view.id)
        unneeded = [] if view.training is None else await trainings.shed(context.session, view.number)
        await jobs.finish(context.session, view.number, state="cancelled", seconds=seconds, now=context.now)
        return _Outcome(
            reply=Reply(text=answer.text),
            touched=(view.id,),
            ended=(view.id,),
            unneeded=tuple(unneeded),
        )

    async def _after(self, outcome: _Outcome) -> None:
        for job in outcome.ended:
            self._queue.cancel(job)
            self._drafts.cancel(job)
        if outcome.finishing is not None:
            self._queue.finish(outcome.finishing)
        if outcome.moved is not None:
            self._delivery.leave(outcome.touched[0], *outcome.moved)
        self._delivery.touch(outcome.touched)
        if outcome.filed is not None:
            self._queue.filed(outcome.touched[0], outcome.filed)
        elif outcome.touched:
            self._queue.wake()
            self._drafts.wake()
        await self._leftovers.remove(outcome.unneeded)


def _said(words: str) -> tuple[str, Handler]:
    command, values = text.read(words)
    return command.name, _handler(command, values)


def _filled(name: str, texts: Mapping[str, str]) -> tuple[str, Handler]:
    command = book.find(name)
    return command.name, _handler(command, forms.values(command, texts))


def _handler(command: Command[..., Any], values: Mapping[str, Any]) -> Handler:
    async def handle(context: ChatContext) -> Answer:
        full = settings.with_defaults(context.person.settings, command, values)
        answer: Answer = await command(context, **full)
        return answer

    return handle


def _pressed(button: str) -> tuple[str, Handler]:
    action, job, picture = actions.read_button(button)

    async def handle(context: ChatContext) -> Answer:
        return await actions.press(context, await job_here(context, job), action, picture)

    return action, handle
