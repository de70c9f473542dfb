"""The picture that a command is given: found, if its person may use it, and what is started from it."""

from dataclasses import dataclass
from fractions import Fraction

from commands.context import ChatContext, Context
from commands.job_lookup import check_not_deleted, find_job
from commands.syntax.picture_reference import PictureReference
from engine.messages import SIDE, SIDE_MULTIPLE, InvalidRequest, Paint, Ratio, Sha256, Size, Source
from storage import uploads, views
from storage.views import JobView

LARGEST_PART = 64  # of a ratio that is said for a picture of any size
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
        width, height = reference.size or await _sent_size(context, reference.sha256)
        _check_size(width, height)
        return SourcePicture(sha256=reference.sha256, width=width, height=height)
    if not isinstance(context, ChatContext):
        raise InvalidRequest("There are no jobs in a terminal. Name a picture's file.")
    return choose_picture(context, await _find_job(context, reference), reference.place)


def choose_picture(context: ChatContext, view: JobView, place: int | None) -> SourcePicture:
    """A picture of this job: the only one, or the one at this place. Raises InvalidRequest."""
    if view.adult and not (context.adult or context.direct):
        raise InvalidRequest(f"Job {view.id} is from a channel for adults. Use it in such a channel.")
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


async def _sent_size(context: Context, sha256: Sha256) -> tuple[int, int]:
    """The size of a picture that was sent lately; (0, 0) of any other."""
    return await uploads.size_of(context.session, sha256) if isinstance(context, ChatContext) else (0, 0)


def _check_size(width: int, height: int) -> None:
    if width and min(width, height) < SIDE[0]:
        raise InvalidRequest(
            f"The picture has {width}x{height} pixels. Each side must have at least {SIDE[0]}."
        )
