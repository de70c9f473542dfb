"""Presets: data that is whole, names that are found, and settings that go with what people change."""

import re
import tomllib
from pathlib import Path

import pytest

from commands.presets import Preset, find_preset, presets, training_settings
from engine.messages import EXAMPLES, SAMPLES, InvalidRequest, Optimizer, TrainingSettings

PUBLISHED = (
    "tattoo-style-deck",
    "portrait-and-landscape",
    "lora-and-embedding",
    "fashion-study",
    "one-garment",
    "rank-8-alpha-16",
)


def test_every_kind_of_thing_and_every_published_recipe_has_its_preset() -> None:
    assert tuple(presets()) == ("subject", "face", "object", "style", "garment", *PUBLISHED)


@pytest.mark.parametrize("one", presets().values(), ids=list(presets()))
def test_every_preset_can_be_used_as_it_is(one: Preset) -> None:
    fewest, most = one.wanted
    assert EXAMPLES[0] <= fewest <= most <= EXAMPLES[1]
    assert one.help and "\n" not in one.help
    for small in (False, True):
        assert "{trigger}" in one.captions(small=small)
        samples = one.samples("ohwx", "woman", small=small)
        assert 1 <= len(samples) <= SAMPLES[1]
        assert "ohwx" in samples[0]
        assert not any("{" in prompt or "  " in prompt for prompt in samples)
        for pictures in EXAMPLES:
            settings = training_settings(one, pictures, {}, small=small)
            assert isinstance(settings, TrainingSettings)
            assert small or settings.epochs or one.least <= settings.steps <= one.most


def test_the_small_model_learns_at_other_rates_and_at_its_own_size() -> None:
    large, small = (
        training_settings(find_preset("tattoo-style-deck"), 10, {}, small=small) for small in (False, True)
    )

    assert (large.resolution, large.learning_rate, large.epochs) == (512, 1e-4, 5)
    assert small.resolution == 0
    assert small.learning_rate > 10 * large.learning_rate
    assert small.rank == large.rank == 8


DOCUMENT = Path(__file__).parents[2] / "docs/presets.md"
SETTING = re.compile(r"`([a-z_0-9]+) = ([^`]+)`")


def documented_settings() -> list[tuple[str, str, object]]:
    """Preset, name and value of every setting that the page on published recipes names."""
    rows = []
    for section in DOCUMENT.read_text().split("\n## ")[1:]:
        name = section.partition("\n")[0]
        rows += [(name, key, tomllib.loads(f"x = {value}")["x"]) for key, value in SETTING.findall(section)]
    return rows


def test_the_published_recipes_say_what_their_page_says() -> None:
    documented = documented_settings()

    assert {name for name, *_ in documented} == set(PUBLISHED)
    for name, key, value in documented:
        preset = find_preset(name)
        settings = training_settings(preset, 2080 if name == "tattoo-style-deck" else 8, {})
        actual = getattr(preset, key) if key in ("wanted", "template", "paint") else getattr(settings, key)
        assert actual == (tuple(value) if isinstance(value, list) else value), f"{name}: {key}"


def test_a_pattern_has_a_word_of_its_own_that_a_form_shows_again() -> None:
    garment = find_preset("one-garment")

    assert garment.captions(pattern="zwx") == "Photo of a {trigger} {subject} with zwx pattern"
    assert "a sks sweater with zwx pattern" in garment.samples("sks", "sweater", pattern="zwx")[0]
    assert garment.find_pattern(garment.captions(pattern="zwx")) == "zwx"
    assert garment.find_pattern("a photo") == find_preset("subject").find_pattern("a photo of") == ""


@pytest.mark.parametrize(("pictures", "steps"), [(1, 500), (10, 900), (50, 1500)])
def test_steps_grow_with_the_pictures_within_bounds(pictures: int, steps: int) -> None:
    assert training_settings(find_preset("subject"), pictures, {}).steps == steps


def test_what_somebody_changes_counts_and_what_goes_with_it_follows() -> None:
    style = find_preset("style")

    assert training_settings(style, 8, {"rank": 4}).alpha == 4.0
    assert training_settings(style, 8, {"rank": 4, "alpha": 1.0}).alpha == 1.0
    assert training_settings(find_preset("rank-8-alpha-16"), 8, {"rank": 4}).alpha == 8.0
    prodigy = training_settings(style, 8, {"optimizer": Optimizer.PRODIGY})
    assert (prodigy.learning_rate, prodigy.text_learning_rate, prodigy.token_learning_rate) == (1.0, 1.0, 1.0)
    assert (
        training_settings(style, 8, {"optimizer": Optimizer.PRODIGY, "learning_rate": 0.5}).learning_rate
        == 0.5
    )
    assert training_settings(style, 8, {}, small=True).convolutions
    assert not training_settings(style, 8, {"dora": True}, small=True).convolutions
    fewer = training_settings(find_preset("fashion-study"), 8, {"steps": 30})
    assert (fewer.steps, fewer.epochs) == (30, 0)
    assert training_settings(style, 8, {"epochs": 3}).epochs == 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"learning_rate": 10.0}, "--lr must be from 0 to 0.1, not 10."),
        ({"steps": 0}, "--steps must be from 1 to 20000, not 0."),
        ({"rank": 129}, "--rank must be from 0 to 128, not 129."),
        (
            {"dora": True, "convolutions": True},
            "DoRA trains linear layers only. Leave out --dora or --convolutions.",
        ),
    ],
)
def test_what_nobody_can_train_with_is_refused(changes: dict[str, float | bool], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        training_settings(find_preset("subject"), 8, changes)

    assert str(refusal.value) == sentence


@pytest.mark.parametrize("name", ["tattoo-style-deck", "Tattoo style deck", " TATTOO_STYLE_DECK "])
def test_a_preset_is_found_by_its_name_in_any_spelling(name: str) -> None:
    assert find_preset(name).name == "tattoo-style-deck"


def test_an_unknown_preset_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(InvalidRequest, match=r"There is no preset 'stile'. Did you mean style\?"):
        find_preset("stile")
    with pytest.raises(InvalidRequest, match=r"There is no preset '42'\. The presets are subject, face, "):
        find_preset("42")


def test_without_a_class_word_prompts_about_the_class_alone_are_left_out() -> None:
    assert find_preset("subject").samples("ohwx", "") == ("a photo of ohwx", "a painting of ohwx in a garden")
    assert find_preset("subject").samples("ohwx", "cat")[-1] == "a photo of cat"


def test_a_preset_cannot_be_changed_by_who_reads_it() -> None:
    with pytest.raises(TypeError):
        find_preset("style").settings["rank"] = 3  # type: ignore[index]
