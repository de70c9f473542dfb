"""LoRA files for tests: small random adapters of a small SDXL, in the names that trainers write."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from engine.messages import AdapterUse, Sha256, stored_path

COMPONENTS = ("unet", "text_encoder", "text_encoder_2")
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True, kw_only=True)
class Factors:
    """One module's change; alpha None stands for a file without it.

    magnitude (out,) is that of a DoRA, or (in,) of one that decomposes its inputs.
    """

    down: Tensor
    up: Tensor
    alpha: float | None = None
    magnitude: Tensor | None = None
    by_input: bool = False

    @property
    def delta(self) -> Tensor:
        """alpha / rank * up @ down, in float64 and in the shape of the module's weight."""
        rank = self.down.shape[0]
        up, down = self.up.double().flatten(1), self.down.double().flatten(1)
        scale = 1.0 if self.alpha is None else self.alpha / rank
        return (scale * up @ down).reshape(up.shape[0], *self.down.shape[1:])


Lora = dict[tuple[str, str], Factors]
"""Factors by component and module path."""


def small_sdxl(cross_attention_dim: int = 64) -> StableDiffusionXLPipeline:
    """SDXL's blocks in their order, with random weights of width 16 and 32, without VAE and tokenizers."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32, 32),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(2, 4, 4),
        use_linear_projection=True,
        norm_num_groups=8,
        cross_attention_dim=cross_attention_dim,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=80,
    )
    words = CLIPTextConfig(
        hidden_size=32,
        intermediate_size=48,
        num_attention_heads=4,
        num_hidden_layers=2,
        projection_dim=32,
        vocab_size=100,
        max_position_embeddings=16,
        hidden_act="gelu",
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )
    missing: Any = None
    pipeline = StableDiffusionXLPipeline(
        vae=missing,
        text_encoder=CLIPTextModel(words),
        text_encoder_2=CLIPTextModelWithProjection(words),
        tokenizer=missing,
        tokenizer_2=missing,
        unet=unet,
        scheduler=missing,
    )
    for component in COMPONENTS:
        getattr(pipeline, component).requires_grad_(requires_grad=False).eval()
    return pipeline


@torch.no_grad()
def seen(pipeline: Any) -> list[Tensor]:
    """What the UNet and both text encoders make of a fixed input."""
    return answered(pipeline)


def answered(pipeline: Any) -> list[Tensor]:
    """The same, with what gradients need."""
    draw = torch.Generator().manual_seed(7)
    width = pipeline.unet.config.cross_attention_dim
    tokens = torch.randint(3, 100, (2, 16), generator=draw)
    picture = pipeline.unet(
        torch.randn(2, 4, 16, 16, generator=draw),
        torch.tensor([500, 20]),
        encoder_hidden_states=torch.randn(2, 5, width, generator=draw),
        added_cond_kwargs={
            "text_embeds": torch.randn(2, 32, generator=draw),
            "time_ids": torch.randint(0, 64, (2, 6), generator=draw),
        },
    ).sample
    second = pipeline.text_encoder_2(tokens)
    return [
        picture,
        pipeline.text_encoder(tokens).last_hidden_state,
        second.last_hidden_state,
        second.text_embeds,
    ]


def merge(pipeline: Any, lora: Lora, weight: float) -> None:
    """Add the LoRA to the model's own weights, in float64: the truth."""
    for (component, path), factors in lora.items():
        module = getattr(pipeline, component).get_submodule(path)
        own = module.weight.double()
        merged = own + factors.delta
        if factors.magnitude is not None:
            ones = (1,) * (own.ndim - 2)
            norms = (merged.transpose(0, 1) if factors.by_input else merged).flatten(1).norm(dim=1)
            gain = factors.magnitude.double() / norms
            merged = (gain.view(1, -1, *ones) if factors.by_input else gain.view(-1, 1, *ones)) * merged
        module.weight.data = (own + weight * (merged - own)).to(module.weight.dtype)


def make_lora(
    pipeline: Any,
    *,
    of: Callable[[str, str], bool] = lambda component, path: True,
    seed: int = 1,
    ranks: tuple[int, ...] = (4,),
    alphas: tuple[float | None, ...] = (None,),
    dora: bool = False,
    by_input: bool = False,
) -> Lora:
    """Random factors for the linear and convolution layers that `of` chooses, ranks and alphas in turn.

    With `dora`, magnitudes near those of the module too, of its outputs or inputs.
    """
    draw = torch.Generator().manual_seed(seed)
    lora: Lora = {}
    for component in COMPONENTS:
        for path, module in getattr(pipeline, component).named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d) and of(component, path):
                rank, alpha = ranks[len(lora) % len(ranks)], alphas[len(lora) % len(alphas)]
                down_shape, ones = (rank, *module.weight.shape[1:]), (1,) * (module.weight.ndim - 2)
                lora[component, path] = Factors(
                    down=torch.randn(down_shape, generator=draw) * 0.2,
                    up=torch.randn((module.weight.shape[0], rank, *ones), generator=draw) * 0.1,
                    alpha=alpha,
                )
                if dora:
                    weight = module.weight.detach()
                    norms = (weight.transpose(0, 1) if by_input else weight).flatten(1).norm(dim=1)
                    near = norms * (1 + 0.2 * torch.randn(len(norms), generator=draw))
                    lora[component, path] = replace(lora[component, path], magnitude=near, by_input=by_input)
    return lora


