"""The keys and values of a prompt for all cross-attentions of a UNet, computed once for a picture."""

from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor, nn

SMALL = 10**8  # parameters: in a larger UNet these layers are a hundredth of the work


def make_projection(unet: Any) -> "WordProjection | None":
    """The projection for this UNet where it saves time, which is where the UNet is small and on a CPU."""
    if unet.device.type != "cpu" or sum(parameter.numel() for parameter in unet.parameters()) > SMALL:
        return None
    try:
        return WordProjection(unet)
    except ValueError:
        return None


class WordProjection:
    """Takes a text's states (rows, tokens, width) to the keys and values of all cross-attentions.

    The UNet takes these, (rows, tokens, keys and values of each), in place of the states, and does not
    compute them at every step again. It takes the states as before, too. They hold for the weights that the
    UNet has now: for a mix of adapters.
    """

    def __init__(self, unet: Any) -> None:
        """Raises ValueError where the UNet has other cross-attentions than SDXL's."""
        self._attentions = [module for name, module in unet.named_modules() if name.endswith(".attn2")]
        width = unet.config.cross_attention_dim
        places, self.width = [], 0
        for attention in self._attentions:
            places.append(self.width)
            self.width += attention.to_k.out_features + attention.to_v.out_features
        if not all(map(is_plain, self._attentions)) or self.width in (0, width):
            raise ValueError("these cross-attentions do more than SDXL's")
        for attention, start in zip(self._attentions, places, strict=True):
            attention.set_processor(ProjectedAttention(width, start, attention.to_k.out_features))

    @torch.inference_mode()
    def __call__(self, hidden: Tensor) -> Tensor:
        layers = [layer for attention in self._attentions for layer in (attention.to_k, attention.to_v)]
        return torch.cat([layer(hidden) for layer in layers], dim=-1)


def is_plain(attention: Any) -> bool:
    """Whether it computes nothing beside queries, keys, values, their attention and the output's layer."""
    extras = (attention.norm_q, attention.norm_k, attention.group_norm, attention.spatial_norm)
    return (
        all(extra is None for extra in extras)
        and not attention.norm_cross
        and not attention.residual_connection
        and attention.rescale_output_factor == 1
        and attention.to_k.out_features == attention.to_v.out_features
    )


class ProjectedAttention(AttnProcessor2_0):  # type: ignore[misc]
    """diffusers' attention, or, of words that are keys and values already, what follows on them."""

    def __init__(self, states: int, start: int, width: int) -> None:
        """states: the width of a text's states. start, width: where its keys begin, and values after them."""
        super().__init__()
        self._states = states
        self._start = start
        self._width = width

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        *args: Any,
        **options: Any,
    ) -> Tensor:
        if encoder_hidden_states is None or encoder_hidden_states.shape[-1] == self._states:
            states: Tensor = super().__call__(attn, hidden_states, encoder_hidden_states, *args, **options)
            return states
        words = encoder_hidden_states.narrow(-1, self._start, 2 * self._width).chunk(2, dim=-1)
        query, key, value = (
            each.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for each in (attn.to_q(hidden_states), *words)
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        project, dropout = attn.to_out
        output: Tensor = dropout(project(mixed.transpose(1, 2).flatten(2)))
        return output
