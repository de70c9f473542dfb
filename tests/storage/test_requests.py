"""A request comes back from the database as it went in."""

import json
import random

import pytest

from engine.messages import AdapterUse, InvalidRequest, JobId, Paint, Ratio, Sampler, Sha256, Size
from storage.ids import LETTERS, new_job_id
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


def test_a_job_id_is_six_letters_that_cannot_be_mistaken() -> None:
    ids = {new_job_id() for _ in range(1000)}

    assert len(ids) == 1000
    assert all(len(id) == 6 and set(id) <= set(LETTERS) for id in ids)
    assert not set("ilou") & set(LETTERS)