def attention(component: str, path: str) -> bool:
    """What most trainers change."""
    return path.endswith(ATTENTION)


def keys(lora: Lora, name: Callable[[str, str], str], down: str, up: str) -> dict[str, Tensor]:
    """A file's tensors: the module's name and an ending for each part."""
    tensors: dict[str, Tensor] = {}
    for (component, path), factors in lora.items():
        module = name(component, path)
        tensors |= {f"{module}.{down}": factors.down, f"{module}.{up}": factors.up}
        if factors.alpha is not None:
            tensors[f"{module}.alpha"] = torch.tensor(factors.alpha)
        if factors.magnitude is not None:
            tensors |= magnitudes(module, factors)
    return tensors


def magnitudes(module: str, factors: Factors) -> dict[str, Tensor]:
    """A DoRA's magnitudes, as LyCORIS names and shapes them, or as PEFT does beside its names."""
    magnitude, ones = factors.magnitude, (1,) * (factors.down.ndim - 1)
    assert magnitude is not None
    if module.startswith("lora_"):
        shape = (1, -1, *ones[1:]) if factors.by_input else (-1, *ones)
        return {f"{module}.dora_scale": magnitude.view(shape)}
    shape = (1, -1, *ones[1:]) if len(ones) > 1 else (-1,)
    return {f"{module}.lora_magnitude_vector": magnitude.view(shape)}


def kohya(lora: Lora) -> dict[str, Tensor]:
    """Kohya's names over diffusers' paths."""
    return keys(lora, kohya_name, "lora_down.weight", "lora_up.weight")


def kohya_sgm(lora: Lora) -> dict[str, Tensor]:
    """Kohya's names over SGM's paths, as its trainer writes SDXL."""
    return keys(
        lora,
        lambda component, path: kohya_name(component, sgm_path(path) if component == "unet" else path),
        "lora_down.weight",
        "lora_up.weight",
    )


def diffusers_new(lora: Lora) -> dict[str, Tensor]:
    """What diffusers saves today."""
    return keys(lora, lambda component, path: f"{component}.{path}", "lora_A.weight", "lora_B.weight")


def diffusers_dotted(lora: Lora) -> dict[str, Tensor]:
    """What diffusers saved before: lora.down in the UNet, lora_linear_layer.down in the text encoders."""
    return {
        key.replace("lora.", "lora_linear_layer.") if key.startswith("text") else key: tensor
        for key, tensor in keys(
            lora, lambda component, path: f"{component}.{path}", "lora.down.weight", "lora.up.weight"
        ).items()
    }


def diffusers_old(lora: Lora) -> dict[str, Tensor]:
    """What diffusers saved first: attention only, as processors."""

    def name(component: str, path: str) -> str:
        if component == "unet":
            return component + "." + re.sub(r"to_(q|k|v|out)(?:\.0)?$", r"processor.to_\1_lora", path)
        return component + "." + re.sub(r"(q|k|v|out)_proj$", r"to_\1_lora", path)

    return keys(lora, name, "down.weight", "up.weight")


def peft_unet(lora: Lora) -> dict[str, Tensor]:
    """What PEFT saves of a UNet."""
    return keys(lora, lambda component, path: f"base_model.model.{path}", "lora_A.weight", "lora_B.weight")


def peft_named(lora: Lora) -> dict[str, Tensor]:
    """PEFT's own state dict, with the adapter's name in the key."""
    return keys(
        lora,
        lambda component, path: f"base_model.model.{component}.{path}",
        "lora_A.default.weight",
        "lora_B.default.weight",
    )


def bare_unet(lora: Lora) -> dict[str, Tensor]:
    """A UNet's own keys, as unet.save_lora_adapter writes them."""
    return keys(lora, lambda component, path: path, "lora_A.weight", "lora_B.weight")


def comfy_unet(lora: Lora) -> dict[str, Tensor]:
    """SGM's own paths, as checkpoints and ComfyUI name them."""
    return keys(
        lora, lambda at, path: f"diffusion_model.{sgm_path(path)}", "lora_down.weight", "lora_up.weight"
    )


def omi(lora: Lora) -> dict[str, Tensor]:
    """What OneTrainer and others write of the Open Model Initiative's names."""
    return keys(
        lora,
        lambda at, path: f"unet.{sgm_path(path)}" if at == "unet" else f"{CLIP[at]}.{clip_path(path)}",
        "lora_down.weight",
        "lora_up.weight",
    )


def comfy(lora: Lora) -> dict[str, Tensor]:
    """ComfyUI's names of all three components, the UNet's below the checkpoint's own `model.`."""
    return keys(
        lora,
        lambda at, path: (
            f"model.diffusion_model.{sgm_path(path)}"
            if at == "unet"
            else f"text_encoders.{CLIP[at]}.transformer.{clip_path(path)}"
        ),
        "lora_down.weight",
        "lora_up.weight",
    )


