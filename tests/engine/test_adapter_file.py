"""A LoRA file is read whole and exactly, or refused with one sentence that says why."""

import json
import pickle
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from engine.lora import safetensors_file
from engine.lora.adapter_file import LowRank, read_adapter
from engine.lora.key_names import COMPONENTS, KeyNames, Place
from engine.messages import HEADER_BYTES, AdapterUse, InvalidRequest, Sha256, stored_path
from tests.lora_files import (
    attention,
    diffusers_new,
    kohya,
    kohya_sgm,
    make_lora,
    small_sdxl,
    store,
    store_bytes,
)

ATTENTION = "down_blocks.1.attentions.0"
KEY = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
PLACE = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def model() -> Any:
    torch.set_num_threads(1)
    return small_sdxl()


@pytest.fixture(scope="module")
def names(model: Any) -> KeyNames:
    return KeyNames({component: getattr(model, component) for component in COMPONENTS})


def pair(rank: int = 4, down: int = 32, up: int = 32) -> Tensors:
    return {f"{KEY}.lora_down.weight": torch.ones(rank, down), f"{KEY}.lora_up.weight": torch.ones(up, rank)}


def refusal(folder: Path, names: KeyNames, use: AdapterUse) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read_adapter(folder, use, names)
    return str(caught.value)


