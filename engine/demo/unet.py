"""The UNets of the base and the refiner, with their scheduler, noise and loss."""

from __future__ import annotations

from diffusers import EulerDiscreteScheduler, UNet2DConditionModel
from torch import Tensor

TIME_ID_WIDTH = 32
"""Channels of the embedding of each size or crop number (SDXL has 256)."""


def new_scheduler() -> EulerDiscreteScheduler:
    """SDXL's scheduler with more noise at the end, and with v-prediction, which that needs.

    In SDXL's own schedule the noisiest latents still show the picture (Lin et al. 2023, arXiv 2305.08891), so
    a model learns the places of things from the latents and not from the prompt. With `beta_end` at 0.02, the
    SNR is below 0.01 at a fifth of the timesteps.
    """
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.02,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
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
    deep_attention: bool = True,
) -> UNet2DConditionModel:
    """An untrained UNet for (4, 16, 16) latents, with attention below the first level as in SDXL.

    deep_attention: whether the deepest level has attention too. That of the refiner, as SDXL's, has none.
    """
    deepest = "CrossAttn" if deep_attention else ""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", f"{deepest}DownBlock2D"),
        up_block_types=(f"{deepest}UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
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


def add_noise(latents: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Noisy latents (B, 4, h, w) at timesteps (B,) (Ho et al. 2020, arXiv 2006.11239, eq. 4)."""
    alphas = alphas_cumprod[timesteps][:, None, None, None]
    return alphas.sqrt() * latents + (1 - alphas).sqrt() * noise


def velocity_target(latents: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The target of the UNet (B, 4, h, w): v of Salimans and Ho 2022, arXiv 2202.00512, appendix D."""
    alphas = alphas_cumprod[timesteps][:, None, None, None]
    return alphas.sqrt() * noise - (1 - alphas).sqrt() * latents


def velocity_loss(predicted: Tensor, target: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The squared error of velocities (B, 4, h, w), each row divided by about its usual error at its noise
    level.

    So all noise levels count alike: places are learned at the highest, shapes in between, edges at the
    lowest. Karras et al. 2024, arXiv 2312.02696, section 2.4, learn such weights. Here they are a curve
    through measured errors.
    """
    snr = alphas_cumprod[timesteps] / (1 - alphas_cumprod[timesteps])
    weights = (1 + (10 * snr) ** 0.6) / (1 + snr)
    errors: Tensor = (predicted - target).square().mean(dim=(1, 2, 3))
    return (errors * weights).mean()
