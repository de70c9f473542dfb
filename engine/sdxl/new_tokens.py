"""New tokens of textual inversion: vectors for a word in both text encoders, outside the vocabulary.

The token ids of a text are 0 and up, as the tokenizer gives them, and -1, -2 and so on for the vectors of new
tokens, first to last (Gal et al. 2022, arXiv 2208.01618). No vocabulary grows, so nothing has to shrink
again.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

NOISE = 0.1  # of the standard deviation of all token embeddings: vectors start apart, and near the words
PLACEHOLDER_ID = (
    0  # the id in place of a vector: "!" in CLIP, which neither ends a text nor is its highest id
)


@dataclass(frozen=True, kw_only=True)
class TokenVectors:
    """The n vectors of a word in each text encoder, as wide as its token embeddings.

    first: (n, width of encoder 1); second: (n, width of encoder 2).
    """

    word: str
    first: Tensor
    second: Tensor

    @property
    def count(self) -> int:
        return self.first.shape[0]


def initial_tokens(pipeline: Any, word: str, like: str, count: int, seed: int) -> TokenVectors:
    """Initial vectors: the mean embedding of the tokens of `like`, with a little noise that tells them apart.

    float32, on the encoders' device. The noise has a generator of its own, from `seed`.
    """
    generator = torch.Generator().manual_seed(seed)
    first, second = (
        vectors_near(encoder.get_input_embeddings().weight, plain_ids(tokenizer, like), count, generator)
        for tokenizer, encoder in (
            (pipeline.tokenizer, pipeline.text_encoder),
            (pipeline.tokenizer_2, pipeline.text_encoder_2),
        )
    )
    return TokenVectors(word=word, first=first, second=second)


def vectors_near(embeddings: Tensor, ids: Sequence[int], count: int, generator: torch.Generator) -> Tensor:
    """(count, width) float32 vectors around the mean of these rows, or of all rows where there are none."""
    table = embeddings.detach().float()
    mean = table[list(ids)].mean(dim=0) if ids else table.mean(dim=0)
    noise = torch.randn(count, table.shape[1], generator=generator).to(table.device)
    return mean + NOISE * table.std() * noise


def token_ids(tokenizer: Any, text: str, tokens: Sequence[TokenVectors]) -> list[int]:
    """The text's token ids without those of start and end, new tokens as -1, -2 and so on.

    A new word counts where it stands alone, in upper or lower case.
    """
    if not tokens:
        return plain_ids(tokenizer, text)
    # The longest first, since one word may start with another.
    words = sorted(zip(tokens, vector_numbers(tokens), strict=True), key=lambda pair: -len(pair[0].word))
    pattern = re.compile("|".join(f"({word_pattern(token.word)})" for token, _ in words), re.IGNORECASE)
    ids, end = [], 0
    for match in pattern.finditer(text):
        ids += plain_ids(tokenizer, text[end : match.start()])
        ids += next(numbers for group, (_, numbers) in zip(match.groups(), words, strict=True) if group)
        end = match.end()
    return ids + plain_ids(tokenizer, text[end:])


def has_new_token(tokenizer: Any, text: str, tokens: Sequence[TokenVectors]) -> bool:
    """Whether the text has any of the new tokens in it."""
    return token_ids(tokenizer, text, tokens) != plain_ids(tokenizer, text)


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """The tokenizer's own token ids, without those of start and end."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
    return ids


def vector_numbers(tokens: Sequence[TokenVectors]) -> Iterator[list[int]]:
    """The negative ids of each word's vectors."""
    used = 0
    for token in tokens:
        yield [-1 - number for number in range(used, used + token.count)]
        used += token.count


def word_pattern(word: str) -> str:
    """A regular expression for the word where no letter, digit or underscore is next to it."""
    before = r"(?<!\w)" if word[0].isalnum() or word[0] == "_" else ""
    after = r"(?!\w)" if word[-1].isalnum() or word[-1] == "_" else ""
    return f"{before}{re.escape(word)}{after}"


@contextmanager
def insert_vectors(encoder: Any, ids: Tensor, vectors: Sequence[Tensor]) -> Iterator[Tensor]:
    """A context with the ids to give to the encoder, which sees the vectors in place of ids below 0.

    ids: (B, T) int64, on the CPU, where looking at them waits for no device; vectors: (n, width) each, in the
    order of their ids. Gradients reach the vectors.
    """
    is_new, device = ids < 0, encoder.device
    if not is_new.any():
        yield ids.to(device, non_blocking=True)
        return
    embeddings = encoder.get_input_embeddings()
    stacked = torch.cat([vector.to(device, embeddings.weight.dtype) for vector in vectors])
    inserted = stacked[(-1 - ids[is_new]).to(device, non_blocking=True)]
    mask = is_new.unsqueeze(-1).to(device, non_blocking=True)
    hook = embeddings.register_forward_hook(
        lambda _module, _inputs, embedded: embedded.masked_scatter(mask, inserted)
    )
    try:
        yield ids.masked_fill(is_new, PLACEHOLDER_ID).to(device, non_blocking=True)
    finally:
        hook.remove()