def raw(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.mark.parametrize(
    ("sgm", "path"),
    [
        ("input_blocks_4_1_transformer_blocks_0_ff_net_2", f"{ATTENTION}.transformer_blocks.0.ff.net.2"),
        ("input_blocks_4_1_transformer_blocks_0_attn1_to_k", f"{ATTENTION}.transformer_blocks.0.attn1.to_k"),
        ("input_blocks_3_0_op", "down_blocks.0.downsamplers.0.conv"),
        ("input_blocks_4_0_skip_connection", "down_blocks.1.resnets.0.conv_shortcut"),
        ("input_blocks_8_0_emb_layers_1", "down_blocks.2.resnets.1.time_emb_proj"),
        ("middle_block_1_proj_in", "mid_block.attentions.0.proj_in"),
        ("middle_block_2_in_layers_2", "mid_block.resnets.1.conv1"),
        ("output_blocks_2_2_conv", "up_blocks.0.upsamplers.0.conv"),
        ("output_blocks_5_1_proj_out", "up_blocks.1.attentions.2.proj_out"),
        ("output_blocks_8_0_out_layers_3", "up_blocks.2.resnets.2.conv2"),
        ("time_embed_2", "time_embedding.linear_2"),
        ("label_emb_0_0", "add_embedding.linear_1"),
        ("input_blocks_0_0", "conv_in"),
        ("out_2", "conv_out"),
    ],
)  # fmt: skip
def test_kohya_names_over_sgm_paths_mean_the_modules_of_sdxl(names: KeyNames, sgm: str, path: str) -> None:
    meaning = names.parse(f"lora_unet_{sgm}.lora_down.weight")

    assert meaning is not None
    assert meaning.places == (Place(component="unet", path=path),)


def test_an_upsampler_behind_a_block_without_attention_has_its_sgm_name_too() -> None:
    unet = torch.nn.Module()
    unet.up_blocks = torch.nn.ModuleList([torch.nn.Module()])
    block = unet.up_blocks[0]
    block.resnets = torch.nn.ModuleList([torch.nn.Module()])
    block.resnets[0].conv1 = torch.nn.Conv2d(1, 1, 1)
    block.upsamplers = torch.nn.ModuleList([torch.nn.Module()])
    block.upsamplers[0].conv = torch.nn.Conv2d(1, 1, 1)

    meaning = KeyNames({"unet": unet}).parse("lora_unet_output_blocks_0_1_conv.alpha")

    assert meaning is not None
    assert [place.path for place in meaning.places] == ["up_blocks.0.upsamplers.0.conv"]


def test_a_module_without_alpha_has_its_rank_as_alpha(tmp_path: Path, model: Any, names: KeyNames) -> None:
    lora = make_lora(model, of=attention, ranks=(2, 4), alphas=(None, 1.0))

    changes = read_adapter(tmp_path, store(tmp_path, kohya(lora)), names).changes

    assert {(change.rank, change.alpha) for change in changes.values()} == {(2, 2.0), (4, 1.0)}


def test_an_alpha_may_be_a_whole_number(tmp_path: Path, names: KeyNames) -> None:
    use = store(tmp_path, pair() | {f"{KEY}.alpha": torch.tensor(2)})

    (change,) = read_adapter(tmp_path, use, names).changes.values()

    assert change.alpha == 2.0


def test_the_metadata_of_sdxl_trainers_is_welcome(tmp_path: Path, model: Any, names: KeyNames) -> None:
    metadata = {
        "ss_base_model_version": "sdxl_base_v1-0",
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        "ss_v2": "False",
    }
    lora = make_lora(model, of=attention)

    changes = read_adapter(tmp_path, store(tmp_path, kohya_sgm(lora), metadata=metadata), names).changes

    assert len(changes) == len(lora)


@pytest.mark.parametrize(
    "base",
    [
        "stabilityai/stable-diffusion-xl-base-1.0",
        "SDXL 1.0",
        "sd_xl_base_1.0",
        "Pony",
        "Pony Diffusion V6 XL",
        "Illustrious",
        "OnomaAIResearch/Illustrious-xl-early-release-v0",
        "NoobAI",
        "Laxhar/noobai-XL-1.1",
        "cagliostrolab/animagine-xl-3.1",
        "SG161222/RealVisXL_V4.0",
        "sdxl_base_v0-9",
    ],
)
def test_a_base_of_the_family_of_sdxl_is_welcome(tmp_path: Path, names: KeyNames, base: str) -> None:
    use = store(tmp_path, pair(), metadata={"ss_base_model_version": base})

    assert len(read_adapter(tmp_path, use, names).changes) == 1


def test_new_words_are_read_beside_the_factors(tmp_path: Path, names: KeyNames) -> None:
    vectors = {
        f"bundle_emb.{word}.{side}": torch.full((count, 32), number)
        for word, count in (("<s0>", 2), ("ohwx", 1))
        for side, number in (("clip_l", 1.0), ("clip_g", 2.0))
    }

    adapter = read_adapter(tmp_path, store(tmp_path, pair() | vectors), names)

    assert [(token.word, token.count) for token in adapter.tokens] == [("<s0>", 2), ("ohwx", 1)]
    assert {float(token.first.mean()) for token in adapter.tokens} == {1.0}
    assert {float(token.second.mean()) for token in adapter.tokens} == {2.0}
    assert len(adapter.changes) == 1


def test_new_words_may_come_alone(tmp_path: Path, names: KeyNames) -> None:
    alone = {f"bundle_emb.ohwx.{side}": torch.ones(1, 32) for side in ("clip_l", "clip_g")}

    assert not read_adapter(tmp_path, store(tmp_path, alone), names).changes


def test_a_file_that_is_not_there_is_missing(tmp_path: Path, names: KeyNames) -> None:
    use = AdapterUse(name="ink", sha256=Sha256("0" * 64))

    assert refusal(tmp_path, names, use) == "The file of LoRA ink is missing. Import or train it again."


def test_a_file_with_another_hash_is_damaged(tmp_path: Path, names: KeyNames) -> None:
    use = store(tmp_path, pair())
    with stored_path(tmp_path, use.sha256).open("ab") as file:
        file.write(b"x")

    assert refusal(tmp_path, names, use) == (
        "The file of LoRA ink is damaged. Its content does not match its hash."
    )


def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    tmp_path: Path, names: KeyNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = store(tmp_path, pair())
    with stored_path(tmp_path, use.sha256).open("r+b") as file:
        file.truncate(513 * 2**20)  # sparse
    monkeypatch.delattr(Path, "read_bytes")

    assert refusal(tmp_path, names, use) == "The file of LoRA ink has 513.0 MB. At most 512 MB are allowed."


def zip_file() -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    return file.getvalue()


PICKLED = "The LoRA ink is a pickle or zip file, which can run code. Only safetensors files are read."
UNREADABLE = "The LoRA ink is not a safetensors file. Its header cannot be read."
CUT_OFF = "The LoRA ink is cut off. Send the file again."
WHOLE = safetensors.torch.save(pair())
ENTRY = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (pickle.dumps({"a": 1}), PICKLED),
        (zip_file(), PICKLED),
        (b"", "The LoRA ink is not a safetensors file."),
        (b"<html>not found</html>", "The LoRA ink is not a safetensors file."),
        (WHOLE[:-1], CUT_OFF),
        (WHOLE[:40], CUT_OFF),
        (raw({"x": "y"}), UNREADABLE),
        (raw({"x": ENTRY | {"shape": "y"}}), UNREADABLE),
        ((3).to_bytes(8, "little") + b'{"a', UNREADABLE),
        (raw({}), "The LoRA ink is empty. It has no tensors."),
        (raw({"x": ENTRY}), "The LoRA ink is empty. Nothing in it changes a module."),
        (
            raw({f"x{i}": ENTRY for i in range(5001)}),
            "The LoRA ink has 5,001 tensors. At most 5,000 are allowed.",
        ),
        (
            raw({"__metadata__": {"a": "b" * 2**24}, "x": ENTRY}),
            "The LoRA ink has a header of 16,777,304 bytes. At most 16,777,216 bytes are allowed.",
        ),
        (
            (2**31).to_bytes(8, "little") + b"{",
            "The LoRA ink has a header of 2,147,483,648 bytes. At most 16,777,216 bytes are allowed.",
        ),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:50],
)  # fmt: skip
def test_no_number_is_read_of_bytes_that_are_no_sound_safetensors_file(
    tmp_path: Path, names: KeyNames, monkeypatch: pytest.MonkeyPatch, content: bytes, sentence: str
) -> None:
    monkeypatch.delattr(torch, "frombuffer")

    assert refusal(tmp_path, names, store_bytes(tmp_path, content)) == sentence


