"""New tokens: vectors that a word stands for in both text encoders, beside the vocabulary and not in it.

A text's tokens are numbers from 0 on, as the tokenizer gives them; -1, -2 and so on are the vectors of the
new tokens, first to last. No vocabulary grows, so nothing has to shrink again.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

NOISE = (
    0.1  # of the spread of all token embeddings: vectors begin apart, and near enough to what they are like
)
STAND_IN = 0  # the id under a vector: "!" in CLIP, which neither ends a text nor is the highest of it


@dataclass(frozen=True, kw_only=True)
class TokenVectors:
    """What a word stands for: n vectors in each text encoder, as wide as its token embeddings.

    first: (n, width of encoder 1); second: (n, width of encoder 2).
    """

    word: str
    first: Tensor
    second: Tensor

    @property
    def count(self) -> int:
        return self.first.shape[0]


def initial_tokens(pipeline: Any, word: str, like: str, count: int, seed: int) -> TokenVectors:
    """Vectors to begin with: the mean of what `like` is made of, and a little noise to tell them apart.

    Float32, on the encoders' device; the noise comes from a generator of its own.
    """
    draw = torch.Generator().manual_seed(seed)
    first, second = (
        near(encoder.get_input_embeddings().weight, plain_ids(tokenizer, like), count, draw)
        for tokenizer, encoder in (
            (pipeline.tokenizer, pipeline.text_encoder),
            (pipeline.tokenizer_2, pipeline.text_encoder_2),
        )
    )
    return TokenVectors(word=word, first=first, second=second)


def near(embeddings: Tensor, ids: Sequence[int], count: int, draw: torch.Generator) -> Tensor:
    """(count, width) float32 around the mean of these rows, of all rows when there are none."""
    table = embeddings.detach().float()
    mean = table[list(ids)].mean(dim=0) if ids else table.mean(dim=0)
    noise = torch.randn(count, table.shape[1], generator=draw).to(table.device)
    return mean + NOISE * table.std() * noise


def token_ids(tokenizer: Any, text: str, tokens: Sequence[TokenVectors]) -> list[int]:
    """The text's ids without opening and closing ones, new tokens as -1, -2 and so on.

    A new word counts where it stands alone, in upper or lower case.
    """
    if not tokens:
        return plain_ids(tokenizer, text)
    # The longest first: one word may begin with another.
    words = sorted(zip(tokens, numbered(tokens), strict=True), key=lambda pair: -len(pair[0].word))
    pattern = re.compile("|".join(f"({alone(one.word)})" for one, _ in words), re.IGNORECASE)
    ids, end = [], 0
    for found in pattern.finditer(text):
        ids += plain_ids(tokenizer, text[end : found.start()])
        ids += next(numbers for said, (_, numbers) in zip(found.groups(), words, strict=True) if said)
        end = found.end()
    return ids + plain_ids(tokenizer, text[end:])


def speaks(tokenizer: Any, text: str, tokens: Sequence[TokenVectors]) -> bool:
    """Whether the text has one of the new tokens in it."""
    return token_ids(tokenizer, text, tokens) != plain_ids(tokenizer, text)


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """The tokenizer's own ids."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
    return ids


def numbered(tokens: Sequence[TokenVectors]) -> Iterator[list[int]]:
    """The numbers of each word's vectors."""
    used = 0
    for one in tokens:
        yield [-1 - number for number in range(used, used + one.count)]
        used += one.count


def alone(word: str) -> str:
    """A pattern for the word between anything but letters, digits and underscores."""
    before = r"(?<!\w)" if word[0].isalnum() or word[0] == "_" else ""
    after = r"(?!\w)" if word[-1].isalnum() or word[-1] == "_" else ""
    return f"{before}{re.escape(word)}{after}"


@contextmanager
def inserted(encoder: Any, ids: Tensor, vectors: Sequence[Tensor]) -> Iterator[Tensor]:
    """The ids to give to the encoder, which sees the vectors where the numbers are below 0.

    ids: (B, T) int64; vectors: each (n, width), in the order of their numbers. Gradients reach the vectors.
    """
    new = ids < 0
    if not new.any():
        yield ids
        return
    embeddings = encoder.get_input_embeddings()
    stacked = torch.cat([one.to(embeddings.weight.device, embeddings.weight.dtype) for one in vectors])
    chosen = stacked[-1 - ids[new]]
    hook = embeddings.register_forward_hook(
        lambda _module, _given, embedded: embedded.masked_scatter(new.unsqueeze(-1), chosen)
    )
    try:
        yield ids.masked_fill(new, STAND_IN)
    finally:
        hook.remove()
