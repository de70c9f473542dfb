"""Options of /train that replace a preset's settings."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, TypedDict, get_type_hints

from commands.crop_options import CropOptions
from commands.syntax.numbers import pluralize
from commands.syntax.parser import shorten
from commands.syntax.spec import Option
from commands.training_method_options import MethodOptions
from engine.messages import (
    ACCUMULATION,
    ALPHA,
    BATCH,
    CAPTION_DROPOUT,
    CLIPPING,
    DROPOUT,
    EPOCHS,
    GAMMA,
    HELD_OUT,
    KEEP_TAGS,
    LEARNING_RATE,
    NEW_TOKENS,
    NOISE_OFFSET,
    PART_RANK,
    PRIOR_PICTURES,
    RESOLUTION,
    SEED,
    SHARE,
    TAG_DROPOUT,
    TRAINING_STEPS,
    WEIGHT_DECAY,
    AdapterKind,
    InvalidRequest,
    Optimizer,
    PartNumber,
    Prior,
    Schedule,
    TrainingPrecision,
    TrainingSettings,
)

FEW = (0, TRAINING_STEPS[1])  # of steps, where none means something
PATIENCE = (0, 1000)
PRIOR_WEIGHT = (0.0, 10.0)

PART_NAMES: Mapping[str, str] = MappingProxyType(
    {"convolutions": "conv", "text-1": "text", "text-encoder": "text", "text-encoder-2": "text-2"}
)  # other names of parts

FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "lr": "learning_rate",
        "text_lr": "text_learning_rate",
        "token_lr": "token_learning_rate",
        "lrs": "learning_rates",
    }
)  # of TrainingSettings, where people say it otherwise


def read_blocks(text: str) -> tuple[str, ...]:
    """Names of the UNet's blocks from "down.2, mid"."""
    return tuple(text.replace(",", " ").lower().split())


def read_part_numbers(text: str) -> tuple[PartNumber, ...]:
    """Numbers of parts from "text = 4, down.1 = 8". Raises InvalidRequest."""
    words = re.sub(r"\s*[=:]\s*", "=", text.lower().replace("_", "-")).replace(",", " ").split()
    numbers = []
    for word in words:
        part, _, number = word.partition("=")
        try:
            numbers.append(PartNumber(part=PART_NAMES.get(part, part), number=float(number)))
        except ValueError:
            hint = "Write parts with their numbers, such as text=4, down.1=8."
            raise InvalidRequest(f"{shorten(word)!r} is no part with its number. {hint}") from None
    return tuple(numbers)


