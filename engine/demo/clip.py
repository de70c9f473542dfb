"""The small CLIP: its configuration, its contrastive loss and its retrieval accuracy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer
from transformers.models.clip.configuration_clip import CLIPVisionConfig

from engine.demo.captions import caption, plain
from engine.demo.renderer import draw
from engine.demo.text import text_config
from engine.demo.tokenizer import token_ids
from engine.demo.training_loop import Plan, bfloat16_where_fast
from engine.demo.vae import SIDE, to_tensor
from engine.demo.world import Pixels, Rng, Scene, sample_layout, sample_scene


def new_clip(tokenizer: CLIPTokenizer, width: int = 96, text_width: int = 64) -> CLIPModel:
    """An untrained CLIP: four layers on patches of 16 x 16 pixels of a 128 x 128 picture, three for text."""
    vision = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=4,
        num_attention_heads=width // 32,
        image_size=SIDE,
        patch_size=16,
        projection_dim=text_width,
    )
    text = text_config(tokenizer, text_width, "quick_gelu")
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=text_width)
    return CLIPModel(config)


def new_image_processor() -> CLIPImageProcessor:
    """A processor of any picture to (3, 128, 128) in -1..1."""
    return CLIPImageProcessor(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def trim_padding(ids: Tensor, end: int) -> Tensor:
    """Token ids (B, 77) without the columns behind the last row's end token, which are never read."""
    return ids[:, : int((ids == end).int().argmax(dim=1).max()) + 1]


def sample_pairs(rng: Rng, count: int) -> tuple[Pixels, list[str]]:
    """Drawings (count, 128, 128, 3), a third of them slightly out of focus, and their captions."""
    images, captions = [], []
    for _ in range(count):
        scene, image = sample_drawing(rng)
        images.append(image)
        captions.append(plain(scene) if rng.random() < 0.3 else caption(rng, scene))
    return np.stack(images), captions


def sample_drawing(rng: Rng) -> tuple[Scene, Pixels]:
    """A scene and its drawing, (128, 128, 3), which may be slightly out of focus."""
    scene = sample_scene(rng)
    image = draw(scene, sample_layout(rng, scene, SIDE, SIDE))
    if rng.random() < 0.3:
        blur = rng.uniform(0.4, 1.2)
        image = gaussian_filter(image, (blur, blur, 0))
    return scene, image


def similarities(clip: CLIPModel, images: Tensor, ids: Tensor) -> Tensor:
    """The scaled cosine of every picture with every caption: (pictures, captions)."""
    pictures = clip.visual_projection(clip.vision_model(images).pooler_output).float()
    captions = clip.text_projection(clip.text_model(ids).pooler_output).float()
    with torch.autocast("cpu", enabled=False):
        cosines = nn.functional.normalize(pictures, dim=-1) @ nn.functional.normalize(captions, dim=-1).T
        scaled: Tensor = cosines * clip.logit_scale.exp().clamp(max=100)
    return scaled


def clip_loss(clip: CLIPModel, tokenizer: CLIPTokenizer, plan: Plan) -> Callable[[int], Tensor]:
    """The loss by step: the symmetric contrastive loss (Radford et al. 2021, arXiv 2103.00020, figure 3)."""

    def loss(step: int) -> Tensor:
        images, captions = sample_pairs(plan.rng(6, step), plan.batch)
        ids = trim_padding(token_ids(tokenizer, captions), tokenizer.eos_token_id)
        with bfloat16_where_fast():
            logits = similarities(clip, to_tensor(images), ids)
        own = torch.arange(len(captions))
        both = nn.functional.cross_entropy(logits, own) + nn.functional.cross_entropy(logits.T, own)
        return both / 2

    return loss


@torch.no_grad()
def retrieval_accuracy(
    clip: CLIPModel, tokenizer: CLIPTokenizer, groups: int = 10, of: int = 32, seed: int = 78
) -> float:
    """The share of held-out drawings whose own caption scores highest among `of` captions."""
    rng, right = np.random.default_rng(seed), 0
    for _ in range(groups):
        scenes = list(dict.fromkeys(sample_scene(rng, unseen=True) for _ in range(2 * of)))[:of]
        images = np.stack([draw(scene, sample_layout(rng, scene, SIDE, SIDE)) for scene in scenes])
        logits = similarities(
            clip, to_tensor(images), token_ids(tokenizer, [plain(scene) for scene in scenes])
        )
        right += int((logits.argmax(dim=1) == torch.arange(of)).sum())
    return right / (groups * of)
