"""What can be pressed under a card, the same in every chat; checked again at every click."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from commands.answers import Answer, Changed, Filed, Form, Gift
from commands.cancel import stop
from commands.context import ChatContext
from commands.imagine import imagine, random_seed
from commands.jobs import OPEN, check_kept, check_owner, note_change
from commands.parse import short
from commands.write import alone, texts, written
from engine.messages import InvalidRequest, JobId, Paint
from storage import jobs, pictures
from storage.views import JobView, PictureView

NEARBY = 0.15  # how far a variation goes from its picture towards another: alike, and never the same
VARIATIONS = 4
BUTTON = re.compile(r"([a-z]{1,10}):([0-9a-z]{6})(?::([1-4]))?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Action:
    """A button. `owners`: only the job's person and admins may press it; `each`: it is about one picture."""

    name: str
    emoji: str
    help: str
    owners: bool = False
    each: bool = False
    recipe: bool = False  # it needs a recipe that the engine still takes


ACTIONS = (
    Action(name="again", emoji="🔁", help="Paint it again with a new seed.", recipe=True),
    Action(
        name="vary",
        emoji="🎲",
        help=f"Paint four variations nearby (strength {NEARBY}).",
        each=True,
        recipe=True,
    ),
    Action(name="edit", emoji="✏️", help="Change the recipe in a form.", recipe=True),
    Action(name="keep", emoji="⭐", help="Keep the picture among your favourites, or no longer.", each=True),
    Action(name="send", emoji="✉️", help="Get the full-size file with its recipe, privately.", each=True),
    Action(name="stop", emoji="❌", help="Cancel your job.", owners=True),
    Action(name="delete", emoji="🗑️", help="Delete your job with its pictures.", owners=True),
)
NAMED = {action.name: action for action in ACTIONS}


def available(view: JobView) -> tuple[tuple[Action, int | None], ...]:
    """The buttons of a card now; a number says which picture is meant, where there are several."""
    if view.deleted:
        return ()
    if view.state in OPEN:
        return ((NAMED["stop"], None),)
    places: list[int | None] = [one.place for one in view.pictures] if len(view.pictures) > 1 else [None]
    ended = [action for action in ACTIONS if action.name != "stop"]
    return tuple(
        (action, place)
        for action in ended
        if (view.pictures or not action.each) and (view.request or not action.recipe)
        for place in (places if action.each else [None])
    )


def button_id(action: str, job: JobId, picture: int | None = None) -> str:
    """All that a chat has to remember of a button: "again:k3f9qa", "keep:k3f9qa:2"."""
    return f"{action}:{job}" if picture is None else f"{action}:{job}:{picture}"


def read_button(text: str) -> tuple[str, JobId, int | None]:
    """The action, job and picture of a button. Raises InvalidRequest when no button of ours has this id."""
    button = BUTTON.fullmatch(text)
    if button is None or button[1] not in NAMED:
        raise InvalidRequest(f"there is no button {short(text)!r} here.")
    return button[1], JobId(button[2]), int(button[3]) if button[3] else None


async def press(context: ChatContext, view: JobView, action: str, picture: int | None) -> Answer:
    """What a button does for the person who pressed it. Raises InvalidRequest."""
    if action not in PRESSED:
        raise InvalidRequest(f"there is no button {short(action)!r} here.")
    if view.space_id != context.space.id:
        raise InvalidRequest(f"there is no job {view.id} here.")
    check_kept(view)
    return await PRESSED[action](context, view, picture)


async def _again(context: ChatContext, view: JobView, picture: int | None) -> Filed:
    """The same with a new seed; a variation stays near the picture that it came from."""
    paint = _request(view)
    if paint.variation:
        request = replace(paint, job=context.job, variation_seed=random_seed())
    else:
        request = replace(paint, job=context.job, seed=random_seed())
    return Filed(request=request, parent=view.id)


async def _vary(context: ChatContext, view: JobView, picture: int | None) -> Filed:
    request = replace(
        _request(view),
        job=context.job,
        seed=_picture(view, picture).seed,
        count=VARIATIONS,
        variation=NEARBY,
        variation_seed=random_seed(),
    )
    return Filed(request=request, parent=view.id)


async def _edit(context: ChatContext, view: JobView, picture: int | None) -> Form:
    """Somebody who has a default for what to avoid must be able to avoid nothing."""
    values = texts(_request(view))
    if not values["no"] and context.person.settings.get("no"):
        values["no"] = '""'
    return Form(command=imagine.name, values=values)


async def _keep(context: ChatContext, view: JobView, picture: int | None) -> Changed:
    chosen = _picture(view, picture)
    kept = await pictures.star(context.session, chosen.id, context.person.id, context.now)
    await jobs.touch(context.session, view.number)
    text = "the picture is among your favourites." if kept else "the picture is no longer a favourite."
    return Changed(jobs=(view.id,), text=text)


async def _send(context: ChatContext, view: JobView, picture: int | None) -> Gift:
    chosen = [_picture(view, picture)] if picture is not None else view.pictures
    if not chosen:
        raise InvalidRequest(f"job {view.id} has no pictures.")
    files = tuple((f"atelier-{view.id}-{one.place}.png", one.sha256) for one in chosen)
    recipes = [written(alone(view.request, one.place)) for one in chosen] if view.request else []
    return Gift(files=files, text="\n".join(recipes))


async def _stop(context: ChatContext, view: JobView, picture: int | None) -> Answer:
    return await stop(context, view)


async def _delete(context: ChatContext, view: JobView, picture: int | None) -> Changed:
    check_owner(context, view, "delete")
    if view.state in OPEN:
        raise InvalidRequest(f"job {view.id} has not ended yet: cancel it first.")
    await note_change(context, view, "delete", "deleted")
    unneeded = await jobs.delete(context.session, view.number, context.now)
    return Changed(jobs=(view.id,), text=f"job {view.id} is deleted.", unneeded=tuple(unneeded))


PRESSED: dict[str, Callable[[ChatContext, JobView, int | None], Awaitable[Answer]]] = {
    "again": _again,
    "vary": _vary,
    "edit": _edit,
    "keep": _keep,
    "send": _send,
    "stop": _stop,
    "delete": _delete,
}


def _request(view: JobView) -> Paint:
    if view.request is None:  # bounds may have become narrower since
        raise InvalidRequest(f"the recipe of job {view.id} is not allowed any more.")
    return view.request


def _picture(view: JobView, place: int | None) -> PictureView:
    """The picture that is meant; without a number there must be only one."""
    if not view.pictures:
        raise InvalidRequest(f"job {view.id} has no pictures.")
    if place is None and len(view.pictures) == 1:
        return view.pictures[0]
    for one in view.pictures:
        if one.place == place:
            return one
    raise InvalidRequest(f"job {view.id} has {len(view.pictures)} pictures: say which one.")
