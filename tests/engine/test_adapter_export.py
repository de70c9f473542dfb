"""What was learnt is written so that it counts here and elsewhere as it did in training."""

import base64
import copy
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers import EulerDiscreteScheduler
from PIL import Image

from engine.lora.adapter_export import WronglySaved, encode_adapter, rounding_tolerance, verify_file
from engine.lora.adapter_file import parse_adapter
from engine.lora.adapters import Adapters
from engine.lora.safetensors_file import read_header
from engine.messages import (
    AdapterKind,
    AdapterUse,
    EngineSettings,
    Example,
    Failed,
    JobId,
    Part,
    Sha256,
    Train,
    TrainingSettings,
)
from engine.sdxl.model import Model
from engine.sdxl.new_tokens import TokenVectors
from engine.studio import Studio
from engine.training.adapter_metadata import training_metadata
from engine.training.pictures.items import Item
from tests.engine.adapter_cases import low_rank
from tests.engine.studio_work import furthest, paint, request, work
from tests.lora_files import attention, kohya, make_lora, store, store_bytes

EVERYWHERE = TrainingSettings(rank=4, feed_forward=True, text_encoder=True, text_encoder_2=True)
ATTENTION = replace(EVERYWHERE, feed_forward=False)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def adapters(model: Model, tmp_path: Path) -> Adapters:
    return Adapters(model.base, tmp_path, 2**26)


def train_adapter(
    adapters: Adapters,
    settings: TrainingSettings,
    *,
    dora: bool = False,
    seed: int = 0,
    strength: float = 0.1,
    alpha: float = 6.0,
) -> None:
    """An adapter in training by the name of maria, as far as some hundred steps would bring it."""
    places = adapters.targets(replace(settings, alpha=alpha))
    draw = torch.Generator().manual_seed(seed)
    adapters.begin_training("maria", places, kind=AdapterKind.DORA if dora else AdapterKind.LORA, seed=seed)
    for each in adapters.trained_parameters("maria"):
        each.parameter.data += strength * torch.randn(each.parameter.shape, generator=draw)


def new_word(model: Model, word: str = "ohwx", seed: int = 0) -> TokenVectors:
    draw = torch.Generator().manual_seed(seed)
    first, second = (
        torch.randn(2, encoder.config.hidden_size, generator=draw) * 0.1
        for encoder in (model.base.text_encoder, model.base.text_encoder_2)
    )
    return TokenVectors(word=word, first=first, second=second)


def encode_file(
    adapters: Adapters, tokens: TokenVectors | None = None, metadata: Mapping[str, str] | None = None
) -> bytes:
    return encode_adapter(adapters.trained_changes("maria"), tokens, adapters.names, metadata=metadata or {})


@pytest.mark.parametrize(("dora", "word"), [(False, False), (True, True)], ids=["plain", "dora with a word"])
def test_a_file_says_what_was_learnt_and_passes_its_check(
    model: Model, adapters: Adapters, dora: bool, word: bool
) -> None:
    train_adapter(adapters, replace(EVERYWHERE, convolutions=not dora), dora=dora)
    tokens = new_word(model) if word else None

    content = encode_file(adapters, tokens)
    read = parse_adapter(content, adapters.names, "The LoRA maria")

    trained = low_rank(adapters.trained_changes("maria"))
    assert set(read.changes) == set(trained)
    for place, change in trained.items():
        assert read.changes[place].alpha == 6.0
        lost = low_rank(read.changes)[place].delta() - change.delta()
        assert lost.norm() < 1e-3 * change.delta().norm()
        assert (read.changes[place].magnitude is not None) == dora
    assert [token.word for token in read.tokens] == (["ohwx"] if word else [])
    verify_file(content, adapters, "maria", tokens, model.base)


def test_the_file_has_kohyas_names_and_fp16_numbers(adapters: Adapters) -> None:
    train_adapter(adapters, ATTENTION)

    tensors = safetensors.torch.load(encode_file(adapters))

    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert len(tensors) == 3 * len(adapters.targets(ATTENTION))
    assert (
        tensors["lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_k.lora_down.weight"].shape[0] == 4
    )
    assert tensors["lora_te1_text_model_encoder_layers_0_self_attn_q_proj.alpha"] == 6.0
    assert "lora_te2_text_model_encoder_layers_1_self_attn_out_proj.lora_up.weight" in tensors


