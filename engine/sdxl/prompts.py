"""Encoding of prompts: windows of 75 tokens through SDXL's text encoders, concatenated, and a cache."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from cachetools import LRUCache
from torch import Tensor

from engine.messages import InvalidRequest
from engine.sdxl.new_tokens import TokenVectors, insert_vectors, token_ids

WINDOW = 75  # tokens: CLIP reads 77, of which one starts and one ends the text
WINDOWS = 16  # of a prompt at most: each makes a forward longer, for everybody who waits for it


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Encoded texts: hidden states (B, 77 * windows, channels) and pooled embeddings (B, projection)."""

    hidden: Tensor
    pooled: Tensor

    def to_zeros(self) -> "Embedding":
        """Zeros of the same shape, which SDXL has in place of an empty negative prompt."""
        return Embedding(hidden=torch.zeros_like(self.hidden), pooled=torch.zeros_like(self.pooled))

    @property
    def windows(self) -> int:
        return self.hidden.shape[1] // (WINDOW + 2)

    def pad(self, empty: "Embedding", windows: int) -> "Embedding":
        """The same texts in so many windows, not fewer than now. empty: of an empty text, one window."""
        padding = empty.hidden.repeat(self.hidden.shape[0], windows - self.windows, 1)
        return Embedding(hidden=torch.cat([self.hidden, padding], dim=1), pooled=self.pooled)

    def split(self) -> list["Embedding"]:
        """An embedding of each text, (1, ...)."""
        rows = zip(torch.split(self.hidden, 1), torch.split(self.pooled, 1), strict=True)
        return [Embedding(hidden=hidden, pooled=pooled) for hidden, pooled in rows]


def concatenate_embeddings(texts: Sequence[Embedding]) -> Embedding:
    """Embeddings of equally long texts as one batch, in this order."""
    return Embedding(
        hidden=torch.cat([text.hidden for text in texts]), pooled=torch.cat([text.pooled for text in texts])
    )


Pair = tuple[Embedding, Embedding]


class EmbeddingCache:
    """Embeddings of pairs of prompts, least recently used first to go, within a limit in bytes."""

    def __init__(self, limit: int = 0) -> None:
        self._pairs: LRUCache[Hashable, Pair] = LRUCache(limit, embedding_bytes)

    def get_or_encode(self, key: Hashable, encode: Callable[[], Pair]) -> Pair:
        """The pair cached under this key, or else encoded and cached now."""
        pair = self._pairs.get(key)
        if pair is None:
            pair = encode()
            with suppress(ValueError):  # it is larger than the whole cache
                self._pairs[key] = pair
        return pair

    @property
    def size(self) -> int:
        """Bytes of the cached embeddings."""
        return int(self._pairs.currsize)


def embedding_bytes(texts: Iterable[Embedding]) -> int:
    """Bytes of these embeddings."""
    return sum(text.hidden.nbytes + text.pooled.nbytes for text in texts)


