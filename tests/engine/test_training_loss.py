"""What is minimized, held to diffusers' own formulas."""

from dataclasses import replace

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from torch import Tensor
from torch.nn import functional

from engine.messages import InvalidRequest, TrainingSettings
from engine.training.loss import (
    PredictionType,
    Rows,
    add_noise,
    debiased_weights,
    huber_thresholds,
    prediction_target,
    snr_weights,
    weighted_errors,
    zero_terminal_snr,
)
from engine.training.noise import add_pyramid
from engine.training.noising import Latents, Noising

SCHEDULER = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
ALPHAS = SCHEDULER.alphas_cumprod
TIMESTEPS = torch.tensor([0, 137, 600, 999])


def latents(seed: int) -> torch.Tensor:
    return torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def crops(*, std: float) -> Latents:
    return Latents(mean=latents(0), std=torch.full((4, 4, 8, 8), std), time_ids=torch.zeros(4, 6))


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


def test_debiased_weights_undo_what_noise_does_to_the_picture() -> None:
    snr = compute_snr(SCHEDULER, TIMESTEPS)

    weights = debiased_weights(TIMESTEPS, ALPHAS, "epsilon")

    torch.testing.assert_close(weights, snr.clamp(max=1000) ** -0.5)
    torch.testing.assert_close(
        debiased_weights(TIMESTEPS, ALPHAS, "v_prediction"), 1 / (snr.clamp(max=1000) + 1)
    )


def test_with_zero_terminal_snr_the_schedule_is_diffusers_own_and_ends_in_noise() -> None:
    rescaled = DDPMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, rescale_betas_zero_snr=True
    ).alphas_cumprod

    alphas = zero_terminal_snr(ALPHAS)

    torch.testing.assert_close(alphas[:-1], rescaled[:-1])
    torch.testing.assert_close(alphas[0], ALPHAS[0])
    assert alphas[-1] == 0


def test_a_model_that_predicts_noise_has_no_last_timestep_of_noise_alone() -> None:
    with pytest.raises(InvalidRequest, match=r"^This model predicts noise\. --zero-snr is for"):
        Noising(TrainingSettings(zero_snr=True), SCHEDULER)


def test_a_huber_loss_is_squared_for_small_errors_and_linear_for_large_ones() -> None:
    thresholds = huber_thresholds(torch.tensor([0, 500, 1000]), 1000, 0.01)
    made = replace(rows(1.0, 1.0, 1.0), thresholds=thresholds)

    small, large = (weighted_errors(answers(*[error] * 3), made) for error in (1e-4, 100.0))

    assert thresholds.tolist() == pytest.approx([1, 0.1, 0.01])
    assert small.tolist() == pytest.approx([1e-8] * 3, rel=1e-2, abs=1e-8)
    assert large.tolist() == pytest.approx([2 * c * (100 - c) for c in (1, 0.1, 0.01)], rel=1e-3)


def test_pyramid_noise_is_alike_over_large_areas_and_as_strong_as_plain_noise() -> None:
    noise = torch.randn(2, 4, 32, 32, generator=torch.Generator().manual_seed(0))

    pyramid = add_pyramid(noise, 0.8, torch.Generator().manual_seed(1))

    means = [functional.avg_pool2d(each, 8).std() for each in (noise, pyramid)]
    assert means[1] > 2 * means[0]
    assert pyramid.flatten(1).std(dim=1).tolist() == pytest.approx([1, 1])


def test_a_perturbed_input_has_more_noise_than_its_target_tells() -> None:
    plain, perturbed = (
        Noising(TrainingSettings(input_perturbation=strength), SCHEDULER).rows(
            crops(std=0.0), [""] * 4, torch.Generator().manual_seed(3)
        )
        for strength in (0.0, 0.5)
    )

    assert perturbed.target.equal(plain.target)
    added = (perturbed.noisy - plain.noisy).flatten(1).std(dim=1) / (1 - ALPHAS[plain.timesteps]).sqrt()
    assert added.tolist() == pytest.approx([0.5] * 4, abs=0.1)


def test_validation_has_plain_noise_whatever_is_trained_with() -> None:
    odd = TrainingSettings(input_perturbation=0.5, pyramid_noise=0.5, noise_offset=0.5)

    fixed = [
        Noising(settings, SCHEDULER).fixed_rows(
            crops(std=1.0), [""] * 4, torch.Generator().manual_seed(3), TIMESTEPS
        )
        for settings in (TrainingSettings(), odd)
    ]

    assert fixed[0].noisy.equal(fixed[1].noisy)


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
