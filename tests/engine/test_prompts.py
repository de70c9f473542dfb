"""How long a prompt may be, and what is remembered of those that were read."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.messages import AdapterUse, Failed, JobId
from engine.sdxl.model import Model
from engine.sdxl.prompts import WINDOW, WINDOWS, EmbeddingCache, PromptEncoder
from engine.studio import Studio
from tests.engine.studio_work import paint, pictures, request, work
from tests.lora_files import attention, kohya, make_lora, store

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


def test_a_prompt_is_encoded_again_for_a_mix_that_changes_how(
    studio: Studio, model: Model, files: Path, loras: tuple[AdapterUse, AdapterUse]
) -> None:
    calls: list[object] = []
    model.base.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    unet_alone = store(
        files,
        kohya(
            make_lora(
                model.base, of=lambda component, path: component == "unet" and attention(component, path)
            )
        ),
        name="wash",
    )
    mixes: dict[str, tuple[tuple[AdapterUse, ...], int]] = {
        "without": ((), 1),
        "again": ((), 0),
        "of the UNet alone": ((unet_alone,), 0),
        "with nothing of it": ((replace(loras[0], weight=0.0),), 0),
        "of text encoders": (loras[:1], 1),
        "and the UNet's": ((*loras[:1], unet_alone), 0),
        "at another weight": ((replace(loras[0], weight=0.2),), 1),
        "another": (loras[1:], 1),
        "both": (loras, 1),
        "both again": (loras[::-1], 0),
    }

    encoded: dict[str, int] = {}
    for name, (mix, _) in mixes.items():
        before = len(calls)
        paint(studio, request(name, adapters=mix, steps=1))
        encoded[name] = len(calls) - before

    assert encoded == {name: expected for name, (_, expected) in mixes.items()}
