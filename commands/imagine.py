"""/imagine: a picture from words."""

import secrets
from typing import Annotated

from commands.context import Context
from commands.loras import Mention, found, mentions, tagged
from commands.samplers import sampler as sampler_named
from commands.sizes import SQUARE
from commands.sizes import size as size_written
from commands.spec import Option, command
from engine.messages import COUNT, GUIDANCE, REFINER, SEED, STEPS, Paint, Ratio, Sampler, Size

RANDOM_SEEDS = 2**32  # short enough to read aloud; any seed up to 2**63 - 1 can be given


@command
async def imagine(
    context: Context,
    prompt: Annotated[str, Option("what to paint")],
    no: Annotated[str, Option("what to avoid")] = Paint.negative_prompt,
    lora: Annotated[
        tuple[Mention, ...], Option("LoRAs with their weights, such as ink:0.8", read=mentions)
    ] = (),
    steps: Annotated[int, Option("denoising steps", *STEPS)] = Paint.steps,
    cfg: Annotated[float, Option("guidance scale", *GUIDANCE)] = Paint.guidance_scale,
    seed: Annotated[int | None, Option("the same seed paints the same picture; random", *SEED)] = None,
    size: Annotated[
        Size | Ratio,
        Option(
            "832x1216, 3:2, square, portrait, landscape, wide or tall", aliases=("ar",), read=size_written
        ),
    ] = SQUARE,
    sampler: Annotated[Sampler, Option("the way from noise to picture", read=sampler_named)] = Paint.sampler,
    count: Annotated[int, Option("number of pictures", *COUNT)] = Paint.count,
    refiner: Annotated[float, Option("share of the steps left to the refiner", *REFINER)] = Paint.refiner,
) -> Paint:
    """Paint a picture from words."""
    words, inside = tagged(prompt)
    return Paint(
        job=context.job,
        prompt=words,
        negative_prompt=no,
        adapters=await found((*inside, *lora), context.library),
        steps=steps,
        guidance_scale=cfg,
        seed=secrets.randbelow(RANDOM_SEEDS) if seed is None else seed,
        size=size,
        sampler=sampler,
        count=count,
        refiner=refiner,
    )