def test_a_header_whose_length_starts_like_a_pickle_is_still_safetensors(
    tmp_path: Path, names: KeyNames
) -> None:
    content = safetensors.torch.save(pair())
    size = int.from_bytes(content[:8], "little")
    padded = content[8 : 8 + size] + b" " * (0x280 - size)

    use = store_bytes(tmp_path, (0x280).to_bytes(8, "little") + padded + content[8 + size :])

    assert len(read_adapter(tmp_path, use, names).changes) == 1


def test_a_header_nested_without_end_is_refused(tmp_path: Path, names: KeyNames) -> None:
    text = b'{"a":' + b"[" * 100_000

    use = store_bytes(tmp_path, len(text).to_bytes(8, "little") + text)

    assert refusal(tmp_path, names, use) == UNREADABLE


@pytest.mark.parametrize(
    ("down", "up", "size"),
    [
        ([0, 8], [8, 16], 16),  # too little room
        ([0, 512], [256, 768], 768),  # one over the other
        ([0, 512], [520, 1032], 1032),  # a gap
        ([8, 520], [520, 1032], 1032),
        ([512, 0], [512, 1024], 1024),
        ([0, 512], [512, 1024], 1032),  # more behind them
    ],
)
def test_offsets_that_lie_are_refused_in_one_sentence(
    tmp_path: Path, names: KeyNames, down: list[int], up: list[int], size: int
) -> None:
    entries = {
        f"{KEY}.lora_down.weight": {"dtype": "F32", "shape": [4, 32], "data_offsets": down},
        f"{KEY}.lora_up.weight": {"dtype": "F32", "shape": [32, 4], "data_offsets": up},
    }
    content = raw(entries, b"\0" * size)

    with pytest.raises(safetensors.SafetensorError):
        safetensors.torch.load(content)
    sentence = refusal(tmp_path, names, store_bytes(tmp_path, content))

    assert sentence.startswith("The LoRA ink is not a valid safetensors file. ")


