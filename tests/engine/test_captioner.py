"""Captions by a captioner: the shipped one knows its world, any of transformers' can take its place."""

import io
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipProcessor,
    CLIPImageProcessor,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    PreTrainedTokenizerFast,
)

from engine.demo.captions import plain
from engine.demo.renderer import draw
from engine.demo.world import Scene, Thing, sample_layout, sample_scene
from engine.messages import (
    Cancel,
    Described,
    DescribePicture,
    EngineSettings,
    Example,
    FileStore,
    Inspect,
    Inspected,
    JobId,
    Train,
)
from engine.sdxl.model import CannotLoad, Model
from engine.studio import Studio
from engine.vision.captioner import Captioner, TransformersCaptioner
from tests.engine.studio_work import pictures, request
from tests.engine.training_cases import training

DRAWINGS = 40
WORDS = ["a", "red", "blue", "star", "circle", "on", "white", "background"]


def store_drawing(store: FileStore, scene: Scene, rng: np.random.Generator) -> Example:
    file = io.BytesIO()
    Image.fromarray(draw(scene, sample_layout(rng, scene, 128, 128))).save(file, "PNG")
    return Example(sha256=store.put_bytes(file.getvalue()), name="a.png")


def seen_from_top_left(scene: Scene) -> Scene:
    """The same scene, its relation said as the captioner says it."""
    other = {"below": "above", "right of": "left of"}.get(scene.relation or "")
    if other is None:
        return scene
    relation: Any = other
    return Scene(things=scene.things[::-1], background=scene.background, relation=relation)


def facts(caption: str) -> list[str]:
    """The words about colours, shapes and relation, in their order."""
    left_out = ["a", "an", "small", "big", "outlined"]
    return [word for word in caption.removesuffix(", in grayscale").split() if word not in left_out]


def report_of(studio: Studio, asked: Train) -> Inspected:
    events = list(studio.accept(Inspect(training=asked)))
    while not studio.idle:
        events += studio.step()
    (report,) = [event for event in events if isinstance(event, Inspected)]
    return report


def test_held_out_drawings_are_described_with_their_colours_shapes_and_relation(
    loaded: Model, tmp_path: Path
) -> None:
    rng, store = np.random.default_rng(4), FileStore(tmp_path)
    scenes = [sample_scene(rng, unseen=True) for _ in range(DRAWINGS)]
    examples = tuple(store_drawing(store, scene, rng) for scene in scenes)
    studio = Studio(loaded, EngineSettings(model="demo", files=str(tmp_path)))

    report = report_of(studio, training(tmp_path, examples=examples, describe=True))

    right = [
        facts(caption) == facts(plain(seen_from_top_left(scene)))
        for caption, scene in zip(report.captions, scenes, strict=True)
    ]
    assert np.mean(right) >= 0.8
    assert report.describable == 0


def test_only_used_pictures_without_a_caption_are_described(loaded: Model, tmp_path: Path) -> None:
    rng, store = np.random.default_rng(1), FileStore(tmp_path)
    bare, other = (store_drawing(store, sample_scene(rng), rng) for _ in range(2))
    captioned = Example(sha256=other.sha256, name="b.png", caption="a fox " * 1500)
    examples = (bare, captioned, bare)  # the last is the first once more, which is left out
    studio = Studio(loaded, EngineSettings(model="demo", files=str(tmp_path)))

    asked = report_of(studio, training(tmp_path, examples=examples, describe=True))
    not_asked = report_of(studio, training(tmp_path, examples=examples))

    assert [bool(caption) for caption in asked.captions] == [True, False, False]
    assert re.fullmatch(r"an? .+ on an? \w+ background(, in grayscale)?", asked.captions[0])
    assert (not_asked.captions, not_asked.describable) == ((), 1)
    (long,) = asked.notes[1].problems
    assert re.fullmatch(r"Its caption has [\d,]+ tokens, of which the first 1,200 are learned\.", long)


def tokenizer(words: list[str], **tokens: str) -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate([*tokens.values(), *words])}
    fast = Tokenizer(models.WordLevel(vocabulary, unk_token=tokens["unk_token"]))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=fast, **tokens)


