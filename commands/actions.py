"""Buttons under cards: which ones a card has, and what each does when it is pressed."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from commands.admission import admit_draft
from commands.answers import (
    Answer,
    CreateJob,
    FinishTraining,
    Form,
    SendCaptions,
    SendFiles,
    StartDraft,
    UpdateCards,
)
from commands.cancel import cancel_job
from commands.context import ChatContext
from commands.edit import edit_form
from commands.extend import Way, extend_form, extend_picture
from commands.imagine import imagine, random_seed
from commands.job_lookup import OPEN, check_not_deleted, check_owner, record_change
from commands.loras_in_use import check_adapters
from commands.recipe_text import command_of, command_text, form_texts, single_picture
from commands.report import report_pictures
from commands.source_pictures import choose_picture
from commands.syntax.parser import shorten
from commands.syntax.picture_reference import PictureReference
from commands.training_actions import (
    check_start,
    check_start_lora,
    describe,
    edit,
    finish,
    send_captions,
)
from commands.upscale import enlarge_picture
from engine.messages import InvalidRequest, JobId, Paint
from storage import jobs, pictures, trainings
from storage.requests import Kind
from storage.training_views import CheckpointView
from storage.views import JobView, PictureView

EXTENSIONS = (
    ("zoom", "🔭", "Zoom out 1.5 times."),
    ("wide", "🛰️", "Zoom out 2 times."),
    ("left", "⬅️", "Extend the picture to the left."),
    ("right", "➡️", "Extend the picture to the right."),
    ("up", "⬆️", "Extend the picture upwards."),
    ("down", "⬇️", "Extend the picture downwards."),
    ("square", "🔲", "Make the picture square."),
)
NEARBY = 0.15  # how far a variation goes from its picture towards another: alike, and never the same
VARIATIONS = 4
ENLARGED = 2  # times as wide and high
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
    more: bool = False  # chats have room for it in a list alone
    lone: bool = False  # but where the card has one picture it is a button
    form: bool = False  # it opens a form
    single: bool = False  # only where the card has one picture; a grid has a form for it
    grid: bool = False  # only where it has several


Handler = Callable[[ChatContext, JobView, int | None], Awaitable[Answer]]
ACTIONS = (
    Action(name="again", emoji="🔁", help="Paint it again with a new seed.", recipe=True),
    Action(
        name="vary",
        emoji="🎲",
        help=f"Paint four variations nearby (strength {NEARBY}).",
        each=True,
        recipe=True,
    ),
    Action(name="edit", emoji="✏️", help="Change the recipe in a form.", recipe=True, form=True),
    Action(name="keep", emoji="⭐", help="Add the picture to your favourites, or take it out.", each=True),
    Action(name="send", emoji="✉️", help="Get the full-size file with its recipe, privately.", each=True),
    Action(name="image", emoji="🖼️", help="Paint from this picture.", each=True, more=True, form=True),
    Action(name="part", emoji="🩹", help="Change a part of the picture.", each=True, more=True, form=True),
    Action(name="upscale", emoji="🔍", help="Enlarge the picture twice.", each=True, more=True, lone=True),
    *(
        Action(name=name, emoji=emoji, help=help, each=True, more=True, single=True)
        for name, emoji, help in EXTENSIONS
    ),
    Action(
        name="extend",
        emoji="↔️",
        help="Extend the picture in a form.",
        each=True,
        more=True,
        form=True,
        grid=True,
    ),
    Action(name="report", emoji="🚩", help="Report the picture to the admins.", each=True, more=True),
    Action(name="stop", emoji="❌", help="Cancel your job.", owners=True),
    Action(name="delete", emoji="🗑️", help="Delete your job with its pictures.", owners=True),
)
TRAINING_ACTIONS = (
    Action(name="start", emoji="▶️", help="Start the training.", owners=True),
    Action(name="describe", emoji="💬", help="Describe the pictures that have no caption.", owners=True),
    Action(name="captions", emoji="📝", help="Get the captions as a file to change.", owners=True),
    Action(name="finish", emoji="⏹️", help="End the training now and keep what it has learned.", owners=True),
    Action(
        name="choose",
        emoji="☑️",
        help="Use this checkpoint as the LoRA.",
        owners=True,
        each=True,
    ),
    Action(
        name="edit", emoji="✏️", help="Train again with other pictures or settings.", owners=True, recipe=True
    ),
    Action(name="stop", emoji="❌", help="Cancel the training.", owners=True),
    Action(
        name="delete",
        emoji="🗑️",
        help="Delete the training with its pictures and samples. Its LoRA stays.",
        owners=True,
    ),
)
BY_NAME = {action.name: action for action in (*TRAINING_ACTIONS, *ACTIONS)}


def available_actions(view: JobView) -> tuple[tuple[Action, int | None], ...]:
    """A card's buttons now, each with the number of its picture or checkpoint where there are several."""
    if view.deleted:
        return ()
    if view.kind == "train":
        return _training_actions(view)
    if view.state in OPEN:
        return ((BY_NAME["stop"], None),)
    places: list[int | None] = (
        [picture.place for picture in view.pictures] if len(view.pictures) > 1 else [None]
    )
    ended = [action for action in ACTIONS if action.name != "stop"]
    return tuple(
        (replace(action, more=False) if action.lone and len(view.pictures) == 1 else action, place)
        for action in ended
        if (view.pictures or not action.each) and (view.request or not action.recipe)
        if action.name != "vary" or not _is_comparison(view)
        if action.name not in ("again", "vary") or not _is_enlarged(view)
        if not (action.single if len(view.pictures) > 1 else action.grid)
        for place in (places if action.each else [None])
    )


