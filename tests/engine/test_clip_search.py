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
    Face,
    Failed,
    Folder,
    InvalidRequest,
    JobId,
    Liken,
    Likened,
    Sha256,
)
from engine.sdxl.model import Model
from engine.studio import Studio
from engine.tasks.clip_search import NO_CLIP, Likening
from engine.vision.clip_score import Scorer

SCENES = (
    Scene(things=(Thing(shape="circle", colour="red", size="big"),), background="white"),
    Scene(things=(Thing(shape="star", colour="blue", size="big"),), background="yellow"),
    Scene(things=(Thing(shape="triangle", colour="green", size="big"),), background="black"),
)


def drawn(folder: Path, scene: Scene) -> Sha256:
    file = io.BytesIO()
    layout = sample_layout(np.random.default_rng(1), scene, 128, 128)
    Image.fromarray(draw(scene, layout)).save(file, "PNG")
    return Folder(folder).put_bytes(file.getvalue())


def likened(studio: Studio, words: str, faces: list[Face]) -> Likened:
    events = list(studio.accept(Liken(job=JobId("j"), words=words, faces=tuple(faces))))
    while not studio.idle:
        events += studio.step()
    (found,) = [one for one in events if isinstance(one, Likened)]
    return found


def test_the_picture_that_the_words_are_about_is_the_nearest(studio: Studio, files: Path) -> None:
    faces = [Face(picture=drawn(files, scene), words="") for scene in SCENES]

    for nth, words in enumerate(("a red circle", "a blue star", "a green triangle")):
        scores = likened(studio, words, faces).scores

        assert scores[nth] == max(one or 0 for one in scores), scores


def test_what_was_seen_once_is_not_looked_at_again(studio: Studio, files: Path) -> None:
    faces = [Face(picture=drawn(files, scene), words="") for scene in SCENES]
    first = likened(studio, "a red circle", faces)
    for face in faces:
        assert face.picture is not None
        Folder(files).remove(face.picture)

    again = likened(studio, "a red circle", list(first.faces))
    another = likened(studio, "a red circle", [Face(picture=one.picture, words="") for one in first.faces])

    assert again == first
    assert another.scores == (None, None, None)


def test_without_a_picture_the_words_are_compared(studio: Studio) -> None:
    faces = [Face(picture=None, words=f"a picture of {one}") for one in ("a red circle", "a blue star")]

    scores = likened(studio, "a blue star", faces).scores

    assert scores[1] is not None and scores[0] is not None and scores[1] > scores[0]


def test_the_workshop_says_why_it_cannot_where_there_is_no_clip(model: Model, tmp_path: Path) -> None:
    studio = Studio(model, EngineSettings(model="elsewhere", files=str(tmp_path)))
    asked = Liken(job=JobId("j"), words="a fox", faces=(Face(picture=None, words="a fox"),))

    assert list(studio.accept(asked)) == [Failed(job=JobId("j"), reason=NO_CLIP, expected=True)]
    with pytest.raises(InvalidRequest, match="there is no CLIP here"):
        Likening(asked, Scorer(EngineSettings(model="elsewhere"), model.device), tmp_path)
