"""Fast steps of the base: guidance in the middle of them alone, and deep features of the UNet used twice.

Both change the picture a little, so they are for those who ask for them (Paint.fast).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# Both are chosen by the table of `python -m bench --only fast`.
GUIDED = (0.2, 0.8)  # the part of the steps that is guided
LEVELS = 1  # levels of the UNet, from the highest resolution, that every step computes


@dataclass(frozen=True, kw_only=True)
class FastStep:
    """One step: whether it is guided, and whether it reuses the deep features of the step before."""

    guided: bool
    reuses: bool


def plan_steps(count: int, *, guidance: bool) -> tuple[FastStep, ...]:
    """What each of so many UNet forwards of a picture does. `guidance`: whether the picture has any.

    Guidance at high noise costs variety and at low noise does nothing (Kynkäänniemi et al. 2024, arXiv
    2404.07724), so it stands in the middle. Deep features change slowly from step to step, so every second
    step takes those of the step before (Ma et al. 2023, DeepCache, arXiv 2312.00858). Guidance begins with a
    step that computes them, since one without guidance leaves none for the negative prompt; and so all
    pictures take turns alike, and can share their forwards.
    """
    first, last = 2 * round(GUIDED[0] * count / 2), round(GUIDED[1] * count)
    return tuple(
        FastStep(guided=guidance and first <= position < last, reuses=position % 2 == 1)
        for position in range(count)
    )


class ReusingUnet(nn.Module):
    """A UNet that returns its deep features beside its output, or takes them and computes the rest alone.

    They are the hidden states (rows, channels, h, w) that come up to the highest levels.
    """

    def __init__(self, unet: Any, levels: int | None = None) -> None:
        super().__init__()
        self.unet = unet
        self.levels = LEVELS if levels is None else levels

    @property
    def device(self) -> torch.device:
        device: torch.device = self.unet.device
        return device

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        added_cond_kwargs: Mapping[str, Tensor],
        return_dict: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """The UNet's output for these inputs (rows, 4, h, w), and the deep features.

        added_cond_kwargs: as the UNet's own, and "deep", where features are to be reused.
        """
        unet, deep = self.unet, added_cond_kwargs.get("deep")
        given = {"encoder_hidden_states": encoder_hidden_states, "added_cond_kwargs": added_cond_kwargs}
        time = unet.time_embedding(unet.get_time_embed(sample=sample, timestep=timestep))
        time = time + unet.get_aug_embed(emb=time, **given)
        words = unet.process_encoder_hidden_states(**given)
        hidden = unet.conv_in(sample)
        skips = [hidden]
        for block in unet.down_blocks if deep is None else unet.down_blocks[: self.levels]:
            hidden, more = run_block(block, hidden, time, words)
            skips += more
        if deep is None:
            hidden = unet.mid_block(hidden, time, encoder_hidden_states=words)
            hidden = run_up(unet.up_blocks[: -self.levels], hidden, skips, time, words)
            deep = hidden
        else:
            skips.pop()  # what the highest levels hand down, which nothing reads now
        hidden = run_up(unet.up_blocks[-self.levels :], deep, skips, time, words)
        return unet.conv_out(unet.conv_act(unet.conv_norm_out(hidden))), deep


def run_up(blocks: Sequence[Any], hidden: Tensor, skips: list[Tensor], time: Tensor, words: Tensor) -> Tensor:
    """The hidden states after these up blocks, which take the last skips from the list."""
    for block in blocks:
        count = len(block.resnets)
        taken = tuple(skips[-count:])
        del skips[-count:]
        size = skips[-1].shape[2:] if skips else None  # of the next level, which may be odd
        hidden = run_block(block, hidden, time, words, res_hidden_states_tuple=taken, upsample_size=size)
    return hidden


def run_block(block: Any, hidden: Tensor, time: Tensor, words: Tensor, **more: Any) -> Any:
    """The output of a block of either direction, which takes the words where it has cross-attention."""
    if getattr(block, "has_cross_attention", False):
        more["encoder_hidden_states"] = words
    return block(hidden_states=hidden, temb=time, **more)
