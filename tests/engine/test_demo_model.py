"""The model that ships and the recipe that made it: it paints what is asked, and a stopped run goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

import engine.demo
from engine.demo.base import Base, base_loss
from engine.demo.captions import plain
from engine.demo.clip import clip_loss, new_clip, retrieval_accuracy
from engine.demo.export import load_shipped_base, ship_base
from engine.demo.judge import judge
from engine.demo.latents import Bucket, View, make_pool, spot_map
from engine.demo.refiner import BAD, GOOD, new_refiner, refiner_loss, soften_bad_score
from engine.demo.spot_classifier import NOTHING, labels_at
from engine.demo.super_resolution import new_network, super_resolution_loss
from engine.demo.text import TextEncoders
from engine.demo.text_training import CaptionReader, caption_loss, thing_labels
from engine.demo.tokenizer import learn_merges, new_tokenizer
from engine.demo.training_loop import Plan, Run, fit
from engine.demo.unet import TIME_ID_WIDTH
from engine.demo.vae import new_vae, round_trip_psnr, unseen_pictures, vae_loss
from engine.demo.world import Layout, Scene, Spot, Thing
from engine.vision.upscaler import SHIPPED

MODEL = Path(engine.demo.__file__).parent
PLAN = Plan(steps=4, batch=4, rate=1e-3, warmup=2, save_every=2)
Stage = tuple[Callable[[], nn.Module], Callable[[Any], Callable[[int], Tensor]]]


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionXLPipeline:
    loaded = StableDiffusionXLPipeline.from_pretrained(MODEL / "base")
    loaded.set_progress_bar_config(disable=True)
    return loaded


def paint(pipeline: Any, prompt: str, seed: int, **more: Any) -> Any:
    options = {"num_inference_steps": 20, "guidance_scale": 5.0, "output_type": "np"} | more
    images = pipeline(prompt, generator=torch.Generator().manual_seed(seed), **options).images
    return (images[0] * 255).round().astype(np.uint8) if options["output_type"] == "np" else images


STAR_ABOVE_CIRCLE = Scene(
    things=(Thing(shape="star", colour="red"), Thing(shape="circle", colour="blue")),
    relation="above",
    background="white",
)


MOON = Scene(things=(Thing(shape="moon", colour="yellow"),), background="blue")
SQUARE = Scene(things=(Thing(shape="square", colour="blue"),), background="orange")
TRIANGLE = Scene(things=(Thing(shape="triangle", colour="purple"),), background="red")


def test_it_paints_one_thing_in_the_colours_asked_for(pipeline: StableDiffusionXLPipeline) -> None:
    scenes = (MOON, SQUARE, TRIANGLE)

    verdicts = [judge(paint(pipeline, plain(scene), 3), scene) for scene in scenes]

    assert all(verdict.background and verdict.colours for verdict in verdicts)
    assert sum(verdict.shapes for verdict in verdicts) >= 2


def test_it_paints_two_things_where_the_prompt_says(pipeline: StableDiffusionXLPipeline) -> None:
    pictures = [
        paint(pipeline, "a red star above a blue circle on a white background", seed) for seed in range(3)
    ]

    verdicts = [judge(picture, STAR_ABOVE_CIRCLE) for picture in pictures]
    assert all(verdict.background and verdict.colours and verdict.relation for verdict in verdicts)


def test_a_negative_prompt_removes_what_it_names(pipeline: StableDiffusionXLPipeline) -> None:
    def yellow(picture: Any) -> float:
        apart = np.linalg.norm(picture.astype(np.float32) - (250, 220, 50), axis=2)
        return float((apart < 70).mean())

    usual = [yellow(paint(pipeline, "a circle", seed)) for seed in range(8)]
    without = [yellow(paint(pipeline, "a circle", seed, negative_prompt="yellow")) for seed in range(8)]

    assert np.mean(without) <= np.mean(usual)
    assert np.mean(without) < 0.02


def test_the_refiner_finishes_what_the_base_began(pipeline: StableDiffusionXLPipeline) -> None:
    refiner = StableDiffusionXLImg2ImgPipeline.from_pretrained(MODEL / "refiner")
    refiner.set_progress_bar_config(disable=True)
    prompt = "a red square on a white background"
    begun = paint(pipeline, prompt, 1, denoising_end=0.8, output_type="latent")

    finished = paint(refiner, prompt, 1, image=begun, denoising_start=0.8)

    assert refiner.text_encoder is None and refiner.config.requires_aesthetics_score
    square = Scene(things=(Thing(shape="square", colour="red"),), background="white")
    assert judge(finished, square).right


def test_the_autoencoder_returns_drawings_nearly_as_they_were(pipeline: StableDiffusionXLPipeline) -> None:
    assert round_trip_psnr(pipeline.vae, unseen_pictures(24)) > 26


def test_every_word_and_every_emoji_has_tokens(pipeline: StableDiffusionXLPipeline) -> None:
    for tokenizer in (pipeline.tokenizer, pipeline.tokenizer_2):
        ids = tokenizer("Ein Fuchs 🦊 mit ñ!").input_ids
        assert ids[0] == tokenizer.bos_token_id and ids[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "").startswith("einfuchs🦊mitñ")
        assert tokenizer.eos_token_id not in ids[:-1]
    assert pipeline.tokenizer_2("a", padding="max_length").input_ids[-1] == 0
    assert pipeline.tokenizer_2.convert_ids_to_tokens(0) == "!"


def test_the_clip_knows_which_caption_belongs_to_which_picture() -> None:
    clip = CLIPModel.from_pretrained(MODEL / "clip").float().eval()

    assert retrieval_accuracy(clip, CLIPTokenizer.from_pretrained(MODEL / "clip"), groups=3) >= 0.85
    assert CLIPImageProcessor.from_pretrained(MODEL / "clip").crop_size["height"] == 128


def test_what_ships_is_no_more_than_24_megabytes() -> None:
    folders = (MODEL / "base", MODEL / "refiner", MODEL / "clip")

    assert (
        sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file()) <= 24e6
    )
    assert SHIPPED.stat().st_size < 1e6


@pytest.fixture(scope="module")
def stages() -> dict[str, Stage]:
    """Every stage of the recipe, tiny: how to begin its model, and the model's loss by step."""
    merges = learn_merges(captions=300)
    tokenizer = new_tokenizer(merges)
    torch.manual_seed(0)
    pool: list[Bucket] = make_pool(new_vae(), tokenizer, 8, 0, blurred=0.5)
    base = Base(TextEncoders(merges)).eval()
    return {
        "words": (
            lambda: CaptionReader(TextEncoders(merges)),
            lambda model: caption_loss(model, PLAN),
        ),
        "vae": (lambda: new_vae(), lambda model: vae_loss(model, PLAN, lambda step: 64)),
        "base": (lambda: Base(TextEncoders(merges)), lambda model: base_loss(model, pool, 1.0, PLAN)),
        "refiner": (lambda: new_refiner(base), lambda model: refiner_loss(model, base, pool, 1.0, PLAN)),
        "clip": (lambda: new_clip(tokenizer), lambda model: clip_loss(model, tokenizer, PLAN)),
        "upscaler": (new_network, lambda model: super_resolution_loss(model, new_vae(), PLAN)),
    }


