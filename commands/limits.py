"""How much one person may ask for."""

from commands.context import ChatContext
from engine.messages import InvalidRequest


def check_room(context: ChatContext) -> None:
    """Raise InvalidRequest with one sentence when the person has as many jobs waiting as one may have."""
    if context.person.queued >= context.per_person:
        raise InvalidRequest(
            f"you have {context.person.queued} jobs in line, and at most {context.per_person} may wait: "
            "try again when one is done, or /cancel one."
        )
