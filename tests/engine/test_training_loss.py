"""What is minimized, held to diffusers' own formulas."""

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from torch import Tensor

from engine.training.loss import (
    PredictionType,
    Rows,
    add_noise,
    prediction_target,
    snr_weights,
    weighted_errors,
)

SCHEDULER = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
ALPHAS = SCHEDULER.alphas_cumprod
TIMESTEPS = torch.tensor([0, 137, 600, 999])


def latents(seed: int) -> torch.Tensor:
    return torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_latents_are_noised_as_diffusers_noises_them() -> None:
    noisy = add_noise(latents(0), latents(1), TIMESTEPS, ALPHAS)

    torch.testing.assert_close(noisy, SCHEDULER.add_noise(latents(0), latents(1), TIMESTEPS))


def test_an_epsilon_model_should_answer_the_noise_and_a_v_model_the_velocity() -> None:
    velocity = SCHEDULER.get_velocity(latents(0), latents(1), TIMESTEPS)

    assert prediction_target(latents(0), latents(1), TIMESTEPS, ALPHAS, "epsilon").equal(latents(1))
    torch.testing.assert_close(
        prediction_target(latents(0), latents(1), TIMESTEPS, ALPHAS, "v_prediction"), velocity
    )


@pytest.mark.parametrize(("predicts", "added"), [("epsilon", 0), ("v_prediction", 1)])
def test_min_snr_weights_are_those_of_diffusers_scripts(predicts: PredictionType, added: int) -> None:
    snr = compute_snr(SCHEDULER, TIMESTEPS)

    weights = snr_weights(TIMESTEPS, ALPHAS, 5.0, predicts)

    torch.testing.assert_close(weights, snr.clamp(max=5.0) / (snr + added))
    assert 0 < weights.min() < weights.max() <= 1


def test_a_gamma_of_zero_weighs_all_timesteps_alike() -> None:
    assert snr_weights(TIMESTEPS, ALPHAS, 0.0, "epsilon").tolist() == [1, 1, 1, 1]


def rows(*weights: float) -> Rows:
    """Rows in whose place nothing should be answered."""
    count = len(weights)
    return Rows(
        noisy=latents(0)[:count],
        target=torch.zeros(count, 4, 8, 8),
        timesteps=TIMESTEPS[:count],
        weights=torch.tensor(weights),
        time_ids=torch.zeros(count, 6),
        captions=("",) * count,
    )


def answers(*numbers: float) -> Tensor:
    """Answers that are off by these."""
    return torch.ones(len(numbers), 4, 8, 8) * torch.tensor(numbers).view(-1, 1, 1, 1)


def test_each_row_counts_by_its_own_weight() -> None:
    losses = weighted_errors(answers(9.0, 9.0, 2.0, 1.0), rows(0.0, 0.0, 0.5, 1.0))

    assert losses.tolist() == pytest.approx([0, 0, 2, 1])


def test_two_micro_batches_in_one_count_as_they_would_one_after_the_other() -> None:
    own, class_rows = rows(1.0, 0.5, 1.0), rows(0.5)

    both = own.concatenate(class_rows, 0.3)

    losses = weighted_errors(answers(1.0, 2.0, 3.0, 4.0), both)
    assert float(losses.mean()) == pytest.approx((1 + 2 + 9) / 3 + 0.3 * 8)
    assert float(losses[: len(own)].sum() / len(both)) == pytest.approx((1 + 2 + 9) / 3)
    assert both.noisy.equal(torch.cat([own.noisy, class_rows.noisy]))
    assert len(both.captions) == len(both.timesteps) == len(both.time_ids) == len(both.target) == 4