def test_the_teller_is_asked_about_the_thing_that_stands_at_each_spot() -> None:
    spots = (Spot(x=80, y=40, radius=20), Spot(x=80, y=100, radius=20))
    layout = Layout(width=160, height=144, spots=spots)
    view = View(scene=STAR_ABOVE_CIRCLE, layout=layout, top=16, left=32, height=128, width=128)

    spot = torch.from_numpy(spot_map(view, 16, 16))
    labels = labels_at(spot[None], torch.tensor([[thing_labels(thing) for thing in view.scene.things]]))[0]

    star, circle = (thing_labels(thing) for thing in STAR_ABOVE_CIRCLE.things)
    assert labels[3, 6].tolist() == star and labels[10, 6].tolist() == circle
    assert (labels[6, 6] == NOTHING).all() and (labels[3, 12] == NOTHING).all()
    assert all(here.tolist() == star for here in labels[:7][spot[:7] >= 0])
    assert all(here.tolist() == circle for here in labels[7:][spot[7:] >= 0])


@torch.no_grad()
def test_a_bad_score_is_made_milder_and_a_good_one_stays() -> None:
    refiner = StableDiffusionXLImg2ImgPipeline.from_pretrained(MODEL / "refiner").unet
    latents, words = torch.randn(2, 4, 16, 16), torch.randn(2, 8, refiner.config.cross_attention_dim)
    pooled = torch.randn(2, refiner.config.projection_class_embeddings_input_dim - 5 * TIME_ID_WIDTH)

    def seen(model: Any) -> Tensor:
        ids = torch.tensor([[128.0, 128, 0, 0, score] for score in (GOOD, BAD)])
        conditioning = {"text_embeds": pooled, "time_ids": ids}
        answer: Tensor = model(latents, 100, words, added_cond_kwargs=conditioning).sample
        return answer

    (good, bad), (same, milder_one) = seen(refiner), seen(soften_bad_score(refiner, 0.5))

    assert torch.allclose(good, same, atol=1e-3)
    assert not torch.allclose(bad, milder_one, atol=1e-2)
    assert torch.allclose(seen(soften_bad_score(refiner, 1.0))[1], bad, atol=1e-3)