class UsualOptions(TypedDict, total=False):
    """Options that replace the preset's settings, without those of methods."""

    steps: Annotated[int, Option("Optimizer steps in total", *TRAINING_STEPS, otherwise="the preset's")]
    rank: Annotated[int, Option("How much the LoRA can hold", *PART_RANK, otherwise="the preset's")]
    lr: Annotated[float, Option("Learning rate of the UNet", *LEARNING_RATE, more=True)]
    epochs: Annotated[int, Option("Times that each picture is shown, instead of steps", *EPOCHS, more=True)]
    batch: Annotated[int, Option("Pictures in one pass", *BATCH, more=True)]
    accumulation: Annotated[int, Option("Passes in one optimizer step", *ACCUMULATION, more=True)]
    resolution: Annotated[
        int,
        Option("Training area's side in pixels, 0 is the model's own", *RESOLUTION, more=True),
    ]
    feed_forward: Annotated[bool, Option("Train the feed-forward layers, too", more=True)]
    convolutions: Annotated[bool, Option("Train the UNet's convolutions, too (LoCon)", more=True)]
    text_encoder: Annotated[bool, Option("Train the first text encoder, too", more=True)]
    text_encoder_2: Annotated[bool, Option("Train the second text encoder, too", more=True)]
    kind: Annotated[AdapterKind, Option("How a layer's change is made", more=True)]
    blocks: Annotated[
        tuple[str, ...],
        Option("Train only these UNet blocks, such as down.2, mid, up.0", read=read_blocks, more=True),
    ]
    ranks: Annotated[
        tuple[PartNumber, ...],
        Option(
            "Ranks of parts and blocks, such as text=4, conv=0, down.1=8",
            read=read_part_numbers,
            more=True,
        ),
    ]
    alphas: Annotated[
        tuple[PartNumber, ...],
        Option("Alphas of single parts, such as conv=1, text=4", read=read_part_numbers, more=True),
    ]
    lrs: Annotated[
        tuple[PartNumber, ...],
        Option(
            "Learning rates of parts, such as conv=5e-5, text-2=1e-5",
            read=read_part_numbers,
            more=True,
        ),
    ]
    alpha: Annotated[float, Option("The LoRA is scaled by alpha / rank", *ALPHA, more=True)]
    dropout: Annotated[float, Option("Share of the LoRA's inputs that is left out", *DROPOUT, more=True)]
    dora: Annotated[bool, Option("Learn magnitudes apart from directions (DoRA)", more=True)]
    optimizer: Annotated[Optimizer, Option("What turns gradients into steps", more=True)]
    text_lr: Annotated[float, Option("Learning rate of the text encoders", *LEARNING_RATE, more=True)]
    token_lr: Annotated[float, Option("Learning rate of new tokens", *LEARNING_RATE, more=True)]
    weight_decay: Annotated[float, Option("Pull of the weights towards zero", *WEIGHT_DECAY, more=True)]
    schedule: Annotated[Schedule, Option("How the learning rate changes", more=True)]
    warmup: Annotated[int, Option("Steps until the learning rate is reached", *FEW, more=True)]
    clipping: Annotated[float, Option("Largest norm of a gradient, 0 is any", *CLIPPING, more=True)]
    precision: Annotated[TrainingPrecision, Option("What the model computes in", more=True)]
    checkpointing: Annotated[bool, Option("Less memory for more time", more=True)]
    min_snr_gamma: Annotated[float, Option("Min-SNR weighting, 0 is none", *GAMMA, more=True)]
    noise_offset: Annotated[float, Option("Noise in each channel's mean", *NOISE_OFFSET, more=True)]
    caption_dropout: Annotated[
        float, Option("Share of the steps without a caption", *CAPTION_DROPOUT, more=True)
    ]
    shuffle_tags: Annotated[bool, Option("Shuffle captions that are lists of tags", more=True)]
    keep_tags: Annotated[int, Option("Tags at the start that stay where they are", *KEEP_TAGS, more=True)]
    tag_dropout: Annotated[float, Option("Share of the other tags that is left out", *TAG_DROPOUT, more=True)]
    flip: Annotated[bool, Option("Show mirrored pictures, too", more=True)]
    random_crop: Annotated[bool, Option("Crop at random, not in the middle", more=True)]
    prior: Annotated[Prior, Option("What keeps the model from forgetting the class", more=True)]
    prior_weight: Annotated[float, Option("How much the class counts", *PRIOR_WEIGHT, more=True)]
    prior_pictures: Annotated[int, Option("Pictures of the class to paint first", *PRIOR_PICTURES, more=True)]
    new_tokens: Annotated[
        int, Option("New tokens to learn for the trigger (pivotal tuning)", *NEW_TOKENS, more=True)
    ]
    pivot: Annotated[float, Option("Share of the steps after which new tokens are frozen", *SHARE, more=True)]
    validation: Annotated[
        float, Option("Share of the pictures that is held out to validate", *HELD_OUT, more=True)
    ]
    every: Annotated[int, Option("Steps between two checkpoints, 0 makes about ten", *FEW, more=True)]
    patience: Annotated[
        int,
        Option("Checkpoints without progress before it ends, 0 is never", *PATIENCE, more=True),
    ]
    seed: Annotated[int, Option("The same seed trains the same LoRA", *SEED, more=True)]


def parameters_text(parameters: Sequence[PartNumber]) -> str:
    """How many parameters are trained, in words: "3,057,152 parameters (attention 1,451,520, ...)"."""
    total = pluralize(sum(int(number.number) for number in parameters), "parameter")
    if len(parameters) == 1:
        return f"{total} of {parameters[0].part}"
    return f"{total} ({', '.join(f'{number.part} {int(number.number):,}' for number in parameters)})"


class TrainingOptions(UsualOptions, CropOptions, MethodOptions, total=False):
    """Options that replace the preset's settings: fields of TrainingSettings by their flags."""


def differences(settings: TrainingSettings, usual: TrainingSettings) -> dict[str, Any]:
    """The options that turn the usual settings into these."""
    fields = {name: FIELDS.get(name, name) for name in get_type_hints(TrainingOptions)}
    return {
        name: getattr(settings, field)
        for name, field in fields.items()
        if getattr(settings, field) != getattr(usual, field)
    }


def overrides(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as fields of TrainingSettings."""
    return {FIELDS.get(name, name): value for name, value in options.items()}
