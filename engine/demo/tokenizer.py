"""The tokenizers: a small byte-level BPE as in CLIP, learned from captions, with a token for every byte."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import CLIPTokenizer

from engine.demo.captions import caption
from engine.demo.world import sample_scene

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77
"""Tokens of a prompt, with start and end."""
Merge = tuple[str, str]


def learn_merges(seed: int = 0, captions: int = 4000, symbols: int = 640) -> list[Merge]:
    """Learn the merges of a BPE from captions: about `symbols` bytes and merges in all."""
    rng = np.random.default_rng([seed, 2])
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Lowercase()
    words = Regex(r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+")
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trainer: Any = trainers.BpeTrainer(vocab_size=symbols, end_of_word_suffix="</w>", show_progress=False)
    texts = [caption(rng, sample_scene(rng)) for _ in range(captions)]
    bpe.train_from_iterator(texts, trainer)
    merges = json.loads(bpe.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges]


def vocabulary(merges: list[Merge]) -> dict[str, int]:
    """The vocabulary in CLIP's order: 256 bytes ("!" is 0), bytes that end a word, merges, start, end."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    symbols = [*alphabet, *(byte + "</w>" for byte in alphabet), *(a + b for a, b in merges), START, END]
    return {symbol: number for number, symbol in enumerate(dict.fromkeys(symbols))}


def new_tokenizer(merges: list[Merge], *, pad: str = END) -> CLIPTokenizer:
    """A CLIP tokenizer of 77 tokens. SDXL's first pads with the end token, the second with "!"."""
    return CLIPTokenizer(vocab=vocabulary(merges), merges=merges, pad_token=pad, model_max_length=LENGTH)


def token_ids(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token ids (B, 77) int64, padded and truncated as in the pipelines."""
    words = tokenizer(captions, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")
    ids: Tensor = words["input_ids"]
    return ids.to(torch.int64)