def _training_actions(view: JobView) -> tuple[tuple[Action, int | None], ...]:
    """The buttons of a training's card."""
    training = view.training
    match view.state:
        case "draft":
            start = ("start",) if training is not None and training.usable else ()
            describe = ("describe",) if training is not None and training.describable else ()
            names: tuple[str, ...] = (*start, *describe, "captions", "edit", "delete")
        case "running":
            names = ("finish", "stop", "delete")
        case "queued":
            names = ("stop", "delete")
        case _:
            names = ("choose", "edit", "delete")
    return tuple(
        (action, place)
        for action in TRAINING_ACTIONS
        if action.name in names and (view.request or not action.recipe)
        for place in (
            [checkpoint.place for checkpoint in _other_checkpoints(view)] if action.each else [None]
        )
    )


def button_id(action: str, job: JobId, picture: int | None = None) -> str:
    """The id of a button: "again:k3f9qa", "keep:k3f9qa:2"."""
    return f"{action}:{job}" if picture is None else f"{action}:{job}:{picture}"


def read_button(text: str) -> tuple[str, JobId, int | None]:
    """The action, job and picture of a button. Raises InvalidRequest when no button of ours has this id."""
    button = BUTTON.fullmatch(text)
    if button is None or button[1] not in BY_NAME:
        raise InvalidRequest(f"There is no button {shorten(text)!r} here.")
    return button[1], JobId(button[2]), int(button[3]) if button[3] else None


async def press(context: ChatContext, view: JobView, action: str, picture: int | None) -> Answer:
    """The answer to a pressed button. Raises InvalidRequest."""
    pressed = HANDLERS[view.kind]
    if action not in pressed:
        raise InvalidRequest(f"There is no button {shorten(action)!r} here.")
    if view.space_id != context.space.id:
        raise InvalidRequest(f"There is no job {view.id} here.")
    check_not_deleted(view)
    return await pressed[action](context, view, picture)


async def _again(context: ChatContext, view: JobView, picture: int | None) -> CreateJob:
    """The same request with a new seed; a variation keeps its picture's seed and varies anew."""
    paint = await _usable_request(context, view)
    if paint.variation:
        request = replace(paint, job=context.job, variation_seed=random_seed(), note="", repeats="")
    else:
        request = replace(paint, job=context.job, seed=random_seed(), note="", repeats="")
    return CreateJob(request=request, parent=view.id)


