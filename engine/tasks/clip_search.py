"""Which LoRA fits some words: CLIP looks at what each has painted, a few pictures a step."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.messages import FileStore, InvalidRequest, JobId, LoraScores, SearchCandidate, SearchLoras, Sha256
from engine.vision.clip_score import Scorer

AT_ONCE = 8  # pictures in a step: others wait for no more
NO_CLIP = "there is no CLIP here to compare pictures with words: /loras WORDS searches by words."


class Likening:
    """One question; what is known of a face from before is not looked at again."""

    kind = "likening"
    untold: tuple[Sha256, ...] = ()  # it puts nothing into the store

    def __init__(self, request: SearchLoras, scorer: Scorer, folder: Path) -> None:
        """Raises InvalidRequest where there is no CLIP."""
        if not scorer.name:
            raise InvalidRequest(NO_CLIP)
        self.job: JobId = request.job
        self._words = request.words
        self._scorer = scorer
        self._store = FileStore(folder)
        self._faces = list(request.candidates)
        self._missing = self._unknown()

    def step(self) -> LoraScores | None:
        """Look at some more; all of them with their scores once there are no more."""
        some = [next(self._missing, None) for _ in range(AT_ONCE)]
        for place in some:
            if place is not None:
                self._faces[place] = self._looked_at(self._faces[place])
        if some[-1] is not None:
            return None
        said = self._scorer.read(self._words).cpu()
        scores = tuple(_score(face, said) for face in self._faces)
        return LoraScores(job=self.job, candidates=tuple(self._faces), scores=scores)

    def _unknown(self) -> Iterator[int]:
        for place, face in enumerate(self._faces):
            if face.clip != self._scorer.name or not face.vector:
                yield place

    def _looked_at(self, face: SearchCandidate) -> SearchCandidate:
        """The face with its vector; without one where the picture is gone or none."""
        try:
            made = self._scorer.read(face.words) if face.picture is None else self._seen(face.picture)
        except (OSError, Image.DecompressionBombError):
            return replace(face, clip="", vector=b"")
        direction = torch.nn.functional.normalize(made[0], dim=0).cpu().numpy().astype(np.float16)
        return replace(face, clip=self._scorer.name, vector=direction.tobytes())

    def _seen(self, picture: Sha256) -> Tensor:
        return self._scorer.seen([self._store.get(picture)])


def _score(face: SearchCandidate, said: Tensor) -> float | None:
    if not face.vector:
        return None
    made = torch.from_numpy(np.frombuffer(face.vector, np.float16).astype(np.float32))[None]
    return round(100 * float(torch.nn.functional.cosine_similarity(made, said)), 1)