def test_a_header_full_of_tags_is_read_and_parsed_once(
    tmp_path: Path, names: KeyNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = store(tmp_path, pair(), metadata={"ss_tag_frequency": "blue sky " * 1_700_000})
    parsed, parse = [], json.loads

    def count_loads(text: bytes) -> Any:
        parsed.append(len(text))
        return parse(text)

    monkeypatch.setattr(json, "loads", count_loads)
    changes = read_adapter(tmp_path, use, names).changes

    assert len(changes) == 1
    assert len([size for size in parsed if size > 15_000_000]) == 1


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float16, torch.bfloat16])
def test_numbers_are_those_of_the_file_in_floats_of_any_size(
    tmp_path: Path, names: KeyNames, dtype: torch.dtype
) -> None:
    draw = torch.Generator().manual_seed(0)
    tensors = {key: torch.randn(tensor.shape, generator=draw).to(dtype) for key, tensor in pair().items()}
    expected = {key: tensor.float() for key, tensor in tensors.items()}

    (change,) = read_adapter(tmp_path, store(tmp_path, tensors), names).changes.values()

    assert isinstance(change, LowRank)
    assert torch.equal(change.down.float(), expected[f"{KEY}.lora_down.weight"])
    assert torch.equal(change.up.float(), expected[f"{KEY}.lora_up.weight"])


def test_numbers_of_8_bits_that_are_not_finite_are_refused(tmp_path: Path, names: KeyNames) -> None:
    broken = {key: (tensor * torch.nan).to(torch.float8_e4m3fn) for key, tensor in pair().items()}

    assert "numbers that are not finite" in refusal(tmp_path, names, store(tmp_path, broken))


@pytest.mark.parametrize("stray", ["step", "v_pred", "ztsnr", "emp.num"])
def test_a_number_that_changes_no_module_is_passed_over(tmp_path: Path, names: KeyNames, stray: str) -> None:
    use = store(tmp_path, pair() | {stray: torch.tensor(900)})

    assert len(read_adapter(tmp_path, use, names).changes) == 1


def words(**shapes: tuple[int, int]) -> Tensors:
    return pair() | {f"bundle_emb.cat.{side}": torch.ones(shape) for side, shape in shapes.items()}


def with_change(change: Callable[[Tensors], object]) -> Tensors:
    tensors = pair()
    change(tensors)
    return tensors


