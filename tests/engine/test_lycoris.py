"""Adapters of LyCORIS's kinds: files that LyCORIS's own layers wrote are served as these layers compute."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lycoris.modules.diag_oft import DiagOFTModule  # type: ignore[import-untyped]
from lycoris.modules.ia3 import IA3Module  # type: ignore[import-untyped]
from lycoris.modules.locon import LoConModule  # type: ignore[import-untyped]
from lycoris.modules.loha import LohaModule  # type: ignore[import-untyped]
from lycoris.modules.lokr import LokrModule  # type: ignore[import-untyped]
from torch import Tensor

from engine.lora.adapter_file import parse_adapter, read_adapter
from engine.lora.adapters import Adapters
from engine.lora.key_names import Place
from engine.lora.kohya_format import encode_kohya
from engine.lora.lycoris_change import factorize
from engine.messages import AdapterKind, InvalidRequest
from tests.engine.adapter_cases import use
from tests.lora_files import store

LINEAR = Place(component="unet", path="mid_block.attentions.0.transformer_blocks.0.attn2.to_k")
CONVOLUTION = Place(component="unet", path="mid_block.resnets.0.conv1")
BOTH = (LINEAR, CONVOLUTION)
PEERS: dict[str, tuple[AdapterKind, Callable[..., Any]]] = {
    "loha": (AdapterKind.LOHA, LohaModule),
    "loha with a core": (AdapterKind.LOHA, partial(LohaModule, use_tucker=True)),
    "loha with magnitudes": (AdapterKind.LOHA, partial(LohaModule, weight_decompose=True)),
    "lokr": (AdapterKind.LOKR, LokrModule),
    "lokr of four": (AdapterKind.LOKR, partial(LokrModule, decompose_both=True, factor=4, lora_dim=1)),
    "lokr with a core": (AdapterKind.LOKR, partial(LokrModule, use_tucker=True, factor=2)),
    "lokr of whole matrices": (AdapterKind.LOKR, partial(LokrModule, full_matrix=True)),
    "locon with a core": (AdapterKind.LOCON, partial(LoConModule, use_tucker=True)),
    "ia3": (AdapterKind.IA3, IA3Module),
    "ia3 of inputs": (AdapterKind.IA3, partial(IA3Module, train_on_input=True)),
    "oft": (AdapterKind.OFT, DiagOFTModule),
    "oft limited": (AdapterKind.OFT, partial(DiagOFTModule, constraint=0.01, rescaled=True)),
}


def make_peer(make: Callable[..., Any], module: Any, seed: int) -> Any:
    """A layer of LyCORIS's around a module, as far as some training would bring it."""
    options = {"lora_dim": 3, "alpha": 2.0} | getattr(make, "keywords", {})
    layer = getattr(make, "func", make)("peer", module, **options)
    draw = torch.Generator().manual_seed(seed)
    for name, parameter in layer.named_parameters():
        near = 0.0 if "dora" not in name and "rescale" not in name else parameter.data
        parameter.data = near + 0.2 * torch.randn(parameter.shape, generator=draw)
    return layer


def peer_file(adapters: Adapters, peers: Mapping[Place, Any], *, wrapped: bool = False) -> dict[str, Tensor]:
    """The tensors of these layers under the names of kohya's trainer, or of LyCORIS's own wrapper."""
    names = {
        place: f"lycoris_{place.path.replace('.', '_')}" if wrapped else adapters.names.kohya_name(place)
        for place in peers
    }
    return {
        f"{names[place]}.{name}": tensor.detach().clone().contiguous()
        for place, layer in peers.items()
        for name, tensor in layer.state_dict().items()
    }


def module_input(place: Place, pipeline: Any) -> Tensor:
    weight = pipeline.unet.get_submodule(place.path).weight
    shape = (2, weight.shape[1], 5, 5) if weight.ndim == 4 else (4, weight.shape[1])
    return torch.randn(shape, generator=torch.Generator().manual_seed(9))


@torch.no_grad()
def output_of(place: Place, pipeline: Any) -> Tensor:
    output: Tensor = pipeline.unet.get_submodule(place.path)(module_input(place, pipeline))
    return output


