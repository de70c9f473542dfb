"""A job's row made a card: what every chat shows, the same wherever and whenever it is drawn."""

from bot.card import Button, Card, CardPicture
from bot.live import LiveJob
from commands import write
from commands.actions import available, button_id
from commands.words import duration, ordinal
from engine.messages import JobId, Paint
from storage.views import JobView

NOTHING = LiveJob()


def card(view: JobView, live: LiveJob | None) -> Card:
    """The card of a job that is not deleted; `live` is what is known beyond its row."""
    known = live or NOTHING
    request = view.request
    return Card(
        job=view.id,
        number=view.number,
        person=view.person,
        person_key=view.person_key,
        state=view.state,
        title=request.prompt if request else "",
        line=_line(view, known),
        done=_done(view, known),
        preview=known.preview if view.state == "running" else None,
        pictures=_pictures(view),
        recipe=_recipe(view, request),
        command=write.written(request) if request else "",
        buttons=_buttons(view),
        at=view.created_at,
    )


def _line(view: JobView, live: LiveJob) -> str:
    match view.state:
        case "queued":
            return _waiting(live)
        case "running":
            return _running(live)
        case "succeeded":
            return f"painted in {view.charged:.1f} s"
        case "failed":
            return view.reason or "it failed"
        case _:
            return "cancelled"


def _waiting(live: LiveJob) -> str:
    place = "queued" if live.place is None else f"{ordinal(live.place)} in line"
    if live.waiting:
        return f"{place}, {live.waiting}"
    return place if live.left is None else f"{place}, about {duration(live.left)}"


def _running(live: LiveJob) -> str:
    if not live.steps:
        return live.waiting or "starting"
    step = f"step {live.step} of {live.steps}"
    return step if live.left is None else f"{step}, about {duration(live.left)} left"


def _done(view: JobView, live: LiveJob) -> float | None:
    if view.state != "running":
        return None
    return min(1.0, live.step / live.steps) if live.steps else 0.0


def _pictures(view: JobView) -> tuple[CardPicture, ...]:
    return tuple(
        CardPicture(
            place=one.place,
            sha256=one.sha256,
            seed=one.seed,
            width=one.width,
            height=one.height,
            stars=one.stars,
        )
        for one in view.pictures
    )


def _recipe(view: JobView, request: Paint | None) -> tuple[tuple[str, str], ...]:
    if request is None:
        return ()
    seed = view.pictures[0].seed if view.pictures else request.seed
    return tuple(write.fields(request, seed))


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
        for action, picture in available(view)
    )