def test_the_same_numbers_make_the_same_bytes(adapters: Adapters) -> None:
    train_adapter(adapters, ATTENTION)
    metadata = {f"ss_{number}": str(number) for number in range(30)}

    assert encode_file(adapters, None, metadata) == encode_file(
        adapters, None, dict(reversed(metadata.items()))
    )


def test_what_is_served_counts_as_it_did_in_training(
    model: Model, adapters: Adapters, tmp_path: Path
) -> None:
    train_adapter(adapters, EVERYWHERE, dora=True)
    rows = torch.randn(3, 96, generator=torch.Generator().manual_seed(1))
    use = store_bytes(tmp_path, encode_file(adapters), name="maria")
    encoder, module = model.base.text_encoder_2, "text_model.encoder.layers.0.mlp.fc1"
    plain = encoder.get_submodule(module)(rows)
    adapters.activate_training("maria")
    trained = encoder.get_submodule(module)(rows)
    adapters.end_training("maria")

    adapters.load(use)
    adapters.activate((use,))

    served = encoder.get_submodule(module)(rows)
    assert (served - trained).norm() < 0.01 * (trained - plain).norm()


def test_diffusers_paints_the_same_picture_with_the_same_file(model: Model, tmp_path: Path) -> None:
    judge = copy.deepcopy(model.base)
    adapters = Adapters(model.base, tmp_path, 2**26)
    train_adapter(adapters, EVERYWHERE)
    content = encode_file(
        adapters,
        None,
        training_metadata(
            train(), (), side=128, step=1, losses=(), parameters={}, validation=None, created=NOON
        ),
    )
    adapters.end_training("maria")
    (tmp_path / "maria.safetensors").write_bytes(content)
    use = store_bytes(tmp_path, content, name="maria", weight=0.8)
    studio = Studio(model, EngineSettings(model="demo", files=str(tmp_path)))

    judge.load_lora_weights(tmp_path, weight_name="maria.safetensors", adapter_name="maria")
    judge.set_adapters(["maria"], [0.8])
    judge.scheduler = EulerDiscreteScheduler.from_config(judge.scheduler.config)
    inked = request("with", steps=12, adapters=(use,))
    diffusers_verdict = judge(
        prompt=inked.prompt,
        num_inference_steps=inked.steps,
        guidance_scale=inked.guidance_scale,
        generator=torch.Generator("cpu").manual_seed(inked.seed),
        width=128,
        height=128,
    ).images[0]

    pictures = paint(studio, inked, request("without", steps=12))
    assert furthest(pictures["with"], np.asarray(diffusers_verdict)) <= 1
    assert furthest(pictures["with"], pictures["without"]) > 50


def half_file(content: bytes, part: str) -> bytes:
    """The file with the numbers of these keys cut in half."""
    tensors = safetensors.torch.load(content)
    return safetensors.torch.save(
        {key: tensor * (0.5 if part in key else 1) for key, tensor in tensors.items()}
    )


def test_a_file_that_says_something_else_fails_its_check(model: Model, adapters: Adapters) -> None:
    train_adapter(adapters, ATTENTION, dora=True)
    tokens = new_word(model)
    content = encode_file(adapters, tokens)

    for part in ("alpha", "lora_unet_", "lora_te1_", "lora_te2_", "dora_scale", "clip_l", "clip_g"):
        with pytest.raises(WronglySaved, match="the saved LoRA is wrong by"):
            verify_file(half_file(content, part), adapters, "maria", tokens, model.base)


def swap_files(content: bytes) -> bytes:
    """The file with down and up in each other's places, as somebody wrote them who took one for the other."""
    tensors = safetensors.torch.load(content)
    for key in [key for key in tensors if key.endswith("lora_down.weight")]:
        other = key.replace("lora_down", "lora_up")
        if tensors[key].T.shape == tensors[other].shape:
            tensors[key], tensors[other] = tensors[other].T.contiguous(), tensors[key].T.contiguous()
    return safetensors.torch.save(tensors)


@pytest.mark.parametrize(("strength", "alpha"), [(0.0, 6.0), (1e-7, 128.0), (1e-6, 1.0)])
def test_a_lora_that_learnt_next_to_nothing_passes_its_check(
    model: Model, adapters: Adapters, strength: float, alpha: float
) -> None:
    train_adapter(adapters, EVERYWHERE, strength=strength, alpha=alpha)

    verify_file(encode_file(adapters), adapters, "maria", None, model.base)