FOREIGN = "which is not supported. LoRA, DoRA, LoCon, LoHa, LoKr, (IA)3 and OFT are."
OTHER_DORA = (
    f"The LoRA ink is a DoRA of another kind. {PLACE} has 32 inputs and 32 outputs, but its magnitudes are"
)
SCALED = "The LoRA ink has 8-bit numbers with scales, which are not supported. Convert it to 16 bits."
WORDS = "The LoRA ink does not fit. The new word cat needs vectors of 32 and 32 numbers, but it has"


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({f"{KEY}.oft_r": torch.ones(2, 2)}, f"The LoRA ink is an OFT adapter of another kind, {FOREIGN}"),
        ({f"{KEY}.diff": torch.ones(2, 2)}, f"The LoRA ink is a LyCORIS mix, {FOREIGN}"),
        (pair() | {f"{KEY}.dora_scale": torch.ones(2)}, f"{OTHER_DORA} 2."),
        (pair() | {f"{KEY}.dora_scale": torch.ones(1, 31)}, f"{OTHER_DORA} 1x31."),
        (pair() | {f"{KEY}.lora_magnitude_vector": torch.ones(1, 32)}, f"{OTHER_DORA} 1x32."),
        (pair() | {f"{KEY}.lora_down.scale_weight": torch.ones(())}, SCALED),
        (pair() | {"scaled_fp8": torch.ones(0, dtype=torch.float8_e4m3fn)}, SCALED),
        (
            pair() | {"network_alpha": torch.ones(())},
            "The LoRA ink has the key network_alpha, which is no key of a LoRA.",
        ),
        (
            pair() | {f"{KEY}.scalar": torch.zeros(())},
            f"The LoRA ink has a scalar for {PLACE} that is 0 or no number.",
        ),
        (
            {f"{PLACE}.lora_magnitude_vector": torch.ones(32)},
            f"The LoRA ink is incomplete. The down weight of {PLACE} is missing.",
        ),
        (words(clip_l=(1, 32)), f"{WORDS} 1x32."),
        (words(clip_l=(1, 32), clip_g=(2, 32)), f"{WORDS} 1x32 and 2x32."),
        (words(clip_l=(1, 32), clip_g=(1, 33)), f"{WORDS} 1x32 and 1x33."),
        (words(clip_l=(0, 32), clip_g=(0, 32)), f"{WORDS} 0x32 and 0x32."),
        (words(clip_l=(76, 32), clip_g=(76, 32)), f"{WORDS} 76x32 and 76x32."),
        (
            {f"bundle_emb.{word}.{side}": torch.ones(1, 32) for word in ("cat", "CAT")
             for side in ("clip_l", "clip_g")},
            "The LoRA ink has 2 new words. At most 8 different ones are allowed.",
        ),
        (
            pair() | {"bundle_emb.a cat.clip_l": torch.ones(1, 32)},
            "The LoRA ink has the key bundle_emb.a cat.clip_l, which is no key of a new word.",
        ),
        (
            pair() | {"bundle_emb.cat.clip_l": torch.ones(1, 32, dtype=torch.int32)},
            "The LoRA ink has the key bundle_emb.cat.clip_l, which is no key of a new word.",
        ),
        (pair() | {"note": torch.ones(2)}, "The LoRA ink has the key note, which is no key of a LoRA."),
        (
            pair() | {f"{PLACE}.lora_B.bias": torch.ones(32)},
            f"The LoRA ink has the key {PLACE}.lora_B.bias, which is no key of a LoRA.",
        ),
        (
            pair() | {"lora_unet_nowhere.lora_down.weight": torch.ones(4, 32)},
            "The LoRA ink changes the module lora_unet_nowhere, which this model lacks.",
        ),
        (
            {"evil\x07\x1b[2J" + "x" * 300 + ".lora_A.weight": torch.ones(4, 32)},
            f"The LoRA ink changes the module evil??[2J{'x' * 51}...{'x' * 37}, which this model lacks.",
        ),
        (
            {"text_model.encoder.layers.0.mlp.fc1.lora_A.weight": torch.ones(4, 32)},
            "The LoRA ink does not say to which text encoder text_model.encoder.layers.0.mlp.fc1 belongs.",
        ),
        (
            with_change(lambda tensors: tensors.pop(f"{KEY}.lora_up.weight")),
            f"The LoRA ink is incomplete. The up weight of {PLACE} is missing.",
        ),
        (
            with_change(lambda tensors: tensors.pop(f"{KEY}.lora_down.weight")),
            f"The LoRA ink is incomplete. The down weight of {PLACE} is missing.",
        ),
        (
            {f"{KEY}.alpha": torch.tensor(1.0)},
            f"The LoRA ink is incomplete. The down weight of {PLACE} is missing.",
        ),
        (
            pair() | {f"{PLACE}.lora_A.weight": torch.ones(4, 32)},
            f"The LoRA ink has the down of {PLACE} twice.",
        ),
        (pair(rank=129), f"The LoRA ink has rank 129 in {PLACE}. At most 128 is allowed."),
        (pair(down=31), f"The LoRA ink does not fit. {PLACE} is 32x32, but the file has 4x31 and 32x4."),
        (pair(up=33), f"The LoRA ink does not fit. {PLACE} is 32x32, but the file has 4x32 and 33x4."),
        (pair(rank=0), f"The LoRA ink does not fit. {PLACE} is 32x32, but the file has 0x32 and 32x0."),
        (
            {key: tensor.to(torch.int8) for key, tensor in pair().items()},
            f"The LoRA ink has numbers of type I8 in {KEY}.lora_down.weight, not floats.",
        ),
        (
            {key: tensor * torch.nan for key, tensor in pair().items()},
            f"The LoRA ink is broken. {KEY}.lora_down.weight has numbers that are not finite.",
        ),
        (
            {key: tensor * torch.inf for key, tensor in pair().items()},
            f"The LoRA ink is broken. {KEY}.lora_down.weight has numbers that are not finite.",
        ),
        (
            pair() | {f"{KEY}.alpha": torch.tensor(0.0)},
            f"The LoRA ink has an alpha for {PLACE} that is no number above 0.",
        ),
        (
            pair() | {f"{KEY}.alpha": torch.ones(2)},
            f"The LoRA ink has an alpha for {PLACE} that is no number above 0.",
        ),
        (
            {"lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": torch.ones(4, 32)},
            "The LoRA ink was made for Stable Diffusion 1 or 2, but the model here is SDXL.",
        ),
        (
            {"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": torch.ones(4, 32)},
            "The LoRA ink was made for a transformer model such as FLUX, but the model here is SDXL.",
        ),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_no_lora_of_this_model_is_refused_in_one_sentence(
    tmp_path: Path, names: KeyNames, tensors: Tensors, sentence: str
) -> None:
    assert refusal(tmp_path, names, store(tmp_path, tensors)) == sentence