async def _vary(context: ChatContext, view: JobView, picture: int | None) -> CreateJob:
    if _is_comparison(view):
        raise InvalidRequest(f"Job {view.id} is a comparison, which has no variations.")
    if _is_enlarged(view):
        raise InvalidRequest(
            f"Job {view.id} enlarges a picture. Vary that picture, and enlarge the best one."
        )
    request = replace(
        await _usable_request(context, view),
        job=context.job,
        seed=_picture(view, picture).seed,
        count=VARIATIONS,
        variation=NEARBY,
        variation_seed=random_seed(),
    )
    return CreateJob(request=request, parent=view.id)


async def _edit(context: ChatContext, view: JobView, picture: int | None) -> Form:
    """The form with the recipe. An empty negative prompt is written out, since a default would replace it."""
    values = form_texts(_request(view))
    if values.get("no") == "" and context.person.settings.get("no"):
        values["no"] = '""'
    return Form(command=command_of(_request(view)).name, values=values)


async def _image(context: ChatContext, view: JobView, picture: int | None) -> Form:
    """The form with this picture to start from, and its recipe."""
    request = view.request
    values = form_texts(request, imagine) if isinstance(request, Paint) and not request.variants else {}
    first = view.pictures[0].place if view.pictures else None
    reference = PictureReference(job=view.id, place=_picture(view, picture or first).place)
    text = (
        f"Picture {first} is taken. Another one is {view.id}:{view.pictures[1].place}."
        if (picture is None and len(view.pictures) > 1)
        else ""
    )
    values |= {"image": str(reference), "seed": "", "size": ""}
    return Form(command=imagine.name, values=values, text=text)


async def _part(context: ChatContext, view: JobView, picture: int | None) -> Form:
    return edit_form(view.id, _picture(view, picture).place)


async def _extend_form(context: ChatContext, view: JobView, picture: int | None) -> Form:
    return extend_form(view.id, _picture(view, picture).place)


def _extension(way: Way) -> Handler:
    """What the button does that extends a picture this way."""

    async def run(context: ChatContext, view: JobView, picture: int | None) -> CreateJob:
        return await extend_picture(
            context, choose_picture(context, view, _picture(view, picture).place), way
        )

    return run


async def _upscale(context: ChatContext, view: JobView, picture: int | None) -> CreateJob:
    return await enlarge_picture(context, choose_picture(context, view, picture), ENLARGED)


async def _report(context: ChatContext, view: JobView, picture: int | None) -> UpdateCards:
    return await report_pictures(context, view, [_picture(view, picture).place])


async def _keep(context: ChatContext, view: JobView, picture: int | None) -> UpdateCards:
    chosen = _picture(view, picture)
    starred = await pictures.toggle_star(context.session, chosen.id, context.person.id, context.now)
    await jobs.touch(context.session, view.number)
    text = "The picture is in your favourites." if starred else "The picture is no longer a favourite."
    return UpdateCards(jobs=(view.id,), text=text)


async def _send(context: ChatContext, view: JobView, picture: int | None) -> SendFiles:
    chosen = [_picture(view, picture)] if picture is not None else view.pictures
    if not chosen:
        raise InvalidRequest(f"Job {view.id} has no pictures.")
    files = tuple((f"atelier-{view.id}-{item.place}.png", item.sha256) for item in chosen)
    request = view.request
    recipes = (
        [command_text(single_picture(request, item.place)) for item in chosen]
        if isinstance(request, Paint)
        else []
    )
    return SendFiles(files=files, text="\n".join(recipes))


async def _stop(context: ChatContext, view: JobView, picture: int | None) -> Answer:
    return await cancel_job(context, view)


async def _delete(context: ChatContext, view: JobView, picture: int | None) -> UpdateCards:
    check_owner(context, view, "delete")
    if view.state in OPEN:
        raise InvalidRequest(f"Job {view.id} has not ended yet. Cancel it first.")
    return await _delete_job(context, view)


async def _delete_training(context: ChatContext, view: JobView, picture: int | None) -> UpdateCards:
    """Delete a training, also one that runs: nobody has to wait to take their pictures back."""
    check_owner(context, view, "delete")
    return await _delete_job(context, view)