def test_a_check_allows_what_float32_rounds_in_so_many_layers(adapters: Adapters) -> None:
    norm = 4.32e-6 / (4 * 2.0**-23)  # of an answer that was once found to differ by 4.67e-6

    allowed = rounding_tolerance(torch.float32, len(adapters.names.shapes)) * norm

    assert 2 * 4.67e-6 < allowed < 8 * 4.67e-6
    assert rounding_tolerance(torch.float32, 3200) < 1e-5
    assert rounding_tolerance(torch.bfloat16, 3200) < 0.04


@pytest.mark.parametrize("strength", [3e-3, 3e-2])
def test_a_transposed_factor_and_a_wrong_alpha_fail_the_check_of_a_lora_of_any_strength(
    model: Model, adapters: Adapters, strength: float
) -> None:
    train_adapter(adapters, EVERYWHERE, strength=strength)
    content = encode_file(adapters)

    verify_file(content, adapters, "maria", None, model.base)
    for broken in (swap_files(content), half_file(content, "alpha"), half_file(content, "lora_unet_")):
        with pytest.raises(WronglySaved, match="the saved LoRA is wrong by"):
            verify_file(broken, adapters, "maria", None, model.base)


def test_a_check_leaves_the_pictures_as_they_were(model: Model, adapters: Adapters, tmp_path: Path) -> None:
    ink = store(tmp_path, kohya(make_lora(model.base, of=attention)))
    adapters.load(ink)
    train_adapter(adapters, ATTENTION)
    adapters.activate((ink,))
    rows = torch.ones(1, model.base.unet.mid_block.attentions[0].proj_in.in_features)
    layer = model.base.unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_q
    before = layer(rows)

    verify_file(encode_file(adapters), adapters, "maria", None, model.base)

    assert model.base.unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_q is layer
    assert torch.equal(layer(rows), before)


def train(**changes: Any) -> Train:
    values: dict[str, Any] = {
        "name": "maria",
        "examples": (Example(sha256=Sha256("a" * 64)),),
        "trigger": "ohwx",
        "subject": "woman",
        "preset": "face",
        "author": "Ana",
        "settings": TrainingSettings(rank=8, alpha=4.0, learning_rate=3e-4),
    }
    return Train(job=JobId("j"), **(values | changes))


def item(caption: str, place: int = 0) -> Item:
    sides = {"original": (200, 100), "resized": (160, 80), "size": (128, 80)}
    return Item(place=place, example=Example(sha256=Sha256("a" * 64)), caption=caption, **sides)


def thumbnail() -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (512, 384), "red").save(file, "PNG")
    return file.getvalue()


def test_the_metadata_tells_other_programs_what_it_is_and_how_to_call_it(adapters: Adapters) -> None:
    train_adapter(adapters, ATTENTION)
    metadata = training_metadata(
        train(),
        [item("ohwx woman, red hat"), item("ohwx woman, smiling", 1)],
        side=128,
        step=40,
        losses=[0.5] * 10 + [0.25] * 10,
        parameters={Part.ATTENTION: 1_451_520},
        validation=0.3,
        created=NOON,
        note="the batch was lowered to 1.",
        thumbnail=thumbnail(),
    )

    header = read_header(encode_file(adapters, None, metadata), "The LoRA maria").metadata

    assert header.items() >= metadata.items()
    assert (
        header.items()
        >= {
            "ss_v2": "False",
            "ss_base_model_version": "sdxl_base_v1-0",
            "ss_network_module": "networks.lora",
            "ss_network_dim": "8",
            "ss_network_alpha": "4",
            "ss_output_name": "maria",
            "ss_learning_rate": "0.0003",
            "ss_steps": "40",
            "ss_resolution": "(128, 128)",
            "modelspec.sai_model_spec": "1.0.1",
            "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
            "modelspec.title": "maria",
            "modelspec.author": "Ana",
            "modelspec.date": "2026-01-02T12:00:00Z",
            "modelspec.trigger_phrase": "ohwx woman",
            "modelspec.usage_hint": "Write ohwx woman in the prompt. Weight 1 is full strength.",
            "atelier.preset": "face",
            "atelier.parameters": '{"attention": 1451520}',
            "atelier.note": "the batch was lowered to 1.",
        }.items()
    )
    assert json.loads(header["ss_tag_frequency"]) == {"maria": {"ohwx woman": 2, "red hat": 1, "smiling": 1}}
    assert json.loads(header["ss_network_args"]) == {}
    assert json.loads(header["atelier.loss"]) == {"first": 0.5, "last tenth": 0.25, "validation": 0.3}
    assert json.loads(header["atelier.pictures"]) == ["a" * 64] * 2
    kind, _, text = header["modelspec.thumbnail"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(text))).size == (256, 192)


