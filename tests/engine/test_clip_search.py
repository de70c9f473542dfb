"""Pictures that are found by words, as the CLIP that ships sees them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.demo.renderer import draw
from engine.demo.world import Scene, Thing, sample_layout
from engine.messages import (
    EngineSettings,
    Failed,
    FileStore,
    InvalidRequest,
    JobId,
    LoraScores,
    SearchCandidate,
    SearchLoras,
    Sha256,
)
from engine.sdxl.model import Model
from engine.studio import Studio
from engine.tasks.clip_search import NO_CLIP, ClipSearch
from engine.vision.clip_score import ClipScorer

SCENES = (
    Scene(things=(Thing(shape="circle", colour="red", size="big"),), background="white"),
    Scene(things=(Thing(shape="star", colour="blue", size="big"),), background="yellow"),
    Scene(things=(Thing(shape="triangle", colour="green", size="big"),), background="black"),
)


def store_drawing(folder: Path, scene: Scene) -> Sha256:
    file = io.BytesIO()
    layout = sample_layout(np.random.default_rng(1), scene, 128, 128)
    Image.fromarray(draw(scene, layout)).save(file, "PNG")
    return FileStore(folder).put_bytes(file.getvalue())


def search(studio: Studio, words: str, candidates: list[SearchCandidate]) -> LoraScores:
    events = list(studio.accept(SearchLoras(job=JobId("j"), words=words, candidates=tuple(candidates))))
    while not studio.idle:
        events += studio.step()
    (scores,) = [event for event in events if isinstance(event, LoraScores)]
    return scores


def test_the_picture_that_the_words_are_about_is_the_nearest(studio: Studio, files: Path) -> None:
    candidates = [SearchCandidate(picture=store_drawing(files, scene), words="") for scene in SCENES]

    for nth, words in enumerate(("a red circle", "a blue star", "a green triangle")):
        scores = search(studio, words, candidates).scores

        assert scores[nth] == max(score or 0 for score in scores), scores


def test_what_was_seen_once_is_not_looked_at_again(studio: Studio, files: Path) -> None:
    candidates = [SearchCandidate(picture=store_drawing(files, scene), words="") for scene in SCENES]
    first = search(studio, "a red circle", candidates)
    for face in candidates:
        assert face.picture is not None
        FileStore(files).remove(face.picture)

    again = search(studio, "a red circle", list(first.candidates))
    another = search(
        studio,
        "a red circle",
        [SearchCandidate(picture=candidate.picture, words="") for candidate in first.candidates],
    )

    assert again == first
    assert another.scores == (None, None, None)


def test_without_a_picture_the_words_are_compared(studio: Studio) -> None:
    candidates = [
        SearchCandidate(picture=None, words=f"a picture of {words}")
        for words in ("a red circle", "a blue star")
    ]

    scores = search(studio, "a blue star", candidates).scores

    assert scores[1] is not None and scores[0] is not None and scores[1] > scores[0]


def test_a_search_is_refused_with_the_reason_where_there_is_no_clip(model: Model, tmp_path: Path) -> None:
    studio = Studio(model, EngineSettings(model="elsewhere", files=str(tmp_path)))
    search = SearchLoras(
        job=JobId("j"), words="a fox", candidates=(SearchCandidate(picture=None, words="a fox"),)
    )

    assert list(studio.accept(search)) == [Failed(job=JobId("j"), reason=NO_CLIP, expected=True)]
    with pytest.raises(InvalidRequest, match="There is no CLIP here"):
        ClipSearch(search, ClipScorer(EngineSettings(model="elsewhere"), model.device), tmp_path)
