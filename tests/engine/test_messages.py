"""Requests refuse nonsense when they are made, each time with one sentence that says what is allowed."""

from typing import Any

import pytest

from engine.messages import AdapterUse, InvalidRequest, Ratio, Sampler, Sha256, Size, picture_seeds
from tests.engine.studio_work import request

INK = AdapterUse(name="ink", sha256=Sha256("a" * 64), weight=0.8)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": ""}, "The prompt is empty. Say what to paint."),
        ({"prompt": " \n "}, "The prompt is empty. Say what to paint."),
        ({"prompt": "x" * 10_000}, "The prompt has 10,000 characters. At most 4,000 are allowed."),
        ({"prompt": "a\x00b"}, "The prompt has the control character U+0000. Leave it out."),
        ({"prompt": "\ud800"}, "The prompt has the control character U+D800. Leave it out."),
        (
            {"negative_prompt": "y" * 4_001},
            "The negative prompt has 4,001 characters. At most 4,000 are allowed.",
        ),
        ({"steps": 0}, "--steps must be from 1 to 100, not 0."),
        ({"steps": -1}, "--steps must be from 1 to 100, not -1."),
        ({"steps": 10**9}, "--steps must be from 1 to 100, not 1000000000."),
        ({"steps": "ten"}, "--steps must be a whole number from 1 to 100, not 'ten'."),
        ({"steps": True}, "--steps must be a whole number from 1 to 100, not True."),
        ({"guidance_scale": float("nan")}, "--cfg must be a number from 0 to 20, not nan."),
        ({"guidance_scale": float("inf")}, "--cfg must be a number from 0 to 20, not inf."),
        ({"guidance_scale": 20.5}, "--cfg must be from 0 to 20, not 20.5."),
        ({"seed": 2**63}, "--seed must be from 0 to 9223372036854775807, not 9223372036854775808."),
        ({"count": 5}, "--count must be from 1 to 4, not 5."),
        ({"refiner": 0.6}, "--refiner must be from 0 to 0.5, not 0.6."),
        ({"variation": 1.1}, "--variation must be from 0 to 1, not 1.1."),
        ({"variation_seed": -1}, f"--variation-seed must be from 0 to {2**63 - 1}, not -1."),
        (
            {"sampler": Sampler.LCM, "steps": 51},
            "--steps must be at most 50 with the LCM sampler, not 51.",
        ),
        ({"adapters": (INK, INK)}, "The same LoRA is there twice. Name it once, with one weight."),
    ],
)
def test_a_request_out_of_its_range_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        request(**changes)

    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("width", "height", "sentence"),
    [
        (1, 128, "The width must be from 64 to 2048, not 1."),
        (7, 128, "The width must be from 64 to 2048, not 7."),
        (128, 100_000, "The height must be from 64 to 2048, not 100000."),
        (130, 128, "The width must be a multiple of 8, such as 128, not 130."),
    ],
)
def test_a_size_that_cannot_be_painted_is_refused(width: int, height: int, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        Size(width=width, height=height)

    assert str(refusal.value) == sentence


def test_a_ratio_of_a_ribbon_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^The ratio must be from 1:4 to 4:1, not 9:1\.$"):
        Ratio(across=9, down=1)


def test_a_lora_weight_out_of_its_range_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidRequest, match=r"^The weight of LoRA ink must be from -2 to 2, not 50\.$"):
        AdapterUse(name="ink", sha256=Sha256("a" * 64), weight=50)


def test_emoji_and_other_scripts_are_words_like_any_other() -> None:
    assert request(prompt="ein roter Stern 🌟 星").prompt == "ein roter Stern 🌟 星"


def test_the_pictures_of_a_request_have_seeds_one_after_another() -> None:
    plain = request(seed=2**63 - 1, count=2)
    nearby = request(seed=7, count=2, variation=0.15, variation_seed=2**63 - 1)

    assert [picture_seeds(plain, place)[0] for place in (1, 2)] == [2**63 - 1, 0]
    assert [picture_seeds(nearby, place) for place in (1, 2)] == [(7, 2**63 - 1), (7, 0)]
