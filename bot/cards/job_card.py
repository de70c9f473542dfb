"""The card of a job, made from its row: what every chat shows."""

from bot.cards.card import Button, Card, CardOrigin, CardPicture
from bot.cards.training_card import training_card
from bot.jobs.progress import JobProgress
from commands import recipe_text
from commands.actions import available_actions, button_id
from commands.source_pictures import origins
from commands.syntax.numbers import duration, ordinal
from commands.syntax.prompt_weights import weights_hint
from engine.messages import JobId, JobRequest, Paint, Train
from storage.views import JobView

NOTHING = JobProgress()


def card(view: JobView, progress: JobProgress | None) -> Card:
    """The card of a job that is not deleted, from its row and its progress."""
    current = progress or NOTHING
    base = _base_card(view, current)
    return base if view.training is None else training_card(base, view, view.training, current)


def _base_card(view: JobView, progress: JobProgress) -> Card:
    """The card of pictures, and what a training's card has in common with it."""
    request = view.request
    return Card(
        job=view.id,
        kind=view.kind,
        number=view.number,
        person=view.person,
        person_key=view.person_key,
        state=view.state,
        title=_title(request),
        line=_line(view, progress),
        done=_share_done(view, progress),
        preview=progress.preview if view.state == "running" else None,
        pictures=_pictures(view),
        recipe=_recipe(view, request),
        command=recipe_text.command_text(request) if isinstance(request, Paint) else "",
        buttons=_buttons(view),
        at=view.created_at,
        hint=" ".join(filter(None, (request.note, weights_hint(request))))
        if isinstance(request, Paint)
        else "",
        origins=_origins(view, request) if isinstance(request, Paint) else (),
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
            if view.reason and view.started_at is None:  # it has the pictures of another job
                return view.reason
            painted = f"{view.charged:.1f} s"
            return f"{view.reason} (painted in {painted})" if view.reason else f"Painted in {painted}"
        case "failed":
            return view.reason or "Failed"
        case _:
            return "Cancelled"


def _waiting(progress: JobProgress) -> str:
    place = "Queued" if progress.place is None else f"{ordinal(progress.place)} in line"
    if progress.waiting:
        return f"{place}, {progress.waiting}"
    return place if progress.left is None else f"{place}, about {duration(progress.left)}"


def _running(progress: JobProgress) -> str:
    if progress.waiting or not progress.steps:
        return progress.waiting[:1].upper() + progress.waiting[1:] or "Starting"
    step = f"Step {progress.step} of {progress.steps}"
    return step if progress.left is None else f"{step}, about {duration(progress.left)} left"


def _share_done(view: JobView, progress: JobProgress) -> float | None:
    if view.state != "running":
        return None
    return min(1.0, progress.step / progress.steps) if progress.steps else 0.0


def _pictures(view: JobView) -> tuple[CardPicture, ...]:
    return tuple(
        CardPicture(
            place=picture.place,
            sha256=picture.sha256,
            seed=picture.seed,
            width=picture.width,
            height=picture.height,
            stars=picture.stars,
            hidden=picture.hidden,
        )
        for picture in view.pictures
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


def _origins(view: JobView, request: Paint) -> tuple[CardOrigin, ...]:
    seen = {origin.job: origin for origin in view.origins}
    return tuple(
        CardOrigin(text=text, job=job, space=seen[JobId(job)].space, message=seen[JobId(job)].message or "")
        if job in seen
        else CardOrigin(text=text)
        for job, text in origins(request)
    )


def _buttons(view: JobView) -> tuple[Button, ...]:
    job = JobId(view.id)
    return tuple(
        Button(
            id=button_id(action.name, job, picture),
            emoji=action.emoji,
            label=action.help,
            picture=picture,
            owners=action.owners,
            more=action.more,
        )
        for action, picture in available_actions(view)
    )
