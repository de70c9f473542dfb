"""/imagine: pictures from a prompt."""

import secrets
from math import ceil
from typing import Annotated

from commands.answers import CreateJob, Form
from commands.context import Context
from commands.pasted_recipe import NO_RECIPE, PastedRecipe, find_loras, omissions_text, read_recipe
from commands.shared_options import Guidance, PictureCount, SamplerName, Shape, Steps, Unwanted
from commands.source_pictures import SourcePicture, resolve_picture
from commands.syntax.lora_syntax import (
    Mention,
    add_phrases,
    add_usual_loras,
    extract_tags,
    read_mentions,
    resolve,
)
from commands.syntax.picture_reference import PictureReference, read_picture_reference
from commands.syntax.samplers import check_steps
from commands.syntax.sizes import SQUARE
from commands.syntax.spec import Option, form_command
from engine.messages import (
    ADAPTER_WEIGHT,
    DETAIL_STRENGTH,
    HIRES,
    REFINER,
    SEED,
    STRENGTH,
    VARIATION,
    Finish,
    InvalidRequest,
    Paint,
    Ratio,
    Size,
    Source,
)

RANDOM_SEEDS = 2**32  # short enough to read aloud; any seed up to 2**63 - 1 can be given


@form_command("Paint", private=True)
async def imagine(
    context: Context,
    prompt: Annotated[
        str, Option("What to paint", long=True, unpack=read_recipe, unless="image", main=True)
    ] = "",
    no: Unwanted = Paint.negative_prompt,
    lora: Annotated[
        tuple[Mention, ...],
        Option(
            "LoRAs with or without weights, such as ink:0.8, maria",
            *ADAPTER_WEIGHT,
            kind="loras",
            read=read_mentions,
            main=True,
        ),
    ] = (),
    steps: Steps = Paint.steps,
    cfg: Guidance = Paint.guidance_scale,
    seed: Annotated[
        int | None, Option("The same seed paints the same picture", *SEED, otherwise="random", main=True)
    ] = None,
    size: Shape | None = None,
    sampler: SamplerName = Paint.sampler,
    count: PictureCount = Paint.count,
    refiner: Annotated[float, Option("Share of the steps left to the refiner", *REFINER)] = Paint.refiner,
    variation: Annotated[float, Option("How far to vary the seed's picture", *VARIATION)] = Paint.variation,
    variation_seed: Annotated[int | None, Option("Seed of the variation", *SEED, otherwise="random")] = None,
    fast: Annotated[bool, Option("Paint faster, with small differences")] = Paint.fast,
    hires: Annotated[float, Option("Finish it so many times as large", *HIRES)] = Paint.hires,
    detail: Annotated[
        str, Option("Paint faces, or what you name, again and larger: face", otherwise="nothing")
    ] = "",
    detail_strength: Annotated[
        float, Option("How much of those details changes", *DETAIL_STRENGTH)
    ] = Finish.detail_strength,
    image: Annotated[
        PictureReference | None,
        Option(
            "A picture to start from, such as k3f9qa:2",
            kind="image",
            read=read_picture_reference,
            otherwise="noise",
        ),
    ] = None,
    strength: Annotated[float, Option("How much of that picture changes", *STRENGTH)] = Source.strength,
    fresh: Annotated[bool, Option("Paint also what was painted before")] = False,
    unpacked: PastedRecipe | None = None,
    note: str = "",
) -> CreateJob:
    """Paint a picture from words."""
    if variation_seed is not None and not variation:
        raise InvalidRequest(
            "--variation-seed does nothing alone. Add a variation, such as --variation 0.15."
        )
    check_strength(strength, steps, image)
    check_steps(sampler, steps)
    if refiner and refiner * steps < 1:
        raise InvalidRequest(refiner_without_a_step(refiner, steps))
    words, inside = extract_tags(prompt)
    recipe = unpacked or NO_RECIPE
    theirs, missing = await find_loras(recipe.loras, context)
    mix = await resolve(await add_usual_loras((*inside, *theirs, *lora), context.library), context.library)
    start = None if image is None else await resolve_picture(context, image)
    words = words if words.strip() else words_of(start)
    request = Paint(
        job=context.job,
        prompt=add_phrases(words, [lora for lora, _ in mix]),
        negative_prompt=no,
        adapters=tuple(use for _, use in mix),
        steps=steps,
        guidance_scale=cfg,
        seed=random_seed() if seed is None else seed,
        size=size or (start.shape if start is not None else None) or SQUARE,
        sampler=sampler,
        count=count,
        refiner=refiner,
        variation=variation,
        variation_seed=random_seed() if variation and variation_seed is None else variation_seed or 0,
        fast=fast,
        hires=hires,
        finish=Finish(detail=detail, detail_strength=detail_strength),
        source=None if start is None else start.source(strength),
        note=" ".join(filter(None, (note, fitting_note(start, size)))),
    )
    return CreateJob(request=request, text=omissions_text(recipe, missing, context.model), fresh=fresh)


def check_strength(strength: float, steps: int, image: PictureReference | None) -> None:
    """Raise InvalidRequest where this strength does nothing."""
    if image is None and strength != Source.strength:
        raise InvalidRequest("--strength does nothing alone. Add a picture, such as --image k3f9qa:2.")
    if image is not None and int(steps * strength) < 1:
        least = ceil(100 / steps) / 100
        raise InvalidRequest(
            f"A strength of {strength:g} is less than one of {steps} steps. Give it at least {least:g}."
        )


def words_of(start: SourcePicture | None) -> str:
    """The words that painted what is started from. Raises InvalidRequest where nobody knows any."""
    painted = None if start is None else start.request
    if start is not None and (painted is None or not painted.prompt.strip()):
        raise InvalidRequest("Nothing here knows which words painted that picture. Say what to paint.")
    return "" if painted is None else painted.prompt


def fitting_note(start: SourcePicture | None, size: Size | Ratio | None) -> str:
    """What a size that was asked for does to the picture that is started from; "" where it fits."""
    if start is None or size is None or not start.width:
        return ""
    across, down = (size.width, size.height) if isinstance(size, Size) else (size.across, size.down)
    if abs(across * start.height - down * start.width) <= down * start.height / 100:
        return ""
    cut = "left and right" if across * start.height < down * start.width else "top and bottom"
    return f"The picture was cropped at its {cut} to this size."


def prompt_form(prompt: str) -> Form:
    """The form with these words to paint in it."""
    return Form(command=imagine.name, values={"prompt": prompt})


def refiner_without_a_step(refiner: float, steps: int) -> str:
    """The refusal of a refiner's share that is less than one step."""
    needed = ceil(1 / refiner)
    share = ceil(100 / steps) / 100
    advice = f"Give it at least {share:g}, or paint" if share <= REFINER[1] else "Paint"
    few = f"A refiner of {refiner:g} is less than one step of {steps}."
    return f"{few} {advice} in at least {needed} steps."


def random_seed() -> int:
    """A random seed."""
    return secrets.randbelow(RANDOM_SEEDS)
