"""The UNets: shapes of the base's and the refiner's, and the noise that they learn to see through."""

from __future__ import annotations

from diffusers import EulerDiscreteScheduler, UNet2DConditionModel
from torch import Tensor

TIME_ID_WIDTH = 32
"""Channels that each size or crop number is spread over (SDXL has 256)."""


def new_scheduler() -> EulerDiscreteScheduler:
    """SDXL's scheduler, but with more noise at the end, and with v-prediction, which that needs.

    SDXL's own schedule ends where a picture still shines through (Lin et al. 2023, arXiv 2305.08891): what
    stands where is then read off the noise, and the words that say it are hardly ever needed. With `beta_end`
    at 0.02, at a fifth of the timesteps, and of a painting's steps, the SNR is below 0.01.
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
    deep_words: bool = True,
) -> UNet2DConditionModel:
    """An untrained UNet on (4, 16, 16) latents, in SDXL's form: attention below the first level.

    deep_words: whether the deepest level attends to words too; the refiner's, as SDXL's, does not.
    """
    deepest = "CrossAttn" if deep_words else ""
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


def noised(latents: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """The latents (B, 4, h, w) at their timesteps (B,): DDPM's forward process (arXiv 2006.11239, eq. 4)."""
    alphas = alphas_cumprod[timesteps][:, None, None, None]
    return alphas.sqrt() * latents + (1 - alphas).sqrt() * noise


def velocity(latents: Tensor, noise: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """What the UNet learns to tell, (B, 4, h, w): v of Salimans and Ho 2022, arXiv 2202.00512, appendix D."""
    alphas = alphas_cumprod[timesteps][:, None, None, None]
    return alphas.sqrt() * noise - (1 - alphas).sqrt() * latents


def velocity_loss(guess: Tensor, right: Tensor, timesteps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Squared error of velocities (B, 4, h, w), each row divided by about what it comes to at its noise.

    So all noises teach alike: what stands where at the highest, its shape in between, its edge at the lowest.
    Karras et al. 2024, arXiv 2312.02696, section 2.4, learn such weights; here they are a curve through
    errors that were measured.
    """
    snr = alphas_cumprod[timesteps] / (1 - alphas_cumprod[timesteps])
    weights = (1 + (10 * snr) ** 0.6) / (1 + snr)
    wrong: Tensor = (guess - right).square().mean(dim=(1, 2, 3))
    return (wrong * weights).mean()
