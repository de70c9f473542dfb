"""LoRAs of every trainer count in the pictures exactly as their files say, and leave no trace."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.lora import Linear, LoraLayer
from torch import Tensor, nn

from engine.adapter_file import Adapter
from engine.adapters import Adapters, NoRoom
from engine.messages import AdapterUse, InvalidRequest, Sha256, TrainingSettings
from tests.engine.copies import Copies
from tests.lora_files import (
    Lora,
    answered,
    attention,
    bare_unet,
    comfy_unet,
    diffusers_dotted,
    diffusers_new,
    diffusers_old,
    farthest,
    kohya,
    kohya_sgm,
    make_lora,
    merge,
    peft_named,
    peft_unet,
    seen,
    small_sdxl,
    store,
    store_bytes,
)

PLENTY = 64 * 2**20
CLOSE = 1e-5

Form = Callable[[Lora], dict[str, Tensor]]
FORMS: tuple[Form, ...] = (kohya, kohya_sgm, diffusers_new, diffusers_dotted, diffusers_old, peft_named)
UNET_FORMS: tuple[Form, ...] = (peft_unet, bare_unet, comfy_unet)


@pytest.fixture(scope="session")
def original() -> StableDiffusionXLPipeline:
    torch.set_num_threads(1)
    return small_sdxl()


@pytest.fixture(scope="session")
def plain(original: StableDiffusionXLPipeline) -> list[Tensor]:
    return seen(original)


@pytest.fixture
def pipeline(original: StableDiffusionXLPipeline) -> StableDiffusionXLPipeline:
    copied: StableDiffusionXLPipeline = copies(original).one()
    return copied


@pytest.fixture
def adapters(pipeline: StableDiffusionXLPipeline, tmp_path: Path) -> Adapters:
    return Adapters(pipeline, tmp_path, PLENTY)


def use(adapters: Adapters, *mix: AdapterUse) -> None:
    for one in mix:
        adapters.load(one, keep={other.sha256 for other in mix})
    adapters.activate(mix)


@cache
def copies(original: Any) -> Copies:
    return Copies(original)


def truth(original: Any, *weighted: tuple[Lora, float]) -> list[Tensor]:
    merged = copies(original).one()
    for lora, weight in weighted:
        merge(merged, lora, weight)
    return seen(merged)


def layers(pipeline: Any) -> Iterator[Any]:
    for component in (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2):
        yield from (module for module in component.modules() if isinstance(module, LoraLayer))


def begun(adapters: Adapters, places: Any, name: str = "learner", **told: Any) -> list[nn.Parameter]:
    """What there is to optimize of an adapter that begins to train."""
    return [one for parameters in adapters.begin(name, places, **told).values() for one in parameters]


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

    assert len(list(layers(pipeline))) == len(lora)
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
    told = {
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

    use(adapters, store(tmp_path, diffusers_new(lora), metadata={"lora_adapter_metadata": json.dumps(told)}))

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
    trained, tensors, told = copies(original).one(), {}, {}
    for at, targets in (("unet", ["to_q", "to_out.0"]), ("text_encoder_2", ["q_proj", "fc1"])):
        config = LoraConfig(
            r=4, lora_alpha=3, use_rslora=True, target_modules=targets, init_lora_weights=False
        )
        component = getattr(trained, at)
        inject_adapter_in_model(config, component, adapter_name="own")
        tensors[at] = get_peft_model_state_dict(component, adapter_name="own")
        told[at] = component.peft_config["own"].to_dict()
    StableDiffusionXLPipeline.save_lora_weights(
        tmp_path,
        unet_lora_layers=tensors["unet"],
        text_encoder_2_lora_layers=tensors["text_encoder_2"],
        unet_lora_adapter_metadata=told["unet"],
        text_encoder_2_lora_adapter_metadata=told["text_encoder_2"],
    )

    use(adapters, store_bytes(tmp_path, (tmp_path / "pytorch_lora_weights.safetensors").read_bytes()))

    assert farthest(seen(pipeline), seen(trained)) < CLOSE


def test_rank_stabilised_loras_are_scaled_by_the_root_of_their_rank(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    lora = make_lora(pipeline, of=attention, ranks=(4,))
    told = {f"{at}.{key}": value for at in ("unet", "text_encoder", "text_encoder_2")
            for key, value in (("r", 4), ("lora_alpha", 3), ("use_rslora", True))}  # fmt: skip

    use(adapters, store(tmp_path, diffusers_new(lora), metadata={"lora_adapter_metadata": json.dumps(told)}))

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


def sized(pipeline: Any, tmp_path: Path, count: int) -> tuple[list[AdapterUse], int]:
    """LoRAs of one size, and that size in bytes."""
    loras = [make_lora(pipeline, of=attention, seed=seed) for seed in range(count)]
    size = sum(factors.down.nbytes + factors.up.nbytes for factors in loras[0].values())
    return [store(tmp_path, kohya(lora), name=f"l{seed}") for seed, lora in enumerate(loras)], size


def test_the_least_recently_used_lora_leaves_when_bytes_run_out(pipeline: Any, tmp_path: Path) -> None:
    (first, second, third), size = sized(pipeline, tmp_path, 3)
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
    (first, second, third), size = sized(pipeline, tmp_path, 3)
    adapters = Adapters(pipeline, tmp_path, limit_bytes=2 * size)
    adapters.load(first)
    adapters.load(second)

    adapters.load(third, keep={first.sha256})
    assert adapters.resident == (first.sha256, third.sha256)
    with pytest.raises(NoRoom, match=r"LoRA l1 needs 0\.2 MB on the device, but 0\.0 of the 0\.3 MB"):
        adapters.load(second, keep={first.sha256, third.sha256})
    assert adapters.resident == (first.sha256, third.sha256)


def test_evicting_an_active_lora_leaves_the_others_of_its_mix_active(
    original: Any, pipeline: Any, tmp_path: Path
) -> None:
    (first, second, third), size = sized(pipeline, tmp_path, 3)
    kept = make_lora(pipeline, of=attention, seed=1)
    adapters = Adapters(pipeline, tmp_path, limit_bytes=2 * size)
    use(adapters, first, second)

    adapters.load(third, keep={second.sha256})

    assert farthest(seen(pipeline), truth(original, (kept, 1.0))) < CLOSE


def test_without_adapters_the_plain_modules_are_back(
    original: Any, plain: list[Tensor], pipeline: Any, tmp_path: Path
) -> None:
    (first, _), size = sized(pipeline, tmp_path, 2)
    elsewhere = make_lora(pipeline, of=lambda at, path: path == "conv_in", ranks=(1,))
    adapters = Adapters(pipeline, tmp_path, limit_bytes=size)
    modules = [type(module) for module in original.unet.modules()]
    use(adapters, first)

    adapters.load(store(tmp_path, kohya(elsewhere), name="tiny"))

    assert [type(layer.get_base_layer()) for layer in layers(pipeline)] == [torch.nn.Conv2d]
    adapters.load(first)
    adapters.unload(first.sha256)
    assert [type(module) for module in pipeline.unet.modules()] == modules
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
    attach, attached = adapters._attach, list[object]()

    def failing(sha256: Sha256, place: Any, change: Any) -> None:
        if len(attached) == 40:
            raise MemoryError
        attached.append(place)
        attach(sha256, place, change)

    monkeypatch.setattr(adapters, "_attach", failing)
    with pytest.raises(MemoryError):
        adapters.load(wash)

    assert farthest(seen(pipeline), before) == 0
    assert wash.sha256 not in adapters.resident
    assert not any(wash.sha256 in layer.lora_A for layer in layers(pipeline))
    assert len(list(layers(pipeline))) == (len(make_lora(original, of=attention)) if resident else 0)
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

    with pytest.raises(InvalidRequest, match=r"LoRA ink cannot be applied faithfully: unet.*float16"):
        adapters.load(store(tmp_path, tensors))

    assert not list(layers(pipeline))


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
    with pytest.raises(InvalidRequest, match="LoRA strong cannot be applied faithfully"):
        adapters.load(store(tmp_path, seen_well, name="strong"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_adapters_take_the_precision_of_the_model(pipeline: Any, tmp_path: Path, dtype: torch.dtype) -> None:
    for component in (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2):
        component.to(dtype)
    adapters = Adapters(pipeline, tmp_path, PLENTY)

    use(adapters, store(tmp_path, kohya(make_lora(pipeline, alphas=(1.0, 3.0)))))

    assert {parameter.dtype for layer in layers(pipeline) for parameter in layer.parameters()} == {dtype}


def test_loading_draws_no_random_numbers(pipeline: Any, adapters: Adapters, tmp_path: Path) -> None:
    lora = store(tmp_path, kohya(make_lora(pipeline)))
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)

    use(adapters, lora)

    assert torch.equal(torch.rand(4), expected)


def test_an_adapter_in_training_goes_on_learning_and_stays_out_of_the_mix(
    original: Any, plain: list[Tensor], pipeline: Any, tmp_path: Path
) -> None:
    (first, second), size = sized(pipeline, tmp_path, 2)
    adapters = Adapters(pipeline, tmp_path, limit_bytes=size)
    use(adapters, first)
    places = adapters.targets(TrainingSettings(rank=2))
    # Dropout keeps every module's own parameters, which PEFT would freeze.
    parameters = begun(adapters, places, alpha=2.0, dropout=0.5, dora=False, seed=0)
    learning = [name for name, one in pipeline.unet.named_parameters() if one.requires_grad]
    assert len(learning) == len(parameters) == 2 * len(places)
    for parameter in parameters:
        parameter.data.normal_()

    use(adapters, second)

    assert farthest(seen(pipeline), truth(original, (make_lora(original, of=attention, seed=1), 1.0))) < CLOSE
    assert [name for name, one in pipeline.unet.named_parameters() if one.requires_grad] == learning
    adapters.activate(())
    assert farthest(seen(pipeline), plain) == 0
    adapters.unload(second.sha256)
    assert any("learner" in layer.lora_A for layer in layers(pipeline))


def test_samples_of_one_batch_can_have_different_adapters(
    pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    mix = [store(tmp_path, kohya(make_lora(pipeline, of=attention, seed=s)), name=f"l{s}") for s in (1, 2)]
    use(adapters, *mix)
    layer: Any = next(one for one in layers(pipeline) if isinstance(one, Linear))
    rows = torch.randn(3, layer.in_features)

    mixed = layer(rows, adapter_names=[mix[0].sha256, "__base__", mix[1].sha256])

    base = layer.get_base_layer()(rows)
    deltas = [layer.get_delta_weight(one.sha256) for one in mix]
    expected = base + torch.stack([deltas[0] @ rows[0], torch.zeros_like(base[1]), deltas[1] @ rows[2]])
    torch.testing.assert_close(mixed, expected)


@pytest.mark.parametrize("form", [kohya_sgm, peft_named])
def test_a_dora_of_every_layer_counts_as_its_merged_weights(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path, form: Form
) -> None:
    lora = make_lora(pipeline, ranks=(2, 3), alphas=(1.0, 6.0), dora=True)

    use(adapters, store(tmp_path, form(lora)))

    assert farthest(seen(pipeline), truth(original, (lora, 1.0))) < CLOSE


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
    told = json.dumps({"unet.r": 4, "unet.lora_alpha": 2, "unet.use_dora": True})

    use(adapters, store(tmp_path, tensors, metadata={"lora_adapter_metadata": told}))

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
        one = alone.unet.get_submodule(place).weight
        expected = expected + (one - module.weight).detach().double()
    wanted = copies(original).one()
    wanted.unet.get_submodule(place).weight.data = expected.float()

    use(
        adapters,
        *(store(tmp_path, kohya(lora), name=f"l{seed}", weight=weights[seed]) for seed, lora in at.items()),
    )

    assert farthest(seen(pipeline), seen(wanted)) < CLOSE


@pytest.mark.parametrize("dora", [False, True])
def test_what_begins_to_train_changes_nothing_and_counts_only_when_it_learns(
    plain: list[Tensor], pipeline: Any, adapters: Adapters, tmp_path: Path, dora: bool
) -> None:
    served = store(tmp_path, kohya(make_lora(pipeline, of=attention)))
    use(adapters, served)
    mixed = seen(pipeline)
    places = adapters.targets(
        TrainingSettings(rank=4, feed_forward=True, text_encoder=True, text_encoder_2=True)
    )

    parameters = begun(adapters, places, alpha=8.0, dropout=0.0, dora=dora, seed=3)

    assert farthest(seen(pipeline), mixed) == 0
    adapters.learn("learner")
    assert farthest(seen(pipeline), plain) < CLOSE
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(0.05)
    learnt = seen(pipeline)
    assert all((now - before).abs().max() > 1e-4 for now, before in zip(learnt, plain, strict=True))
    adapters.learn(None)
    assert farthest(seen(pipeline), mixed) == 0
    adapters.learn("learner")
    assert farthest(seen(pipeline), learnt) == 0
    adapters.activate((served,))
    assert farthest(seen(pipeline), mixed) == 0
    adapters.end("learner")
    assert farthest(seen(pipeline), mixed) == 0
    adapters.unload(served.sha256)
    assert not list(layers(pipeline))
    assert farthest(seen(pipeline), plain) == 0


def test_training_begins_with_the_same_numbers_for_a_seed_and_leaves_others_alone(
    pipeline: Any, adapters: Adapters
) -> None:
    places = adapters.targets(TrainingSettings(rank=2))
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)

    three = [
        begun(adapters, places, name, alpha=1.0, dropout=0.0, dora=False, seed=seed)
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    ]

    assert torch.equal(torch.rand(4), expected)
    one, same, other = ([parameter.detach() for parameter in parameters] for parameters in three)
    assert farthest(one, same) == 0
    assert farthest(one, other) > 0
    assert all((up == 0).all() for up in one[1::2])
    assert all(0.5 < down.abs().max() * down.shape[-1] ** 0.5 <= 1 for down in one[::2])


def test_a_training_that_cannot_begin_leaves_nothing_of_itself(
    pipeline: Any, adapters: Adapters, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = adapters.targets(TrainingSettings(rank=2))
    layer, made = adapters._layer, list[object]()

    def failing(*given: Any) -> Any:
        if len(made) == 40:
            raise MemoryError
        made.append(given)
        return layer(*given)

    monkeypatch.setattr(adapters, "_layer", failing)
    with pytest.raises(MemoryError):
        begun(adapters, places, alpha=1.0, dropout=0.0, dora=False, seed=0)

    assert not list(layers(pipeline))


@pytest.mark.parametrize("dora", [False, True])
def test_what_was_learnt_can_be_put_back_exactly(pipeline: Any, adapters: Adapters, dora: bool) -> None:
    places = adapters.targets(TrainingSettings(rank=2, text_encoder=True))
    parameters = begun(adapters, places, alpha=3.0, dropout=0.0, dora=dora, seed=0)
    adapters.learn("learner")
    torch.manual_seed(0)
    for parameter in parameters:
        parameter.data += 0.1 * torch.randn_like(parameter)
    before, numbers = seen(pipeline), [parameter.detach().clone() for parameter in parameters]

    learnt = adapters.learned("learner")
    for parameter in parameters:
        parameter.data.zero_()
    adapters.restore("learner", learnt)

    assert farthest(parameters, numbers) == 0
    assert farthest(seen(pipeline), before) == 0
    assert {(change.alpha, change.rank, change.magnitude is not None) for change in learnt.values()} == {
        (3.0, 2, dora)
    }


@pytest.mark.parametrize("dora", [False, True])
def test_dropout_drops_only_when_it_is_asked_to(pipeline: Any, adapters: Adapters, dora: bool) -> None:
    places = adapters.targets(TrainingSettings(rank=2))
    for parameter in begun(adapters, places, alpha=2.0, dropout=0.5, dora=dora, seed=0):
        parameter.data += 0.1
    adapters.learn("learner")
    whole = seen(pipeline)
    assert farthest(seen(pipeline), whole) == 0

    adapters.learn("learner", dropout=True)
    torch.manual_seed(0)
    assert farthest(seen(pipeline), whole) > 1e-4

    adapters.learn("learner")
    assert farthest(seen(pipeline), whole) == 0


def test_the_next_training_drops_as_the_first_did(pipeline: Any, adapters: Adapters) -> None:
    places = adapters.targets(TrainingSettings(rank=2))
    for _ in range(2):
        begun(adapters, places, alpha=2.0, dropout=0.5, dora=False, seed=0)
        dropouts = [layer.lora_dropout["learner"] for layer in layers(pipeline)]
        assert not any(dropout.training for dropout in dropouts)

        adapters.learn("learner", dropout=True)

        assert all(dropout.training for dropout in dropouts)
        with adapters.tried(Adapter(changes={})):
            pass
        adapters.learn("learner")
        assert not any(dropout.training for dropout in dropouts)
        adapters.learn("learner", dropout=True)
        adapters.end("learner")


def test_gradients_reach_what_learns_and_nothing_else(
    pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    use(adapters, store(tmp_path, kohya(make_lora(pipeline, of=attention))))
    places = adapters.targets(TrainingSettings(rank=2))
    parameters = begun(adapters, places, alpha=2.0, dropout=0.0, dora=True, seed=0)
    adapters.activate(())
    adapters.learn("learner")
    layer = next(layer for layer in layers(pipeline) if "learner" in layer.lora_A)

    layer(torch.ones(1, layer.in_features)).square().sum().backward()

    with_gradients = [parameter for parameter in pipeline.unet.parameters() if parameter.grad is not None]
    assert {id(one) for one in with_gradients} == {id(one) for one in parameters[:3]}
    assert with_gradients[0].dtype == torch.float32


def test_what_learns_gets_the_same_gradients_whether_modules_of_one_shape_are_stacked_or_not(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    second = copies(original).one()
    alone, settings = Adapters(second, tmp_path, PLENTY), TrainingSettings(rank=2, text_encoder=True)
    told: dict[str, Any] = {"alpha": 3.0, "dropout": 0.0, "dora": False, "seed": 0}
    stacked = begun(adapters, adapters.targets(settings), **told)
    # In half precision nothing is stacked; here it is computed in float32 all the same.
    single = begun(alone, alone.targets(settings), **told, precision=torch.bfloat16)
    assert len(stacked) < len(single) / 4
    draw = torch.Generator().manual_seed(1)
    learnt = {
        place: replace(change, up=0.2 * torch.randn(change.up.shape, generator=draw))
        for place, change in adapters.learned("learner").items()
    }

    for holder, of, parameters in ((adapters, pipeline, stacked), (alone, second, single)):
        holder.restore("learner", learnt)
        with holder.learning("learner"):
            errors = [answer.square().sum() for answer in answered(of)]
            gradients = torch.autograd.grad(torch.stack(errors).sum(), parameters)
        for one, gradient in zip(parameters, gradients, strict=True):
            one.data.copy_(gradient)

    # What is told module by module are the gradients now.
    theirs = alone.learned("learner")
    for place, change in adapters.learned("learner").items():
        for ours, other in ((change.down, theirs[place].down), (change.up, theirs[place].up)):
            assert (ours - other).norm() < 0.01 * other.norm()


def test_in_low_precision_training_keeps_float32(pipeline: Any, tmp_path: Path) -> None:
    for component in (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2):
        component.to(torch.bfloat16)
    adapters = Adapters(pipeline, tmp_path, PLENTY)
    places = adapters.targets(TrainingSettings(rank=2))

    parameters = begun(adapters, places, alpha=2.0, dropout=0.0, dora=True, seed=0)
    small = parameters[0].detach().clone()

    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    assert not torch.equal(small, small.bfloat16().float())
    adapters.learn("learner")
    layer = next(layers(pipeline))
    assert layer(torch.ones(1, layer.in_features, dtype=torch.bfloat16)).dtype == torch.bfloat16
