"""Words to embeddings: windows of 75 tokens through SDXL's text encoders, concatenated."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

WINDOW = 75  # CLIP reads 77 tokens, of which one opens and one closes the text
KEPT = 64  # embeddings remembered: rerolls and pictures of one job ask for the same ones again


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A text as the UNet sees it: hidden (1, 77 * windows, channels) and pooled (1, projection)."""

    hidden: Tensor
    pooled: Tensor

    def zeroed(self) -> "Embedding":
        """What SDXL puts in place of an absent negative prompt."""
        return Embedding(hidden=torch.zeros_like(self.hidden), pooled=torch.zeros_like(self.pooled))


class Reader:
    """One pipeline's text encoders (two for SDXL, the second alone for its refiner) with a small memory."""

    def __init__(self, pipeline: Any) -> None:
        pairs = [
            (pipeline.tokenizer, pipeline.text_encoder),
            (pipeline.tokenizer_2, pipeline.text_encoder_2),
        ]
        self._pairs = [(tokenizer, encoder) for tokenizer, encoder in pairs if encoder is not None]
        self._zero_for_empty = bool(pipeline.config.force_zeros_for_empty_prompt)
        self._memory: OrderedDict[Hashable, tuple[Embedding, Embedding]] = OrderedDict()

    def read(self, prompt: str, negative: str, voice: Hashable) -> tuple[Embedding, Embedding]:
        """Embeddings of the prompt and of the negative prompt, equally long.

        `voice` names what is active in the encoders (the adapter mix), so that memories are not mixed up.
        """
        key = (prompt, negative, voice)
        if key not in self._memory:
            self._memory[key] = self._encode(prompt, negative)
            if len(self._memory) > KEPT:
                self._memory.popitem(last=False)
        self._memory.move_to_end(key)
        return self._memory[key]

    @torch.inference_mode()
    def _encode(self, prompt: str, negative: str) -> tuple[Embedding, Embedding]:
        windows = max(
            len(split(tokenizer, text)) for tokenizer, _ in self._pairs for text in (prompt, negative)
        )
        wanted = self._embed(prompt, windows)
        if not negative and self._zero_for_empty:
            return wanted, wanted.zeroed()
        return wanted, self._embed(negative, windows)

    def _embed(self, text: str, windows: int) -> Embedding:
        hidden: list[Tensor] = []
        pooled = torch.empty(0)
        for tokenizer, encoder in self._pairs:
            ids = torch.tensor(framed(tokenizer, text, windows), device=encoder.device)
            out = encoder(ids, output_hidden_states=True)
            hidden.append(out.hidden_states[-2].reshape(1, windows * (WINDOW + 2), -1))
            pooled = out[0][:1]  # the last encoder has the projection; the first window stands for the whole
        return Embedding(hidden=torch.cat(hidden, dim=-1), pooled=pooled)


def split(tokenizer: Any, text: str) -> list[list[int]]:
    """The text's token ids in windows of 75; one empty window for an empty text."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
    return [ids[start : start + WINDOW] for start in range(0, max(1, len(ids)), WINDOW)]


def framed(tokenizer: Any, text: str, windows: int) -> Sequence[list[int]]:
    """The text's windows between their opening and closing tokens, padded to 77 and to so many windows."""
    parts = split(tokenizer, text)
    parts += [[] for _ in range(windows - len(parts))]
    return [
        [
            tokenizer.bos_token_id,
            *part,
            tokenizer.eos_token_id,
            *[tokenizer.pad_token_id] * (WINDOW - len(part)),
        ]
        for part in parts
    ]
