"""What runs the forwards of a UNet, and the inputs of one forward."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

TOKENS = 77  # in a window of a prompt

Shape = tuple[tuple[str, torch.Size, torch.dtype], ...]  # of all inputs, with their names


@dataclass(frozen=True, kw_only=True)
class UnetInputs:
    """The inputs of one forward.

    sample: (rows, 4, h, w); timestep: (rows,); hidden: (rows, tokens, D), the text encoders' states; added:
    other inputs by name, such as text_embeds (rows, P) and time_ids (rows, 6).
    """

    sample: Tensor
    timestep: Tensor
    hidden: Tensor
    added: Mapping[str, Tensor]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the added inputs, in the order of `tensors`."""
        return tuple(sorted(self.added))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All inputs: sample, timestep, hidden, and the added ones by name."""
        return self.sample, self.timestep, self.hidden, *(self.added[name] for name in self.names)

    @property
    def shape(self) -> Shape:
        """Forwards of equal shapes can share a graph."""
        names = ("sample", "timestep", "hidden", *self.names)
        return tuple(
            (name, tensor.shape, tensor.dtype) for name, tensor in zip(names, self.tensors, strict=True)
        )

    @classmethod
    def zeros(cls, shape: Shape, device: torch.device) -> "UnetInputs":
        """Inputs of this shape, all zero."""
        tensors = {name: torch.zeros(size, dtype=dtype, device=device) for name, size, dtype in shape}
        first = {name: tensors.pop(name) for name in ("sample", "timestep", "hidden")}
        return cls(**first, added=tensors)

    @classmethod
    def examples(cls, unet: Any, rows: int, height: int, width: int) -> "UnetInputs":
        """Random inputs for so many pictures of this size in latents, of a prompt of one window of tokens.

        unet: SDXL's, whose configuration has the other sizes. They are the same for each call.
        """
        config, device, dtype = unet.config, unet.device, unet.dtype
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        shapes = {
            "sample": (rows, config.in_channels, height, width),
            "timestep": (rows,),
            "hidden": (rows, TOKENS, config.cross_attention_dim),
            "text_embeds": (rows, pooled),
            "time_ids": (rows, 6),
        }
        precisions = {name: torch.float32 if name == "timestep" else dtype for name in shapes}
        return cls.random(
            tuple((name, torch.Size(size), precisions[name]) for name, size in shapes.items()), device
        )

    @classmethod
    def random(cls, shape: Shape, device: torch.device) -> "UnetInputs":
        """Inputs of this shape from a normal distribution, the same for each call."""
        inputs = cls.zeros(shape, device)
        for tensor in inputs.tensors:
            generator = torch.Generator().manual_seed(tensor.numel())
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
        return inputs

    def as_inference(self) -> "UnetInputs":
        """The same as tensors of inference mode alone, which others are not compiled alike with."""
        sample, timestep, hidden, *added = (
            tensor if tensor.is_inference() else tensor.clone() for tensor in self.tensors
        )
        named = dict(zip(self.names, added, strict=True))
        return UnetInputs(sample=sample, timestep=timestep, hidden=hidden, added=named)

    def run(self, network: Any) -> tuple[Tensor, ...]:
        """The network's outputs for them."""
        outputs: tuple[Tensor, ...] = network(
            self.sample,
            self.timestep,
            encoder_hidden_states=self.hidden,
            added_cond_kwargs=dict(self.added),
            return_dict=False,
        )
        return outputs


class UnetRunner(Protocol):
    """Called as the UNet itself is, within torch.inference_mode. It follows the UNet's weights."""

    @property
    def device(self) -> torch.device:
        """Where its inputs must lie."""

    def __call__(
        self,
        sample: Tensor,
        timestep: Tensor,
        *,
        encoder_hidden_states: Tensor,
        added_cond_kwargs: Mapping[str, Tensor],
        return_dict: bool = False,
    ) -> tuple[Tensor, ...]:
        """The UNet's outputs for these inputs, the first of them (rows, 4, h, w)."""

    @property
    def can_prepare(self) -> bool:
        """Whether there is something to prepare while nobody waits, after which forwards are faster."""

    def prepare_next(self) -> None:
        """Prepare the next thing, in part of a second, or begin to in the background."""

    @property
    def is_preparing(self) -> bool:
        """Whether something is being prepared in the background."""

    def join(self) -> None:
        """Wait until nothing is being prepared in the background."""


class EagerRunner:
    """Runs a network as it is."""

    def __init__(self, network: Any) -> None:
        """network: a UNet, or whatever is called like one and knows its device."""
        self._network: Any = network
        self.is_paused = False  # set while it may prepare nothing

    @property
    def device(self) -> torch.device:
        device: torch.device = self._network.device
        return device

    def __call__(
        self,
        sample: Tensor,
        timestep: Tensor,
        *,
        encoder_hidden_states: Tensor,
        added_cond_kwargs: Mapping[str, Tensor],
        return_dict: bool = False,
    ) -> tuple[Tensor, ...]:
        inputs = UnetInputs(
            sample=sample, timestep=timestep, hidden=encoder_hidden_states, added=added_cond_kwargs
        )
        return self.run(inputs)

    def use(self, network: nn.Module) -> None:
        """Run this network from now on, which computes the same."""
        self._network = network

    def run(self, inputs: UnetInputs) -> tuple[Tensor, ...]:
        """The network's outputs for these inputs."""
        return inputs.run(self._network)

    def forget(self, shape: Shape) -> None:
        """Prepare nothing for this shape, which is run by something else now."""

    @property
    def can_prepare(self) -> bool:
        return False

    def prepare_next(self) -> None:
        """There is nothing to prepare."""

    @property
    def is_preparing(self) -> bool:
        return False

    def join(self) -> None:
        """There is nothing to wait for."""
