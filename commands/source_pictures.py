"""The picture that a command is given: found, if its person may use it, and what is started from it."""

from dataclasses import dataclass
from fractions import Fraction

from commands.context import ChatContext, Context
from commands.job_lookup import check_not_deleted, find_job
from commands.syntax.parser import shorten
from commands.syntax.picture_reference import PictureReference
from engine.messages import (
    CAPTION_CHARACTERS,
    SIDE,
    SIDE_MULTIPLE,
    Ingredient,
    InvalidRequest,
    JobId,
    Paint,
    Ratio,
    Sha256,
    Size,
    Source,
)
from storage import uploads, views
from storage.views import JobView

LARGEST_PART = 64  # of a ratio that is said for a picture of any size
LONGEST_CHAIN = 20  # pictures that are walked back through
WIDEST = 4  # times as wide as high, or as high as wide


@dataclass(frozen=True, kw_only=True)
class SourcePicture:
    """A picture to start from; `width` and `height` are 0 where they are not known.

    `job` and `place` say where it was painted, and `request` what asked for it, if it was painted here.
    """

    sha256: Sha256
    width: int = 0
    height: int = 0
    job: str = ""
    place: int = 1
    request: Paint | None = None

    @property
    def caption(self) -> str:
        """What it shows, as far as what asked for it says; "" of a picture that was sent."""
        words, request = [], self.request
        if request is not None:
            source = request.source
            words = [source.caption if source is not None and source.is_partial else "", request.prompt]
        return ", ".join(filter(None, words))[:CAPTION_CHARACTERS]

    @property
    def shape(self) -> Size | Ratio | None:
        """The size to paint at: its own if it was painted here, or else about its ratio."""
        if not self.width:
            return None
        sides = self.width, self.height
        if self.job and all(SIDE[0] <= side <= SIDE[1] and side % SIDE_MULTIPLE == 0 for side in sides):
            return Size(width=self.width, height=self.height)
        ratio = Fraction(self.width, self.height)
        ratio = min(max(ratio, Fraction(1, WIDEST)), Fraction(WIDEST)).limit_denominator(LARGEST_PART)
        return Ratio(across=ratio.numerator, down=ratio.denominator)

    def source(self, strength: float, change: str = "") -> Source:
        """This as what a picture starts from."""
        return Source(sha256=self.sha256, strength=strength, job=self.job, place=self.place, change=change)


async def resolve_picture(context: Context, reference: PictureReference) -> SourcePicture:
    """The picture, if the person may use it here. Raises InvalidRequest."""
    if reference.sha256 is not None:
        width, height = reference.size or await _find_sent_size(context, reference.sha256)
        _check_size(width, height)
        return SourcePicture(sha256=reference.sha256, width=width, height=height)
    if not isinstance(context, ChatContext):
        raise InvalidRequest("There are no jobs in a terminal. Name a picture's file.")
    view = await _find_job(context, reference)
    if reference.place == 0:
        return await _start_of(context, view)
    return choose_picture(context, view, reference.place)


def choose_picture(context: ChatContext, view: JobView, place: int | None) -> SourcePicture:
    """A picture of this job: the only one, or the one at this place. Raises InvalidRequest."""
    _check_adult(context, view)
    places = {picture.place: picture for picture in view.pictures}
    if not places:
        what = "has no pictures" if view.ended_at else "is not painted yet"
        raise InvalidRequest(f"Job {view.id} {what}. Name another one.")
    if place is None and len(places) > 1:
        raise InvalidRequest(f"Job {view.id} has {len(places)} pictures. Say which, such as {view.id}:2.")
    picture = places.get(min(places) if place is None else place)
    if picture is None:
        raise InvalidRequest(f"Job {view.id} has no picture {place}. It has {len(places)}.")
    return SourcePicture(
        sha256=picture.sha256,
        width=picture.width,
        height=picture.height,
        job=view.id,
        place=picture.place,
        request=view.request if isinstance(view.request, Paint) else None,
    )


def origins(paint: Paint) -> tuple[tuple[str, str], ...]:
    """What it starts from, the job (or "") and words: "k3f9qa, picture 2, part changed"."""
    starts = [start for start in (paint.source, *paint.blend) if start is not None]
    return tuple((start.job, _origin_text(start)) for start in starts)


def _origin_text(start: Source | Ingredient) -> str:
    where = f"{start.job}, picture {start.place}" if start.job else "a picture that was sent"
    return f"{where}, {start.change}" if isinstance(start, Source) and start.change else where


async def chain_text(context: ChatContext, view: JobView) -> str:
    """What the job's picture started from, and that from what, a line each; "" if it began with words.

    It ends where a job was deleted or is not for this person to see.
    """
    lines: list[str] = []
    newer: JobView | None = view
    while newer is not None and len(lines) < LONGEST_CHAIN:
        source = newer.request.source if isinstance(newer.request, Paint) else None
        if source is None:
            break
        older = await _find_seen(context, source.job) if source.job else None
        words = older.request.prompt if older is not None and isinstance(older.request, Paint) else ""
        how = f"{newer.id} is from {_origin_text(source)}"
        lines.append(f"{how}: {shorten(words)}" if words else how)
        newer = older
    return "\n".join(lines)


async def _find_seen(context: ChatContext, job: str) -> JobView | None:
    seen = await views.view(
        context.session, context.space.id, JobId(job), person_id=context.person.id, direct=context.direct
    )
    hidden = seen is None or seen.deleted or (seen.adult and not (context.adult or context.direct))
    return None if hidden else seen


def _check_adult(context: ChatContext, view: JobView) -> None:
    if view.adult and not (context.adult or context.direct):
        raise InvalidRequest(f"Job {view.id} is from a channel for adults. Use it in such a channel.")


async def _start_of(context: ChatContext, view: JobView) -> SourcePicture:
    """The picture that this job started from. What was sent is its sender's alone. Raises InvalidRequest."""
    _check_adult(context, view)
    request = view.request
    if not isinstance(request, Paint) or request.source is None:
        raise InvalidRequest(f"Job {view.id} started from words alone. Name a picture, such as {view.id}:1.")
    source, size = request.source, request.size
    if source.job:
        return await resolve_picture(context, PictureReference(job=JobId(source.job), place=source.place))
    if not await uploads.own(context.session, context.person.id, [source.sha256]):
        raise InvalidRequest(
            f"What job {view.id} started from is for who sent it alone. Start from {view.id}:1 instead."
        )
    width, height = await uploads.size_of(context.session, source.sha256)
    if not width:  # sent too long ago: about its ratio
        width, height = (size.width, size.height) if isinstance(size, Size) else (size.across, size.down)
    return SourcePicture(sha256=source.sha256, width=width, height=height)


async def _find_job(context: ChatContext, reference: PictureReference) -> JobView:
    if reference.job is not None:
        return await find_job(context, reference.job)
    view = await views.of_message(
        context.session,
        context.space.id,
        reference.message,
        person_id=context.person.id,
        direct=context.direct,
    )
    if view is None:
        raise InvalidRequest("There is no picture of mine in that message. Send the picture itself.")
    check_not_deleted(view)
    return view


async def _find_sent_size(context: Context, sha256: Sha256) -> tuple[int, int]:
    """The size of a picture that was sent lately; (0, 0) of any other."""
    return await uploads.size_of(context.session, sha256) if isinstance(context, ChatContext) else (0, 0)


def _check_size(width: int, height: int) -> None:
    if width and min(width, height) < SIDE[0]:
        raise InvalidRequest(
            f"The picture has {width}x{height} pixels. Each side must have at least {SIDE[0]}."
        )
