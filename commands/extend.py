"""/extend: a picture gets new edges, or is seen from further away."""

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

from commands.answers import CreateJob, Form
from commands.context import Context
from commands.edit import EDIT_GUIDANCE, EDIT_STRENGTH, name_loras, recipe_of
from commands.imagine import check_strength, random_seed
from commands.shared_options import (
    NO_PICTURE,
    Guidance,
    PictureCount,
    PictureLoras,
    PictureOption,
    Seed,
    Steps,
    Unwanted,
)
from commands.source_pictures import SourcePicture, resolve_picture
from commands.syntax.picture_reference import PictureReference
from commands.syntax.sizes import SQUARE
from commands.syntax.spec import Option, form_command
from engine.messages import (
    EXTENSION,
    SIDE,
    STRENGTH,
    InvalidRequest,
    JobId,
    Margins,
    Paint,
)

SHARE = (0.1, 1.0)
HALF = 0.5


class Way(StrEnum):
    """The ways to extend a picture."""

    LEFT = "left"
    RIGHT = "right"
    UP = "up"
    DOWN = "down"
    ZOOM = "zoom"
    WIDE = "wide"
    SQUARE = "square"


ABOUT = {
    Way.LEFT: "to the left",
    Way.RIGHT: "to the right",
    Way.UP: "upwards",
    Way.DOWN: "downwards",
    Way.ZOOM: "seen from 1.5 times as far, at its size",
    Way.WIDE: "seen from 2 times as far, at its size",
    Way.SQUARE: "on two sides, until it is square",
}
SHRINKING = {Way.ZOOM: 1.5, Way.WIDE: 2.0}
CHANGES = {
    Way.ZOOM: "zoomed out 1.5 times",
    Way.WIDE: "zoomed out 2 times",
    Way.SQUARE: "made square",
} | {way: f"extended {ABOUT[way]}" for way in (Way.LEFT, Way.RIGHT, Way.UP, Way.DOWN)}


@form_command("Extend it", private=True)
async def extend(
    context: Context,
    prompt: Annotated[
        str, Option("What to paint there", long=True, otherwise="the picture's own words")
    ] = "",
    *,
    image: PictureOption = None,
    to: Annotated[
        Way, Option("Which way", among=lambda: {str(way): text for way, text in ABOUT.items()}, main=True)
    ] = Way.LEFT,
    by: Annotated[float, Option("How far, as a share of its side", *SHARE)] = HALF,
    strength: Annotated[float, Option("How freely to paint", *STRENGTH)] = EDIT_STRENGTH,
    no: Unwanted | None = None,
    lora: PictureLoras = (),
    steps: Steps | None = None,
    cfg: Guidance = EDIT_GUIDANCE,
    seed: Seed = None,
    count: PictureCount = Paint.count,
) -> CreateJob:
    """Extend a picture beyond its edges."""
    if image is None:
        raise InvalidRequest(NO_PICTURE)
    picture = await resolve_picture(context, image)
    answer = await extend_picture(context, picture, to, share=by)
    request = answer.request
    assert isinstance(request, Paint)
    assert request.source is not None
    words, adapters = await name_loras(context, prompt or request.prompt, lora, request.adapters)
    request = replace(
        request,
        prompt=words,
        negative_prompt=request.negative_prompt if no is None else no,
        adapters=adapters,
        steps=steps or request.steps,
        guidance_scale=cfg,
        seed=request.seed if seed is None else seed,
        count=count,
        source=replace(request.source, strength=strength),
    )
    check_strength(strength, request.steps, image)
    return replace(answer, request=request)


async def extend_picture(
    context: Context, picture: SourcePicture, way: Way, *, share: float = HALF
) -> CreateJob:
    """A job that extends this picture. Raises InvalidRequest."""
    if not picture.width:
        raise InvalidRequest("The size of that picture is not known any more. Send it again.")
    source = replace(
        picture.source(EDIT_STRENGTH, CHANGES[way]),
        margins=margins(picture.width, picture.height, way, share),
        shrink=SHRINKING.get(way, 1.0),
        share=share,
        padding=EXTENSION[1],  # all of the picture: who sees what is there already paints nothing twice
    )
    recipe = recipe_of(picture, context.job)
    request = replace(
        recipe, seed=random_seed(), count=1, size=SQUARE, guidance_scale=EDIT_GUIDANCE, source=source
    )
    return CreateJob(request=request, parent=JobId(picture.job) if picture.job else None)


def margins(width: int, height: int, way: Way, share: float) -> Margins:
    """The margins, in pixels, that extend a picture of this size. Raises InvalidRequest."""
    sides = {Way.LEFT: "left", Way.RIGHT: "right", Way.UP: "top", Way.DOWN: "bottom"}
    if way in sides:
        pixels = round(share * (width if way in (Way.LEFT, Way.RIGHT) else height))
        across, down = (pixels, 0) if way in (Way.LEFT, Way.RIGHT) else (0, pixels)
        _check_room(width + across, height + down)
        return Margins(**{sides[way]: pixels})
    if way is Way.SQUARE:
        across, down = max(0, height - width), max(0, width - height)
        if not across + down:
            raise InvalidRequest("The picture is square already. Extend it to one side instead.")
        _check_room(width + across, height + down)
    else:
        across, down = (side - round(side / SHRINKING[way]) for side in (width, height))
        _check_room(width, height)
    return Margins(left=across // 2, right=across - across // 2, top=down // 2, bottom=down - down // 2)


def _check_room(width: int, height: int) -> None:
    """Raise InvalidRequest where a picture would be too large once it is extended."""
    if max(width, height) > SIDE[1]:
        raise InvalidRequest(
            f"Extended so, the picture would have {width}x{height} pixels. "
            f"At most {SIDE[1]} a side are allowed."
        )


def extend_form(job: JobId, place: int) -> Form:
    """The form to extend a job's picture."""
    return Form(command=extend.name, values={"image": str(PictureReference(job=job, place=place))})
