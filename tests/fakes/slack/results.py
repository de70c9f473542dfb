"""What somebody hears from the app after they have said or pressed something."""

from dataclasses import dataclass
from typing import Any

from tests.fakes.slack.block_text import JSON
from tests.fakes.slack.platform import Platform
from tests.fakes.slack.sockets import Envelope
from tests.fakes.slack.world import Message, User, View


@dataclass(eq=False, kw_only=True)
class Heard:
    """One thing that went to the app, and what came back; it goes on hearing."""

    platform: Platform
    user: User
    envelope: Envelope
    since: int  # how many ephemeral messages there were before
    submitted: View | None = None

    @property
    def acked(self) -> float | None:
        """After how many seconds the app acknowledged; None if it did not in time."""
        return self.envelope.acks[0] if self.envelope.acks else None

    @property
    def failed(self) -> str:
        """What Slack tells the person when the app did not answer: dispatch_failed, operation_timeout."""
        return self.envelope.failed

    @property
    def answer(self) -> JSON | None:
        """What came with the acknowledgement."""
        return self.envelope.answer

    @property
    def ephemerals(self) -> list[Message]:
        """What only this person has been shown since."""
        later = self.platform.world.ephemerals[self.since :]
        return [message for message in later if message.shown_to is self.user and not message.deleted]

    @property
    def words(self) -> str:
        """All that only this person has been shown since."""
        return "\n".join(message.words for message in self.ephemerals)

    @property
    def view(self) -> View | None:
        """The modal that opened, or that stays open after it was sent."""
        trigger = self.envelope.payload.get("trigger_id")
        for view in reversed(self.platform.world.views.values()):
            if view.trigger == trigger and trigger is not None:
                return view
        return None if self.submitted is None or self.submitted.closed else self.submitted

    @property
    def errors(self) -> dict[str, str]:
        """What the app said about the fields of a modal, by block_id."""
        answer: dict[str, Any] = self.answer or {}
        return dict(answer.get("errors", {})) if answer.get("response_action") == "errors" else {}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An option that a search has offered."""

    value: str
    text: str
