"""/edit: a part of a picture is painted anew, and the rest stays as it is."""

from dataclasses import replace
from typing import Annotated

from commands.answers import CreateJob, Form
from commands.context import Context
from commands.imagine import check_strength, random_seed
from commands.shared_options import (
    NO_PICTURE,
    Guidance,
    PictureCount,
    PictureLoras,
    PictureOption,
    SamplerName,
    Seed,
    Steps,
    Unwanted,
)
from commands.source_pictures import SourcePicture, resolve_picture
from commands.syntax.lora_syntax import Mention, add_phrases, extract_tags, resolve
from commands.syntax.picture_reference import PictureReference, read_picture_reference
from commands.syntax.places import Places, read_places
from commands.syntax.samplers import check_steps
from commands.syntax.sizes import SQUARE
from commands.syntax.spec import Option, form_command
from engine.messages import (
    FEATHER,
    GROW,
    STRENGTH,
    AdapterUse,
    Finish,
    InvalidRequest,
    JobId,
    Paint,
    Sha256,
)

CHANGE = "part changed"
PADDING = (
    3 / 16
)  # of the picture's shorter side, around what is painted: the surroundings that the model sees
WORDS_GROW = 0.05  # of the picture's shorter side: what is found by words is given some room
SIDE_UNKNOWN = 512  # pixels of the shorter side of a picture of which it is not known
EDIT_STRENGTH = 0.8  # the rest of the noise keeps the colours around the place, with which it is filled
EDIT_GUIDANCE = 3.0  # low, so that what is painted fits its surroundings (docs/measurements.md)

NO_PLACE = (
    "Where? Say --place top left, left half or A1-B2, --where and what is there, or send a mask in which "
    "white is what is painted anew."
)


@form_command("Change it", private=True)
async def edit(
    context: Context,
    prompt: Annotated[str, Option("What should be there", long=True)],
    image: PictureOption = None,
    place: Annotated[
        Places | None,
        Option("Where: top left, left half, middle, cells A1-C3", read=read_places, main=True),
    ] = None,
    where: Annotated[
        str, Option("What to paint over, in words: the star", main=True, otherwise="by its place")
    ] = "",
    mask: Annotated[
        Sha256 | None, Option("A mask of the same size: white is painted", kind="picture")
    ] = None,
    invert: Annotated[bool, Option("Paint all but that place")] = False,
    grow: Annotated[float, Option("Widen the place, as a share of the picture", *GROW)] = 0.0,
    feather: Annotated[float, Option("Soften its edge, as a share of the picture", *FEATHER)] = 0.02,
    strength: Annotated[float, Option("How much of what was there changes", *STRENGTH)] = EDIT_STRENGTH,
    no: Unwanted | None = None,
    lora: PictureLoras = (),
    steps: Steps | None = None,
    cfg: Guidance = EDIT_GUIDANCE,
    seed: Seed = None,
    sampler: SamplerName | None = None,
    count: PictureCount = Paint.count,
) -> CreateJob:
    """Paint a part of a picture anew and keep the rest as it is."""
    if image is None:
        image, prompt = split_reference(prompt)
    if place is None and mask is None and not where:
        raise InvalidRequest(NO_PLACE)
    picture = await resolve_picture(context, image)
    recipe = recipe_of(picture, context.job)
    words, adapters = await name_loras(context, prompt, lora, recipe.adapters)
    request = replace(
        recipe,
        prompt=words,
        negative_prompt=recipe.negative_prompt if no is None else no,
        adapters=adapters,
        steps=steps or recipe.steps,
        guidance_scale=cfg,
        seed=random_seed() if seed is None else seed,
        sampler=sampler or recipe.sampler,
        count=count,
        size=picture.shape or SQUARE,
        source=replace(
            picture.source(strength, CHANGE),
            mask=mask,
            where=where,
            caption=picture.caption,
            area=str(place or ""),
            regions=() if place is None else place.regions,
            invert=invert,
            grow=grow or (WORDS_GROW if where else 0.0),
            feather=feather,
            fill=True,
            padding=round(PADDING * (min(picture.width, picture.height) or SIDE_UNKNOWN)),
        ),
    )
    check_strength(strength, request.steps, image)
    check_steps(request.sampler, request.steps)
    return CreateJob(request=request, parent=JobId(picture.job) if picture.job else None)


def split_reference(words: str) -> tuple[PictureReference, str]:
    """The picture that words begin with, such as "k3f9qa:2 a blue heart", and the rest of them.

    Raises InvalidRequest where they do not.
    """
    first, _, rest = words.partition(" ")
    if not rest.strip() or not any(character.isdigit() for character in first):
        raise InvalidRequest(NO_PICTURE)
    try:
        return read_picture_reference(first), rest.strip()
    except InvalidRequest:
        raise InvalidRequest(NO_PICTURE) from None


def recipe_of(picture: SourcePicture, job: JobId) -> Paint:
    """The recipe of a picture for a new job that goes on from it, or the usual one."""
    if picture.request is None or picture.request.variants:
        return Paint(job=job, prompt="a picture", seed=0)
    return replace(
        picture.request,
        job=job,
        variation=0.0,
        blend=(),
        hires=1.0,
        fast=False,
        refiner=0.0,
        finish=Finish(),
        note="",
        repeats="",
    )


async def name_loras(
    context: Context, prompt: str, lora: tuple[Mention, ...], usual: tuple[AdapterUse, ...]
) -> tuple[str, tuple[AdapterUse, ...]]:
    """The prompt and its LoRAs: those that are named, or else the usual ones. Raises InvalidRequest."""
    words, inside = extract_tags(prompt)
    if not (inside or lora):
        return words, usual
    mix = await resolve((*inside, *lora), context.library)
    return add_phrases(words, [each for each, _ in mix]), tuple(use for _, use in mix)


def edit_form(job: JobId, place: int) -> Form:
    """The form to change a part of a job's picture."""
    return Form(command=edit.name, values={"image": str(PictureReference(job=job, place=place))})