@pytest.mark.parametrize("peer", PEERS)
def test_a_file_of_lycoris_is_served_as_its_own_layer_computes(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path, peer: str
) -> None:
    kind, make = PEERS[peer]
    peers = {
        place: make_peer(make, original.unet.get_submodule(place.path), seed)
        for seed, place in enumerate(BOTH)
    }
    file = store(tmp_path, peer_file(adapters, peers, wrapped=peer == "lokr"))

    assert read_adapter(tmp_path, file, adapters.names).kind is kind
    use(adapters, file)

    for place, layer in peers.items():
        with torch.no_grad():
            expected = layer(module_input(place, original))
        plain = output_of(place, original)
        assert (expected - plain).norm() > 0.01 * plain.norm()
        assert (output_of(place, pipeline) - expected).norm() < 1e-5 * expected.norm()
    adapters.activate(())
    assert torch.equal(output_of(LINEAR, pipeline), output_of(LINEAR, original))


def test_mixes_add_up_what_each_kind_adds(
    original: Any, pipeline: Any, adapters: Adapters, tmp_path: Path
) -> None:
    module = original.unet.get_submodule(LINEAR.path)
    peers = [
        make_peer(PEERS[name][1], module, seed) for seed, name in enumerate(("loha", "lokr", "ia3", "oft"))
    ]
    weights = (0.5, -1.0, 2.0, 0.25)
    uses = [
        replace(store(tmp_path, peer_file(adapters, {LINEAR: layer}), name=f"n{number}"), weight=weight)
        for number, (layer, weight) in enumerate(zip(peers, weights, strict=True))
    ]

    use(adapters, *uses)

    plain = output_of(LINEAR, original)
    with torch.no_grad():
        expected = plain + sum(
            weight * (layer(module_input(LINEAR, original)) - plain)
            for layer, weight in zip(peers, weights, strict=True)
        )
    assert (output_of(LINEAR, pipeline) - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize(
    "peer", ["loha with magnitudes", "lokr of four", "locon with a core", "ia3", "oft limited"]
)
def test_an_imported_file_has_kohyas_names_and_the_same_numbers(
    original: Any, adapters: Adapters, peer: str
) -> None:
    make = PEERS[peer][1]
    peers = {place: make_peer(make, original.unet.get_submodule(place.path), 1) for place in BOTH}
    folder = adapters.folder
    first = read_adapter(folder, store(folder, peer_file(adapters, peers, wrapped=True)), adapters.names)

    again = parse_adapter(encode_kohya(first, adapters.names, {}), adapters.names, "it")

    for place in BOTH:
        expected = adapters.weight_change(place, first.changes[place])
        assert (
            adapters.weight_change(place, again.changes[place]) - expected
        ).norm() < 1e-6 * expected.norm()


def key(name: str) -> str:
    return f"lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.{name}"


WHERE = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({key("hada_w1_a"): torch.ones(64, 2)}, f"LoHa of {WHERE} lacks hada_w1_a and hada_w1_b"),
        (
            {key("lokr_w1"): torch.ones(2, 2), key("lokr_w2"): torch.ones(2, 2)},
            f"LoKr of {WHERE} has lokr of 4x4 and not 32x32",
        ),
        ({key("oft_blocks"): torch.ones(2, 4, 4)}, f"OFT of {WHERE} has blocks of 2x4x4 for 32 outputs"),
        ({key("oft_blocks"): torch.ones(2, 2, 4, 4)}, f"OFT of {WHERE} has blocks of 2x2x4x4 for 32 outputs"),
        ({key("weight"): torch.ones(64)}, f"(IA)3 of {WHERE} lacks on_input and weight"),
        (
            {key("weight"): torch.ones(63), key("on_input"): torch.tensor(1)},
            f"(IA)3 of {WHERE} has weight of 63 and not 32",
        ),
        (
            {
                key("lokr_w1"): torch.ones(8, 8),
                key("lokr_w2_a"): torch.ones(8, 2),
                key("lokr_w2_b"): torch.ones(3, 8),
            },
            f"LoKr of {WHERE} has lokr_w2 of 8x2 and 3x8",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_is_wrong(
    adapters: Adapters, tmp_path: Path, tensors: dict[str, Tensor], reason: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_adapter(tmp_path, store(tmp_path, tensors), adapters.names)

    assert str(refusal.value).endswith(f"does not fit. Its {reason}.")


def test_numbers_are_factored_as_lycoris_factors_them() -> None:
    from lycoris.functional import factorization  # type: ignore[import-untyped]

    for number in (1, 7, 36, 250, 320, 360, 640, 1280, 2048):
        for largest in (None, 1, 3, 4, 8, 16, 30, 64):
            assert factorize(number, largest) == factorization(number, -1 if largest is None else largest)
