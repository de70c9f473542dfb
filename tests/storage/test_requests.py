"""A request comes back from the database as it went in."""

import json
import random
import re

import pytest

from engine.messages import (
    AdapterUse,
    Example,
    InvalidRequest,
    JobId,
    Optimizer,
    Paint,
    Prior,
    Ratio,
    Sampler,
    Schedule,
    Sha256,
    Size,
    Train,
    TrainingPrecision,
    TrainingSettings,
)
from storage.ids import new_job_id
from storage.requests import from_json, to_json

JOB = JobId("k3f9qa")


def some_paint(chance: random.Random) -> Paint:
    """A request with every value picked at random."""
    names = chance.sample(["ink", "maria", "pixel-art", "x_1"], chance.randint(0, 3))
    sizes: list[Size | Ratio] = [Ratio(across=3, down=2), Size(width=832, height=1216)]
    return Paint(
        job=JOB,
        prompt=chance.choice(["a fox", 'žluťoučký 🦊\n"quoted" \\ <b>', " x " * 1000]),
        seed=chance.choice([0, 7, 2**53 + 1, 2**63 - 1]),
        negative_prompt=chance.choice(["", "blurry, \t grey"]),
        steps=chance.randint(1, 50),
        guidance_scale=chance.choice([0, 7, 5.5, 1 / 3]),
        size=chance.choice(sizes),
        sampler=chance.choice(list(Sampler)),
        count=chance.randint(1, 4),
        adapters=tuple(
            AdapterUse(name=name, sha256=Sha256(name * 4), weight=chance.uniform(-2, 2)) for name in names
        ),
        refiner=chance.choice([0.0, 0.2]),
        variation=chance.choice([0.0, 0.15]),
        variation_seed=chance.choice([0, 2**63 - 1]),
        fast=chance.random() < 0.5,
    )


def some_train(chance: random.Random) -> Train:
    """A training with every value picked at random."""
    examples = [
        Example(
            sha256=Sha256(f"{place:064x}"), name=f"ž{place}.png", caption=chance.choice(["", 'a "fox"\n🦊'])
        )
        for place in range(chance.randint(1, 50))
    ]
    optimizer = chance.choice(list(Optimizer))
    convolutions = chance.random() < 0.5
    settings = TrainingSettings(
        resolution=chance.choice([0, 512]),
        feed_forward=chance.random() < 0.5,
        convolutions=convolutions,
        text_encoder=chance.random() < 0.5,
        blocks=chance.choice([(), ("down.2", "mid")]),
        rank=chance.randint(1, 128),
        alpha=chance.choice([1.0, 1 / 3]),
        dora=not convolutions and chance.random() < 0.5,
        optimizer=optimizer,
        learning_rate=1.0 if optimizer is Optimizer.PRODIGY else 1e-4 / 3,
        schedule=chance.choice(list(Schedule)),
        precision=chance.choice(list(TrainingPrecision)),
        prior=chance.choice(list(Prior)),
        new_tokens=chance.randint(0, 4),
        seed=chance.choice([0, 2**63 - 1]),
    )
    return Train(
        job=JOB,
        name="maria-2",
        examples=tuple(examples),
        trigger="ohwx",
        subject=chance.choice(["", "woman"]),
        template="a photo of {trigger}",
        preset=chance.choice(["", "face"]),
        wanted=(8, 25),
        settings=settings,
        prompts=chance.choice([(), ("a photo of ohwx", "a fox")]),
        author="Ana",
        resume=chance.choice([None, Sha256("f" * 64)]),
    )


@pytest.mark.parametrize("seed", range(50))
def test_a_training_comes_back_from_json_as_it_was(seed: int) -> None:
    train = some_train(random.Random(seed))

    assert from_json(JOB, json.loads(json.dumps(to_json(train)))) == train


def test_every_value_of_a_training_is_written_out_but_the_job() -> None:
    written = to_json(some_train(random.Random(1)))

    assert set(written) == set(Train.__dataclass_fields__) - {"job"}
    assert set(written["settings"]) == set(TrainingSettings.__dataclass_fields__)


def test_settings_of_another_version_are_left_out_and_missing_ones_have_their_defaults() -> None:
    values = {
        "name": "maria",
        "trigger": "ohwx",
        "examples": [{"sha256": "a", "smell": "rose"}],
        "settings": {"rank": 4, "mood": "gloomy"},
    }

    assert from_json(JOB, values) == Train(
        job=JOB,
        name="maria",
        trigger="ohwx",
        examples=(Example(sha256=Sha256("a")),),
        settings=TrainingSettings(rank=4),
    )


@pytest.mark.parametrize("seed", range(50))
def test_a_request_comes_back_from_json_as_it_was(seed: int) -> None:
    paint = some_paint(random.Random(seed))

    assert from_json(JOB, json.loads(json.dumps(to_json(paint)))) == paint


def test_every_value_is_written_out_but_the_job() -> None:
    written = to_json(Paint(job=JOB, prompt="a fox", seed=1))

    assert set(written) == set(Paint.__dataclass_fields__) - {"job"}


def test_a_key_of_another_version_is_left_out_and_a_missing_one_has_its_default() -> None:
    paint = from_json(JOB, {"prompt": "a fox", "seed": 1, "mood": "gloomy"})

    assert paint == Paint(job=JOB, prompt="a fox", seed=1)


def test_what_the_engine_of_today_refuses_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        from_json(JOB, {"prompt": "a fox", "seed": 1, "steps": 5000})


def test_a_job_id_is_six_letters_and_digits_that_cannot_be_mistaken() -> None:
    ids = {new_job_id() for _ in range(1000)}

    assert len(ids) >= 999  # once in 500 times, two of a thousand are the same
    assert all(re.fullmatch(r"[a-hjkmnp-tv-z][0-9][0-9a-hjkmnp-tv-z]{4}", id) for id in ids)
