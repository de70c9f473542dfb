"""What is minimized, held to diffusers' own formulas."""

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from engine.objective import Predicts, Rows, error, noised, snr_weights, target

SCHEDULER = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
ALPHAS = SCHEDULER.alphas_cumprod
TIMESTEPS = torch.tensor([0, 137, 600, 999])


def latents(seed: int) -> torch.Tensor:
    return torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_latents_are_noised_as_diffusers_noises_them() -> None:
    told = noised(latents(0), latents(1), TIMESTEPS, ALPHAS)

    torch.testing.assert_close(told, SCHEDULER.add_noise(latents(0), latents(1), TIMESTEPS))


def test_an_epsilon_model_should_answer_the_noise_and_a_v_model_the_velocity() -> None:
    velocity = SCHEDULER.get_velocity(latents(0), latents(1), TIMESTEPS)

    assert target(latents(0), latents(1), TIMESTEPS, ALPHAS, "epsilon").equal(latents(1))
    torch.testing.assert_close(target(latents(0), latents(1), TIMESTEPS, ALPHAS, "v_prediction"), velocity)


@pytest.mark.parametrize(("predicts", "added"), [("epsilon", 0), ("v_prediction", 1)])
def test_min_snr_weights_are_those_of_diffusers_scripts(predicts: Predicts, added: int) -> None:
    snr = compute_snr(SCHEDULER, TIMESTEPS)

    told = snr_weights(TIMESTEPS, ALPHAS, 5.0, predicts)

    torch.testing.assert_close(told, snr.clamp(max=5.0) / (snr + added))
    assert 0 < told.min() < told.max() <= 1


def test_a_gamma_of_zero_weighs_all_timesteps_alike() -> None:
    assert snr_weights(TIMESTEPS, ALPHAS, 0.0, "epsilon").tolist() == [1, 1, 1, 1]


def test_each_row_counts_by_its_own_weight() -> None:
    rows = Rows(
        noisy=latents(0),
        target=torch.zeros(4, 4, 8, 8),
        timesteps=TIMESTEPS,
        weights=torch.tensor([0.0, 0.0, 0.5, 1.0]),
        time_ids=torch.zeros(4, 6),
        captions=("", "", "", ""),
    )
    predicted = torch.ones(4, 4, 8, 8) * torch.tensor([9.0, 9.0, 2.0, 1.0]).view(4, 1, 1, 1)

    assert float(error(predicted, rows)) == pytest.approx((0.5 * 4 + 1) / 4)
