"""Captions in training: read as prompts are, whatever their length, in batches of any mixture."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from engine.messages import (
    AdapterUse,
    EngineSettings,
    Example,
    FileStore,
    Schedule,
    Sha256,
    Size,
    TrainingSettings,
)
from engine.sdxl.model import Model
from engine.sdxl.new_tokens import initial_tokens
from engine.sdxl.prompts import Embedding, PromptEncoder
from engine.studio import Studio
from engine.training.rng import derive_seed, make_generator
from engine.training.tags import vary_tags
from tests.engine.studio_work import paint, request
from tests.engine.training_cases import checkpoints, examples, run, training, weights

LONG = " ".join(["of"] * 296)  # 300 tokens with the trigger before it: the last words are in the fifth window
ENDINGS = {"a red star": (210, 120, 40), "a blue heart": (40, 170, 210)}


@contextmanager
def watched_unet(model: Model) -> Iterator[list[Tensor]]:
    """What the UNet is given to read meanwhile, a tensor for each forward."""
    seen: list[Tensor] = []
    hook = model.base.unet.register_forward_pre_hook(
        lambda _module, inputs, given: seen.append(given["encoder_hidden_states"].detach().clone()),
        with_kwargs=True,
    )
    try:
        yield seen
    finally:
        hook.remove()


def plain_picture(store: FileStore, colour: tuple[int, int, int]) -> Sha256:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(file, "PNG")
    return store.put_bytes(file.getvalue())


def caption_of(ending: str) -> str:
    return f"ohwx {LONG} {ending}"


def test_the_last_words_of_a_long_caption_are_learned_and_painted(model: Model, tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    pictures = tuple(
        Example(sha256=plain_picture(store, colour), name=ending, caption=caption_of(ending))
        for ending, colour in ENDINGS.items()
    )
    studio = Studio(model, EngineSettings(model="demo", files=str(tmp_path)))
    settings: dict[str, Any] = {
        "resolution": 64,
        "rank": 8,
        "alpha": 8.0,
        "learning_rate": 1.5e-2,
        "steps": 50,
        "batch": 4,
    }

    learned = training(
        tmp_path, examples=pictures, blocks=(), min_snr_gamma=0.0, schedule=Schedule.COSINE, **settings
    )
    (saved,) = checkpoints(run(studio, learned))

    assert saved.adapter is not None
    use, size = AdapterUse(sha256=saved.adapter, name="long", weight=1.0), Size(width=64, height=64)
    shown = paint(
        studio,
        *(
            request(end, prompt=caption_of(end), steps=4, guidance_scale=3.0, size=size, adapters=(use,))
            for end in ENDINGS
        ),
    )
    for ending, picture in shown.items():
        mean = picture.reshape(-1, 3).mean(axis=0)
        taught, other = (np.abs(mean - ENDINGS[end]).sum() for end in (ending, *(ENDINGS.keys() - {ending})))
        assert taught + 20 < other, (ending, mean)


def test_a_caption_is_read_in_training_as_the_same_words_are_in_painting(
    model: Model, tmp_path: Path
) -> None:
    long, short = caption_of("a red star"), "a ohwx star"
    pictures = tuple(
        replace(picture, caption=caption)
        for picture, caption in zip(examples(tmp_path, [(64, 64), (72, 64)]), (long, short), strict=True)
    )
    studio = Studio(model, EngineSettings(model="demo", files=str(tmp_path)))

    with watched_unet(model) as trained:
        run(studio, training(tmp_path, examples=pictures, batch=2, steps=1))
    painting = PromptEncoder(model.base)  # as for every prompt
    whole, alone, padded = (
        painting.encode_pair(prompt, negative, None)[0].hidden[0]
        for prompt, negative in ((long, ""), (short, ""), (short, long))
    )

    assert (len(whole), len(alone)) == (5 * 77, 77)
    seen = [row for rows in trained for row in rows if len(row) == 5 * 77]
    assert any(torch.equal(row, whole) for row in seen)
    assert any(torch.equal(row[:77], alone) for row in seen)
    assert any(torch.allclose(row, padded, atol=1e-5) for row in seen)


def test_words_behind_the_first_window_teach_text_encoders_and_new_words(
    model: Model, tmp_path: Path
) -> None:
    """Only the last window has the trigger in it."""
    picture, other = examples(tmp_path, [(64, 64), (72, 64)])
    pictures = (replace(picture, caption=f"{LONG} of of of of ohwx"), replace(other, caption="a star"))
    studio = Studio(model, EngineSettings(model="demo", files=str(tmp_path)))
    settings: dict[str, Any] = {"text_encoder": True, "text_encoder_2": True, "new_tokens": 2}

    (saved,) = checkpoints(run(studio, training(tmp_path, examples=pictures, batch=2, steps=1, **settings)))

    learned = weights(tmp_path, saved)
    start = initial_tokens(model.base, "ohwx", "circle", 2, derive_seed(0, "tokens", 0))
    assert not torch.equal(learned["tokens.first"], start.first)
    assert learned["text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj.up"].any()


def test_tags_are_shuffled_and_left_out_behind_those_that_stay(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = "ohwx, red, circle, small, filled, white background"
    pictures = tuple(replace(picture, caption=tags) for picture in examples(tmp_path, [(64, 64)]))
    encode, read = PromptEncoder.encode_texts, list[str]()

    def note_texts(encoder: PromptEncoder, texts: Any, tokens: Any = ()) -> Embedding:
        read.extend(texts)
        return encode(encoder, texts, tokens)

    monkeypatch.setattr(PromptEncoder, "encode_texts", note_texts)
    studio = Studio(model, EngineSettings(model="demo", files=str(tmp_path)))
    settings: dict[str, Any] = {"steps": 5, "shuffle_tags": True, "keep_tags": 2, "tag_dropout": 0.3}
    run(studio, training(tmp_path, examples=pictures, **settings))
    seen, read[:] = list(read), []
    run(studio, training(tmp_path, examples=pictures, **settings))

    varied = [text.split(", ") for text in seen if text.startswith("ohwx, red") and text != tags]
    assert len(varied) >= 4
    assert all(set(text) <= set(tags.split(", ")) and len(set(text)) == len(text) for text in varied)
    assert min(map(len, varied)) < 6
    assert read == seen


def test_without_an_option_captions_stay_as_they_are() -> None:
    generator = make_generator(0, "tags", 0)

    assert vary_tags("a fox,  a  hen", TrainingSettings(), generator) == "a fox,  a  hen"
    assert vary_tags("a, b, c", TrainingSettings(keep_tags=9, tag_dropout=0.9), generator) == "a, b, c"
