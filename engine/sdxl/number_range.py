"""Whether the numbers that a pipeline computes fit into its precision: float16 holds none above 65,504."""

from typing import Any

import torch

from engine.runners.runner import UnetInputs
from engine.sdxl.prompts import PromptEncoder

PROMPT = "a photo of a red fox in the snow, mountains behind it, soft light"
TIMESTEPS = (999.0, 500.0, 1.0)  # of all noise, half and hardly any


@torch.inference_mode()
def is_in_range(pipeline: Any) -> bool:
    """Whether the text encoders and the UNet have finite outputs for a prompt, at its native size."""
    unet = pipeline.unet
    words = PromptEncoder(pipeline).encode_pair(PROMPT, "", ())[0]
    rows, side = len(TIMESTEPS), unet.config.sample_size
    pooled = words.pooled.shape[1]
    ids = (unet.config.projection_class_embeddings_input_dim - pooled) // unet.config.addition_time_embed_dim
    inputs = UnetInputs(
        sample=UnetInputs.examples(unet, rows, side, side).sample,
        timestep=torch.tensor(TIMESTEPS, device=unet.device),
        hidden=words.hidden.expand(rows, -1, -1),
        added={
            "text_embeds": words.pooled.expand(rows, -1),
            "time_ids": torch.full((rows, ids), 8.0 * side, device=unet.device, dtype=unet.dtype),
        },
    )
    return all(bool(tensor.isfinite().all()) for tensor in (*inputs.tensors, *inputs.run(unet)))
