"""A job's row made a card: what every chat shows, the same wherever and whenever it is drawn."""

from bot.cards.card import Button, Card, CardPicture
from bot.cards.training_card import of_training
from bot.jobs.progress import JobProgress
from commands import recipe_text
from commands.actions import available_actions, button_id
from commands.syntax.numbers import duration, ordinal
from commands.syntax.prompt_weights import weights_hint
from engine.messages import JobId, JobRequest, Paint, Train
from storage.views import JobView

NOTHING = JobProgress()


def card(view: JobView, progress: JobProgress | None) -> Card:
    """The card of a job that is not deleted; `live` is what is known beyond its row."""
    known = progress or NOTHING
    shown = _common(view, known)
    return shown if view.training is None else of_training(shown, view, view.training, known)


def _common(view: JobView, known: JobProgress) -> Card:
    """What the cards of pictures show, which is much of what those of trainings do."""
    request = view.request
    return Card(
        job=view.id,
        kind=view.kind,
        number=view.number,
        person=view.person,
        person_key=view.person_key,
        state=view.state,
        title=_title(request),
        line=_line(view, known),
        done=_done(view, known),
        preview=known.preview if view.state == "running" else None,
        pictures=_pictures(view),
        recipe=_recipe(view, request),
        command=recipe_text.command_text(request) if isinstance(request, Paint) else "",
        buttons=_buttons(view),
        at=view.created_at,
        hint=weights_hint(request) if isinstance(request, Paint) else "",
    )


def _title(request: JobRequest | None) -> str:
    match request:
        case Paint():
            return request.prompt
        case Train():
            return f"{request.name}: {request.phrase}"
        case None:
            return ""


def _line(view: JobView, progress: JobProgress) -> str:
    match view.state:
        case "queued":
            return _waiting(progress)
        case "running":
            return _running(progress)
        case "succeeded":
            painted = f"painted in {view.charged:.1f} s"
            return f"{view.reason} ({painted})" if view.reason else painted
        case "failed":
            return view.reason or "it failed"
        case _:
            return "cancelled"


def _waiting(progress: JobProgress) -> str:
    place = "queued" if progress.place is None else f"{ordinal(progress.place)} in line"
    if progress.waiting:
        return f"{place}, {progress.waiting}"
    return place if progress.left is None else f"{place}, about {duration(progress.left)}"


def _running(progress: JobProgress) -> str:
    if progress.waiting or not progress.steps:
        return progress.waiting or "starting"
    step = f"step {progress.step} of {progress.steps}"
    return step if progress.left is None else f"{step}, about {duration(progress.left)} left"


def _done(view: JobView, progress: JobProgress) -> float | None:
    if view.state != "running":
        return None
    return min(1.0, progress.step / progress.steps) if progress.steps else 0.0


def _pictures(view: JobView) -> tuple[CardPicture, ...]:
    return tuple(
        CardPicture(
            place=one.place,
            sha256=one.sha256,
            seed=one.seed,
            width=one.width,
            height=one.height,
            stars=one.stars,
            hidden=one.hidden,
        )
        for one in view.pictures
    )


def _recipe(view: JobView, request: JobRequest | None) -> tuple[tuple[str, str], ...]:
    match request:
        case Paint():
            return tuple(
                recipe_text.fields(request, view.pictures[0].seed if view.pictures else request.seed)
            )
        case Train():
            return tuple(recipe_text.training_fields(request))
        case None:
            return ()


def _buttons(view: JobView) -> tuple[Button, ...]:
    job = JobId(view.id)
    return tuple(
        Button(
            id=button_id(action.name, job, picture),
            emoji=action.emoji,
            label=action.help,
            picture=picture,
            owners=action.owners,
        )
        for action, picture in available_actions(view)
    )
