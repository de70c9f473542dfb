"""What a training changes, counted on Stable Diffusion XL's own modules, which need no memory for it."""

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from engine.lora.key_names import KeyNames, Place
from engine.lora.targets import Target, count_parameters, training_targets
from engine.messages import InvalidRequest, Part, PartNumber, TrainingSettings


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


def parameters(names: KeyNames, targets: dict[Place, Target]) -> int:
    """How many numbers the factors of these ranks have."""
    return sum(count_parameters(names, targets).values())


def test_attention_has_560_modules_and_1451520_parameters_a_rank(sdxl: KeyNames) -> None:
    places = training_targets(sdxl, TrainingSettings(rank=1))

    assert len(places) == 560
    assert parameters(sdxl, places) == 1_451_520
    assert parameters(sdxl, training_targets(sdxl, TrainingSettings(rank=8))) == 11_612_160


def test_the_feed_forward_adds_1164800_parameters_a_rank(sdxl: KeyNames) -> None:
    more = training_targets(sdxl, TrainingSettings(rank=1, feed_forward=True))

    assert parameters(sdxl, more) == 1_451_520 + 1_164_800
    assert len(more) == 560 + 2 * 70


def test_the_convolutions_are_those_of_residual_blocks_and_samplers(sdxl: KeyNames) -> None:
    plain = training_targets(sdxl, TrainingSettings())
    more = [
        place.path
        for place in training_targets(sdxl, TrainingSettings(convolutions=True))
        if place not in plain
    ]

    assert sum(path.endswith((".conv1", ".conv2")) for path in more) == 2 * (6 + 2 + 9)
    assert sum(path.endswith(".conv_shortcut") for path in more) == 2 + 9
    assert sum(path.endswith("samplers.0.conv") for path in more) == 2 + 2
    assert len(more) == 34 + 11 + 4


def test_the_text_encoders_have_3211264_parameters_at_rank_8(sdxl: KeyNames) -> None:
    of_unet = parameters(sdxl, training_targets(sdxl, TrainingSettings(rank=8)))

    both, first, second = (
        parameters(
            sdxl, training_targets(sdxl, TrainingSettings(rank=8, text_encoder=first, text_encoder_2=second))
        )
        - of_unet
        for first, second in ((True, True), (True, False), (False, True))
    )

    assert (both, first, second) == (3_211_264, 589_824, 2_621_440)


def test_the_feed_forward_of_a_text_encoder_comes_with_that_of_the_unet(sdxl: KeyNames) -> None:
    places = training_targets(sdxl, TrainingSettings(text_encoder=True, feed_forward=True))

    paths = {place.path.rpartition(".")[2] for place in places if place.component == "text_encoder"}

    assert paths == {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"}


def numbers(**parts: float) -> tuple[PartNumber, ...]:
    """Numbers by part, where text_2 stands for text-2."""
    return tuple(PartNumber(part=part.replace("_", "-"), number=number) for part, number in parts.items())


@pytest.mark.parametrize(
    ("settings", "counts"),
    [
        (
            TrainingSettings(rank=1, ranks=numbers(text=4, text_2=4)),
            {"attention": 1_451_520, "text": 294_912, "text-2": 1_310_720},
        ),
        (TrainingSettings(rank=0, ranks=numbers(text=8, text_2=8)), {"text": 589_824, "text-2": 2_621_440}),
        (
            TrainingSettings(rank=2, ranks=numbers(feed_forward=1)),
            {"attention": 2 * 1_451_520, "feed-forward": 1_164_800},
        ),
        (
            TrainingSettings(rank=4, feed_forward=True, ranks=numbers(attention=0)),
            {"feed-forward": 4_659_200},
        ),
    ],
    ids=[
        "unet 1 and text 4",
        "text encoders alone",
        "feed-forward at a rank of its own",
        "without attention",
    ],
)
def test_every_part_has_its_own_rank_and_as_many_parameters_as_were_published(
    sdxl: KeyNames, settings: TrainingSettings, counts: dict[str, int]
) -> None:
    assert count_parameters(sdxl, training_targets(sdxl, settings)) == counts


def test_a_block_has_a_rank_of_its_own_and_keeps_the_scale(sdxl: KeyNames) -> None:
    ranks = (PartNumber(part="down.1", number=4), PartNumber(part="mid", number=0), *numbers(conv=2))
    settings = TrainingSettings(rank=8, alpha=4.0, ranks=ranks, alphas=numbers(conv=1))

    targets = training_targets(sdxl, settings)

    by_block = {
        (place.path.split(".")[0] + place.path.split(".")[1], target.part, target.rank, target.alpha)
        for place, target in targets.items()
    }
    assert {(part, rank, alpha) for block, part, rank, alpha in by_block if block == "down_blocks1"} == {
        (Part.ATTENTION, 4, 2.0),
        (Part.CONVOLUTIONS, 4, 2.0),
    }
    assert {(part, rank, alpha) for block, part, rank, alpha in by_block if block == "down_blocks2"} == {
        (Part.ATTENTION, 8, 4.0),
        (Part.CONVOLUTIONS, 2, 1.0),
    }
    assert not any(place.path.startswith("mid_block") for place in targets)


def test_only_a_block_can_be_trained(sdxl: KeyNames) -> None:
    settings = TrainingSettings(rank=0, ranks=(PartNumber(part="mid", number=4),))

    targets = training_targets(sdxl, settings)

    assert {place.path.split(".")[0] for place in targets} == {"mid_block"}
    assert {(target.part, target.rank, target.alpha) for target in targets.values()} == {
        (Part.ATTENTION, 4, 4.0)
    }


def test_blocks_limit_the_unet_and_leave_the_text_encoders(sdxl: KeyNames) -> None:
    settings = TrainingSettings(blocks=("down.2", "mid", "up.0"), text_encoder=True)

    places = training_targets(sdxl, settings)

    beginnings = {".".join(place.path.split(".")[:2]) for place in places if place.component == "unet"}
    assert beginnings == {"down_blocks.2", "mid_block.attentions", "up_blocks.0"}
    assert sum(place.component == "text_encoder" for place in places) == 48
    assert sum(place.component == "unet" for place in places) == 8 * (2 * 10 + 10 + 3 * 10)


@pytest.mark.parametrize("block", ["down.0", "up.2", "down.7"])
def test_a_block_without_attention_is_refused(sdxl: KeyNames, block: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        training_targets(sdxl, TrainingSettings(ranks=(PartNumber(part=block, number=1),)))

    assert str(refusal.value) == (
        f"The block {block} has nothing to train here. Choose from down.1, down.2, mid, up.0, up.1."
    )


def test_every_module_that_is_trained_is_written_under_the_name_that_kohya_reads(sdxl: KeyNames) -> None:
    every = training_targets(
        sdxl, TrainingSettings(feed_forward=True, text_encoder=True, text_encoder_2=True)
    )

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