def save_blip(folder: Path) -> None:
    """A BLIP of random weights: its real classes and configuration, a layer of 16 channels each."""
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "sep_token": "[SEP]", "bos_token": "[DEC]"}
    tokens = tokenizer(WORDS, **special)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    numbers = {"pad_token_id": 0, "eos_token_id": 2, "sep_token_id": 2, "bos_token_id": 3}
    text = {"vocab_size": len(tokens), "encoder_hidden_size": 16, **numbers, **small}
    vision = {"image_size": 32, "patch_size": 16, **small}
    BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    images = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(images, tokens).save_pretrained(folder)


def save_florence(folder: Path) -> None:
    """A Florence-2 of random weights: its real classes and configuration, with few channels."""
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokens = tokenizer([*WORDS, "<image>"], **special)
    tokens = PreTrainedTokenizerFast(
        tokenizer_object=tokens._tokenizer, extra_special_tokens={"image_token": "<image>"}, **special
    )
    vision = {
        "depths": [1, 1, 1, 1],
        "embed_dim": [8, 8, 16, 16],
        "num_heads": [2, 2, 2, 2],
        "num_groups": [2, 2, 2, 2],
        "projection_dim": 16,
        "window_size": 4,
    }
    text = {
        "vocab_size": len(tokens),
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 16,
        "decoder_ffn_dim": 16,
    }
    config = Florence2Config(text_config=text, vision_config=vision, image_token_id=tokens.image_token_id)
    Florence2ForConditionalGeneration(config).save_pretrained(folder)
    images = CLIPImageProcessor(
        size={"height": 64, "width": 64}, do_center_crop=False, image_seq_length=5, resample=3
    )
    Florence2Processor(images, tokens).save_pretrained(folder)


def describe(captioner: Captioner, picture: Image.Image) -> tuple[str, int]:
    """The caption, and how many pauses it made."""
    steps, pauses = captioner.caption(picture), 0
    while True:
        try:
            next(steps)
            pauses += 1
        except StopIteration as end:
            return str(end.value), pauses


@pytest.mark.parametrize("save", [save_blip, save_florence])
def test_a_model_of_transformers_describes_in_steps_as_it_does_at_once(
    tmp_path: Path, save: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    save(tmp_path)
    captioner = TransformersCaptioner(str(tmp_path), torch.device("cpu"))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8))

    caption, tokens = describe(captioner, picture)
    monkeypatch.setattr("engine.vision.stepped_generation.LONG", 0.0)  # every layer takes long
    again, pauses = describe(captioner, picture)

    assert caption == again
    assert pauses > tokens >= 1
    steps = captioner.caption(picture)
    next(steps)
    steps.close()  # whoever asked is gone
    assert not [thread for thread in threading.enumerate() if thread.name == "captioner"]


def test_pictures_are_painted_while_others_are_described(loaded: Model, tmp_path: Path) -> None:
    save_blip(tmp_path / "blip")
    rng, store = np.random.default_rng(1), FileStore(tmp_path)
    examples = tuple(store_drawing(store, sample_scene(rng), rng) for _ in range(40))
    settings = EngineSettings(model="demo", files=str(tmp_path), captioner=str(tmp_path / "blip"))
    studio = Studio(loaded, settings)

    events = list(studio.accept(Inspect(training=training(tmp_path, examples=examples, describe=True))))
    events += studio.accept(request(steps=1))
    while not any(isinstance(event, Inspected) for event in events):
        events += studio.step()
        if "j" in pictures(events):
            break
    events += studio.accept(Cancel(job=JobId("t")))

    assert "j" in pictures(events)
    assert not any(isinstance(event, Inspected) for event in events)


def test_a_captioner_that_is_none_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')

    with pytest.raises(CannotLoad, match=r"The captioner '.+' cannot be loaded\. "):
        TransformersCaptioner(str(tmp_path), torch.device("cpu"))


def test_a_picture_is_described_in_words_that_differ(studio: Studio) -> None:
    store, rng = FileStore(Path(studio._background._folder)), np.random.default_rng(2)
    scene = Scene(things=(Thing(shape="star", colour="red"),), background="white")
    example = store_drawing(store, scene, rng)

    events = list(studio.accept(DescribePicture(job=JobId("d"), picture=example.sha256)))
    while not studio.idle:
        events += studio.step()

    [described] = [event for event in events if isinstance(event, Described)]
    assert "red star" in described.captions[0] and "white background" in described.captions[0]
    assert len(set(described.captions)) == len(described.captions) <= 4