async def _delete_job(context: ChatContext, view: JobView) -> UpdateCards:
    await record_change(context, view, "delete", "deleted")
    unneeded = await jobs.delete(context.session, view.number, context.now)
    return UpdateCards(
        jobs=(view.id,),
        text=f"Job {view.id} is deleted.",
        unneeded=tuple(unneeded),
        stopped=(view.id,) if view.state in ("draft", "running") else (),
    )


async def _start(context: ChatContext, view: JobView, picture: int | None) -> StartDraft:
    check_owner(context, view, "start")
    check_start(view)
    await check_start_lora(context, view)
    expected = await admit_draft(context, view)
    await record_change(context, view, "start", "queued")
    await jobs.enqueue(context.session, view.number, context.now, expected)
    return StartDraft(job=view.id)


async def _describe(context: ChatContext, view: JobView, picture: int | None) -> UpdateCards:
    check_owner(context, view, "change")
    return await describe(context, view)


async def _captions(context: ChatContext, view: JobView, picture: int | None) -> SendCaptions:
    return send_captions(context, view)


async def _finish(context: ChatContext, view: JobView, picture: int | None) -> FinishTraining:
    return await finish(context, view)


async def _choose(context: ChatContext, view: JobView, picture: int | None) -> UpdateCards:
    check_owner(context, view, "change")
    checkpoint = next((other for other in _other_checkpoints(view) if other.place == picture), None)
    if checkpoint is None:
        raise InvalidRequest(f"Job {view.id} has no such checkpoint to choose.")
    await record_change(context, view, "choose", view.state)
    await trainings.choose(context.session, view.number, checkpoint.step)
    return UpdateCards(jobs=(view.id,), text=f"The LoRA is now the checkpoint at step {checkpoint.step}.")


async def _edit_training(context: ChatContext, view: JobView, picture: int | None) -> Form:
    return await edit(context, view)


def _is_comparison(view: JobView) -> bool:
    """Whether the job is a comparison, whose picture is a sheet."""
    return isinstance(view.request, Paint) and bool(view.request.variants)


def _is_enlarged(view: JobView) -> bool:
    """Whether the job's picture is another one, enlarged, so that no seed paints it differently."""
    return isinstance(view.request, Paint) and not view.request.denoises


def _request(view: JobView) -> Paint:
    if not isinstance(view.request, Paint):  # bounds may have become narrower since
        raise InvalidRequest(f"The recipe of job {view.id} is no longer allowed.")
    return view.request


async def _usable_request(context: ChatContext, view: JobView) -> Paint:
    """The request, if the person may use its LoRAs. Raises InvalidRequest."""
    paint = _request(view)
    await check_adapters(context, paint.adapters)
    return paint


def _other_checkpoints(view: JobView) -> list[CheckpointView]:
    """The checkpoints that the LoRA could be instead; none once the LoRA is deleted."""
    training = view.training
    if training is None or training.adapter is None:
        return []
    return [
        checkpoint
        for checkpoint in training.checkpoints
        if checkpoint.candidate and checkpoint.step != training.chosen
    ]


def _picture(view: JobView, place: int | None) -> PictureView:
    """The job's picture at this place; without a place there must be only one."""
    if not view.pictures:
        raise InvalidRequest(f"Job {view.id} has no pictures.")
    if place is None and len(view.pictures) == 1:
        return view.pictures[0]
    for picture in view.pictures:
        if picture.place == place:
            return picture
    raise InvalidRequest(f"Job {view.id} has {len(view.pictures)} pictures. Say which one.")


HANDLERS: Mapping[Kind, Mapping[str, Handler]] = MappingProxyType(
    {
        "paint": {
            "again": _again,
            "vary": _vary,
            "edit": _edit,
            "image": _image,
            "report": _report,
            "part": _part,
            "upscale": _upscale,
            "extend": _extend_form,
            **{name: _extension(Way(name)) for name, _, _ in EXTENSIONS},
            "keep": _keep,
            "send": _send,
            "stop": _stop,
            "delete": _delete,
        },
        "train": {
            "start": _start,
            "describe": _describe,
            "captions": _captions,
            "finish": _finish,
            "choose": _choose,
            "edit": _edit_training,
            "stop": _stop,
            "delete": _delete_training,
        },
    }
)
