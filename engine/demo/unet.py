"""The UNets: shapes of the base's and the refiner's, their training loss, and the noise they learn to see."""

from __future__ import annotations

import torch
from diffusers import EulerDiscreteScheduler, UNet2DConditionModel
from torch import Tensor

TIME_ID_WIDTH = 32
"""Channels that each size or crop number is spread over (SDXL has 256)."""


def new_scheduler() -> EulerDiscreteScheduler:
    """SDXL's own scheduler settings."""
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="epsilon",
        timestep_spacing="leading",
        steps_offset=1,
        interpolation_type="linear",
        num_train_timesteps=1000,
    )


def new_unet(
    cross_width: int,
    pooled_width: int,
    time_ids: int,
    channels: tuple[int, int, int] = (64, 64, 96),
    *,
    deep_words: bool = True,
) -> UNet2DConditionModel:
    """An untrained UNet on (4, 16, 16) latents, in SDXL's form, one layer and transformer per level.

    deep_words: whether the deepest level attends to words too; the refiner's, as SDXL's, does not.
    """
    deepest = "CrossAttn" if deep_words else ""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=channels,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", f"{deepest}DownBlock2D"),
        up_block_types=(f"{deepest}UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        transformer_layers_per_block=1,
        attention_head_dim=tuple(width // 32 for width in channels),
        norm_num_groups=16,
        cross_attention_dim=cross_width,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_ID_WIDTH,
        projection_class_embeddings_input_dim=pooled_width + time_ids * TIME_ID_WIDTH,
    )


def snr_weights(timesteps: Tensor, alphas_cumprod: Tensor, gamma: float = 5.0) -> Tensor:
    """Loss weights for epsilon prediction: SNR^-3/4 at high noise, those of min-SNR at low noise.

    Where there is most noise only the words tell what is to be seen, and there the plain loss hardly listens.
    After Yu et al. 2023, arXiv 2310.08442, and Hang et al. 2023, arXiv 2303.09556, eq. 5.
    timesteps: (B,) int64; alphas_cumprod: (1000,) float; gamma > 0. Returns (B,) float32 in 0-25.
    """
    alphas = alphas_cumprod[timesteps]
    snr = alphas / (1 - alphas)
    return torch.minimum(snr**-0.75, gamma / snr).clamp(max=25)


def noised(latents: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The latents (B, 4, h, w) at their timesteps (B,): DDPM's forward process (arXiv 2006.11239, eq. 4)."""
    alphas = alphas_cumprod[timesteps][:, None, None, None]
    return alphas.sqrt() * latents + (1 - alphas).sqrt() * noise
