"""How long a prompt may be, and what is remembered of those that were read."""

import pytest

from engine.messages import Failed, JobId
from engine.sdxl.model import Model
from engine.sdxl.prompts import WINDOW, WINDOWS, EmbeddingCache, PromptEncoder
from engine.studio import Studio
from tests.engine.studio_work import paint, pictures, request, work

EMOJI = "🎨" * 3900
WORDS = "a red star " * 2000


@pytest.mark.parametrize("name", ["prompt", "negative_prompt"])
def test_a_prompt_of_thousands_of_tokens_is_refused_in_a_sentence_and_the_others_go_on(
    studio: Studio, name: str
) -> None:
    long = request("long", **{name: EMOJI})

    events = work(studio, {0: [long, request("short", steps=1)]})

    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed == Failed(
        job=JobId("long"),
        reason=f"The {name.replace('_', ' ')} has 15,600 tokens (a common word is one, an emoji up to four). "
        "At most 1,200 are allowed.",
        expected=True,
    )
    assert set(pictures(events)) == {"short"}


def test_a_prompt_of_as_many_tokens_as_are_read_is_painted(studio: Studio) -> None:
    assert "j" in paint(studio, request(prompt="star " * (WINDOWS * WINDOW // 2), steps=1))


def test_what_is_remembered_of_prompts_has_a_bound_in_bytes(model: Model) -> None:
    limit = 2**20
    memory = EmbeddingCache(limit)
    readers = [PromptEncoder(model.base, memory), PromptEncoder(model.refiner, memory)]

    for number in range(12):
        for reader in readers:
            reader.encode_pair(WORDS[: 300 * (1 + number)], str(number), None)
            assert memory.size <= limit
    assert memory.size > limit / 2


def test_what_was_read_last_is_remembered_and_a_reader_has_its_own(model: Model) -> None:
    memory = EmbeddingCache(2**20)
    base, refiner = PromptEncoder(model.base, memory), PromptEncoder(model.refiner, memory)

    first = base.encode_pair("a red star", "", None)
    for number in range(100):
        base.encode_pair("a red star", "", None)
        base.encode_pair(f"a {number}", "", None)

    assert base.encode_pair("a red star", "", None)[0] is first[0]
    assert refiner.encode_pair("a red star", "", None)[0].hidden.shape != first[0].hidden.shape
