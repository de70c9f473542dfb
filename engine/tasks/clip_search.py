"""Search for LoRAs by words: CLIP embeds a picture of each, a few a step, and scores it with the words."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.messages import FileStore, InvalidRequest, JobId, LoraScores, SearchCandidate, SearchLoras, Sha256
from engine.vision.clip_score import ClipScorer

PICTURES_A_STEP = 8  # few, since other jobs wait for a step
NO_CLIP = "There is no CLIP here that compares pictures with words. /loras WORDS searches by name."


class ClipSearch:
    """A search. A candidate that has its vector already is not embedded again."""

    kind = "search"
    unreported: tuple[Sha256, ...] = ()  # it puts nothing into the store

    def __init__(self, request: SearchLoras, scorer: ClipScorer, folder: Path) -> None:
        """Raises InvalidRequest where there is no CLIP."""
        if not scorer.name:
            raise InvalidRequest(NO_CLIP)
        self.job: JobId = request.job
        self._words = request.words
        self._scorer = scorer
        self._store = FileStore(folder)
        self._candidates = list(request.candidates)
        self._missing = self._missing_indices()

    def step(self) -> LoraScores | None:
        """Embed some more candidates. Returns the scores of all once none is left."""
        indices = [next(self._missing, None) for _ in range(PICTURES_A_STEP)]
        for index in indices:
            if index is not None:
                self._candidates[index] = self._embed(self._candidates[index])
        if indices[-1] is not None:
            return None
        words = self._scorer.embed_text(self._words).cpu()
        scores = tuple(_score(candidate, words) for candidate in self._candidates)
        return LoraScores(job=self.job, candidates=tuple(self._candidates), scores=scores)

    def _missing_indices(self) -> Iterator[int]:
        for index, candidate in enumerate(self._candidates):
            if candidate.clip != self._scorer.name or not candidate.vector:
                yield index

    def _embed(self, candidate: SearchCandidate) -> SearchCandidate:
        """The candidate with its vector, which is empty where the picture is gone or broken."""
        try:
            if candidate.picture is None:
                embedding = self._scorer.embed_text(candidate.words)
            else:
                embedding = self._embed_picture(candidate.picture)
        except (OSError, Image.DecompressionBombError):
            return replace(candidate, clip="", vector=b"")
        direction = torch.nn.functional.normalize(embedding[0], dim=0).cpu().numpy().astype(np.float16)
        return replace(candidate, clip=self._scorer.name, vector=direction.tobytes())

    def _embed_picture(self, picture: Sha256) -> Tensor:
        return self._scorer.embed_images([self._store.get(picture)])


def _score(candidate: SearchCandidate, words: Tensor) -> float | None:
    if not candidate.vector:
        return None
    vector = torch.from_numpy(np.frombuffer(candidate.vector, np.float16).astype(np.float32))[None]
    return round(100 * float(torch.nn.functional.cosine_similarity(vector, words)), 1)
