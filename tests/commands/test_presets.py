"""Presets: data that is whole, names that are found, and settings that go with what people change."""

import pytest

from commands.presets import Preset, find_preset, presets, training_settings
from engine.messages import EXAMPLES, SAMPLES, InvalidRequest, Optimizer, Prior, Schedule, TrainingSettings

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


def test_the_published_recipes_say_what_was_published() -> None:
    tattoo, fashion, garment, rank8 = (
        training_settings(find_preset(name), 8, {})
        for name in ("tattoo-style-deck", "fashion-study", "one-garment", PUBLISHED[-1])
    )

    assert (tattoo.optimizer, tattoo.text_encoder, tattoo.text_encoder_2) == (
        Optimizer.ADAMW_8BIT,
        True,
        True,
    )
    assert (fashion.rank, fashion.alpha, fashion.batch, fashion.epochs) == (1, 1.0, 16, 20)
    assert (fashion.learning_rate, fashion.validation, fashion.flip) == (1e-5, 0.05, True)
    assert (garment.schedule, garment.epochs, garment.rank) == (Schedule.CONSTANT, 2000, 1)
    assert (rank8.alpha, rank8.dropout, rank8.patience, rank8.checkpointing) == (16.0, 0.1, 3, True)
    assert training_settings(find_preset("lora-and-embedding"), 8, {}).new_tokens == 2
    assert training_settings(find_preset("subject"), 8, {}).prior is Prior.PREDICTION


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
