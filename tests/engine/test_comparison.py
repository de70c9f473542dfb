"""A comparison: the same seed in several ways on one sheet, with what CLIP says of each."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.messages import (
    AdapterUse,
    EngineSettings,
    InvalidRequest,
    Painted,
    Variant,
)
from engine.sdxl.model import CannotLoad, Model
from engine.studio import Studio
from engine.vision.clip_score import ClipScorer
from tests.engine.studio_work import furthest, paint, pixels, request, work

PROMPT = "a red circle on a white background"


def ways(use: AdapterUse) -> tuple[Variant, ...]:
    at = [Variant(name=f"{weight}", adapters=(replace(use, weight=weight),)) for weight in (0.5, 1.0, 1.3)]
    return (Variant(name="without"), *at, Variant(name="refined", adapters=(use,), refiner=0.2))


def compare(studio: Studio, use: AdapterUse) -> Painted:
    comparison = request(prompt=PROMPT, adapters=(use,), variants=ways(use))
    (painted,) = [event for event in work(studio, {0: [comparison]}) if isinstance(event, Painted)]
    return painted


def test_all_ways_are_on_one_sheet_with_their_scores(
    studio: Studio, loras: tuple[AdapterUse, AdapterUse]
) -> None:
    painted = compare(studio, loras[0])
    (picture,) = painted.pictures
    height, width = pixels(picture.png).shape[:2]

    assert [score.name for score in painted.scores] == ["without", "0.5", "1.0", "1.3", "refined"]
    assert all(score.clip is not None and 0 < score.clip <= 100 for score in painted.scores)
    assert (picture.width, picture.height, picture.seed) == (width, height, 7)
    assert width > 3 * 128 and height > 2 * 128
    assert painted.seconds > 0


def test_every_way_is_painted_as_it_is_alone(studio: Studio, loras: tuple[AdapterUse, AdapterUse]) -> None:
    use = replace(loras[0], weight=1.0)
    sheet = pixels(compare(studio, use).pictures[0].png)
    alone = paint(
        studio,
        request("without", prompt=PROMPT),
        request("1.0", prompt=PROMPT, adapters=(use,)),
    )

    cells = [sheet[50 : 50 + 384 : 3, left : left + 384 : 3] for left in (16, 16 + 2 * 396)]
    assert furthest(cells[0], alone["without"]) <= 1
    assert furthest(cells[1], alone["1.0"]) <= 1


def test_a_model_without_a_refiner_leaves_out_what_needs_it(
    model: Model, files: Path, loras: tuple[AdapterUse, AdapterUse]
) -> None:
    studio = Studio(replace(model, refiner=None), EngineSettings(model="demo", files=str(files)))

    assert [score.name for score in compare(studio, loras[0]).scores] == ["without", "0.5", "1.0", "1.3"]


def test_clip_scores_a_picture_higher_for_its_own_words(studio: Studio) -> None:
    scorer = ClipScorer(EngineSettings(model="demo"), torch.device("cpu"))
    (painted,) = [
        event for event in work(studio, {0: [request(prompt=PROMPT, steps=20)]}) if isinstance(event, Painted)
    ]
    png = painted.pictures[0].png

    (own,) = scorer.score([png], PROMPT)
    (other,) = scorer.score([png], "a blue star on a black background")

    assert own is not None and other is not None
    assert own > other + 10


def test_without_a_clip_there_are_no_scores() -> None:
    scorer = ClipScorer(EngineSettings(model="somebody/elses"), torch.device("cpu"))

    assert scorer.score([b"", b""], PROMPT) == [None, None]


def test_a_clip_that_is_not_there_is_told_before_anything_is_painted(tmp_path: Path) -> None:
    with pytest.raises(CannotLoad, match="The CLIP"):
        ClipScorer(EngineSettings(model="demo", clip=str(tmp_path / "none")), torch.device("cpu"))


def test_more_ways_than_fit_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="At most 6"):
        request(variants=tuple(Variant(name=str(number)) for number in range(7)))
    with pytest.raises(InvalidRequest, match="Leave --count at 1"):
        request(variants=(Variant(name="one"),), count=2)
