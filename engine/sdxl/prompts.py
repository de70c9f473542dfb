"""Words to embeddings: windows of 75 tokens through SDXL's text encoders, concatenated."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from cachetools import LRUCache
from torch import Tensor

from engine.messages import InvalidRequest
from engine.sdxl.new_tokens import TokenVectors, inserted, token_ids

WINDOW = 75  # CLIP reads 77 tokens, of which one opens and one closes the text
WINDOWS = 16  # that a prompt may have: each makes a forward longer, for everybody who waits for it


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Texts as the UNet sees them: hidden (B, 77 * windows, channels) and pooled (B, projection)."""

    hidden: Tensor
    pooled: Tensor

    def zeroed(self) -> "Embedding":
        """What SDXL puts in place of an absent negative prompt."""
        return Embedding(hidden=torch.zeros_like(self.hidden), pooled=torch.zeros_like(self.pooled))

    def apart(self) -> list["Embedding"]:
        """Each text alone, (1, ...)."""
        each = zip(torch.split(self.hidden, 1), torch.split(self.pooled, 1), strict=True)
        return [Embedding(hidden=hidden, pooled=pooled) for hidden, pooled in each]


def together(texts: Sequence[Embedding]) -> Embedding:
    """Equally long texts as one batch, in this order."""
    return Embedding(
        hidden=torch.cat([one.hidden for one in texts]), pooled=torch.cat([one.pooled for one in texts])
    )


Pair = tuple[Embedding, Embedding]


class Memory:
    """Embeddings that were read of late, those asked for longest ago leaving first, within so many bytes."""

    def __init__(self, limit: int = 0) -> None:
        self._kept: LRUCache[Hashable, Pair] = LRUCache(limit, size)

    def recalled(self, key: Hashable, read: Callable[[], Pair]) -> Pair:
        """What is remembered under this key, or is read now."""
        pair = self._kept.get(key)
        if pair is None:
            pair = read()
            with suppress(ValueError):  # it is larger than all that may be kept
                self._kept[key] = pair
        return pair

    @property
    def size(self) -> int:
        """Bytes of what is remembered."""
        return int(self._kept.currsize)


def size(texts: Iterable[Embedding]) -> int:
    """Bytes of these embeddings."""
    return sum(one.hidden.nbytes + one.pooled.nbytes for one in texts)


class Reader:
    """One pipeline's text encoders (two for SDXL, the second alone for its refiner)."""

    def __init__(self, pipeline: Any, memory: Memory | None = None) -> None:
        """memory: without one nothing is remembered."""
        encoders = [
            (pipeline.tokenizer, pipeline.text_encoder, "first"),
            (pipeline.tokenizer_2, pipeline.text_encoder_2, "second"),
        ]
        self._encoders = [
            (tokenizer, encoder, side) for tokenizer, encoder, side in encoders if encoder is not None
        ]
        self._zero_for_empty = bool(pipeline.config.force_zeros_for_empty_prompt)
        self._memory = memory or Memory()

    def read(self, prompt: str, negative: str, voice: Hashable, tokens: Sequence[TokenVectors] = ()) -> Pair:
        """Embeddings of the prompt and of the negative prompt, equally long, (1, ...) each.

        `voice` names what is active in the encoders (the adapter mix) and which new tokens there are, so that
        memories are not mixed up. Raises InvalidRequest when one of them is too long.
        """
        key = (id(self), prompt, negative, voice)
        return self._memory.recalled(key, lambda: self._pair(prompt, negative, tokens))

    def encode(self, texts: Sequence[str], tokens: Sequence[TokenVectors] = ()) -> Embedding:
        """Embeddings of the texts' first windows, (B, 77, channels); nothing is remembered.

        Differentiable in the new tokens, and in adapters of the text encoders that learn. An empty text is
        read like any other; `zero_for_empty` says whether it is what the model knows as no words at all.
        """
        return self._embed(texts, 1, tokens)

    @property
    def zero_for_empty(self) -> bool:
        """Whether this model was taught that no words at all are zeros, and not an empty text."""
        return self._zero_for_empty

    @torch.inference_mode()
    def _pair(self, prompt: str, negative: str, tokens: Sequence[TokenVectors]) -> Pair:
        texts = {"prompt": prompt, "negative prompt": negative}
        windows = max(self._windows(name, text, tokens) for name, text in texts.items())
        wanted = self._embed([prompt], windows, tokens)
        if not negative and self._zero_for_empty:
            return wanted, wanted.zeroed()
        return wanted, self._embed([negative], windows, tokens)

    def _windows(self, name: str, text: str, tokens: Sequence[TokenVectors]) -> int:
        """How many windows the text fills. Raises InvalidRequest when they are too many."""
        longest = max(len(token_ids(tokenizer, text, tokens)) for tokenizer, _, _ in self._encoders)
        if longest > WINDOWS * WINDOW:
            raise InvalidRequest(
                f"the {name} has {longest:,} tokens (a common word is one, an emoji up to four), but at most "
                f"{WINDOWS * WINDOW:,} are read: shorten it."
            )
        return max(1, -(-longest // WINDOW))

    def _embed(self, texts: Sequence[str], windows: int, tokens: Sequence[TokenVectors]) -> Embedding:
        hidden: list[Tensor] = []
        pooled = torch.empty(0)
        for tokenizer, encoder, side in self._encoders:
            rows = [row for text in texts for row in framed(tokenizer, text, windows, tokens)]
            ids = torch.tensor(rows, device=encoder.device)
            with inserted(encoder, ids, [getattr(one, side) for one in tokens]) as given:
                out = encoder(given, output_hidden_states=True)
            hidden.append(out.hidden_states[-2].reshape(len(texts), windows * (WINDOW + 2), -1))
            pooled = out[0][::windows]  # the last encoder has the projection; a first window tells it all
        return Embedding(hidden=torch.cat(hidden, dim=-1), pooled=pooled)


def split(ids: Sequence[int]) -> list[Sequence[int]]:
    """A text's token ids in windows of 75; one empty window for an empty text."""
    return [ids[start : start + WINDOW] for start in range(0, max(1, len(ids)), WINDOW)]


def framed(tokenizer: Any, text: str, windows: int, tokens: Sequence[TokenVectors]) -> list[list[int]]:
    """The text's first windows between opening and closing tokens, padded to 77 and to so many windows."""
    parts = split(token_ids(tokenizer, text, tokens))[:windows]
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