@pytest.mark.parametrize(
    ("width", "made_for"),
    [
        (768, "Stable Diffusion 1"),
        (1024, "Stable Diffusion 2"),
        (2048, "Stable Diffusion XL"),
        (77, "another model"),
    ],
)
@pytest.mark.parametrize("form", [kohya, kohya_sgm, diffusers_new])
def test_a_lora_of_another_text_width_is_told_from_its_shapes(
    tmp_path: Path, names: KeyNames, form: Callable[..., Tensors], width: int, made_for: str
) -> None:
    lora = make_lora(
        small_sdxl(cross_attention_dim=width), of=lambda at, path: at == "unet" and attention(at, path)
    )

    assert refusal(tmp_path, names, store(tmp_path, form(lora))) == (
        f"The LoRA ink was made for {made_for} (text width {width}). The text width here is 64."
    )


@pytest.mark.parametrize(
    ("metadata", "made_for"),
    [
        ({"ss_base_model_version": "sd_v1"}, "Stable Diffusion 1"),
        ({"ss_base_model_version": "sd_v2"}, "Stable Diffusion 2"),
        ({"ss_base_model_version": "flux1"}, "FLUX"),
        ({"modelspec.architecture": "stable-diffusion-v1/lora"}, "Stable Diffusion 1"),
        ({"modelspec.architecture": "stable-diffusion-xl-v1-refiner"}, "the refiner of Stable Diffusion XL"),
        (
            {"ss_base_model_version": "stabilityai/stable-diffusion-xl-refiner-1.0"},
            "the refiner of Stable Diffusion XL",
        ),
        ({"ss_base_model_version": "runwayml/stable-diffusion-v1-5"}, "Stable Diffusion 1"),
        ({"ss_base_model_version": "stabilityai/stable-diffusion-2-1"}, "Stable Diffusion 2"),
        ({"ss_base_model_version": "stabilityai/stable-diffusion-3-medium"}, "Stable Diffusion 3"),
        ({"ss_base_model_version": "SD3.5 Large"}, "Stable Diffusion 3"),
        ({"ss_base_model_version": "SD 1.5"}, "Stable Diffusion 1"),
        ({"ss_base_model_version": "black-forest-labs/FLUX.1-dev"}, "FLUX"),
        ({"ss_base_model_version": "Kwai-Kolors/Kolors-diffusers"}, "Kolors"),
        ({"ss_base_model_version": "Wan 2.1\n"}, "wan 2.1"),
    ],
)
def test_a_lora_of_another_model_is_told_from_its_metadata(
    tmp_path: Path, names: KeyNames, metadata: dict[str, str], made_for: str
) -> None:
    assert refusal(tmp_path, names, store(tmp_path, pair(), metadata=metadata)) == (
        f"The LoRA ink was made for {made_for}, but the model here is SDXL."
    )


