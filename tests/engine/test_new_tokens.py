"""A new word stands for its vectors wherever it is written, and the vocabulary stays as it was."""

import copy
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.messages import EngineSettings, Prior
from engine.sdxl.model import Model
from engine.sdxl.new_tokens import TokenVectors, initial_tokens
from engine.sdxl.prompts import Embedding, PromptEncoder
from engine.studio import Studio
from tests.engine.training_cases import run, training


def new_word(model: Model, word: str = "ohwx", count: int = 2, seed: int = 0) -> TokenVectors:
    draw = torch.Generator().manual_seed(seed)
    first, second = (
        torch.randn(count, encoder.config.hidden_size, generator=draw) * 0.1
        for encoder in (model.base.text_encoder, model.base.text_encoder_2)
    )
    return TokenVectors(word=word, first=first, second=second)


@pytest.fixture
def extended(model: Model) -> Any:
    """The pipeline with the two vectors in a larger vocabulary, as textual inversion does it: the truth."""
    pipeline, word = copy.deepcopy(model.base), new_word(model)
    for tokenizer, encoder, vectors in (
        (pipeline.tokenizer, pipeline.text_encoder, word.first),
        (pipeline.tokenizer_2, pipeline.text_encoder_2, word.second),
    ):
        assert tokenizer.add_tokens(["newone", "newtwo"]) == 2
        encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        encoder.get_input_embeddings().weight.data[-2:] = vectors
    return pipeline


@torch.no_grad()
def encode_ids(pipeline: Any, prompt: str) -> tuple[Tensor, Tensor]:
    hidden, _, pooled, _ = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False)
    return hidden, pooled


@pytest.mark.parametrize(
    ("prompt", "expanded"),
    [
        ("a red ohwx on a white background", "a red newone newtwo on a white background"),
        ("OHWX, ohwx-like and Ohwx's", "newone newtwo, newone newtwo-like and newone newtwo's"),
        ("ohwx", "newone newtwo"),
        ("a red star", "a red star"),
        ("ohwxy xohwx ohwx_ ohwx2", "ohwxy xohwx ohwx_ ohwx2"),
    ],
)
def test_the_vectors_stand_where_the_word_is_written(
    model: Model, extended: Any, prompt: str, expanded: str
) -> None:
    embedding, _ = PromptEncoder(model.base).encode_pair(prompt, "", None, [new_word(model)])

    hidden, pooled = encode_ids(extended, expanded)
    torch.testing.assert_close(embedding.hidden, hidden, atol=1e-5, rtol=0)
    torch.testing.assert_close(embedding.pooled, pooled, atol=1e-5, rtol=0)
    assert len(model.base.tokenizer) == 662


def test_encoders_that_end_a_text_at_its_highest_token_are_not_misled(model: Model) -> None:
    reader, tokens = PromptEncoder(model.base), [new_word(model)]
    expected = reader.encode_texts(["a red ohwx"], tokens).pooled

    model.base.text_encoder_2.eos_token_id = model.base.text_encoder_2.text_model.eos_token_id = 2

    assert torch.equal(reader.encode_texts(["a red ohwx"], tokens).pooled, expected)


def test_the_longer_of_two_words_wins_and_words_may_have_any_signs(model: Model) -> None:
    reader, tokens = (
        PromptEncoder(model.base),
        [new_word(model, "ohwx", 1, 1), new_word(model, "ohwx <new>", 1, 2), new_word(model, "<s0>", 1, 3)],
    )

    longer = reader.encode_texts(["a ohwx <new>"], tokens)
    alone = reader.encode_texts(["a ohwx <new>"], tokens[1:2])

    assert torch.equal(longer.hidden, alone.hidden)
    glued = reader.encode_texts(["red<s0>circle"], tokens)
    spaced = reader.encode_texts(["red <s0> circle"], tokens)
    assert torch.equal(glued.hidden, spaced.hidden)


