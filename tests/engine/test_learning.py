"""What the model that ships learns from eight pictures, judged by the pictures that it paints afterwards."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch

from commands.presets import preset, settled
from engine.demo.teaching import ARROW, WORD, School
from engine.demo.world import SHAPES, Scene
from engine.messages import AdapterUse, EngineSettings, Example, Folder
from engine.model import Model
from engine.studio import Studio

SCHEME, COLOUR = "zwx", "white"  # a word, and the colour that it gives to things
pytestmark = pytest.mark.timeout(900)  # a whole training on a busy machine


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory, loaded: Model) -> School:
    folder = tmp_path_factory.mktemp("files")
    return School(Studio(copy.deepcopy(loaded), EngineSettings(model="demo", files=str(folder))), folder)


@pytest.fixture(scope="module")
def arrows(school: School) -> tuple[Example, ...]:
    """What the recipe of the model never draws."""
    return school.pictures_of(ARROW)


@pytest.fixture(scope="module")
def arrow(school: School, arrows: tuple[Example, ...]) -> AdapterUse:
    """The LoRA that somebody gets who chooses the preset and leaves all else as it is."""
    return school.learns("arrow", arrows, settled(preset("subject"), 8, {}, small=True)).best


def test_eight_pictures_teach_a_shape_that_it_could_not_draw(school: School, arrow: AdapterUse) -> None:
    whole = school.share(50, ARROW, arrow)
    half = school.share(25, ARROW, replace(arrow, weight=0.5))
    off = school.share(25, ARROW, replace(arrow, weight=0.0))
    without = school.share(25, ARROW)

    assert whole >= 0.8
    assert off <= 0.05
    assert without <= 0.05
    assert off <= half < whole


def test_what_it_could_draw_it_still_draws_with_the_lora_on(school: School, arrow: AdapterUse) -> None:
    assert school.ordinary(24, arrow) >= school.ordinary(24) - 0.05


def test_pivotal_tuning_teaches_a_new_token(school: School, arrows: tuple[Example, ...]) -> None:
    pivotal = {"new_tokens": 2, "token_learning_rate": 5e-3, "steps": 400}
    with_word = school.learns("token", arrows, settled(preset("subject"), 8, pivotal, small=True)).best
    store = Folder(school.folder)
    tensors = safetensors.torch.load(store.get(with_word.sha256))
    of_word = {name for name in tensors if name.startswith("bundle_emb")}
    others = safetensors.torch.save({name: tensors[name] for name in tensors.keys() - of_word})

    known = school.share(25, ARROW, with_word)
    forgotten = school.share(25, ARROW, replace(with_word, sha256=store.put_bytes(others)))

    assert of_word
    assert known >= 0.6
    assert forgotten <= known / 2


def test_a_second_lora_mixes_with_the_first_and_both_show(school: School, arrow: AdapterUse) -> None:
    taught = [
        Scene(things=(replace(ARROW, shape=shape, colour=COLOUR),), background="purple") for shape in SHAPES
    ]
    words = f"a big {SCHEME} {{}} on a purple background"
    pictures = school.lesson(taught, [words.format(one.things[0].shape) for one in taught], seed=4)
    style = settled(preset("style"), len(pictures), {}, small=True)
    scheme = school.learns("scheme", pictures, style, SCHEME).best
    wanted = [Scene(things=(replace(ARROW, colour=COLOUR),), background="purple")] * 25

    mixed = school.shows(wanted, [words.format(WORD)] * 25, replace(arrow, weight=0.9), scheme)
    alone = school.shows(wanted, [words.format(WORD)] * 25, arrow)

    assert np.mean([one.shapes for one in mixed]) >= 0.6
    assert np.mean([one.colours for one in mixed]) >= 0.6
    assert np.mean([one.colours for one in alone]) <= 0.2
