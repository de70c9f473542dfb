"""The PNG files of painted pictures, made in threads beside the steps, and the results of their jobs."""

import logging
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch
from PIL.Image import Image

from engine.job import Job
from engine.lora.short_hashes import ModelHash, lora_hash
from engine.messages import EngineSettings, Failed, FlaggedPolicy, JobId, Paint, Painted, Picture, Sha256
from engine.sdxl.model import Model
from engine.sdxl.painting import Painting
from engine.sdxl.png_file import Recipe, encode_png, model_name
from engine.tasks.comparison import make_sheet, paintable_variants
from engine.vision.clip_score import ClipScorer

ENCODERS = 2  # threads that encode files beside the steps
ENCODE_SECONDS = 0.01  # small files are ready in this time, so that people need not wait for another step

log = logging.getLogger(__name__)


class PictureFiles:
    """The files under way, and the painted jobs that wait for theirs.

    A PNG of 1024x1024 takes as long as several steps on a large GPU, which must not wait for it.
    """

    def __init__(self, model: Model, settings: EngineSettings, scorer: ClipScorer) -> None:
        self._model = model
        self._folder = Path(settings.files)
        self._upscaler = Path(settings.upscaler).stem or model_name(settings.model)
        self._model_hash = ModelHash(settings.model)
        self._scorer = scorer
        self.threads = ThreadPoolExecutor(max_workers=ENCODERS, thread_name_prefix="file")
        self._jobs: dict[JobId, Job] = {}

    @property
    def idle(self) -> bool:
        """Whether no job waits for its files."""
        return not self._jobs

    def submit(self, painting: Painting, image: Image, *, flagged: bool) -> Future[Picture]:
        """Begin to encode the picture of this painting."""
        return self.threads.submit(self._encode, painting, image, flagged)

    def add(self, job: Job) -> None:
        """Wait for the files of this job, which is painted."""
        self._jobs[job.id] = job

    def cancel(self, job: JobId) -> Job | None:
        """Drop this job. Returns it, or None where it was not here."""
        return self._jobs.pop(job, None)

    def take_results(self, *, patient: bool) -> Iterator[Painted | Failed]:
        """The results of jobs whose files are ready. Waits for one where `patient`, or else for a moment."""
        if not any(job.files_ready for job in self._jobs.values()):
            unwritten = [file for job in self._jobs.values() for file in job.files if not file.done()]
            wait(unwritten, None if patient else ENCODE_SECONDS, FIRST_COMPLETED)
        for job in [job for job in self._jobs.values() if job.files_ready]:
            del self._jobs[job.id]
            yield self._result(job)

    def _result(self, job: Job) -> Painted | Failed:
        """The pictures of a job, or the sheet of a comparison, or why they could not be encoded."""
        try:
            painted = job.result()
            return self._make_comparison(job.request, painted) if job.request.variants else painted
        except torch.AcceleratorError:
            raise
        except Exception:
            log.exception("The pictures of job %s could not be encoded", job.id)
            reason = f"Something went wrong with the files of job {job.id}. The log has the error."
            return Failed(job=job.id, reason=reason, expected=False)

    def _encode(self, painting: Painting, image: Image, flagged: bool) -> Picture:
        """The picture with its PNG file, or without bytes where it must not be seen. Runs in a thread."""
        request = painting.request
        recipe = Recipe(
            request=request,
            seed=painting.seed,
            variation_seed=painting.variation_seed,
            size=painting.size,
            model=self._model.name,
            model_hash=self._model_hash.get(),
            upscaler=self._upscaler,
            lora_hashes=self._lora_hashes(request),
        )
        content = b"" if flagged and request.flagged is FlaggedPolicy.REFUSE else encode_png(image, recipe)
        return Picture(
            png=content,
            seed=painting.seed,
            width=image.width,
            height=image.height,
            flagged=flagged,
            details=painting.details,
        )

    def _lora_hashes(self, request: Paint) -> dict[Sha256, str]:
        """The short hashes of the LoRAs whose files are still there."""
        hashes = {}
        for use in request.adapters:
            with suppress(OSError):
                hashes[use.sha256] = lora_hash(self._folder, use.sha256)
        return hashes

    def _make_comparison(self, request: Paint, painted: Painted) -> Painted:
        """The sheet of these pictures, without bytes where one of them must not be seen."""
        flagged = any(picture.flagged for picture in painted.pictures)
        if not all(picture.png for picture in painted.pictures):
            return replace(painted, pictures=(replace(painted.pictures[0], png=b"", flagged=True),))
        variants = paintable_variants(request, refiner=self._model.refiner is not None)
        picture, scores = make_sheet(request, variants, painted.pictures, self._scorer)
        return replace(painted, pictures=(replace(picture, flagged=flagged),), scores=scores)
