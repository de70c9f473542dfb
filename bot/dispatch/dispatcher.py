"""The dispatcher: what people call for is run in a transaction, and answered once that is on disk."""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from bot.chats.delivery import Delivery
from bot.chats.interface import Caller, CardReply, RefusalReply, Reply
from bot.config import QueueSettings
from bot.dispatch.apply import Effects, Outcome, after_purge, apply_answer
from bot.dispatch.invocation import (
    Invocation,
    from_button,
    from_form,
    from_reaction,
    from_recipe,
    from_text,
)
from bot.dispatch.lookups import Lookups
from bot.dispatch.lora_library import FolderContents, PersonLibrary, read_folder
from bot.dispatch.manifests import fill_in_pictures, store_manifest
from bot.dispatch.refusal_count import count
from bot.dispatch.settings_cache import SettingsCache
from bot.garbage_collection import GarbageCollector
from bot.jobs.estimates import Estimates
from bot.jobs.progress import LiveProgress
from bot.jobs.queue import Queue
from commands import reactions
from commands.admission import check_not_blocked
from commands.answers import RunTask
from commands.context import ChatContext
from commands.limits import MEGABYTE
from commands.permissions import NOBODY, Admins, NotAllowed
from commands.syntax.lora_syntax import Library, LoraUse
from engine.messages import INLINE, InvalidRequest, JobId, Manifest
from storage import jobs, limits, people, privacy, space_settings, spaces, views
from storage.database import CannotStore, Database
from storage.files import Files
from storage.ids import new_job_id
from storage.privacy import Deletion
from storage.space_settings import SpaceSettings
from storage.tables import Person, Space

log = structlog.get_logger(__name__)

STOPPING = "The bot is restarting. Nothing was filed. Say it again in a minute."
FORGOTTEN = "This was deleted with all that was stored about you. Say it again if you mean it."
REDELIVERED = 3600.0  # seconds in which a chat may deliver the same once more


@dataclass(frozen=True, kw_only=True)
class _Call:
    """Who calls for what. `job` is the id of a new job; `again`: the chat may have delivered this before."""

    caller: Caller
    invocation: Invocation
    job: JobId
    again: bool


@dataclass(frozen=True, kw_only=True)
class _Committed:
    """What a transaction has left."""

    space: Space
    person_id: int
    outcome: Outcome