class PromptEncoder:
    """The text encoders of a pipeline: two for SDXL, the second alone for its refiner."""

    def __init__(
        self,
        pipeline: Any,
        cache: EmbeddingCache | None = None,
        projection: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """cache: None caches nothing. projection: what the UNet takes in place of a text's states."""
        encoders = [
            (pipeline.tokenizer, pipeline.text_encoder, "first"),
            (pipeline.tokenizer_2, pipeline.text_encoder_2, "second"),
        ]
        self._encoders = [
            (tokenizer, encoder, side) for tokenizer, encoder, side in encoders if encoder is not None
        ]
        self._zero_for_empty = bool(pipeline.config.force_zeros_for_empty_prompt)
        self._cache = cache or EmbeddingCache()
        self._projection = projection

    def encode_pair(
        self, prompt: str, negative: str, adapter_key: Hashable, tokens: Sequence[TokenVectors] = ()
    ) -> Pair:
        """Embeddings of the prompt and of the negative prompt, equally long, (1, ...) each.

        `adapter_key` stands for the adapters that are active in the encoders and for their new tokens, so
        that the cache keeps them apart. Raises InvalidRequest where one of the prompts is too long.
        """
        key = (id(self), prompt, negative, adapter_key)
        return self._cache.get_or_encode(key, lambda: self._encode_pair(prompt, negative, tokens))

    def project(self, hidden: Tensor) -> Tensor:
        """What the UNet takes of these states (rows, tokens, channels), with the adapters that are active."""
        return hidden if self._projection is None else self._projection(hidden)

    def encode_texts(self, texts: Sequence[str], tokens: Sequence[TokenVectors] = ()) -> Embedding:
        """Embeddings of texts, (B, 77 * windows, channels), without the cache: the windows of the longest,
        at most WINDOWS, padded as `encode_pair` pads.

        Differentiable in the new tokens, and in adapters of the text encoders that are trained. An empty text
        is encoded like any other, also where `zero_for_empty` holds.
        """
        longest = max(self.count_tokens(text, tokens) for text in texts)
        return self._embed(texts, min(WINDOWS, window_count(longest)), tokens)

    def count_tokens(self, text: str, tokens: Sequence[TokenVectors] = ()) -> int:
        """How many tokens the text has, without those of start and end."""
        return max(len(token_ids(tokenizer, text, tokens)) for tokenizer, _, _ in self._encoders)

    @property
    def zero_for_empty(self) -> bool:
        """Whether zeros stand for an empty negative prompt in this model, and not an encoded empty text."""
        return self._zero_for_empty

    @torch.inference_mode()
    def _encode_pair(self, prompt: str, negative: str, tokens: Sequence[TokenVectors]) -> Pair:
        texts = {"prompt": prompt, "negative prompt": negative}
        windows = max(self._count_windows(name, text, tokens) for name, text in texts.items())
        if not negative and self._zero_for_empty:
            positive = self._embed([prompt], windows, tokens)
            return positive, positive.to_zeros()
        both = self._embed([prompt, negative], windows, tokens).split()
        return both[0], both[1]

    def _count_windows(self, name: str, text: str, tokens: Sequence[TokenVectors]) -> int:
        """How many windows the text fills. Raises InvalidRequest where they are too many."""
        longest = self.count_tokens(text, tokens)
        if longest > WINDOWS * WINDOW:
            raise InvalidRequest(
                f"The {name} has {longest:,} tokens (a common word is one, an emoji up to four). At most "
                f"{WINDOWS * WINDOW:,} are allowed."
            )
        return window_count(longest)

    def _embed(self, texts: Sequence[str], windows: int, tokens: Sequence[TokenVectors]) -> Embedding:
        hidden: list[Tensor] = []
        pooled = torch.empty(0)
        for tokenizer, encoder, side in self._encoders:
            rows = [row for text in texts for row in frame_windows(tokenizer, text, windows, tokens)]
            ids = torch.tensor(rows)
            with insert_vectors(encoder, ids, [getattr(token, side) for token in tokens]) as encoder_ids:
                out = encoder(encoder_ids, output_hidden_states=True)
            hidden.append(out.hidden_states[-2].reshape(len(texts), windows * (WINDOW + 2), -1))
            pooled = out[0][
                ::windows
            ]  # the last encoder has the projection, and the first window stands for the text
        return Embedding(hidden=torch.cat(hidden, dim=-1), pooled=pooled)


def window_count(tokens: int) -> int:
    """How many windows a text of so many tokens fills. An empty text has one."""
    return max(1, -(-tokens // WINDOW))


def split_windows(ids: Sequence[int]) -> list[Sequence[int]]:
    """A text's token ids in windows of 75. An empty text has one empty window."""
    return [ids[start : start + WINDOW] for start in range(0, max(1, len(ids)), WINDOW)]


def frame_windows(tokenizer: Any, text: str, windows: int, tokens: Sequence[TokenVectors]) -> list[list[int]]:
    """The text's first windows between start and end tokens, padded to 77 tokens and to so many windows."""
    parts = split_windows(token_ids(tokenizer, text, tokens))[:windows]
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