def test_a_pool_is_the_same_however_many_processes_draw_it() -> None:
    torch.manual_seed(0)  # an untrained one is random, and some round more than others
    vae, tokenizer = new_vae(), new_tokenizer(learn_merges(captions=300))

    alone, together = (make_pool(vae, tokenizer, 8, 0, workers=workers) for workers in (1, 2))

    assert all(  # but for the rounding of bfloat16, where that is fast
        torch.allclose(tensor.float(), vars(other)[name].float(), atol=0.03)
        for bucket, other in zip(alone, together, strict=True)
        for name, tensor in vars(bucket).items()
    )


def test_the_recipe_reads_captions_as_the_pipeline_does(pipeline: StableDiffusionXLPipeline) -> None:
    _, base = load_shipped_base(MODEL / "base", learn_merges(0))
    captions = ["a red star", "a big blue circle above a small outlined heart on a white background"]

    words = base.text([*captions, None])

    hidden, _, pooled, _ = pipeline.encode_prompt(captions, do_classifier_free_guidance=False)
    assert torch.allclose(words.hidden[:2], hidden, atol=1e-5)
    assert torch.allclose(words.pooled[:2], pooled, atol=1e-5)
    assert not words.hidden[2].any() and not words.pooled[2].any()


def test_training_goes_on_from_what_ships(tmp_path: Path, pipeline: StableDiffusionXLPipeline) -> None:
    vae, base = load_shipped_base(MODEL / "base", learn_merges(0))
    ship_base(tmp_path / "base", vae, base.text, base.unet)

    again = StableDiffusionXLPipeline.from_pretrained(tmp_path / "base")

    for part in ("unet", "text_encoder", "text_encoder_2", "vae"):
        assert "_name_or_path" not in (tmp_path / "base" / part / "config.json").read_text()
        loaded, shipped = getattr(again, part).state_dict(), getattr(pipeline, part).state_dict()
        assert all(torch.equal(loaded[name], shipped[name]) for name in shipped)


def begin_stage(stage: Stage, checkpoint: Path) -> tuple[Run, Callable[[int], Tensor]]:
    torch.manual_seed(0)
    model = stage[0]()
    return Run(model, PLAN, checkpoint), stage[1](model)


@pytest.mark.parametrize("name", ["vae", "words", "base", "refiner", "clip", "upscaler"])
def test_a_stage_learns(name: str, stages: dict[str, Stage], tmp_path: Path) -> None:
    run, loss = begin_stage(stages[name], tmp_path / "run.pt")

    losses = [run.advance(lambda _: loss(0)) for _ in range(5)]

    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["vae", "words", "base", "refiner", "clip", "upscaler"])
def test_a_stage_that_was_stopped_ends_in_the_same_bits(
    name: str, stages: dict[str, Stage], tmp_path: Path
) -> None:
    whole, loss = begin_stage(stages[name], tmp_path / "whole.pt")
    list(fit(whole, loss))

    stopped, loss = begin_stage(stages[name], tmp_path / "stopped.pt")
    next(fit(stopped, loss, report_every=2))
    resumed, loss = begin_stage(stages[name], tmp_path / "stopped.pt")
    assert resumed.step == 2
    list(fit(resumed, loss))

    assert all(map(torch.equal, resumed.parameters, whole.parameters))
    assert all(map(torch.equal, resumed.average, whole.average))
