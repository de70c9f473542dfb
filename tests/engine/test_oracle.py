"""What the engine paints equals what diffusers' own pipelines paint, alone and in company."""

import os
import random
from typing import Any

import pytest
import torch

from engine.messages import AdapterUse, Paint, Sampler, Size
from engine.studio import Studio
from tests.engine.oracle import Oracle
from tests.engine.studio_work import furthest, paint, pictures, request, work

SAMPLERS = pytest.mark.parametrize("sampler", list(Sampler), ids=lambda sampler: sampler.name)
BOUND = 1  # of 255: how far a picture may be from itself painted alone (docs/architecture.md)
REQUESTS = int(os.environ.get("ATELIER_REQUESTS", "16"))  # that are held to it
LONG = ", ".join(["a small red star above a big blue circle on a white background"] * 12)


def company(sampler: Sampler) -> list[Paint]:
    """Others at work beside the one that is looked at."""
    return [
        request("long", steps=9, seed=1, sampler=Sampler.EULER, guidance_scale=7.0),
        request(
            "unguided", steps=4, seed=2, sampler=Sampler.DDIM, guidance_scale=1.0, prompt="a green heart"
        ),
        request("same sampler", steps=5, seed=3, sampler=sampler, negative_prompt="yellow"),
        request("refined", steps=6, seed=4, refiner=0.4, size=Size(width=128, height=96)),
    ]


@SAMPLERS
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"guidance_scale": 1.0, "size": Size(width=96, height=160)},
        {"negative_prompt": "yellow", "size": Size(width=152, height=104)},
        {"refiner": 0.3, "negative_prompt": "blurry", "steps": 7},
        {"steps": 1},
        {"steps": 3, "guidance_scale": 7.0},
        {"steps": 10, "size": Size(width=64, height=64)},
    ],
    ids=["guided", "unguided", "negative", "refined", "one step", "three steps", "ten steps"],
)
def test_a_picture_painted_alone_equals_the_pipelines(
    studio: Studio, oracle: Oracle, sampler: Sampler, changes: dict[str, Any]
) -> None:
    recipe = request(sampler=sampler, **changes)

    assert furthest(paint(studio, recipe)["j"], oracle.paint(recipe)) <= 1


@SAMPLERS
def test_a_picture_with_two_mixed_loras_equals_the_pipelines(
    studio: Studio, oracle: Oracle, loras: tuple[AdapterUse, AdapterUse], sampler: Sampler
) -> None:
    plain = request("plain", sampler=sampler)
    mixed = request("mixed", sampler=sampler, adapters=loras, refiner=0.2)
    single = request("single", sampler=sampler, adapters=loras[:1], guidance_scale=1.0)

    together = paint(studio, plain, mixed, single)

    for recipe in (plain, mixed, single):
        assert furthest(together[recipe.job], oracle.paint(recipe)) <= 1
    assert furthest(together["plain"], together["mixed"]) > 20


@SAMPLERS
def test_a_picture_that_joins_and_leaves_a_batch_equals_the_pipelines(
    studio: Studio, oracle: Oracle, sampler: Sampler
) -> None:
    recipe = request(sampler=sampler, refiner=0.2, steps=8)

    first, *others = company(sampler)
    events = work(studio, {0: [first], 3: [recipe, *others[:2]], 5: others[2:]})

    together = pictures(events)
    assert furthest(together["j"], oracle.paint(recipe)) <= 1
    for other in company(sampler):
        assert furthest(together[other.job], oracle.paint(other)) <= 1


@pytest.mark.parametrize(
    "sampler", [Sampler.DPM_SDE, Sampler.LCM, Sampler.EULER_ANCESTRAL], ids=lambda sampler: sampler.name
)
def test_a_sampler_that_makes_much_of_tiny_differences_paints_in_company_exactly_what_it_paints_alone(
    studio: Studio, sampler: Sampler
) -> None:
    size = Size(width=96, height=96)
    requests = [
        request(f"{seed}", seed=seed, steps=20, guidance_scale=15.0, sampler=sampler, size=size)
        for seed in range(2)
    ]
    others = [request(name, steps=30, sampler=Sampler.EULER, size=size) for name in ("a", "b")]

    together = paint(studio, *requests, *others)

    for recipe in requests:
        assert furthest(together[recipe.job], paint(studio, recipe)[recipe.job]) == 0


def test_in_company_no_picture_is_further_from_what_it_is_alone_than_the_bound(studio: Studio) -> None:
    draw = random.Random(18)
    requests = [any_request(draw, str(number)) for number in range(REQUESTS)]

    together = paint(studio, *requests)

    for recipe in requests:
        assert furthest(together[recipe.job], paint(studio, recipe)[recipe.job]) <= BOUND, recipe


def any_request(draw: random.Random, job: str) -> Paint:
    """A small request of any sampler, number of steps and guidance that there is."""
    sampler = draw.choice(list(Sampler))
    return request(
        job,
        seed=draw.randrange(2**32),
        steps=draw.randint(1, 12),
        sampler=sampler,
        guidance_scale=draw.choice((1.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0)),
        negative_prompt=draw.choice(("", "yellow")),
        size=Size(width=64, height=64),
        refiner=draw.choice((0.0, 0.0, 0.3)),
    )


@pytest.mark.parametrize(
    "negative", ["", "yellow", LONG], ids=["no negative", "short negative", "long negative"]
)
def test_a_prompt_beyond_77_tokens_is_read_to_its_end_in_windows(
    studio: Studio, oracle: Oracle, negative: str
) -> None:
    recipe = request(prompt=LONG + ", in grayscale", negative_prompt=negative)

    embeds = windows_by_hand(oracle, recipe.prompt, negative)

    assert embeds["prompt_embeds"].shape[1] > 77
    assert furthest(paint(studio, recipe)["j"], oracle.paint(recipe, **embeds)) <= 1


def windows_by_hand(oracle: Oracle, prompt: str, negative: str) -> dict[str, torch.Tensor]:
    """Embeddings for the pipeline: 75 tokens at a time through each encoder, side by side."""

    def embed(text: str, count: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        columns = []
        for tokenizer, encoder in (
            (oracle.base.tokenizer, oracle.base.text_encoder),
            (oracle.base.tokenizer_2, oracle.base.text_encoder_2),
        ):
            ids = tokenizer(text).input_ids[1:-1]
            rows = []
            for start in range(0, 75 * (count or -(-len(ids) // 75)), 75):
                part = [tokenizer.bos_token_id, *ids[start : start + 75], tokenizer.eos_token_id]
                rows.append(part + [tokenizer.pad_token_id] * (77 - len(part)))
            outs = [encoder(torch.tensor([row]), output_hidden_states=True) for row in rows]
            columns.append(torch.cat([out.hidden_states[-2] for out in outs], dim=1))
        return torch.cat(columns, dim=-1), outs[0].text_embeds

    with torch.no_grad():
        positive, pooled = embed(prompt, None)
        longest = positive.shape[1] // 77
        empty = positive * 0, pooled * 0
        hidden, negative_pooled = embed(negative, longest) if negative else empty
        if hidden.shape[1] > positive.shape[1]:
            positive, pooled = embed(prompt, hidden.shape[1] // 77)
    return {
        "prompt_embeds": positive,
        "pooled_prompt_embeds": pooled,
        "negative_prompt_embeds": hidden,
        "negative_pooled_prompt_embeds": negative_pooled,
    }
