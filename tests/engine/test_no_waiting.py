"""No step of a picture waits for the device: shown on the meta device, which has no data to read."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import UniPCMultistepScheduler
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.messages import Sampler, Size
from engine.sdxl.latent_decoder import Decoding
from engine.sdxl.model import Model
from engine.sdxl.painting import Painting, Stage, predict
from engine.sdxl.prompts import EmbeddingCache, PromptEncoder
from engine.sdxl.samplers import make_scheduler
from tests.engine.studio_work import request

META = torch.device("meta")


class Waits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what makes the host wait for the device: numbers that are read there, and copies either way."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts = Counter[str]()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        inputs = devices((args, kwargs))
        if "_local_scalar_dense" in str(func) and META in inputs:
            self.counts["read"] += 1  # before it is called, which fails where there is no data
        output = func(*args, **(kwargs or {}))
        copies = "copy" in str(func) and len(inputs | devices(output)) > 1
        if copies and not (kwargs or {}).get("non_blocking"):
            self.counts["copy"] += 1
        return output


def devices(values: object) -> set[torch.device]:
    return {leaf.device for leaf in tree_leaves(values) if isinstance(leaf, Tensor)}


class NoUnet:
    """A UNet whose prediction has the right shape."""

    device = META

    def __call__(self, sample: Tensor, timestep: Tensor, **options: object) -> tuple[Tensor]:
        assert sample.device == timestep.device == META
        return (torch.empty_like(sample),)


@pytest.fixture(scope="module")
def nowhere(loaded: Model) -> Model:
    """The model that ships, on the meta device."""
    pipelines = copy.copy(loaded.base), copy.copy(loaded.refiner)
    for pipeline in pipelines:
        for name in ("unet", "text_encoder", "text_encoder_2", "vae"):
            if (part := getattr(pipeline, name, None)) is not None:
                setattr(pipeline, name, copy.deepcopy(part).to(META))
    return replace(loaded, base=pipelines[0], refiner=pipelines[1], device=META)


@pytest.fixture(scope="module")
def encoders(nowhere: Model) -> tuple[PromptEncoder, PromptEncoder]:
    cache = EmbeddingCache(2**24)
    return PromptEncoder(nowhere.base, cache), PromptEncoder(nowhere.refiner, cache)


def begin(model: Model, encoders: tuple[PromptEncoder, PromptEncoder], **changes: Any) -> Painting:
    painting = Painting(request(**changes), 7, 0, Size(width=128, height=128), model)
    painting.begin(*encoders)
    return painting


def steps(painting: Painting, unet: Any) -> Iterator[None]:
    while painting.stage in (Stage.BASE, Stage.REFINE):
        ((model_input, predicted),) = predict(unet, [painting])
        painting.apply_prediction(model_input, predicted)
        painting.predict_x0()
        yield


@pytest.mark.parametrize("guidance_scale", [1.0, 5.0], ids=["unguided", "guided"])
@pytest.mark.parametrize("sampler", Sampler)
def test_no_step_waits_for_the_device(
    nowhere: Model,
    encoders: tuple[PromptEncoder, PromptEncoder],
    sampler: Sampler,
    guidance_scale: float,
) -> None:
    with Waits() as waits:
        painting = begin(
            nowhere,
            encoders,
            sampler=sampler,
            guidance_scale=guidance_scale,
            refiner=0.4,
            steps=7,
            variation=0.3,
        )
        count = sum(1 for _ in steps(painting, NoUnet()))

    assert count >= 7
    assert not waits.counts


def test_the_unet_itself_waits_for_nothing(
    nowhere: Model, encoders: tuple[PromptEncoder, PromptEncoder]
) -> None:
    painting = begin(nowhere, encoders)

    with Waits() as waits:
        next(steps(painting, nowhere.base.unet))

    assert not waits.counts


def test_a_decode_is_begun_without_waiting(nowhere: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[Tensor] = []
    monkeypatch.setattr("engine.sdxl.latent_decoder.copy_to_host", lambda *tensors: copies.extend(tensors))

    with Waits() as waits:
        Decoding(nowhere.base.vae, torch.empty(1, 4, 16, 16, device=META)).start()

    assert [copy.dtype for copy in copies] == [torch.bool, torch.uint8]
    assert not waits.counts


def test_what_waits_is_counted() -> None:
    with Waits() as waits:
        there = torch.ones(2).to(META)
        there.copy_(torch.ones(2))
        with pytest.raises((RuntimeError, NotImplementedError)):
            float(there[0])

    assert waits.counts == {"copy": 2, "read": 1}


@pytest.mark.parametrize("count", [1, 2, 3, 9])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_unipc_has_the_numbers_of_diffusers_to_the_last_bit(
    loaded: Model, count: int, prediction: str
) -> None:
    config = {**loaded.base.scheduler.config, "prediction_type": prediction}
    ours = make_scheduler(Sampler.UNIPC, config, count)
    theirs = UniPCMultistepScheduler.from_config(ours.config)
    theirs.set_timesteps(count)
    latents = [torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))] * 2

    for number, timestep in enumerate(ours.timesteps):
        predicted = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(number))
        latents = [
            scheduler.step(predicted, timestep, sample, return_dict=False)[0]
            for scheduler, sample in zip((ours, theirs), latents, strict=True)
        ]
        assert torch.equal(*latents)
