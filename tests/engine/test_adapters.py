"""LoRAs of every trainer count in the pictures exactly as their files say, and leave no trace."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from torch import Tensor

from engine.lora import merged_weights, served_changes
from engine.lora.adapters import AdapterCacheFull, Adapters
from engine.messages import AdapterUse, InvalidRequest
from tests.engine.adapter_cases import (
    CLOSE,
    PLENTY,
    changed_weights,
    copies,
    first_address,
    loras_of_one_size,
    truth,
    use,
)
from tests.lora_files import (
    Lora,
    attention,
    bare_unet,
    comfy,
    comfy_unet,
    convolved,
    diffusers_dotted,
    diffusers_new,
    diffusers_old,
    farthest,
    kohya,
    kohya_sgm,
    lycoris_unet,
    make_lora,
    merge,
    omi,
    peft_named,
    peft_unet,
    seen,
    store,
    store_bytes,
    twice_wrapped,
    wrapped_inside,
)

Form = Callable[[Lora], dict[str, Tensor]]
FORMS: tuple[Form, ...] = (kohya, kohya_sgm, diffusers_new, diffusers_dotted, diffusers_old, peft_named)
UNET_FORMS: tuple[Form, ...] = (peft_unet, bare_unet, comfy_unet)
OTHER_FORMS: tuple[Form, ...] = (omi, comfy, twice_wrapped, wrapped_inside, convolved)


@pytest.mark.parametrize("alphas", [(None,), (2.0,), (1.0, 3.0, 8.0, 4.0, None)], ids=["none", "one", "many"])
@pytest.mark.parametrize("form", FORMS)
def test_a_lora_in_any_names_counts_as_its_merged_weights(
    original: Any,
    plain: list[Tensor],
    pipeline: Any,
    adapters: Adapters,
    tmp_path: Path,
    form: Form,
    alphas: tuple[float | None, ...],
) -> None:
    lora = make_lora(pipeline, of=attention, ranks=(4, 2, 8), alphas=alphas)

    use(adapters, store(tmp_path, form(lora), weight=0.8))

    changed = seen(pipeline)
    assert farthest(changed, truth(original, (lora, 0.8))) < CLOSE
    assert all((now - before).abs().max() > 1e-3 for now, before in zip(changed, plain, strict=True))


@pytest.mark.parametrize("form", OTHER_FORMS)
@pytest.mark.parametrize("dora", [False, True])
def test_other_names_of_the_same_lora_count_as_kohyas_to_the_last_bit(
    pipeline: Any, adapters: Adapters, tmp_path: Path, form: Form, dora: bool
) -> None:
    lora = make_lora(pipeline, ranks=(2, 3), alphas=(1.0, 6.0), dora=dora and form in (omi, comfy))
    use(adapters, store(tmp_path, kohya(lora)))
    expected = seen(pipeline)

    use(adapters, store(tmp_path, form(lora)))

    assert farthest(seen(pipeline), expected) == 0


def test_lycoris_names_of_a_unet_count_as_kohyas_to_the_last_bit(
    pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    lora = make_lora(pipeline, of=lambda at, path: at == "unet", alphas=(3.0,))
    use(adapters, store(tmp_path, kohya(lora)))
    expected = seen(pipeline)

    use(adapters, store(tmp_path, lycoris_unet(lora)))

    assert farthest(seen(pipeline), expected) == 0


@pytest.mark.parametrize("scalar", [0.25, -2.0])
def test_the_scalar_of_lycoris_multiplies_what_a_module_changes(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path, scalar: float
) -> None:
    lora = make_lora(pipeline, of=attention, alphas=(2.0,))
    tensors = kohya(lora)
    tensors |= {key.replace(".alpha", ".scalar"): torch.tensor(scalar) for key in tensors if ".alpha" in key}

    use(adapters, store(tmp_path, tensors))

    assert farthest(seen(pipeline), truth(original, (lora, scalar))) < CLOSE


@pytest.mark.parametrize(
    "options",
    [
        {"alpha_pattern": {r"attn2\.to_\w": 6}},
        {"alpha_pattern": {r"attn2\.to_[kv]|.*ff.*": 6, r"^down_blocks\.1.*to_q": 1}},
        {"alpha_pattern": {"attn..to_k": 6, "to_k": 1}},
        {"alpha_pattern": {r"^mid_block.attentions.0.transformer_blocks.0.attn1.to_q": 6, "attn1.to_q": 5}},
        {"alpha_pattern": {"ttn1.to_q": 6, r"(?:up|down)_blocks\.\d+\..*attn[12]\.to_v": 7}},
        {"alpha_pattern": {r"attn\d.to_out.0": 6}, "use_rslora": True},
        {"rank_pattern": {r"attn2\.to_[kv]": 2}, "alpha_pattern": {r".+\.1\..+to_k": 2}},
    ],
)
def test_patterns_in_the_metadata_are_the_regular_expressions_that_peft_reads(
    pipeline: Any, original: Any, adapters: Adapters, tmp_path: Path, options: dict[str, Any]
) -> None:
    trained = copies(original).one()
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    config = LoraConfig(r=4, lora_alpha=3, target_modules=targets, init_lora_weights=False, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of patterns beside rank-stabilised scales
        inject_adapter_in_model(config, trained.unet, adapter_name="own")
    for name, parameter in trained.unet.named_parameters():
        if "lora_B" in name:
            parameter.data *= 3
    tensors = get_peft_model_state_dict(trained.unet, adapter_name="own")
    metadata = json.dumps(
        {f"unet.{key}": value for key, value in {"r": 4, "lora_alpha": 3, **options}.items()}
    )

    use(
        adapters,
        store(
            tmp_path,
            {f"unet.{key}": tensor.detach() for key, tensor in tensors.items()},
            metadata={"lora_adapter_metadata": metadata},
        ),
    )

    assert farthest(seen(pipeline), seen(trained)) < CLOSE


@pytest.mark.parametrize("form", UNET_FORMS)
def test_a_lora_of_the_unet_alone_needs_no_prefix(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path, form: Form
) -> None:
    lora = make_lora(pipeline, of=lambda component, path: component == "unet", alphas=(2.0, 3.0))

    use(adapters, store(tmp_path, form(lora)))

    assert farthest(seen(pipeline), truth(original, (lora, 1.0))) < CLOSE


@pytest.mark.parametrize("component", ["text_encoder", "text_encoder_2"])
@pytest.mark.parametrize("form", FORMS)
def test_a_lora_of_one_text_encoder_leaves_the_rest_alone(
    original: Any,
    plain: list[Tensor],
    pipeline: Any,
    adapters: Adapters,
    tmp_path: Path,
    form: Form,
    component: str,
) -> None:
    lora = make_lora(pipeline, of=lambda at, path: at == component and attention(at, path), alphas=(2.0, 5.0))

    use(adapters, store(tmp_path, form(lora)))

    changed = seen(pipeline)
    assert farthest(changed, truth(original, (lora, 1.0))) < CLOSE
    assert torch.equal(changed[0], plain[0])


@pytest.mark.parametrize("form", [kohya, kohya_sgm, diffusers_new, diffusers_dotted, peft_named])
def test_every_linear_and_convolution_layer_can_have_a_lora(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path, form: Form
) -> None:
    lora = make_lora(pipeline, ranks=(1, 2, 3), alphas=(1.0, 0.5, 2.0))

    use(adapters, store(tmp_path, form(lora)))

    assert len(changed_weights(original, pipeline)) == len(lora)
    assert farthest(seen(pipeline), truth(original, (lora, 1.0))) < CLOSE


def test_diffusers_itself_paints_the_same_where_it_reads_the_file_right(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    lora = make_lora(pipeline, of=lambda at, path: at == "unet" and attention(at, path), alphas=(2.0,))
    judge = copies(original).one()
    judge.load_lora_weights(kohya_sgm(lora), adapter_name="ink")
    judge.set_adapters(["ink"], [0.7])

    use(adapters, store(tmp_path, kohya_sgm(lora), weight=0.7))

    assert farthest(seen(pipeline), seen(judge)) < CLOSE


@pytest.mark.parametrize("weight", [-2.0, -0.5, 2.0])
def test_weights_may_be_negative_and_large(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path, weight: float
) -> None:
    lora = make_lora(pipeline, of=attention)

    use(adapters, store(tmp_path, kohya(lora), weight=weight))

    assert farthest(seen(pipeline), truth(original, (lora, weight))) < CLOSE


def test_the_alphas_and_ranks_in_the_metadata_of_diffusers_are_honoured(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    def alpha(path: str) -> float:
        return 6.0 if path.endswith("attn2.to_k") else 3.0

    lora = make_lora(pipeline, of=lambda at, path: at == "unet" and attention(at, path))
    config = {
        "unet.r": 4,
        "unet.lora_alpha": 3,
        "unet.alpha_pattern": {"attn2.to_k": 6},
        "unet.rank_pattern": {},
        "unet.init_lora_weights": True,
    }
    expected = {
        (at, path): type(factors)(down=factors.down, up=factors.up, alpha=alpha(path))
        for (at, path), factors in lora.items()
    }

    use(
        adapters, store(tmp_path, diffusers_new(lora), metadata={"lora_adapter_metadata": json.dumps(config)})
    )

    assert farthest(seen(pipeline), truth(original, (expected, 1.0))) < CLOSE


def test_an_adapter_that_a_unet_saved_itself_has_the_alphas_of_its_configuration(
    pipeline: Any, original: Any, adapters: Adapters, tmp_path: Path
) -> None:
    trained = copies(original).one()
    config = LoraConfig(
        r=4,
        lora_alpha=2,
        target_modules=["to_q", "to_k"],
        rank_pattern={"attn2.to_k": 2},
        init_lora_weights=False,
    )
    trained.unet.add_adapter(config, adapter_name="own")
    trained.unet.save_lora_adapter(tmp_path, adapter_name="own", weight_name="own.safetensors")

    use(adapters, store_bytes(tmp_path, (tmp_path / "own.safetensors").read_bytes()))

    assert farthest(seen(pipeline), seen(trained)) < CLOSE


def test_a_pipeline_that_diffusers_saved_with_metadata_counts_as_it_did_there(
    pipeline: Any, original: Any, adapters: Adapters, tmp_path: Path
) -> None:
    trained, tensors, metadata = copies(original).one(), {}, {}
    for at, targets in (("unet", ["to_q", "to_out.0"]), ("text_encoder_2", ["q_proj", "fc1"])):
        config = LoraConfig(
            r=4, lora_alpha=3, use_rslora=True, target_modules=targets, init_lora_weights=False
        )
        component = getattr(trained, at)
        inject_adapter_in_model(config, component, adapter_name="own")
        tensors[at] = get_peft_model_state_dict(component, adapter_name="own")
        metadata[at] = component.peft_config["own"].to_dict()
    StableDiffusionXLPipeline.save_lora_weights(
        tmp_path,
        unet_lora_layers=tensors["unet"],
        text_encoder_2_lora_layers=tensors["text_encoder_2"],
        unet_lora_adapter_metadata=metadata["unet"],
        text_encoder_2_lora_adapter_metadata=metadata["text_encoder_2"],
    )

    use(adapters, store_bytes(tmp_path, (tmp_path / "pytorch_lora_weights.safetensors").read_bytes()))

    assert farthest(seen(pipeline), seen(trained)) < CLOSE


def test_rank_stabilised_loras_are_scaled_by_the_root_of_their_rank(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    lora = make_lora(pipeline, of=attention, ranks=(4,))
    config = {f"{at}.{key}": value for at in ("unet", "text_encoder", "text_encoder_2")
            for key, value in (("r", 4), ("lora_alpha", 3), ("use_rslora", True))}  # fmt: skip

    use(
        adapters, store(tmp_path, diffusers_new(lora), metadata={"lora_adapter_metadata": json.dumps(config)})
    )

    assert farthest(seen(pipeline), truth(original, (lora, 3 / 2))) < CLOSE


def test_two_mixed_loras_add_up_even_when_they_change_different_components(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    ink = make_lora(
        pipeline, of=lambda at, path: at != "text_encoder_2" and attention(at, path), alphas=(2.0,)
    )
    wash = make_lora(pipeline, of=lambda at, path: at == "text_encoder_2" or "ff" in path, seed=2)
    both = make_lora(pipeline, of=attention, seed=3, ranks=(8,), alphas=(4.0,))

    use(
        adapters,
        store(tmp_path, kohya_sgm(ink), weight=0.8),
        store(tmp_path, diffusers_new(wash), name="wash", weight=-0.5),
        store(tmp_path, kohya(both), name="both", weight=0.3),
    )

    assert farthest(seen(pipeline), truth(original, (ink, 0.8), (wash, -0.5), (both, 0.3))) < CLOSE


def test_the_order_of_a_mix_does_not_change_a_bit(pipeline: Any, adapters: Adapters, tmp_path: Path) -> None:
    mix = tuple(
        store(tmp_path, kohya(make_lora(pipeline, of=attention, seed=seed)), name=f"l{seed}")
        for seed in (1, 2, 3)
    )
    use(adapters, *mix)
    forward = seen(pipeline)
    adapters.activate(())

    adapters.activate(mix[::-1])

    assert farthest(seen(pipeline), forward) == 0


def test_switching_between_mixes_leaves_nothing_of_the_last_one(
    original: Any, plain: list[Tensor], pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    ink, wash = (make_lora(pipeline, of=attention, seed=seed) for seed in (1, 2))
    first, second = (
        store(tmp_path, kohya(ink), name="ink"),
        store(tmp_path, kohya(wash), name="wash", weight=0.5),
    )
    use(adapters, first)
    use(adapters, second)

    assert farthest(seen(pipeline), truth(original, (wash, 0.5))) < CLOSE
    adapters.activate(())
    assert farthest(seen(pipeline), plain) == 0
    adapters.activate((AdapterUse(name="ink", sha256=first.sha256, weight=1.5),))
    assert farthest(seen(pipeline), truth(original, (ink, 1.5))) < CLOSE


def test_a_loaded_lora_does_not_count_before_it_is_activated_nor_with_weight_zero(
    plain: list[Tensor], pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    unused = store(tmp_path, kohya(make_lora(pipeline)), weight=0.0)

    adapters.load(unused)
    assert farthest(seen(pipeline), plain) == 0
    adapters.activate((unused,))
    assert farthest(seen(pipeline), plain) == 0


def test_a_lora_loaded_beside_an_active_one_changes_nothing_yet(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    use(adapters, store(tmp_path, kohya(make_lora(pipeline, of=attention))))
    before = seen(pipeline)

    adapters.load(store(tmp_path, kohya(make_lora(original, seed=2)), name="wash"))

    assert farthest(seen(pipeline), before) == 0


def test_the_least_recently_used_lora_leaves_when_bytes_run_out(pipeline: Any, tmp_path: Path) -> None:
    (first, second, third), size = loras_of_one_size(pipeline, tmp_path, 3)
    adapters = Adapters(pipeline, tmp_path, limit_bytes=2 * size)
    adapters.load(first)
    adapters.load(second)
    adapters.load(first)

    adapters.load(third)

    assert adapters.resident == (first.sha256, third.sha256)
    assert adapters.size == 2 * size


def test_a_lora_in_use_is_not_evicted_and_the_next_one_is_told_there_is_no_room(
    pipeline: Any, tmp_path: Path
) -> None:
    (first, second, third), size = loras_of_one_size(pipeline, tmp_path, 3)
    adapters = Adapters(pipeline, tmp_path, limit_bytes=2 * size)
    adapters.load(first)
    adapters.load(second)

    adapters.load(third, keep={first.sha256})
    assert adapters.resident == (first.sha256, third.sha256)
    with pytest.raises(
        AdapterCacheFull,
        match=r"The LoRA l1 needs 0\.2 MB on the device. Of 0\.3 MB for LoRAs, 0\.0 MB are free",
    ):
        adapters.load(second, keep={first.sha256, third.sha256})
    assert adapters.resident == (first.sha256, third.sha256)


def test_evicting_an_active_lora_leaves_the_others_of_its_mix_active(
    original: Any, pipeline: Any, tmp_path: Path
) -> None:
    (first, second, third), size = loras_of_one_size(pipeline, tmp_path, 3)
    remaining = make_lora(pipeline, of=attention, seed=1)
    adapters = Adapters(pipeline, tmp_path, limit_bytes=2 * size)
    use(adapters, first, second)

    adapters.load(third, keep={second.sha256})

    assert farthest(seen(pipeline), truth(original, (remaining, 1.0))) < CLOSE


def test_without_adapters_the_plain_weights_are_back(
    original: Any, plain: list[Tensor], pipeline: Any, tmp_path: Path
) -> None:
    (first, _), size = loras_of_one_size(pipeline, tmp_path, 2)
    elsewhere = make_lora(pipeline, of=lambda at, path: path == "conv_in", ranks=(1,))
    adapters = Adapters(pipeline, tmp_path, limit_bytes=size)
    use(adapters, first)

    use(adapters, store(tmp_path, kohya(elsewhere), name="tiny"))

    assert changed_weights(original, pipeline) == ["conv_in"]
    adapters.load(first)
    adapters.unload(first.sha256)
    adapters.activate(())
    assert not changed_weights(original, pipeline)
    assert farthest(seen(pipeline), plain) == 0


def test_a_refused_lora_leaves_the_model_and_the_active_mix_as_they_were(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    use(adapters, store(tmp_path, kohya(make_lora(pipeline, of=attention))))
    before = seen(pipeline)
    modules = [type(module) for module in pipeline.unet.modules()]
    broken = kohya(make_lora(original, seed=2))
    broken["lora_unet_conv_in.lora_down.weight"][0] = torch.nan

    with pytest.raises(InvalidRequest, match="not finite"):
        adapters.load(store(tmp_path, broken, name="wash"))

    assert [type(module) for module in pipeline.unet.modules()] == modules
    assert farthest(seen(pipeline), before) == 0


@pytest.mark.parametrize("resident", [True, False])
def test_a_fault_in_the_middle_of_a_load_leaves_no_half_of_it(
    original: Any,
    plain: list[Tensor],
    pipeline: Any,
    adapters: Adapters,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    resident: bool,
) -> None:
    if resident:
        use(adapters, store(tmp_path, kohya(make_lora(pipeline, of=attention))))
    before = seen(pipeline)
    wash = store(tmp_path, kohya(make_lora(original, seed=2)), name="wash")
    check, checked = served_changes.is_faithful, list[object]()

    def failing(*given: Any) -> Tensor:
        if len(checked) == 40:
            raise MemoryError
        checked.append(given)
        is_same: Tensor = check(*given)
        return is_same

    monkeypatch.setattr(served_changes, "is_faithful", failing)
    with pytest.raises(MemoryError):
        adapters.load(wash)

    assert farthest(seen(pipeline), before) == 0
    assert wash.sha256 not in adapters.resident
    monkeypatch.undo()
    use(adapters, wash)
    adapters.activate(())
    assert farthest(seen(pipeline), plain) == 0


def test_what_overflows_in_the_precision_of_the_model_is_refused(pipeline: Any, tmp_path: Path) -> None:
    lora = make_lora(pipeline, of=attention)
    pipeline.unet.half()
    adapters = Adapters(pipeline, tmp_path, PLENTY)
    tensors = kohya(lora)
    key = next(key for key in tensors if key.startswith("lora_unet") and "lora_up" in key)
    tensors[key] = tensors[key] * 1e6

    with pytest.raises(
        InvalidRequest, match=r"The LoRA ink cannot be applied exactly. In float16 it loses too much of unet"
    ):
        adapters.load(store(tmp_path, tensors))

    assert not adapters.resident


def test_what_vanishes_in_the_precision_of_the_model_is_refused_only_when_it_would_be_seen(
    pipeline: Any, tmp_path: Path
) -> None:
    lora = make_lora(pipeline, of=lambda at, path: at == "unet" and attention(at, path))
    pipeline.unet.half()
    adapters = Adapters(pipeline, tmp_path, PLENTY)
    tiny = kohya(lora)
    unseen = {key: tensor * (1e-9 if "lora_up" in key else 1) for key, tensor in tiny.items()}
    seen_well = {key: tensor * (1e-9 if "lora_up" in key else 3e4) for key, tensor in tiny.items()}
    seen_well |= {
        key.replace("lora_up.weight", "alpha"): torch.tensor(1e6) for key in tiny if "lora_up" in key
    }

    adapters.load(store(tmp_path, unseen))
    with pytest.raises(InvalidRequest, match="The LoRA strong cannot be applied exactly"):
        adapters.load(store(tmp_path, seen_well, name="strong"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_adapters_take_the_precision_of_the_model(pipeline: Any, tmp_path: Path, dtype: torch.dtype) -> None:
    for component in (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2):
        component.to(dtype)
    adapters = Adapters(pipeline, tmp_path, PLENTY)
    lora = make_lora(pipeline, of=attention, alphas=(1.0, 3.0))
    size = sum(factors.down.numel() + factors.up.numel() for factors in lora.values())

    use(adapters, store(tmp_path, kohya(lora)))

    assert {parameter.dtype for parameter in pipeline.unet.parameters()} == {dtype}
    assert adapters.size == size * dtype.itemsize


def test_loading_draws_no_random_numbers(pipeline: Any, adapters: Adapters, tmp_path: Path) -> None:
    lora = store(tmp_path, kohya(make_lora(pipeline)))
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)

    use(adapters, lora)

    assert torch.equal(torch.rand(4), expected)


def test_modules_and_weights_stay_the_same_objects_whatever_is_mixed(
    pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    def objects() -> list[tuple[int, int, type]]:
        named = pipeline.unet.named_modules()
        return [(id(module), first_address(module), type(module)) for _, module in named]

    before = objects()
    mix = [store(tmp_path, kohya(make_lora(pipeline, seed=s)), name=f"l{s}") for s in (1, 2)]

    use(adapters, *mix)
    assert objects() == before
    use(adapters, mix[0])
    assert objects() == before
    adapters.activate(())
    assert objects() == before


def test_a_mix_whose_numbers_are_too_large_is_refused_and_leaves_the_model_as_it_is(
    original: Any, pipeline: Any, tmp_path: Path
) -> None:
    pipeline.unet.half()
    half = copies(original).one()
    half.unet.half()
    adapters = Adapters(pipeline, tmp_path, PLENTY)
    lora = make_lora(pipeline, of=lambda at, path: at == "unet" and attention(at, path))
    tensors = kohya(lora)
    for key in tensors:
        if "lora_up" in key:
            tensors[key] = tensors[key] * 3e4 / float(tensors[key].abs().max())
        if "lora_down" in key:
            tensors[key] = torch.ones_like(tensors[key])
    large = store(tmp_path, tensors, weight=2.0)
    adapters.load(large)

    for _ in range(2):
        with pytest.raises(InvalidRequest, match="With ink the model's numbers become too large"):
            adapters.activate((large,))
        assert not changed_weights(half, pipeline)


def test_a_fault_in_the_middle_of_a_merge_leaves_the_base(
    plain: list[Tensor],
    original: Any,
    pipeline: Any,
    adapters: Adapters,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ink, wash = (
        store(tmp_path, kohya(make_lora(original, of=attention, seed=seed)), name=f"l{seed}")
        for seed in (1, 2)
    )
    use(adapters, ink)
    merge_one, written = merged_weights.add_changes, list[object]()

    def failing(*given: Any, **options: Any) -> None:
        if len(written) == 10:
            raise torch.OutOfMemoryError
        written.append(given)
        merge_one(*given, **options)

    adapters.load(wash)
    monkeypatch.setattr(merged_weights, "add_changes", failing)
    with pytest.raises(InvalidRequest, match="There is no memory left here for l2"):
        adapters.activate((wash,))

    assert farthest(seen(pipeline), plain) == 0
    monkeypatch.undo()
    adapters.activate((wash,))
    assert farthest(seen(pipeline), truth(original, (make_lora(original, of=attention, seed=2), 1.0))) < CLOSE


@pytest.mark.parametrize("form", [kohya_sgm, peft_named])
def test_a_dora_of_every_layer_counts_as_its_merged_weights(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path, form: Form
) -> None:
    lora = make_lora(pipeline, ranks=(2, 3), alphas=(1.0, 6.0), dora=True)

    use(adapters, store(tmp_path, form(lora)))

    assert farthest(seen(pipeline), truth(original, (lora, 1.0))) < CLOSE


@pytest.mark.parametrize("weight", [1.0, -0.6])
def test_a_dora_that_decomposes_its_inputs_counts_as_its_merged_weights(
    original: Any, plain: list[Tensor], pipeline: Any, adapters: Adapters, tmp_path: Path, weight: float
) -> None:
    lora = make_lora(pipeline, ranks=(2, 3), alphas=(1.0, 6.0), dora=True, by_input=True)

    use(adapters, store(tmp_path, kohya_sgm(lora), weight=weight))

    changed = seen(pipeline)
    assert farthest(changed, truth(original, (lora, weight))) < CLOSE
    assert farthest(changed, plain) > 1e-2


def test_a_dora_that_peft_saved_counts_as_it_did_there(
    original: Any, plain: list[Tensor], pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    trained = copies(original).one()
    config = LoraConfig(
        r=4, lora_alpha=2, use_dora=True, target_modules=["to_q", "conv1"], init_lora_weights=False
    )
    inject_adapter_in_model(config, trained.unet, adapter_name="own")
    for name, parameter in trained.unet.named_parameters():
        if "magnitude" in name:
            parameter.data *= 1.2
    tensors = {f"unet.{key}": value.detach() for key, value in
               get_peft_model_state_dict(trained.unet, adapter_name="own").items()}  # fmt: skip
    config = json.dumps({"unet.r": 4, "unet.lora_alpha": 2, "unet.use_dora": True})

    use(adapters, store(tmp_path, tensors, metadata={"lora_adapter_metadata": config}))

    changed = seen(pipeline)
    assert farthest(changed, seen(trained)) < CLOSE
    assert farthest(changed[:1], plain[:1]) > 1e-2


def test_doras_and_loras_add_up_and_a_weight_counts_what_each_adds(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    place = "mid_block.attentions.0.proj_in"
    module = original.unet.get_submodule(place)
    at = {
        seed: make_lora(pipeline, of=lambda _, path: path == place, seed=seed, dora=dora)
        for seed, dora in ((1, True), (2, True), (3, False))
    }  # fmt: skip
    weights = {1: 0.7, 2: -0.4, 3: 0.5}
    expected = module.weight.detach().double()
    for seed, lora in at.items():
        alone = copies(original).one()
        merge(alone, lora, weights[seed])
        merged = alone.unet.get_submodule(place).weight
        expected = expected + (merged - module.weight).detach().double()
    expected_model = copies(original).one()
    expected_model.unet.get_submodule(place).weight.data = expected.float()

    use(
        adapters,
        *(store(tmp_path, kohya(lora), name=f"l{seed}", weight=weights[seed]) for seed, lora in at.items()),
    )

    assert farthest(seen(pipeline), seen(expected_model)) < CLOSE