class Dispatcher(Lookups):
    """Every chat's words, forms, buttons and reactions come here."""

    def __init__(
        self,
        *,
        database: Database,
        files: Files,
        garbage: GarbageCollector,
        folder: Library,
        queue: Queue,
        delivery: Delivery,
        effects: Effects,
        progress: LiveProgress,
        estimates: Estimates,
        limits: QueueSettings,
        largest_rank: int,
        small: bool,
        refines: bool = False,
        model: str = "",
        engine: str = "",
        admins: Admins = NOBODY,
    ) -> None:
        super().__init__(
            database=database, folder=folder, delivery=delivery, progress=progress, admins=admins
        )
        self._files = files
        self._garbage = garbage
        self._queue = queue
        self._effects = effects
        self._estimates = estimates
        self._limits = limits
        self._largest_rank = largest_rank
        self._small = small
        self._refines = refines
        self._model = model
        self._engine = engine
        self._settings = SettingsCache()
        self._spaces: dict[tuple[str, str], Space] = {}  # as they are in the table, by chat and key
        self._gone: set[JobId] = set()  # jobs of the forgotten, which a chat may deliver once more
        self._stopping = False

    async def say(self, caller: Caller, text: str, job: JobId | None = None) -> Reply:
        """Run a command as somebody wrote it; `job` is the id that a new job is to have.

        A chat that hands the same `job` in again gets the same reply, and nothing is filed twice.
        """
        return await self._answer(caller, text, lambda: from_text(text), job)

    async def fill(
        self,
        caller: Caller,
        command: str,
        values: Mapping[str, str],
        job: JobId | None = None,
        origin: JobId | None = None,
    ) -> Reply:
        """Run a command whose form somebody filled in; `origin` is the job whose button showed it."""
        return await self._answer(caller, str(dict(values)), lambda: from_form(command, values, origin), job)

    async def read_recipe(self, caller: Caller, text: str) -> Reply:
        """The form of /imagine with the recipe that this text is."""
        return await self._answer(caller, text, lambda: from_recipe(text), None)

    async def press(self, caller: Caller, button: str, job: JobId | None = None) -> Reply:
        """Run what a button under a card stands for."""
        return await self._answer(caller, button, lambda: from_button(button), job)

    async def react(
        self, caller: Caller, message: str, emoji: str, added: bool = True, job: JobId | None = None
    ) -> Reply | None:
        """Run what an emoji under a card stands for; None: it means nothing there."""
        action = reactions.find_action(emoji, added=added)
        view = await self.find_view(caller, message) if action is not None else None
        if action is None or view is None:
            return None
        if not reactions.applies(view, action, mine=view.person_key == caller.person):
            return None
        return await self._answer(caller, emoji, lambda: from_reaction(view.id, action, added), job)

    async def forget_space(self, chat: str, space: str) -> None:
        """The bot is in this space no more: nothing of it stays. Raises CannotStore."""

        async def work(session: AsyncSession) -> Deletion:
            self._spaces.pop((chat, space), None)  # what follows in the same transaction meets another one
            return await privacy.forget_space(session, chat, space, time.time())

        forgotten = await self._database.write(work)
        log.info("A space is forgotten", chat=chat, jobs=forgotten.counts.prompts)
        await self._follow(after_purge(forgotten))

    async def forget_left(self, chat: str, named: Collection[str]) -> None:
        """Forget the spaces that this chat has named no more for long; `named` are all of today.

        Raises CannotStore.
        """
        look = partial(spaces.find_left, chat=chat, named=named, now=time.time())
        for space in await self._database.write(look):
            log.info("The bot was removed from a space while it did not listen", chat=chat)
            await self.forget_space(chat, space)

    def refuse(self) -> None:
        """Take nothing more: the bot is about to stop."""
        self._stopping = True

    async def _answer(
        self, caller: Caller, words: str, read: Callable[[], Invocation], wanted: JobId | None
    ) -> Reply:
        """The reply to one call; every error ends here."""
        job, started = wanted or new_job_id(), time.monotonic()
        if self._stopping:
            return RefusalReply(text=STOPPING)
        name, call_log = "", log.bind(chat=caller.chat, person=caller.person, text=words)
        try:
            invocation = read()
            name = invocation.name
            try:
                again = wanted is not None
                reply = await self._invoke(_Call(caller=caller, invocation=invocation, job=job, again=again))
            finally:
                if invocation.admin:
                    self._settings.forget()
        except (InvalidRequest, CannotStore) as refusal:
            if isinstance(refusal, NotAllowed):
                await count(self._database, caller, refusal)
            call_log.info("Refused", what=name, kind=type(refusal).__name__)
            return RefusalReply(text=str(refusal))
        except Exception:
            call_log.exception("Unexpected error", what=name, number=job)
            return RefusalReply(text=f"Something went wrong. The log has it under {job}.")
        seconds = round(time.monotonic() - started, 4)
        filed = reply.job if isinstance(reply, CardReply) else None
        call_log.info("Answered", what=name, job=filed, seconds=seconds)
        return reply

    async def _invoke(self, call: _Call) -> Reply:
        """Commit what the answer means, then do what follows."""
        committed = await self._commit(call)
        task, person_id = committed.outcome.reply, committed.person_id
        if isinstance(task, RunTask):
            async with self._effects.task_result(task, person_id) as result:
                invocation = replace(
                    call.invocation,
                    run=partial(task.finish, result=result),
                    loras=LoraUse(folder=call.invocation.loras.folder),
                )
                committed = await self._commit(replace(call, invocation=invocation, again=False))
        await self._follow(committed.outcome)
        reply = await self._effects.reply(committed.outcome.reply, person_id)
        return await fill_in_pictures(self._files, reply)

    async def _commit(self, call: _Call) -> _Committed:
        """One transaction. What of the folder of LoRAs is put into the store before has to stay there until
        the row that needs it is written.
        """
        caller, invocation = call.caller, call.invocation
        stores = invocation.loras.names or len(invocation.pictures) > INLINE
        async with self._garbage.pause() if stores else nullcontext():
            folder = await read_folder(self._folder, invocation.loras)
            manifest = await store_manifest(self._files, invocation.pictures)
            megabytes = await self._megabytes(caller, invocation)
            committed = await self._database.write(
                lambda session: self._apply(session, call, folder, megabytes, manifest)
            )
        self._spaces[caller.chat, caller.space] = committed.space  # it is on disk, and no space ever goes
        return committed

    async def _apply(
        self,
        session: AsyncSession,
        call: _Call,
        folder: FolderContents,
        megabytes: float,
        manifest: Manifest | None,
    ) -> _Committed:
        """Run it and write the rows that its answer means, inside this transaction."""
        caller, invocation, job = call.caller, call.invocation, call.job
        space = self._spaces.get((caller.chat, caller.space))
        if space is None or space.name != caller.space_name:
            space = await people.upsert_space(session, caller.chat, caller.space, caller.space_name)
        person = await people.upsert_person(session, caller.chat, caller.person, caller.person_name)
        if call.again and await jobs.was_created_since(session, job, person.id, time.time() - REDELIVERED):
            return _Committed(space=space, person_id=person.id, outcome=Outcome(reply=CardReply(job=job)))
        if call.again and job in self._gone:
            raise InvalidRequest(FORGOTTEN)
        home = await _home(session, caller, invocation, person) or space
        settings = await self._settings.read(session, home.id, caller)
        check_not_blocked(settings, invocation.name)
        context = self._context(session, call, person, home, settings, folder, megabytes, manifest)
        outcome = await apply_answer(context, await invocation.run(context), self._queue.engine_seconds)
        if invocation.admin:
            self._settings.forget()  # what follows in the same transaction reads what was changed
        if outcome.forgot:
            self._spaces.clear()  # what follows in the same transaction meets other ones
        return _Committed(space=space, person_id=person.id, outcome=outcome)

    def _context(
        self,
        session: AsyncSession,
        call: _Call,
        person: Person,
        home: Space,
        settings: SpaceSettings,
        folder: FolderContents,
        megabytes: float,
        manifest: Manifest | None,
    ) -> ChatContext:
        """What the command's handler knows; its LoRAs are those of the space where it is at `home`."""
        caller = call.caller
        library = PersonLibrary(
            session=session, space_id=home.id, person_id=person.id, folder=folder, mixed=settings.mixed
        )
        return ChatContext(
            job=call.job,
            library=library,
            model=self._model,
            small=self._small,
            refines=self._refines,
            largest_rank=self._largest_rank,
            session=session,
            space=home,
            person=person,
            channel=caller.channel,
            admin=self.is_admin(caller),
            direct=caller.direct,
            adult=caller.adult,
            space_settings=settings,
            admins=self._admins,
            engine=self._engine,
            now=time.time(),
            estimates=self._estimates,
            per_person=self._limits.per_person,
            megabytes=megabytes,
            manifest=manifest,
        )

    async def _megabytes(self, caller: Caller, invocation: Invocation) -> float:
        """What they keep where the invocation is at home, if that is limited. Raises OSError."""
        space = self._spaces.get((caller.chat, caller.space))
        elsewhere = invocation.about is not None and caller.direct
        if space is not None and not elsewhere and not self._settings.may_limit_files(space.id):
            return 0.0
        async with self._database.reading() as session:
            person = await people.find_person(session, caller.chat, caller.person)
            if person is None:
                return 0.0
            home = await _home(session, caller, invocation, person) or space
            here = home.id if home else await people.find_space_id(session, caller.chat, caller.space)
            if here is None:
                return 0.0
            settings = await space_settings.effective_settings(session, here, caller.person, caller.roles)
            if settings.limits.megabytes is None:
                return 0.0
            files = await limits.files(session, here, person.id)
        return await self._files.total_size(files) / MEGABYTE

    async def _follow(self, outcome: Outcome) -> None:
        if outcome.forgot:
            self._spaces.clear()
            self._settings.forget()
            self._gone.update(outcome.touched, outcome.stopped)
        await self._effects.follow(outcome)


async def _home(
    session: AsyncSession, caller: Caller, invocation: Invocation, person: Person
) -> Space | None:
    """Where the touched job belongs: in a direct channel it may be of another space, with its own LoRAs."""
    if invocation.about is None or not caller.direct:
        return None
    view = await views.view(session, None, invocation.about, person_id=person.id, direct=True)
    return None if view is None else await session.get_one(Space, view.space_id)
