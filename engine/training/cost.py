"""What a training costs: a measured time of a picture, and how much a prior adds."""

import time

import torch

from engine.messages import Prior, TrainingSettings
from engine.sdxl.model import Model


def relative_cost(settings: TrainingSettings) -> float:
    """The time of a picture in training, relative to one without a prior.

    A prior doubles the rows, and that of predictions needs a forward without the LoRA first, a third of a
    row. It is less where rows cost little.
    """
    return {Prior.NONE: 1.0, Prior.PICTURES: 2.0, Prior.PREDICTION: 7 / 3}[settings.class_prior]


@torch.no_grad()
def measure_seconds_per_picture(model: Model, size: tuple[int, int], batch: int) -> float:
    """Measure about how many seconds training on a picture of this (width, height) takes in such batches.

    It is three times the UNet's forward, since backward costs two forwards (Kaplan et al. 2020, arXiv
    2001.08361, section 2.1).
    """
    width, height = (side // model.factor for side in size)
    unet, device, precision = model.base.unet, model.device, model.precision
    pooled = model.base.text_encoder_2.config.projection_dim
    conditions = {
        "text_embeds": torch.zeros(batch, pooled, device=device, dtype=precision),
        "time_ids": torch.zeros(batch, 6, device=device, dtype=precision),
    }
    hidden = torch.zeros(batch, 77, unet.config.cross_attention_dim, device=device, dtype=precision)
    latents = torch.zeros(batch, unet.config.in_channels, height, width, device=device, dtype=precision)
    seconds = []
    for _ in range(2):  # the first is a warm-up
        started = time.monotonic()
        float(unet(latents, 500, hidden, added_cond_kwargs=conditions, return_dict=False)[0].sum())
        seconds.append(time.monotonic() - started)
    return 3 * min(seconds) / batch
