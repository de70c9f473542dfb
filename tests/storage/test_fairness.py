"""Engine time weighs less the longer it is ago, and what is taken back was never charged."""

import pytest

from storage.fairness import HALF_LIFE, charge

NOW = 1_800_000_000.0


def test_who_used_more_has_the_larger_account() -> None:
    assert charge(0.0, 20.0, NOW) > charge(0.0, 10.0, NOW) > 0.0


def test_charges_add_up() -> None:
    assert charge(charge(0.0, 4.0, NOW), 6.0, NOW) == pytest.approx(charge(0.0, 10.0, NOW))


def test_what_was_used_a_half_life_ago_weighs_half() -> None:
    assert charge(0.0, 20.0, NOW - HALF_LIFE) == pytest.approx(charge(0.0, 10.0, NOW))


def test_a_month_of_painting_weighs_less_than_a_second_of_today() -> None:
    assert charge(0.0, 30 * 86400.0, NOW - 30 * 86400.0) < charge(0.0, 1.0, NOW)


def test_what_is_taken_back_was_never_charged() -> None:
    before = charge(0.0, 10.0, NOW)

    assert charge(charge(before, 5.0, NOW), -5.0, NOW) == pytest.approx(before)
    assert charge(charge(0.0, 5.0, NOW), -5.0, NOW) == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("seconds", [-5.0, -1e9])
def test_an_account_never_goes_below_an_unused_one(seconds: float) -> None:
    assert charge(0.0, seconds, NOW) == 0.0
    assert charge(charge(0.0, 1.0, NOW), seconds, NOW) == 0.0


def test_nothing_changes_an_account_by_nothing() -> None:
    assert charge(0.0, 0.0, NOW) == 0.0
    assert charge(499_999.5, 0.0, NOW) == 499_999.5


def test_a_clock_set_back_an_hour_is_no_gift_and_no_debt() -> None:
    used = charge(0.0, 100.0, NOW)

    assert used < charge(used, 100.0, NOW - 3600) < charge(used, 100.0, NOW)
