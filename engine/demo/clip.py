"""The small CLIP: which caption belongs to which drawing, learnt by contrast."""

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
from engine.demo.world import Pixels, Rng, sample_layout, sample_scene


def new_clip(tokenizer: CLIPTokenizer, width: int = 96, text_width: int = 64) -> CLIPModel:
    """An untrained CLIP: patches of 16 x 16 pixels of a 128 x 128 picture, four layers; three for text."""
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
    """Any picture to (3, 128, 128) in -1..1."""
    return CLIPImageProcessor(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def shortest(ids: Tensor, end: int) -> Tensor:
    """(B, 77) token ids cut after the last first end token: what follows is never read."""
    return ids[:, : int((ids == end).int().argmax(dim=1).max()) + 1]


def described(rng: Rng, count: int) -> tuple[Pixels, list[str]]:
    """Drawings (count, 128, 128, 3), a third a little out of focus, and their captions."""
    images, captions = [], []
    for _ in range(count):
        scene = sample_scene(rng)
        image = draw(scene, sample_layout(rng, scene, SIDE, SIDE))
        if rng.random() < 0.3:
            blur = rng.uniform(0.4, 1.2)
            image = gaussian_filter(image, (blur, blur, 0))
        images.append(image)
        captions.append(plain(scene) if rng.random() < 0.3 else caption(rng, scene))
    return np.stack(images), captions


def scores(clip: CLIPModel, images: Tensor, ids: Tensor) -> Tensor:
    """Likeness of every picture with every caption: (pictures, captions), scaled cosines."""
    seen = clip.visual_projection(clip.vision_model(images).pooler_output).float()
    said = clip.text_projection(clip.text_model(ids).pooler_output).float()
    with torch.autocast("cpu", enabled=False):
        cosines = nn.functional.normalize(seen, dim=-1) @ nn.functional.normalize(said, dim=-1).T
        likeness: Tensor = cosines * clip.logit_scale.exp().clamp(max=100)
    return likeness


def clip_loss(clip: CLIPModel, tokenizer: CLIPTokenizer, plan: Plan) -> Callable[[int], Tensor]:
    """Loss by step: the symmetric contrastive loss (Radford et al. 2021, arXiv 2103.00020, figure 3)."""

    def loss(step: int) -> Tensor:
        images, captions = described(plan.rng(6, step), plan.batch)
        ids = shortest(token_ids(tokenizer, captions), tokenizer.eos_token_id)
        with bfloat16_where_fast():
            likeness = scores(clip, to_tensor(images), ids)
        own = torch.arange(len(captions))
        both = nn.functional.cross_entropy(likeness, own) + nn.functional.cross_entropy(likeness.T, own)
        return both / 2

    return loss


@torch.no_grad()
def right_among(
    clip: CLIPModel, tokenizer: CLIPTokenizer, groups: int = 10, of: int = 32, seed: int = 78
) -> float:
    """Share of held-out drawings whose own caption scores highest among `of` captions of held-out scenes."""
    rng, right = np.random.default_rng(seed), 0
    for _ in range(groups):
        scenes = list(dict.fromkeys(sample_scene(rng, unseen=True) for _ in range(2 * of)))[:of]
        images = np.stack([draw(scene, sample_layout(rng, scene, SIDE, SIDE)) for scene in scenes])
        likeness = scores(clip, to_tensor(images), token_ids(tokenizer, [plain(scene) for scene in scenes]))
        right += int((likeness.argmax(dim=1) == torch.arange(of)).sum())
    return right / (groups * of)
