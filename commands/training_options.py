"""How to train, as people say it: everything that a preset settles and that they may want otherwise."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypedDict, get_type_hints

from commands.syntax.spec import Option
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
    LEARNING_RATE,
    NEW_TOKENS,
    NOISE_OFFSET,
    PRIOR_PICTURES,
    RANK,
    RESOLUTION,
    SEED,
    SHARE,
    TRAINING_STEPS,
    WEIGHT_DECAY,
    Optimizer,
    Prior,
    Schedule,
    TrainingPrecision,
    TrainingSettings,
)

FEW = (0, TRAINING_STEPS[1])  # of steps, where none means something
PATIENCE = (0, 1000)
PRIOR_WEIGHT = (0.0, 10.0)

FIELDS: Mapping[str, str] = MappingProxyType(
    {"lr": "learning_rate", "text_lr": "text_learning_rate", "token_lr": "token_learning_rate"}
)  # of TrainingSettings, where people say it otherwise


def read_blocks(text: str) -> tuple[str, ...]:
    """Names of the UNet's blocks from "down.2, mid"."""
    return tuple(text.replace(",", " ").lower().split())


class TrainingOptions(TypedDict, total=False):
    """What somebody wants otherwise than the preset has it; the fields of TrainingSettings by their flags."""

    steps: Annotated[int, Option("optimizer steps in all", *TRAINING_STEPS, otherwise="the preset's")]
    rank: Annotated[int, Option("how much the LoRA can hold", *RANK, otherwise="the preset's")]
    lr: Annotated[float, Option("learning rate of the UNet", *LEARNING_RATE, more=True)]
    epochs: Annotated[int, Option("times that each picture is shown, in place of steps", *EPOCHS, more=True)]
    batch: Annotated[int, Option("pictures in one pass", *BATCH, more=True)]
    accumulation: Annotated[int, Option("passes in one optimizer step", *ACCUMULATION, more=True)]
    resolution: Annotated[
        int,
        Option(
            "side of a square of the training area in pixels, 0 is the model's own", *RESOLUTION, more=True
        ),
    ]
    feed_forward: Annotated[bool, Option("train the feed-forward layers, too", more=True)]
    convolutions: Annotated[bool, Option("train the UNet's convolutions, too (LoCon)", more=True)]
    text_encoder: Annotated[bool, Option("train the first text encoder, too", more=True)]
    text_encoder_2: Annotated[bool, Option("train the second text encoder, too", more=True)]
    blocks: Annotated[
        tuple[str, ...],
        Option("train these blocks of the UNet only: down.2, mid, up.0", read=read_blocks, more=True),
    ]
    alpha: Annotated[float, Option("the LoRA counts alpha / rank times", *ALPHA, more=True)]
    dropout: Annotated[float, Option("share of the LoRA's inputs that is left out", *DROPOUT, more=True)]
    dora: Annotated[bool, Option("learn magnitudes apart from directions (DoRA)", more=True)]
    optimizer: Annotated[Optimizer, Option("what turns gradients into steps", more=True)]
    text_lr: Annotated[float, Option("learning rate of the text encoders", *LEARNING_RATE, more=True)]
    token_lr: Annotated[float, Option("learning rate of new tokens", *LEARNING_RATE, more=True)]
    weight_decay: Annotated[float, Option("pull of the weights towards nothing", *WEIGHT_DECAY, more=True)]
    schedule: Annotated[Schedule, Option("how the learning rate goes on", more=True)]
    warmup: Annotated[int, Option("steps until the learning rate is reached", *FEW, more=True)]
    clipping: Annotated[float, Option("largest norm of a gradient, 0 is any", *CLIPPING, more=True)]
    precision: Annotated[TrainingPrecision, Option("what the model computes in", more=True)]
    checkpointing: Annotated[bool, Option("less memory for more time", more=True)]
    min_snr_gamma: Annotated[float, Option("min-SNR weighting, 0 is none", *GAMMA, more=True)]
    noise_offset: Annotated[float, Option("noise in each channel's mean", *NOISE_OFFSET, more=True)]
    caption_dropout: Annotated[
        float, Option("share of the steps without a caption", *CAPTION_DROPOUT, more=True)
    ]
    flip: Annotated[bool, Option("show mirrored pictures, too", more=True)]
    random_crop: Annotated[bool, Option("crop at random, not in the middle", more=True)]
    prior: Annotated[Prior, Option("what keeps the model from forgetting the class", more=True)]
    prior_weight: Annotated[float, Option("how much the class counts", *PRIOR_WEIGHT, more=True)]
    prior_pictures: Annotated[int, Option("pictures of the class to paint first", *PRIOR_PICTURES, more=True)]
    new_tokens: Annotated[
        int, Option("new tokens to learn for the trigger (pivotal tuning)", *NEW_TOKENS, more=True)
    ]
    pivot: Annotated[float, Option("share of the steps after which they are frozen", *SHARE, more=True)]
    validation: Annotated[
        float, Option("share of the pictures that is held out to validate", *HELD_OUT, more=True)
    ]
    every: Annotated[int, Option("steps between two checkpoints, 0 makes about ten", *FEW, more=True)]
    patience: Annotated[
        int,
        Option("checkpoints without a better one that end the training, 0 is never", *PATIENCE, more=True),
    ]
    seed: Annotated[int, Option("the same seed trains the same LoRA", *SEED, more=True)]


def differences(settings: TrainingSettings, usual: TrainingSettings) -> dict[str, Any]:
    """The options that make these settings out of the usual ones."""
    fields = {name: FIELDS.get(name, name) for name in get_type_hints(TrainingOptions)}
    return {
        name: getattr(settings, field)
        for name, field in fields.items()
        if getattr(settings, field) != getattr(usual, field)
    }


def overrides(options: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody wants otherwise, as fields of TrainingSettings."""
    return {FIELDS.get(name, name): value for name, value in options.items()}