def test_the_hashes_are_those_by_which_programs_find_a_lora(adapters: Adapters) -> None:
    train_adapter(adapters, replace(EVERYWHERE, rank=64))

    content = encode_file(adapters, None, {"ss_v2": "False", "title": "x"})
    renamed = encode_file(adapters, None, {"ss_v2": "False", "title": "another"})

    numbers = content[8 + int.from_bytes(content[:8], "little") :]
    metadata = read_header(content, "The LoRA maria").metadata
    assert len(numbers) > 2**20 + 2**16
    assert metadata["sshs_model_hash"] == hashlib.sha256(numbers).hexdigest()
    assert metadata["modelspec.hash_sha256"] == f"0x{metadata['sshs_model_hash']}"
    assert len(metadata["sshs_legacy_hash"]) == 8
    assert metadata["sshs_legacy_hash"] != hashlib.sha256(b"").hexdigest()[:8]
    assert read_header(renamed, "The LoRA maria").metadata["sshs_legacy_hash"] == metadata["sshs_legacy_hash"]


@pytest.fixture
def with_words(model: Model, adapters: Adapters, tmp_path: Path) -> dict[str, AdapterUse]:
    """Files of two adapters with a new word each, and of one without."""
    train_adapter(adapters, ATTENTION)
    uses = {
        name: store_bytes(tmp_path, encode_file(adapters, tokens), name=name)
        for name, tokens in (
            ("maria", new_word(model, "ohwx", 1)),
            ("bob", new_word(model, "ukj", 2)),
        )
    }
    adapters.end_training("maria")
    return uses | {"ink": store(tmp_path, kohya(make_lora(model.base, of=attention, seed=5)), weight=0.5)}


def test_a_lora_with_a_new_word_mixes_with_plain_ones_and_not_with_another_of_its_kind(
    model: Model, tmp_path: Path, with_words: dict[str, AdapterUse]
) -> None:
    studio = Studio(model, EngineSettings(model="demo", files=str(tmp_path)))
    prompt = "a red ohwx and a blue circle"
    mixes = {
        "maria": ("maria",),
        "mixed": ("maria", "ink"),
        "ink": ("ink",),
        "plain": (),
    }

    pictures = paint(
        studio,
        *(
            request(job, prompt=prompt, steps=4, adapters=tuple(with_words[name] for name in names))
            for job, names in mixes.items()
        ),
    )
    (refused,) = [
        event
        for event in work(studio, {0: [request("both", adapters=(with_words["maria"], with_words["bob"]))]})
        if isinstance(event, Failed)
    ]

    assert len({picture.tobytes() for picture in pictures.values()}) == 4
    assert refused.expected
    assert refused.reason == "The LoRAs bob and maria each have new words of their own. Use only one of them."


def test_at_weight_zero_a_lora_brings_no_word_and_may_stand_beside_another(
    model: Model, tmp_path: Path, with_words: dict[str, AdapterUse]
) -> None:
    studio = Studio(model, EngineSettings(model="demo", files=str(tmp_path)))
    plain = request("plain", prompt="a red ohwx", steps=3)
    silent = replace(with_words["maria"], weight=0.0)

    pictures = paint(
        studio,
        plain,
        replace(plain, job=JobId("silent"), adapters=(silent,)),
        replace(plain, job=JobId("bob"), adapters=(with_words["bob"],)),
        replace(plain, job=JobId("both"), adapters=(silent, with_words["bob"])),
    )

    assert furthest(pictures["plain"], pictures["silent"]) == 0
    assert furthest(pictures["bob"], pictures["both"]) == 0
    assert furthest(pictures["bob"], pictures["plain"]) > 0
