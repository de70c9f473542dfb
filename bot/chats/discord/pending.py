"""Pending interactions: by job until its card answers them, by message while their token lives."""

import asyncio
import time
from collections.abc import Callable

import discord

from engine.messages import JobId

TOKEN_SECONDS = 14.5 * 60  # Discord forgets an interaction after 15 minutes
IS_EPHEMERAL = "hidden"  # the key of whether only the caller sees that the answer takes a while
MANY = 1000  # interactions, before those that are too old are looked for

Interaction = discord.Interaction[discord.Client]


class WaitingInteraction:
    """An interaction that either its card answers first, or the deferral."""

    def __init__(self, interaction: Interaction, since: float) -> None:
        self.interaction = interaction
        self.since = since
        self.taken = False
        self.answering = asyncio.Lock()
        self.has_answer = asyncio.Event()

    async def defer(self, *, ephemeral: bool) -> None:
        """Tell Discord that the answer takes a while, unless somebody is answering already."""
        async with self.answering:
            if not self.taken and not self.interaction.response.is_done():
                await self.interaction.response.defer(thinking=True, ephemeral=ephemeral)
                self.interaction.extras[IS_EPHEMERAL] = ephemeral


class Pending:
    """Interactions that wait. They may be lost: cards then come with the bot's own token."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: dict[JobId, WaitingInteraction] = {}
        self._alive: dict[str, WaitingInteraction] = {}  # by message

    def waits(self, job: JobId) -> bool:
        """Whether this job is being asked for at this moment."""
        return job in self._waiting

    def expect(self, job: JobId, interaction: Interaction) -> WaitingInteraction:
        """Expect the job's card to answer this interaction."""
        if len(self._waiting) + len(self._alive) > MANY:
            self._forget_expired()
        self._waiting[job] = WaitingInteraction(interaction, self._clock())
        return self._waiting[job]

    def note(self, job: JobId, interaction: Interaction) -> None:
        """Note that it asked for this job, whose card is posted elsewhere."""
        self.expect(job, interaction).taken = True

    def interaction_of_job(self, job: JobId) -> Interaction | None:
        """The interaction that asked for this job, answered or not, as long as its token lives."""
        waiting = self._waiting.get(job)
        return waiting.interaction if waiting is not None and self._lives(waiting) else None

    def forget(self, job: JobId) -> None:
        """Forget the job: no card will answer it."""
        self._waiting.pop(job, None)

    def pass_on(self, job: JobId, other: JobId) -> None:
        """Let the card of the other job answer the interaction."""
        self._waiting[other] = self._waiting.pop(job)

    async def take(self, job: JobId) -> Interaction | None:
        """Take the interaction for the card to answer, once, after any deferral under way."""
        waiting = self._waiting.get(job)
        if waiting is None:
            return None
        async with waiting.answering:
            if waiting.taken or not self._lives(waiting):
                return None
            waiting.taken = True
        return waiting.interaction

    def give_back(self, job: JobId, interaction: Interaction) -> None:
        """Give it back, since the card could not answer it: the next try may."""
        waiting = self._waiting.get(job)
        if waiting is not None and waiting.interaction is interaction:
            waiting.taken = False

    def remember(self, message: str, interaction: Interaction) -> None:
        """Remember that this message is the interaction's answer: its token can edit it."""
        self.mark_answered(interaction)
        self._alive[message] = WaitingInteraction(interaction, self._clock())

    def mark_answered(self, interaction: Interaction) -> None:
        """Mark its card as there, so that what follows it can be told."""
        for waiting in self._waiting.values():
            if waiting.interaction is interaction:
                waiting.has_answer.set()

    def interaction_of_message(self, message: str) -> Interaction | None:
        """The interaction that this message answered, as long as its token lives."""
        waiting = self._alive.get(message)
        return waiting.interaction if waiting is not None and self._lives(waiting) else None

    def token_for(self, message: str) -> str | None:
        """The token that this message can be edited with, as long as it lives."""
        interaction = self.interaction_of_message(message)
        return None if interaction is None else interaction.token

    def lose(self) -> None:
        """Forget all interactions, since their client is gone."""
        self._waiting, self._alive = {}, {}

    def drop(self, message: str) -> None:
        """Forget the token of this message."""
        self._alive.pop(message, None)

    def _lives(self, waiting: WaitingInteraction) -> bool:
        return self._clock() - waiting.since < TOKEN_SECONDS

    def _forget_expired(self) -> None:
        self._waiting = {job: waiting for job, waiting in self._waiting.items() if self._lives(waiting)}
        self._alive = {message: waiting for message, waiting in self._alive.items() if self._lives(waiting)}
