"""/compare: one seed without a LoRA, with it at several weights, and with the refiner, on one sheet."""

from typing import Annotated

from commands.answers import CreateJob
from commands.context import Context
from commands.imagine import random_seed
from commands.shared_options import Guidance, SamplerName, Shape, Steps, Unwanted
from commands.syntax.lora_syntax import Mention, add_phrases, extract_tags, read_mentions, resolve
from commands.syntax.parser import shorten
from commands.syntax.samplers import check_steps
from commands.syntax.sizes import SQUARE
from commands.syntax.spec import Option, command
from commands.syntax.values import value_text
from engine.messages import (
    ADAPTER_WEIGHT,
    REFINER,
    SEED,
    AdapterUse,
    InvalidRequest,
    Paint,
    Variant,
    check_number,
)

WEIGHTS = (0.5, 1.0, 1.3)
MOST_WEIGHTS = 4
REFINED = 0.2  # share of the steps, usually
BASE = "without"


def read_weights(text: str) -> tuple[float, ...]:
    """Weights from "0.5, 1, 1.3". Raises InvalidRequest."""
    weights = []
    for part in text.replace(",", " ").split():
        try:
            weight = float(part)
        except ValueError:
            raise InvalidRequest(
                f"{shorten(part)!r} is not a weight. Write weights like 0.5, 1, 1.3."
            ) from None
        check_number("A weight", weight, *ADAPTER_WEIGHT)
        weights.append(weight)
    return tuple(weights)


@command
async def compare(
    context: Context,
    prompt: Annotated[str, Option("What to paint", long=True)],
    lora: Annotated[
        tuple[Mention, ...], Option("The LoRA to compare", *ADAPTER_WEIGHT, kind="loras", read=read_mentions)
    ] = (),
    weights: Annotated[
        tuple[float, ...], Option("Its weights on the sheet", *ADAPTER_WEIGHT, read=read_weights)
    ] = WEIGHTS,
    no: Unwanted = Paint.negative_prompt,
    steps: Steps = Paint.steps,
    cfg: Guidance = Paint.guidance_scale,
    seed: Annotated[
        int | None, Option("The same seed paints the same sheet", *SEED, otherwise="random")
    ] = None,
    size: Shape = SQUARE,
    sampler: SamplerName = Paint.sampler,
    refiner: Annotated[float, Option("Refiner's share of the steps in the last picture", *REFINER)] = REFINED,
) -> CreateJob:
    """Compare what a LoRA paints with what the model paints alone."""
    check_steps(sampler, steps)
    words, inside = extract_tags(prompt)
    mix = await resolve((*inside, *lora), context.library)
    if len(mix) != 1:
        raise InvalidRequest("Name one LoRA to compare, such as /compare a fox --lora ink.")
    ((base, use),) = mix
    request = Paint(
        job=context.job,
        prompt=add_phrases(words, [base]),
        negative_prompt=no,
        adapters=(use,),
        steps=steps,
        guidance_scale=cfg,
        seed=random_seed() if seed is None else seed,
        size=size,
        sampler=sampler,
        variants=variants(use, weights, refiner),
    )
    return CreateJob(request=request)


def variants(use: AdapterUse, weights: tuple[float, ...], refiner: float) -> tuple[Variant, ...]:
    """Without the LoRA, with it at each weight, and with it at its usual weight and the refiner."""
    several = tuple(dict.fromkeys(weights))
    if len(several) > MOST_WEIGHTS:
        raise InvalidRequest(f"{len(several)} weights were given. At most {MOST_WEIGHTS} are allowed.")
    compared = [Variant(name=BASE)]
    compared += [
        Variant(name=_name(use, weight), adapters=(_with_weight(use, weight),)) for weight in several
    ]
    if refiner:
        name = f"{_name(use, use.weight)} and the refiner"
        compared.append(Variant(name=name, adapters=(use,), refiner=refiner))
    return tuple(compared)


def weights_of(paint: Paint) -> tuple[float, ...]:
    """The weights of a comparison."""
    return tuple(
        variant.adapters[0].weight for variant in paint.variants if variant.adapters and not variant.refiner
    )


def refiner_of(paint: Paint) -> float:
    """The refiner's share in a comparison."""
    return max((variant.refiner for variant in paint.variants), default=0.0)


def _with_weight(use: AdapterUse, weight: float) -> AdapterUse:
    return AdapterUse(name=use.name, sha256=use.sha256, weight=weight)


def _name(use: AdapterUse, weight: float) -> str:
    return value_text(Mention(use.name, weight))
