"""Options of /train that change how it draws noise, measures the loss and steps."""

from typing import Annotated, TypedDict

from commands.syntax.spec import Option
from engine.messages import (
    CYCLES,
    EMA,
    HUBER,
    INPUT_PERTURBATION,
    LORA_PLUS,
    OUTSIDE,
    POWER,
    PYRAMID_NOISE,
)


class MethodOptions(TypedDict, total=False):
    """Options that replace fields of TrainingMethods, by their flags."""

    huber: Annotated[float, Option("Errors above this count less, 0 is squared error", *HUBER, more=True)]
    pyramid_noise: Annotated[
        float, Option("Share of coarser noise, such as 0.3, 0 is none", *PYRAMID_NOISE, more=True)
    ]
    input_perturbation: Annotated[
        float, Option("Extra noise in the input alone, such as 0.1", *INPUT_PERTURBATION, more=True)
    ]
    debiased: Annotated[bool, Option("Weigh the loss by 1 / sqrt(SNR), not by min-SNR", more=True)]
    zero_snr: Annotated[bool, Option("Noise alone at the last timestep, for v models", more=True)]
    lora_plus: Annotated[float, Option("Learning rate of B relative to A's (LoRA+)", *LORA_PLUS, more=True)]
    cycles: Annotated[int, Option("Cycles of the cosine with restarts", *CYCLES, more=True)]
    power: Annotated[float, Option("Power of the polynomial schedule", *POWER, more=True)]
    ema: Annotated[float, Option("Decay of an average of the steps to keep, 0 is off", *EMA, more=True)]
    outside: Annotated[float, Option("How much counts what a mask leaves out", *OUTSIDE, more=True)]
    alpha_mask: Annotated[bool, Option("Take a picture's transparency as its mask", more=True)]