ONLY = "which is not supported. LoRA and DoRA are."
NO_ALPHA = "has an alpha in its metadata that is no number above 0."
PATTERNS = "has metadata (alpha_pattern)"
PISSA = "changes the base model too (pissa). Convert it to a plain LoRA first."


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ("{", "has metadata (lora_adapter_metadata) that cannot be read."),
        ("[]", "has metadata (lora_adapter_metadata) that cannot be read."),
        ("[" * 100_000, "has metadata (lora_adapter_metadata) that cannot be read."),
        ({"unet.r": 8, "unet.lora_alpha": 8}, f"has rank 4 in {PLACE}, but its metadata says otherwise."),
        ({"unet.r": 4, "unet.lora_alpha": "many"}, NO_ALPHA),
        ({"unet.r": 4, "unet.lora_alpha": 10**400}, NO_ALPHA),
        ({"unet.r": 4, "unet.use_dora": True}, f"is a DoRA, but the magnitudes of {PLACE} are missing."),
        ({"unet.r": 4, "unet.lora_bias": True}, f"uses lora_bias, {ONLY}"),
        ({"unet.init_lora_weights": "pissa_niter_4"}, PISSA),
        ({"unet.alpha_pattern": {"(a": 1}}, f"{PATTERNS} that is not a list of patterns."),
        ({"unet.alpha_pattern": [1]}, f"{PATTERNS} that is not a list of patterns."),
        ({"unet.alpha_pattern": {"a" * 201: 1}}, f"{PATTERNS} with a pattern that is too long."),
        (
            {"unet.alpha_pattern": {r"(\w|\w\w|[a-z.]\w|\.)+[89]": 1}},
            f"{PATTERNS} with a pattern that takes too long.",
        ),
        ({"unet.layer_replication": [[0, 2]]}, f"uses layer_replication, {ONLY}"),
    ],
)  # fmt: skip
def test_metadata_that_asks_for_more_than_a_scale_is_refused(
    tmp_path: Path, names: KeyNames, metadata: object, sentence: str
) -> None:
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)

    use = store(tmp_path, pair(), metadata={"lora_adapter_metadata": text})

    assert refusal(tmp_path, names, use) == f"The LoRA ink {sentence}"


def test_alphas_in_keys_and_in_metadata_at_once_are_refused(tmp_path: Path, names: KeyNames) -> None:
    config = json.dumps({"unet.r": 4, "unet.lora_alpha": 4})

    use = store(
        tmp_path, pair() | {f"{KEY}.alpha": torch.tensor(2.0)}, metadata={"lora_adapter_metadata": config}
    )

    assert refusal(tmp_path, names, use) == "The LoRA ink has its alpha twice, in keys and in its metadata."


def test_the_limits_are_those_that_were_promised() -> None:
    assert (safetensors_file.FILE_BYTES, HEADER_BYTES, safetensors_file.TENSORS) == (
        536870912,
        16777216,
        5000,
    )
