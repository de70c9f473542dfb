"""Estimates of how long pictures take, from how long the last ones took."""

from collections.abc import Iterable

from engine.messages import HIRES_STRENGTH, Paint, Ready, Sampler, Size

FIRST_RATES = {
    "cpu": 1e-6,
    "mps": 5e-7,
    "cuda": 1e-7,
}  # engine seconds per pixel and UNet row, until measured
WEIGHT = 0.3  # of the newest measurement; older ones fade
FAST = 0.65  # of the work is left of a fast picture, about (docs/measurements.md)
ENLARGED = 0.3  # steps of one row that it takes to make as many pixels by the network that enlarges
TILED = 1.4  # steps of one row for each step of a picture that is refined in tiles, which overlap
SIDE = 1024  # SDXL's, until the engine reports its own


class Estimates:
    """Engine seconds for a request: its work times a rate, a moving average of what was measured."""

    def __init__(self) -> None:
        self._side = SIDE
        self._first = FIRST_RATES["cpu"]
        self._rate: float | None = None

    def use_engine(self, ready: Ready) -> None:
        """Go by this engine: how large its pictures are, and how fast its kind of device is."""
        self._side = ready.side
        self._first = FIRST_RATES.get(ready.device.partition(":")[0], self._first)

    def seconds(self, request: Paint) -> float:
        """About how many engine seconds this request will be charged."""
        return self._work(request) * (self._first if self._rate is None else self._rate)

    def learn(self, request: Paint, seconds: float) -> None:
        """Take in that the engine painted this in so many engine seconds."""
        if seconds <= 0:
            return
        rate = seconds / self._work(request)
        self._rate = rate if self._rate is None else WEIGHT * rate + (1 - WEIGHT) * self._rate

    def _work(self, request: Paint) -> float:
        """Pixels times the rows that go through the UNet: two with guidance, and twice as many with Heun."""
        size = request.size
        pixels = size.width * size.height if isinstance(size, Size) else self._side**2
        rows = (2 if request.guidance_scale > 1 else 1) * (2 if request.sampler is Sampler.HEUN else 1)
        share = FAST if request.fast else 1.0
        steps = share * request.steps * rows if request.denoises else 0.0
        if request.hires > 1:
            large = request.hires**2
            steps += large * (HIRES_STRENGTH * request.steps * rows + ENLARGED)
        finished = request.hires**2 * request.finish.enlarge**2
        if request.finish.enlarge > 1:
            steps += finished * ENLARGED
        steps += finished * request.finish.refine * request.steps * TILED
        return request.picture_count * steps * pixels


def shared_seconds(own: float, others: Iterable[float]) -> float:
    """Seconds until a job ends that shares the engine evenly with others; all in engine seconds left."""
    return own + sum(min(own, other) for other in others)