def test_letters_that_only_look_the_same_in_upper_case_are_the_word_too(model: Model) -> None:
    reader, tokens = PromptEncoder(model.base), [new_word(model, "sks")]

    assert torch.equal(
        reader.encode_texts(["a \u017fKs"], tokens).hidden, reader.encode_texts(["a sks"], tokens).hidden
    )


def test_a_long_text_with_a_new_word_takes_as_many_windows_as_it_needs(model: Model) -> None:
    reader, tokens = PromptEncoder(model.base), [new_word(model, count=4)]
    long = " ".join(["red ohwx"] * 20)

    positive, negative = reader.encode_pair(long, "blue", None, tokens)

    assert positive.hidden.shape == negative.hidden.shape == (1, 2 * 77, 160)
    assert torch.isfinite(positive.hidden).all()
    torch.testing.assert_close(reader.encode_texts([long], tokens).hidden, positive.hidden)


def test_texts_encoded_together_are_each_what_they_are_alone(model: Model) -> None:
    reader, tokens = PromptEncoder(model.base), [new_word(model)]
    texts = ["a red ohwx", "", "a blue star and a green circle"]

    together = reader.encode_texts(texts, tokens)

    for row, text in enumerate(texts):
        alone = reader.encode_texts([text], tokens)
        torch.testing.assert_close(together.hidden[row : row + 1], alone.hidden)
        torch.testing.assert_close(together.pooled[row : row + 1], alone.pooled)


def test_gradients_reach_the_vectors_of_a_word_that_is_written(model: Model) -> None:
    written, absent = new_word(model), new_word(model, "ukj")
    for vectors in (written.first, written.second, absent.first, absent.second):
        vectors.requires_grad_()

    read = PromptEncoder(model.base).encode_texts(["a red ohwx", "a star"], [written, absent])
    torch.autograd.backward(read.hidden.square().sum() + read.pooled.square().sum())

    for vectors in (written.first, written.second):
        assert vectors.grad is not None
        assert (vectors.grad.abs().sum(dim=1) > 0).all()
    assert absent.first.grad is None or (absent.first.grad == 0).all()
    assert all(parameter.grad is None for parameter in model.base.text_encoder.parameters())


def test_a_text_without_the_word_is_read_bit_for_bit_as_ever(model: Model) -> None:
    reader = PromptEncoder(model.base)

    plain = reader.encode_pair("a red star", "blue", "plain")
    beside = reader.encode_pair("a red star", "blue", "beside", [new_word(model)])

    for alone, other in zip(plain, beside, strict=True):
        assert torch.equal(alone.hidden, other.hidden)
        assert torch.equal(alone.pooled, other.pooled)


def test_learning_begins_near_what_the_word_is_like(model: Model) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)

    begun, again, other = (initial_tokens(model.base, "ohwx", "circle", 3, seed) for seed in (1, 1, 2))

    assert torch.equal(torch.rand(4), expected)
    (number,) = model.base.tokenizer("circle", add_special_tokens=False).input_ids
    near = model.base.text_encoder.get_input_embeddings().weight[number]
    spread = model.base.text_encoder.get_input_embeddings().weight.std()
    assert begun.first.shape == (3, 64)
    assert begun.second.shape == (3, 96)
    assert (begun.first - near).std() < 0.2 * spread
    assert not torch.equal(begun.first[0], begun.first[1])
    assert torch.equal(begun.second, again.second)
    assert not torch.equal(begun.second, other.second)


def test_a_training_reads_once_what_no_new_word_changes(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    encode = PromptEncoder.encode_texts

    def count_encodings(
        reader: PromptEncoder, texts: Sequence[str], tokens: Sequence[TokenVectors] = ()
    ) -> Embedding:
        read.update(texts)
        return encode(reader, texts, tokens)

    monkeypatch.setattr(PromptEncoder, "encode_texts", count_encodings)
    request = training(tmp_path, steps=4, new_tokens=1, prior=Prior.PREDICTION)
    run(Studio(model, EngineSettings(model="demo", files=str(tmp_path))), request)

    plain = {text: times for text, times in read.items() if "ohwx" not in text}
    assert plain and set(plain.values()) == {1}
    assert sum(read.values()) - len(plain) >= 4
