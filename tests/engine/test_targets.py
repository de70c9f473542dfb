"""What a training changes, counted on Stable Diffusion XL's own modules, which need no memory for it."""

import math
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from engine.lora.key_names import KeyNames, Place
from engine.lora.targets import target_ranks
from engine.messages import InvalidRequest, TrainingSettings


@pytest.fixture(scope="module")
def sdxl() -> KeyNames:
    """stabilityai/stable-diffusion-xl-base-1.0, after the configurations it was published with."""
    words: dict[str, Any] = {"vocab_size": 49408, "max_position_embeddings": 77}
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=128,
            block_out_channels=(320, 640, 1280),
            layers_per_block=2,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            use_linear_projection=True,
            cross_attention_dim=2048,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
        clip_l = CLIPTextConfig(
            hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, **words
        )
        clip_g = CLIPTextConfig(
            hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, **words
        )
        return KeyNames(
            {
                "unet": unet,
                "text_encoder": CLIPTextModel(clip_l),
                "text_encoder_2": CLIPTextModelWithProjection(clip_g),
            }
        )


def parameters(names: KeyNames, places: dict[Place, int]) -> int:
    """How many numbers the factors of these ranks have."""
    return sum(
        rank * (names.shapes[place][0] + math.prod(names.shapes[place][1:])) for place, rank in places.items()
    )


def test_attention_has_560_modules_and_1451520_parameters_a_rank(sdxl: KeyNames) -> None:
    places = target_ranks(sdxl, TrainingSettings(rank=1))

    assert len(places) == 560
    assert parameters(sdxl, places) == 1_451_520
    assert parameters(sdxl, target_ranks(sdxl, TrainingSettings(rank=8))) == 11_612_160


def test_the_feed_forward_adds_1164800_parameters_a_rank(sdxl: KeyNames) -> None:
    more = target_ranks(sdxl, TrainingSettings(rank=1, feed_forward=True))

    assert parameters(sdxl, more) == 1_451_520 + 1_164_800
    assert len(more) == 560 + 2 * 70


def test_the_convolutions_are_those_of_residual_blocks_and_samplers(sdxl: KeyNames) -> None:
    plain = target_ranks(sdxl, TrainingSettings())
    more = [
        place.path for place in target_ranks(sdxl, TrainingSettings(convolutions=True)) if place not in plain
    ]

    assert sum(path.endswith((".conv1", ".conv2")) for path in more) == 2 * (6 + 2 + 9)
    assert sum(path.endswith(".conv_shortcut") for path in more) == 2 + 9
    assert sum(path.endswith("samplers.0.conv") for path in more) == 2 + 2
    assert len(more) == 34 + 11 + 4


def test_the_text_encoders_have_3211264_parameters_at_rank_8(sdxl: KeyNames) -> None:
    of_unet = parameters(sdxl, target_ranks(sdxl, TrainingSettings(rank=8)))

    both, first, second = (
        parameters(
            sdxl, target_ranks(sdxl, TrainingSettings(rank=8, text_encoder=first, text_encoder_2=second))
        )
        - of_unet
        for first, second in ((True, True), (True, False), (False, True))
    )

    assert (both, first, second) == (3_211_264, 589_824, 2_621_440)


def test_the_feed_forward_of_a_text_encoder_comes_with_that_of_the_unet(sdxl: KeyNames) -> None:
    places = target_ranks(sdxl, TrainingSettings(text_encoder=True, feed_forward=True))

    paths = {place.path.rpartition(".")[2] for place in places if place.component == "text_encoder"}

    assert paths == {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"}


def test_blocks_limit_the_unet_and_leave_the_text_encoders(sdxl: KeyNames) -> None:
    settings = TrainingSettings(blocks=("down.2", "mid", "up.0"), text_encoder=True)

    places = target_ranks(sdxl, settings)

    beginnings = {".".join(place.path.split(".")[:2]) for place in places if place.component == "unet"}
    assert beginnings == {"down_blocks.2", "mid_block.attentions", "up_blocks.0"}
    assert sum(place.component == "text_encoder" for place in places) == 48
    assert sum(place.component == "unet" for place in places) == 8 * (2 * 10 + 10 + 3 * 10)


@pytest.mark.parametrize("block", ["down.0", "up.2", "down.7"])
def test_a_block_without_attention_is_refused(sdxl: KeyNames, block: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        target_ranks(sdxl, TrainingSettings(blocks=("mid", block)))

    assert str(refusal.value) == (
        f"The block {block} has nothing to train here. Choose from down.1, down.2, mid, up.0, up.1."
    )


def test_every_module_that_is_trained_is_written_under_the_name_that_kohya_reads(sdxl: KeyNames) -> None:
    every = target_ranks(sdxl, TrainingSettings(feed_forward=True, text_encoder=True, text_encoder_2=True))

    for place in every:
        meaning = sdxl.parse(f"{sdxl.kohya_name(place)}.lora_down.weight")
        assert meaning is not None
        assert meaning.places == (place,)
    written = {sdxl.kohya_name(place) for place in every}
    assert written >= {
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_k",
        "lora_unet_middle_block_1_transformer_blocks_9_ff_net_0_proj",
        "lora_unet_output_blocks_5_1_transformer_blocks_1_attn2_to_out_0",
        "lora_te1_text_model_encoder_layers_11_self_attn_q_proj",
        "lora_te2_text_model_encoder_layers_31_mlp_fc2",
    }
