"""Requests refuse nonsense when they are made, each time with one sentence that says what is allowed."""

from typing import Any

import pytest

from engine.messages import AdapterUse, InvalidRequest, Ratio, Sampler, Sha256, Size, seeds
from tests.engine.work import request

INK = AdapterUse(name="ink", sha256=Sha256("a" * 64), weight=0.8)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": ""}, "the prompt is empty: say what to paint."),
        ({"prompt": " \n "}, "the prompt is empty: say what to paint."),
        ({"prompt": "x" * 10_000}, "the prompt has 10,000 characters, but at most 4,000 are allowed."),
        ({"prompt": "a\x00b"}, "the prompt has the control character U+0000: leave it out."),
        ({"prompt": "\ud800"}, "the prompt has the control character U+D800: leave it out."),
        (
            {"negative_prompt": "y" * 4_001},
            "the negative prompt has 4,001 characters, but at most 4,000 are allowed.",
        ),
        ({"steps": 0}, "steps is 0, but it must be from 1 to 100."),
        ({"steps": -1}, "steps is -1, but it must be from 1 to 100."),
        ({"steps": 10**9}, "steps is 1000000000, but it must be from 1 to 100."),
        ({"steps": "ten"}, "steps is 'ten', but it must be a whole number from 1 to 100."),
        ({"steps": True}, "steps is True, but it must be a whole number from 1 to 100."),
        ({"guidance_scale": float("nan")}, "cfg is nan, but it must be a number from 0 to 20."),
        ({"guidance_scale": float("inf")}, "cfg is inf, but it must be a number from 0 to 20."),
        ({"guidance_scale": 20.5}, "cfg is 20.5, but it must be from 0 to 20."),
        ({"seed": 2**63}, "seed is 9223372036854775808, but it must be from 0 to 9223372036854775807."),
        ({"count": 5}, "count is 5, but it must be from 1 to 4."),
        ({"refiner": 0.6}, "refiner is 0.6, but it must be from 0 to 0.5."),
        ({"variation": 1.1}, "variation is 1.1, but it must be from 0 to 1."),
        ({"variation_seed": -1}, f"variation-seed is -1, but it must be from 0 to {2**63 - 1}."),
        (
            {"sampler": Sampler.LCM, "steps": 51},
            "steps is 51, but the LCM sampler takes at most 50.",
        ),
        ({"adapters": (INK, INK)}, "the same LoRA was given twice: give it once, with one weight."),
    ],
)
def test_a_request_out_of_its_range_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        request(**changes)

    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("width", "height", "sentence"),
    [
        (1, 128, "width is 1, but it must be from 64 to 2048."),
        (7, 128, "width is 7, but it must be from 64 to 2048."),
        (128, 100_000, "height is 100000, but it must be from 64 to 2048."),
        (130, 128, "width is 130, but it must be a multiple of 8, such as 128."),
    ],
)
def test_a_size_that_cannot_be_painted_is_refused(width: int, height: int, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        Size(width=width, height=height)

    assert str(refusal.value) == sentence


def test_a_ratio_of_a_ribbon_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^the ratio 9:1 must lie between 1:4 and 4:1\.$"):
        Ratio(across=9, down=1)


def test_a_lora_weight_out_of_its_range_is_refused_by_its_name() -> None:
    with pytest.raises(
        InvalidRequest, match=r"^the weight of LoRA ink is 50, but it must be from -2 to 2\.$"
    ):
        AdapterUse(name="ink", sha256=Sha256("a" * 64), weight=50)


def test_emoji_and_other_scripts_are_words_like_any_other() -> None:
    assert request(prompt="ein roter Stern 🌟 星").prompt == "ein roter Stern 🌟 星"


def test_the_pictures_of_a_request_have_seeds_one_after_another() -> None:
    plain = request(seed=2**63 - 1, count=2)
    nearby = request(seed=7, count=2, variation=0.15, variation_seed=2**63 - 1)

    assert [seeds(plain, place)[0] for place in (1, 2)] == [2**63 - 1, 0]
    assert [seeds(nearby, place) for place in (1, 2)] == [(7, 2**63 - 1), (7, 0)]
