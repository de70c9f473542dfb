"""What a person gets to see after a command, a click or a form, and the interaction behind it."""

import asyncio
import secrets
import time
from dataclasses import dataclass, field

from tests.fakes.discord.accounts import Json, User
from tests.fakes.discord.message import Message, inner
from tests.fakes.discord.rules import LABEL
from tests.fakes.discord.snowflakes import snowflake
from tests.fakes.discord.world import Channel

MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9
KINDS = {
    MESSAGE: "message",
    DEFERRED: "deferred",
    DEFERRED_UPDATE: "deferred",
    UPDATE: "message",
    CHOICES: "choices",
    MODAL: "modal",
}


@dataclass(kw_only=True, eq=False)
class Modal:
    """A form that is open on somebody's screen."""

    title: str
    custom_id: str
    parts: list[Json]
    channel: Channel
    message: Message | None = None

    @property
    def fields(self) -> list[Json]:
        """What it asks, each with its label."""
        return [
            {**question, "label": part.get("label")} if part["type"] == LABEL else question
            for part in self.parts
            for question in inner(part)
        ]

    def field(self, name: str) -> Json:
        """The question with this custom_id or label."""
        fields = [field for field in self.fields if name in (field.get("custom_id"), field.get("label"))]
        assert len(fields) == 1, (
            f"{name!r} is {len(fields)} questions of {[field.get('label') for field in self.fields]}"
        )
        return fields[0]


@dataclass(kw_only=True, eq=False)
class Heard:
    """One interaction and its answer, which goes on changing.

    kind: "message", "deferred", "modal", "choices", or "none" when the bot did not answer in time.
    message: the answer, or the clicked message when the answer changes it. seconds: until the answer.
    """

    person: User
    channel: Channel
    source: Message | None = None  # the message whose button was clicked
    metadata: Json = field(default_factory=dict)
    kind: str = "none"
    type: int | None = None
    message: Message | None = None
    modal: Modal | None = None
    choices: list[Json] = field(default_factory=list)
    followups: list[Message] = field(default_factory=list)
    seconds: float | None = None
    expired: bool = False
    id: int = field(default_factory=snowflake)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(40))
    asked: float = field(default_factory=time.monotonic)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    def __repr__(self) -> str:
        return f"<{self.person.name} heard {self.kind}: {self.text!r}>"

    @property
    def by_person_alone(self) -> bool:
        """Whether the app is there since this person brought it, and not as a member."""
        return "0" not in self.metadata.get("authorizing_integration_owners", {"0": ""})

    @property
    def ephemeral(self) -> bool:
        """Whether only this person sees the answer."""
        return self.message is not None and self.message.ephemeral

    @property
    def text(self) -> str:
        """All that the person reads: the answer, and what followed."""
        shown = [self.message, *self.followups] if self.message else self.followups
        return "\n".join(message.text for message in shown if message.text)

    def answer(self, kind: int) -> None:
        """The bot has answered, so."""
        self.type, self.kind = kind, KINDS[kind]
        self.seconds = time.monotonic() - self.asked
        self.answered.set()
