"""A LoRA from outside: let in as what it is, painted with before anybody may, or refused with the reason."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from torch import Tensor

from engine.messages import (
    AdapterUse,
    Event,
    Failed,
    ImportLora,
    JobId,
    LoraImported,
    Sha256,
    StepStarted,
    stored_path,
)
from engine.sdxl.model import Model
from engine.studio import Studio
from tests.engine.oracle import Oracle
from tests.engine.studio_work import furthest, paint, pixels, request
from tests.lora_files import (
    Lora,
    attention,
    comfy,
    diffusers_dotted,
    diffusers_new,
    kohya,
    make_lora,
    omi,
    peft_named,
    store,
    store_bytes,
)

Form = Callable[[Lora], dict[str, Tensor]]


@pytest.fixture(scope="module")
def lora(loaded: Model) -> Lora:
    return make_lora(loaded.base, of=attention, seed=5, alphas=(2.0,))


def import_events(studio: Studio, sha256: Sha256, **more: Any) -> list[Event]:
    """All that the studio tells of one file at the door."""
    events = list(studio.accept(ImportLora(job=JobId("door"), name="maria", sha256=sha256, **more)))
    while not studio.idle:
        events += studio.step()
    return events


def import_lora(studio: Studio, sha256: Sha256, **more: Any) -> LoraImported:
    (imported,) = [
        event for event in import_events(studio, sha256, **more) if isinstance(event, LoraImported)
    ]
    return imported


def refusal(studio: Studio, sha256: Sha256) -> str:
    (failed,) = [event for event in import_events(studio, sha256) if isinstance(event, Failed)]
    assert failed.expected
    return failed.reason


def test_a_kohya_file_stays_what_it_is_and_paints_as_in_plain_diffusers(
    studio: Studio, oracle: Oracle, loaded: Model, files: Path
) -> None:
    tensors = kohya(make_lora(loaded.base, of=attention, seed=3, alphas=(3.0,)))
    sent = store(files, tensors, name="maria")
    imported = import_lora(studio, sent.sha256)
    oracle.teach("maria", tensors)
    recipe = request(adapters=(AdapterUse(name="maria", sha256=imported.sha256, weight=0.8),))

    assert (imported.form, imported.sha256, imported.text_encoders) == ("kohya", sent.sha256, True)
    assert imported.seconds > 0
    assert furthest(paint(studio, recipe)["j"], oracle.paint(recipe)) <= 1


@pytest.mark.parametrize(
    ("form", "called"),
    [
        (diffusers_new, "diffusers"),
        (diffusers_dotted, "diffusers"),
        (peft_named, "PEFT"),
        (omi, "OMI"),
        (comfy, "ComfyUI"),
    ],
)
def test_a_file_in_other_names_comes_out_in_kohyas_with_the_same_numbers(
    studio: Studio, files: Path, lora: Lora, form: Form, called: str
) -> None:
    bare = {
        place: replace(factors, alpha=None)
        for place, factors in lora.items()
        if form not in (omi, comfy) or place[0] != "unet"  # whose SGM paths are those of a larger model
    }
    sent = store(files, form(bare), name="other")
    imported = import_lora(studio, sent.sha256)
    weights = dict(zip(("as it came", "as it is kept"), (sent.sha256, imported.sha256), strict=True))
    both = [
        request(name, adapters=(AdapterUse(name="maria", sha256=sha256),)) for name, sha256 in weights.items()
    ]
    pictures = paint(studio, *both)

    assert imported.form == called
    assert furthest(pictures["as it came"], pictures["as it is kept"]) == 0
    with safetensors.safe_open(stored_path(files, imported.sha256), "pt") as file:
        assert all(key.startswith(("lora_unet_", "lora_te1_", "lora_te2_")) for key in file.keys())  # noqa: SIM118
        assert file.metadata()["ss_base_model_version"] == "sdxl_base_v1-0"
        assert file.metadata()["ss_network_dim"] == "4"


def test_a_picture_is_painted_with_it_before_it_is_let_in(studio: Studio, files: Path, lora: Lora) -> None:
    sent = store(files, kohya(lora), metadata={"modelspec.trigger_phrase": "ohwx woman"})

    events = import_events(studio, sent.sha256)
    imported = events[-2]

    assert isinstance(imported, LoraImported)
    assert pixels(imported.picture).shape == (128, 128, 3)
    assert (imported.phrase, imported.rank, imported.tokens) == ("ohwx woman", 4, 0)
    assert {event.jobs for event in events if isinstance(event, StepStarted)} == {("door",)}
    assert b"ohwx woman" in imported.picture


def test_a_phrase_that_was_given_goes_before_the_files_own(studio: Studio, files: Path, lora: Lora) -> None:
    sent = store(files, kohya(lora), metadata={"modelspec.trigger_phrase": "ohwx woman"})

    assert import_lora(studio, sent.sha256, phrase="sks").phrase == "sks"


def test_what_is_no_lora_for_this_model_is_refused_with_the_reason(
    studio: Studio, files: Path, lora: Lora
) -> None:
    broken = kohya(lora)
    first = next(iter(broken))
    reasons = {
        "pickle": refusal(studio, store_bytes(files, b"\x80\x02}q\x00.").sha256),
        "other model": refusal(
            studio, store(files, kohya(lora), metadata={"ss_base_model_version": "sd_v1"}).sha256
        ),
        "not finite": refusal(
            studio, store(files, broken | {first: torch.full_like(broken[first], torch.nan)}).sha256
        ),
        "nothing": refusal(
            studio,
            store(
                files, {key: tensor if "alpha" in key else tensor * 0 for key, tensor in broken.items()}
            ).sha256,
        ),
        "too many": refusal(studio, store(files, {f"x.{n}": torch.zeros(0) for n in range(5001)}).sha256),
        "gone": refusal(studio, Sha256("0" * 64)),
    }

    assert "which can run code" in reasons["pickle"]
    assert "Stable Diffusion 1" in reasons["other model"]
    assert "not finite" in reasons["not finite"]
    assert "changes nothing" in reasons["nothing"]
    assert "At most 5,000" in reasons["too many"]
    assert "missing" in reasons["gone"]


@pytest.mark.parametrize("strength", [0.0, 1e-6])
def test_one_that_has_learned_nothing_is_called_so(
    studio: Studio, files: Path, lora: Lora, strength: float
) -> None:
    weak = {key: tensor * strength if "lora_up" in key else tensor for key, tensor in kohya(lora).items()}

    assert refusal(studio, store(files, weak).sha256).endswith("Its training learned nothing.")


def test_an_alpha_that_a_file_does_not_say_is_told_to_be_assumed(
    studio: Studio, files: Path, lora: Lora
) -> None:
    bare = {place: replace(factors, alpha=None) for place, factors in lora.items()}
    metadata = '{"unet.r": 4, "unet.lora_alpha": 8}'

    assert import_lora(studio, store(files, peft_named(bare)).sha256).assumed
    assert not import_lora(studio, store(files, peft_named(lora)).sha256).assumed
    assert not import_lora(
        studio, store(files, peft_named(bare), metadata={"lora_adapter_metadata": metadata}).sha256
    ).assumed


def test_one_that_paints_nothing_that_can_be_seen_is_not_let_in(
    studio: Studio, loaded: Model, files: Path
) -> None:
    wild = make_lora(loaded.base, of=lambda part, path: part == "unet" and path == "conv_out", alphas=(1e6,))
    huge = {
        key: tensor * 1e15 if "lora_" in key and "alpha" not in key else tensor
        for key, tensor in kohya(wild).items()
    }

    assert refusal(studio, store(files, huge).sha256)


def test_pictures_go_on_while_a_file_is_looked_at(studio: Studio, files: Path, lora: Lora) -> None:
    sent = store(files, kohya(lora))
    events = list(studio.accept(request("a", steps=4)))
    events += studio.accept(ImportLora(job=JobId("door"), name="maria", sha256=sent.sha256))
    while not studio.idle:
        events += studio.step()
    kinds = [type(event).__name__ for event in events if not isinstance(event, StepStarted)]

    assert kinds.index("Painted") < kinds.index("LoraImported")
