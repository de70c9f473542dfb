"""/upscale: a picture becomes two or four times as large."""

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

from commands.answers import CreateJob
from commands.context import ChatContext, Context
from commands.edit import recipe_of
from commands.loras_in_use import check_adapters
from commands.shared_options import NO_PICTURE, PictureOption
from commands.source_pictures import SourcePicture, resolve_picture
from commands.syntax.sizes import SQUARE
from commands.syntax.spec import Option, form_command
from engine.messages import STRENGTH, Finish, InvalidRequest, JobId, check_enlarged, picture_seeds


class Times(StrEnum):
    """How many times as wide and high a picture becomes."""

    TWICE = "2"
    FOUR = "4"


@form_command("Enlarge it", private=True)
async def upscale(
    context: Context,
    times: Annotated[Times, Option("How many times as wide and high", main=True)] = Times.TWICE,
    image: PictureOption = None,
    refine: Annotated[float, Option("Paint over it by its recipe, best at 0.1 to 0.3", *STRENGTH)] = 0.0,
) -> CreateJob:
    """Enlarge a picture two or four times."""
    if image is None:
        raise InvalidRequest(NO_PICTURE)
    return await enlarge_picture(context, await resolve_picture(context, image), int(times), refine=refine)


async def enlarge_picture(
    context: Context, picture: SourcePicture, times: int, *, refine: float = 0.0
) -> CreateJob:
    """A job that enlarges this picture, with its recipe if it was painted here. Raises InvalidRequest.

    Without refinement nothing is denoised, so that nobody's LoRAs are needed.
    """
    check_enlarged(picture.width, picture.height, times)
    recipe = recipe_of(picture, context.job)
    if picture.request is not None:
        recipe = replace(recipe, seed=picture_seeds(picture.request, picture.place)[0])
    if not refine:
        recipe = replace(recipe, adapters=())
    elif isinstance(context, ChatContext):
        await check_adapters(context, recipe.adapters)
    request = replace(
        recipe,
        prompt=recipe.prompt if picture.request is not None else "",
        count=1,
        size=picture.shape or SQUARE,
        source=picture.source(0.0, f"enlarged {times} times"),
        finish=Finish(enlarge=times, refine=refine),
    )
    return CreateJob(request=request, parent=JobId(picture.job) if picture.job else None)
