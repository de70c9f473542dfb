"""/blend: a picture that begins as several others mixed."""

from typing import Annotated

from commands.answers import CreateJob
from commands.context import Context
from commands.edit import name_loras
from commands.imagine import check_strength, random_seed
from commands.shared_options import Guidance, PictureCount, SamplerName, Seed, Shape, Steps, Unwanted
from commands.source_pictures import resolve_picture
from commands.syntax.lora_syntax import Mention, read_mentions
from commands.syntax.parser import shorten
from commands.syntax.picture_reference import PictureReference, read_picture_reference
from commands.syntax.samplers import check_steps
from commands.syntax.sizes import SQUARE
from commands.syntax.spec import Option, form_command
from engine.messages import (
    ADAPTER_WEIGHT,
    BLENDED,
    STRENGTH,
    Ingredient,
    InvalidRequest,
    Paint,
    check_number,
)

WEIGHT = (0.0, 10.0)


def read_blend_weights(text: str) -> tuple[float, ...]:
    """Weights from "1, 0.5". Raises InvalidRequest."""
    weights = []
    for part in text.replace(",", " ").split():
        try:
            weight = float(part)
        except ValueError:
            raise InvalidRequest(f"{shorten(part)!r} is not a weight. Write weights like 1, 0.5.") from None
        check_number("A weight", weight, *WEIGHT)
        weights.append(weight)
    return tuple(weights)


def _picture(which: str, *, main: bool = False) -> Option:
    help = f"The {which} picture, such as k3f9qa:2"
    return Option(help, kind="image", read=read_picture_reference, main=main)


@form_command("Blend them", private=True)
async def blend(
    context: Context,
    prompt: Annotated[str, Option("Words for the whole, if any", long=True, otherwise="none")] = "",
    *,
    image: Annotated[PictureReference | None, _picture("first", main=True)] = None,
    image_2: Annotated[PictureReference | None, _picture("second", main=True)] = None,
    image_3: Annotated[PictureReference | None, _picture("third")] = None,
    image_4: Annotated[PictureReference | None, _picture("fourth")] = None,
    image_5: Annotated[PictureReference | None, _picture("fifth")] = None,
    weights: Annotated[
        tuple[float, ...],
        Option("Their weights, such as 1, 0.5", *WEIGHT, read=read_blend_weights, otherwise="all the same"),
    ] = (),
    strength: Annotated[float, Option("How much of the mixture changes", *STRENGTH)] = Paint.blend_strength,
    no: Unwanted = Paint.negative_prompt,
    lora: Annotated[
        tuple[Mention, ...],
        Option("LoRAs, such as ink:0.8", *ADAPTER_WEIGHT, kind="loras", read=read_mentions),
    ] = (),
    steps: Steps = Paint.steps,
    cfg: Guidance = Paint.guidance_scale,
    seed: Seed = None,
    size: Shape | None = None,
    sampler: SamplerName = Paint.sampler,
    count: PictureCount = Paint.count,
) -> CreateJob:
    """Blend two to five pictures into a new one."""
    references = [each for each in (image, image_2, image_3, image_4, image_5) if each is not None]
    if len(references) < BLENDED[0]:
        raise InvalidRequest("A blend needs 2 to 5 pictures, such as --image k3f9qa --image-2 m2x8ab:3.")
    if weights and len(weights) != len(references):
        raise InvalidRequest(
            f"There are {len(weights)} weights for {len(references)} pictures. Give each one."
        )
    check_strength(strength, steps, references[0])
    check_steps(sampler, steps)
    pictures = [await resolve_picture(context, reference) for reference in references]
    words, adapters = await name_loras(context, prompt, lora, ())
    request = Paint(
        job=context.job,
        prompt=words or ", ".join(dict.fromkeys(filter(None, (picture.caption for picture in pictures)))),
        negative_prompt=no,
        adapters=adapters,
        steps=steps,
        guidance_scale=cfg,
        seed=random_seed() if seed is None else seed,
        size=size or pictures[0].shape or SQUARE,
        sampler=sampler,
        count=count,
        blend=tuple(
            Ingredient(sha256=picture.sha256, weight=weight, job=picture.job, place=picture.place)
            for picture, weight in zip(pictures, weights or [1.0] * len(pictures), strict=True)
        ),
        blend_strength=strength,
    )
    return CreateJob(request=request)