def lycoris_unet(lora: Lora) -> dict[str, Tensor]:
    """What LyCORIS writes of a UNet that it wraps."""
    return keys(
        lora, lambda at, path: f"lycoris_{path.replace('.', '_')}", "lora_down.weight", "lora_up.weight"
    )


def twice_wrapped(lora: Lora) -> dict[str, Tensor]:
    """What scripts save that put a component's name before names that have it already."""
    return keys(lora, lambda at, path: f"{at}.{at}.{path}", "lora_A.weight", "lora_B.weight")


def wrapped_inside(lora: Lora) -> dict[str, Tensor]:
    """PEFT's own names behind the component's."""
    return keys(lora, lambda at, path: f"{at}.base_model.model.{path}", "lora_A.weight", "lora_B.weight")


def convolved(lora: Lora) -> dict[str, Tensor]:
    """Kohya's names with the factors of linear layers as of convolutions over single pixels."""
    return {
        key: tensor[..., None, None] if tensor.ndim == 2 else tensor for key, tensor in kohya(lora).items()
    }


CLIP = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}


def clip_path(path: str) -> str:
    """A text encoder's module as CLIP's own classes name it."""
    path = path.removeprefix("text_model.")
    return path if path == "text_projection" else f"text_model.{path}"


def kohya_name(component: str, path: str) -> str:
    """kohya's name; it knows CLIP's modules below text_model, whatever transformers calls them today."""
    if component == "unet":
        return f"lora_unet_{path.replace('.', '_')}"
    path = path.removeprefix("text_model.")
    path = path if path == "text_projection" else f"text_model.{path}"
    return f"lora_{'te1' if component == 'text_encoder' else 'te2'}_{path.replace('.', '_')}"


def sgm_path(path: str) -> str:
    """SGM's path for SDXL's three blocks of two layers, after kohya's make_unet_conversion_map."""
    for diffusers, sgm in sgm_map():
        if path.startswith(diffusers):
            path = sgm + path.removeprefix(diffusers)
            break
    if re.match(r"(input|output)_blocks\.\d+\.0\.|middle_block\.[02]\.", path):
        path = path.replace("conv1", "in_layers.2").replace("conv2", "out_layers.3")
        path = path.replace("time_emb_proj", "emb_layers.1").replace("conv_shortcut", "skip_connection")
    return path


def sgm_map() -> list[tuple[str, str]]:
    """Pairs of diffusers and SGM prefixes."""
    pairs = []
    for i in range(3):
        for j in range(2):
            pairs.append((f"down_blocks.{i}.resnets.{j}.", f"input_blocks.{3 * i + j + 1}.0."))
            pairs.append((f"down_blocks.{i}.attentions.{j}.", f"input_blocks.{3 * i + j + 1}.1."))
        for j in range(3):
            pairs.append((f"up_blocks.{i}.resnets.{j}.", f"output_blocks.{3 * i + j}.0."))
            pairs.append((f"up_blocks.{i}.attentions.{j}.", f"output_blocks.{3 * i + j}.1."))
        pairs.append((f"down_blocks.{i}.downsamplers.0.conv", f"input_blocks.{3 * (i + 1)}.0.op"))
        pairs.append((f"up_blocks.{i}.upsamplers.0.", f"output_blocks.{3 * i + 2}.2."))
    pairs.append(("mid_block.attentions.0.", "middle_block.1."))
    pairs += [(f"mid_block.resnets.{j}.", f"middle_block.{2 * j}.") for j in range(2)]
    pairs += [(f"time_embedding.linear_{j + 1}", f"time_embed.{2 * j}") for j in range(2)]
    pairs += [(f"add_embedding.linear_{j + 1}", f"label_emb.0.{2 * j}") for j in range(2)]
    return [*pairs, ("conv_in", "input_blocks.0.0"), ("conv_out", "out.2")]


def store(
    folder: Path,
    tensors: Mapping[str, Tensor],
    *,
    name: str = "ink",
    weight: float = 1.0,
    metadata: dict[str, str] | None = None,
) -> AdapterUse:
    """Put a LoRA into the store as the bot would, and say how it is used."""
    content = safetensors.torch.save({key: tensor.contiguous() for key, tensor in tensors.items()}, metadata)
    return store_bytes(folder, content, name=name, weight=weight)


def store_bytes(folder: Path, content: bytes, *, name: str = "ink", weight: float = 1.0) -> AdapterUse:
    """Put any bytes into the store under their hash."""
    sha256 = Sha256(hashlib.sha256(content).hexdigest())
    path = stored_path(folder, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return AdapterUse(name=name, sha256=sha256, weight=weight)


def farthest(first: Iterable[Tensor], second: Iterable[Tensor]) -> float:
    """The largest difference between two lists of outputs."""
    return max((one - other).abs().max().item() for one, other in zip(first, second, strict=True))
