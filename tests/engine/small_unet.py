"""A UNet of SDXL's kind with two blocks, which is traced and compiled soon."""

from typing import Any

import torch
from diffusers import UNet2DConditionModel

WIDTHS = {
    "cross_attention_dim": 8,
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 32,
}


def make_small_unet(**config: Any) -> Any:
    """Random weights, the same each time. config: what it has in common with another UNet."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16,),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        attention_head_dim=2,
        norm_num_groups=4,
        use_linear_projection=True,
        addition_embed_type="text_time",
        **(WIDTHS | config),
    )
    return unet.eval().requires_grad_(requires_grad=False)
