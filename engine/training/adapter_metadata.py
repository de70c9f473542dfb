"""The metadata of a trained LoRA's file: kohya's fields, the model metadata standard's, and our own."""

import base64
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from PIL import Image

from engine.lora.adapter_export import kind_fields
from engine.messages import AdapterKind, Part, Train, TrainingSettings
from engine.training.pictures.items import Item

MOST_READ = 10_000  # pictures whose captions are counted
MOST_TAGS = 1000  # parts of captions
THUMBNAIL = 256  # pixels of its longer side, as the model metadata standard asks for


def training_metadata(
    training: Train,
    items: Sequence[Item],
    *,
    side: int,
    step: int,
    losses: Sequence[float],
    parameters: Mapping[Part, int],
    validation: float | None,
    created: datetime,
    note: str = "",
    thumbnail: bytes | None = None,
) -> dict[str, str]:
    """The metadata: kohya's ss_ fields, those of the model metadata standard, and our own.

    items: the pictures of the training. side: of a square of the training area, in pixels. step: optimizer
    steps done. losses: of each step. parameters: how many are trained in each part. note: which settings
    were lowered. thumbnail: the bytes of a picture.
    """
    return {
        **kohya_fields(training, items, side, step),
        **modelspec_fields(training, side, created, thumbnail),
        **own_fields(training, items, losses, parameters, validation, note),
    }


def kohya_fields(training: Train, items: Sequence[Item], side: int, step: int) -> dict[str, str]:
    """The fields of kohya's trainer that programs read. A1111 hides a LoRA without this base model."""
    settings = training.settings
    rank = settings.rank or settings.largest_rank
    return {
        "ss_v2": "False",
        "ss_base_model_version": "sdxl_base_v1-0",
        "ss_network_dim": str(rank),
        "ss_network_alpha": f"{settings.alpha if settings.rank else rank:g}",
        "ss_network_dropout": f"{settings.dropout:g}",
        **kind_fields(settings.network, network_arguments(settings)),
        "ss_output_name": training.name,
        "ss_tag_frequency": json.dumps({training.name: tag_frequency(items)}),
        "ss_num_train_images": str(len(items)),
        "ss_resolution": f"({side}, {side})",
        "ss_steps": str(step),
        "ss_max_train_steps": str(settings.steps),
        "ss_total_batch_size": str(settings.batch),
        "ss_gradient_accumulation_steps": str(settings.accumulation),
        "ss_gradient_checkpointing": str(settings.checkpointing),
        "ss_learning_rate": f"{settings.learning_rate:g}",
        "ss_unet_lr": f"{settings.learning_rate:g}",
        "ss_text_encoder_lr": f"{settings.text_learning_rate:g}" if settings.trains_text else "None",
        "ss_optimizer": settings.optimizer.value,
        "ss_lr_scheduler": settings.schedule.value,
        "ss_lr_warmup_steps": str(settings.warmup),
        "ss_max_grad_norm": f"{settings.clipping:g}",
        "ss_min_snr_gamma": f"{settings.min_snr_gamma:g}" if settings.min_snr_gamma else "None",
        "ss_noise_offset": f"{settings.noise_offset:g}" if settings.noise_offset else "None",
        "ss_caption_dropout_rate": f"{settings.caption_dropout:g}",
        "ss_caption_tag_dropout_rate": f"{settings.tag_dropout:g}",
        "ss_shuffle_caption": str(settings.shuffle_tags),
        "ss_keep_tokens": str(settings.keep_tags),
        "ss_seed": str(settings.seed),
    }


def network_arguments(settings: TrainingSettings) -> dict[str, str]:
    """What kohya's trainer would have been told of the network beside rank and alpha."""
    arguments = {"dora_wd": "True"} if settings.network is AdapterKind.DORA else {}
    conv_rank = settings.part_rank(Part.CONVOLUTIONS)
    if conv_rank:
        arguments["conv_dim"] = str(conv_rank)
        arguments["conv_alpha"] = f"{settings.part_alpha(Part.CONVOLUTIONS, conv_rank):g}"
    for name in ("ranks", "alphas", "learning_rates"):
        if numbers := getattr(settings, name):
            arguments[f"atelier.{name}"] = ", ".join(map(str, numbers))
    return arguments


def tag_frequency(items: Sequence[Item]) -> dict[str, int]:
    """How often each comma-separated part is in the captions, the most frequent first.

    Of many pictures only the first are read, and of many parts only the most frequent stay: the header of a
    file has its bounds.
    """
    parts = (part.strip() for item in items[:MOST_READ] for part in item.caption.split(","))
    return dict(Counter(part for part in parts if part).most_common(MOST_TAGS))


def modelspec_fields(
    training: Train, side: int, created: datetime, thumbnail: bytes | None
) -> dict[str, str]:
    """The fields of the model metadata standard, version 1.0.1."""
    fields = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": training.name,
        "modelspec.date": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "modelspec.resolution": f"{side}x{side}",
        "modelspec.trigger_phrase": training.phrase,
        "modelspec.usage_hint": f"Write {training.phrase} in the prompt. Weight 1 is full strength.",
    }
    if training.author:
        fields["modelspec.author"] = training.author
    if thumbnail is not None:
        fields["modelspec.thumbnail"] = data_url(thumbnail)
    return fields


def own_fields(
    training: Train,
    items: Sequence[Item],
    losses: Sequence[float],
    parameters: Mapping[Part, int],
    validation: float | None,
    note: str,
) -> dict[str, str]:
    """Our own fields: the preset, the hashes of the pictures, the parameters, and a summary of the losses."""
    last = losses[-max(1, len(losses) // 10) :]
    summary = {
        "first": losses[0] if losses else None,
        "last tenth": sum(last) / len(last) if last else None,
        "validation": validation,
    }
    fields = {
        "atelier.preset": training.preset,
        **_picture_fields(training, items),
        "atelier.loss": json.dumps(summary),
        "atelier.parameters": json.dumps(parameters),
        "atelier.note": note,
        "atelier.from": ""
        if training.start is None
        else json.dumps([training.start.name, training.start.sha256]),
    }
    return {name: text for name, text in fields.items() if text}


def _picture_fields(training: Train, items: Sequence[Item]) -> dict[str, str]:
    """The hashes of the pictures, or that of their manifest."""
    if training.manifest is not None:
        return {"atelier.manifest": training.manifest.sha256}
    return {"atelier.pictures": json.dumps([item.example.sha256 for item in items])}


def data_url(picture: bytes) -> str:
    """The picture (file bytes) as a small JPEG in a data URL."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    small.save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
