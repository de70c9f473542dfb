"""diffusers' own safety checker, small and with random weights: what it flags is hidden."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor

from engine.messages import (
    EngineSettings,
    Event,
    Example,
    FileStore,
    FlaggedPolicy,
    Inspect,
    Inspected,
    JobId,
    Paint,
    Painted,
    Progress,
    Train,
    TrainingSettings,
    Variant,
)
from engine.sdxl.model import CannotLoad, Model
from engine.studio import Studio
from engine.vision.safety import StableDiffusionSafety, grey_out_flagged, load_safety
from tests.engine.studio_work import request, work


def a_checker(folder: Path, *, flags: bool) -> str:
    """The real class, saved: with thresholds that every picture passes, or none does."""
    tiny = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**tiny, "image_size": 32, "patch_size": 16}
    config = CLIPConfig(text_config={**tiny, "vocab_size": 99}, vision_config=vision, projection_dim=16)
    torch.manual_seed(0)
    checker = StableDiffusionSafetyChecker(config)
    for weights in (checker.concept_embeds_weights, checker.special_care_embeds_weights):
        weights.data.fill_(-2.0 if flags else 2.0)  # cosines are within -1 and 1
    checker.save_pretrained(folder, safe_serialization=True)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
        folder
    )
    return str(folder)


def settings(files: Path, folder: Path, *, flags: bool = True) -> EngineSettings:
    return EngineSettings(model="demo", files=str(files), safety=a_checker(folder, flags=flags))


def paint_event(events: list[Event]) -> Painted:
    (painted_event,) = [event for event in events if isinstance(event, Painted)]
    return painted_event


def paints(studio: Studio, flagged: FlaggedPolicy, **changes: Any) -> tuple[Painted, list[Event]]:
    events = work(studio, {0: [request(flagged=flagged, steps=2, **changes)]})
    return paint_event(events), events


def test_what_is_flagged_has_no_bytes_and_only_colours_are_glimpsed(
    model: Model, files: Path, tmp_path: Path
) -> None:
    studio = Studio(model, settings(files, tmp_path))

    refused, events = paints(studio, FlaggedPolicy.REFUSE, count=2)

    assert [(picture.png, picture.flagged) for picture in refused.pictures] == [(b"", True), (b"", True)]
    assert refused.seconds > 0
    glimpses = [Image.open(io.BytesIO(event.preview)) for event in events if isinstance(event, Progress)]
    assert all(max(glimpse.size) <= 8 for glimpse in glimpses)


def test_a_spoiler_and_a_channel_for_adults_have_the_picture(
    model: Model, files: Path, tmp_path: Path
) -> None:
    studio = Studio(model, settings(files, tmp_path))

    ((hidden,), (visible,)) = (
        paints(studio, policy)[0].pictures for policy in (FlaggedPolicy.SPOILER, FlaggedPolicy.SHOW)
    )

    assert hidden.flagged and hidden.png
    assert not visible.flagged and visible.png == hidden.png


def test_a_comparison_with_anything_flagged_is_not_shown(model: Model, files: Path, tmp_path: Path) -> None:
    studio = Studio(model, settings(files, tmp_path))

    sheet, _ = paints(studio, FlaggedPolicy.REFUSE, variants=(Variant(name="without"), Variant(name="again")))

    assert [(picture.png, picture.flagged) for picture in sheet.pictures] == [(b"", True)]
    assert not sheet.scores


def test_what_is_not_flagged_is_as_it_was_without_a_check(
    model: Model, studio: Studio, files: Path, tmp_path: Path
) -> None:
    checking = Studio(model, settings(files, tmp_path, flags=False))

    ((checked,), (plain,)) = (
        paints(engine, FlaggedPolicy.REFUSE)[0].pictures for engine in (checking, studio)
    )

    assert checked == plain and not checked.flagged


def test_pictures_to_learn_from_that_are_flagged_are_left_out(
    model: Model, files: Path, tmp_path: Path
) -> None:
    studio = Studio(model, settings(files, tmp_path))
    file = io.BytesIO()
    Image.effect_noise((128, 128), 90).convert("RGB").save(file, "PNG")
    example = Example(sha256=FileStore(files).put_bytes(file.getvalue()), name="a.png", caption="")

    def reports(flagged: FlaggedPolicy) -> Inspected:
        train = Train(
            job=JobId("t"),
            name="fox",
            examples=(example,),
            trigger="ohwx",
            settings=TrainingSettings(steps=2),
            flagged=flagged,
        )
        events = list(studio.accept(Inspect(training=train)))
        while not studio.idle:
            events += studio.step()
        (report,) = [event for event in events if isinstance(event, Inspected)]
        return report

    refused, visible = reports(FlaggedPolicy.REFUSE), reports(FlaggedPolicy.SHOW)

    assert [(note.used, note.problems) for note in refused.notes] == [
        (False, ("Filtered: the safety check flags it.",))
    ]
    assert refused.problems == (
        "No picture is left to train on.",
        "Left out: 1 flagged by the safety check.",
    )
    assert [note.used for note in visible.notes] == [True]


def test_what_a_lora_shows_to_many_is_grey_where_it_is_flagged(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 24), "red").save(file, "PNG")
    safety = StableDiffusionSafety(a_checker(tmp_path, flags=True), torch.device("cpu"))

    with Image.open(io.BytesIO(grey_out_flagged(safety, file.getvalue()))) as grey:
        assert (grey.size, grey.getcolors()) == ((40, 24), [(960, (96, 92, 88))])


def test_a_check_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    named = EngineSettings(model="demo", safety=str(tmp_path / "none"))

    with pytest.raises(CannotLoad, match=r"The safety check '.*none' cannot be loaded. "):
        load_safety(named, torch.device("cpu"))


def test_without_a_name_nothing_is_checked() -> None:
    assert not load_safety(EngineSettings(model="demo"), torch.device("cpu")).enabled
    assert Paint(job=JobId("j"), prompt="a fox", seed=1).flagged is FlaggedPolicy.SHOW
