"""Read-only queries of chats: cards, LoRAs to complete, who is an admin."""

from bot.cards.card import Card
from bot.cards.job_card import card
from bot.chats.delivery import Delivery
from bot.chats.interface import Caller
from bot.jobs.progress import LiveProgress
from commands.completions import Candidate, Suggestion, suggestions
from commands.display_names import skeleton
from commands.job_lookup import ID
from commands.permissions import Admins
from commands.syntax.lora_syntax import Library
from engine.messages import JobId
from storage import adapters, jobs, people, views
from storage.database import Database
from storage.views import JobView

NOWHERE = 0  # no row has this id


class Lookups:
    """Queries for callers; each sees only what they may know where they are."""

    def __init__(
        self,
        *,
        database: Database,
        folder: Library,
        delivery: Delivery,
        progress: LiveProgress,
        admins: Admins,
    ) -> None:
        self._database = database
        self._folder = folder
        self._delivery = delivery
        self._progress = progress
        self._admins = admins

    async def card_of_message(self, caller: Caller, message: str) -> Card | None:
        """The card that this message shows, if the caller may see it here."""
        view = await self.find_view(caller, message)
        return None if view is None or view.deleted else card(view, self._progress.get(view.id))

    async def complete_loras(self, caller: Caller, words: str, limit: int = 25) -> list[Suggestion]:
        """Completions for the last of these words, separated by commas: LoRAs that the caller may use."""
        folder = await self._folder.list_files()
        async with self._database.reading() as session:
            space = await people.find_space_id(session, caller.chat, caller.space)
            somebody = await people.find_person(session, caller.chat, caller.person)
            trained = await adapters.completion_hints(
                session, space or NOWHERE, somebody.id if somebody else NOWHERE
            )
        candidates = [Candidate(name=name, weight=hint, trigger=trigger) for name, hint, trigger in trained]
        names = {candidate.name for candidate in candidates}
        candidates += [
            Candidate(name=name, trigger=folder.file_name(name).lower())
            for name in sorted(folder.offered)
            if name not in names
        ]
        return suggestions(words, candidates, limit)

    async def list_cards(self, caller: Caller, before: int | None, limit: int) -> list[Card]:
        """The cards of the caller's channel, newest first: those with numbers under `before`, or all."""
        async with self._database.reading() as session:
            space = await people.find_space_id(session, caller.chat, caller.space)
            if space is None:
                return []
            shown = await views.views(
                session, await jobs.recent(session, space, caller.channel, before, limit)
            )
        shown = sorted(shown, key=lambda view: view.number, reverse=True)
        return [card(view, self._progress.get(view.id)) for view in shown]

    async def find_card(self, caller: Caller, job: JobId) -> Card | None:
        """The card of one job of the caller's space; None when there is none."""
        if not ID.fullmatch(job):  # it may be anything, even what no database accepts
            return None
        async with self._database.reading() as session:
            space = await people.find_space_id(session, caller.chat, caller.space)
            somebody = await people.find_person(session, caller.chat, caller.person)
            view = await views.view(
                session, space, job, person_id=somebody.id if somebody else None, direct=caller.direct
            )
        return None if view is None or view.deleted else card(view, self._progress.get(view.id))

    def is_admin(self, caller: Caller) -> bool:
        """Whether they are an admin where they ask: by the chat's own roles, or by name."""
        return caller.admin or self.names_as_admin(caller.chat, caller.person, caller.person_name)

    def names_as_admin(self, chat: str, key: str, name: str) -> bool:
        """Whether the operator names this person as an admin."""
        return self._admins.has(chat, key, name)

    async def passes_for_admin(self, chat: str, key: str, name: str) -> bool:
        """Whether people could take this person, under that name, for an admin that they are not."""
        if self.names_as_admin(chat, key, name):
            return False
        names = list(self._admins.named.get(chat, ()))
        async with self._database.reading() as session:
            admins = [await people.find_person(session, chat, key) for key in names]
        names += [somebody.name for somebody in admins if somebody is not None]
        return skeleton(name) in {skeleton(other) for other in names}

    async def find_view(self, caller: Caller, message: str) -> JobView | None:
        """The job whose card this message shows; the message may be newer than what its row knows."""
        view = await self._find_view(caller, message)
        if view is None:  # it may have been written down since, or be on its way
            await self._delivery.wait_for_posts()
            view = await self._find_view(caller, message)
        return view

    async def _find_view(self, caller: Caller, message: str) -> JobView | None:
        async with self._database.reading() as session:
            space = await people.find_space_id(session, caller.chat, caller.space)
            somebody = await people.find_person(session, caller.chat, caller.person)
            return await views.of_message(
                session, space, message, person_id=somebody.id if somebody else None, direct=caller.direct
            )
