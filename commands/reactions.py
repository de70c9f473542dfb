"""Emoji reactions under a card, and the actions that they stand for in every chat."""

from collections.abc import Mapping
from types import MappingProxyType

from commands.actions import available_actions, press
from commands.answers import Answer, UpdateCards
from commands.context import ChatContext
from commands.job_lookup import OPEN
from commands.report import report_pictures
from engine.messages import InvalidRequest
from storage import jobs, pictures
from storage.views import JobView

PLAIN = "\ufe0f"  # asks for an emoji's picture; chats send it, or do not
REACTIONS: Mapping[str, str] = MappingProxyType(
    {"🔁": "again", "🎲": "vary", "❌": "stop", "⭐": "keep", "✉": "send", "🔍": "upscale", "🚩": "report"}
)


def find_action(emoji: str, *, added: bool) -> str | None:
    """The action of an emoji, if any; taking one back only means something for the star."""
    action = REACTIONS.get(emoji.replace(PLAIN, ""))
    return action if added or action == "keep" else None


def applies(view: JobView, action: str, *, mine: bool) -> bool:
    """Whether the action means anything under this card now.

    A cross by somebody else is an opinion, and no attempt to cancel.
    """
    if action == "stop":
        return mine and not view.deleted
    return any(button.name == action for button, _ in available_actions(view))


async def react(context: ChatContext, view: JobView, action: str, *, added: bool) -> Answer:
    """The answer to a reaction. Raises InvalidRequest."""
    match action:
        case "stop" if view.state not in OPEN:
            return await press(context, view, "delete", None)
        case "keep":
            return await _keep(context, view, added)
        case "report":
            return await report_pictures(context, view, [picture.place for picture in view.pictures])
        case "vary" | "upscale":
            first = view.pictures[0].place if view.pictures else None
            return await press(context, view, action, first)
        case _:
            return await press(context, view, action, None)


async def _keep(context: ChatContext, view: JobView, starred: bool) -> UpdateCards:
    """Star all pictures of the card; an event that comes twice changes nothing the second time."""
    if not view.pictures:
        raise InvalidRequest(f"Job {view.id} has no pictures.")
    ids = [picture.id for picture in view.pictures]
    if not await pictures.set_starred(context.session, ids, context.person.id, starred, context.now):
        return UpdateCards(jobs=())
    await jobs.touch(context.session, view.number)
    return UpdateCards(jobs=(view.id,))
