"""How fast the engine is, learned from what it painted, and how long the next pictures will take."""

from collections.abc import Iterable

from engine.messages import Paint, Ready, Sampler, Size

FIRST_RATES = {
    "cpu": 1e-6,
    "mps": 5e-7,
    "cuda": 1e-7,
}  # engine seconds per pixel and UNet row, until measured
WEIGHT = 0.3  # of the newest measurement; older ones fade
SIDE = 1024  # SDXL's, until the engine has said its own


class Estimates:
    """Engine seconds for a request: its work times a rate that follows what was measured."""

    def __init__(self) -> None:
        self._side = SIDE
        self._first = FIRST_RATES["cpu"]
        self._rate: float | None = None

    def use_engine(self, ready: Ready) -> None:
        """An engine is there: how large its pictures are, and how fast one like it may be."""
        self._side = ready.side
        self._first = FIRST_RATES.get(ready.device.partition(":")[0], self._first)

    def seconds(self, request: Paint) -> float:
        """Engine seconds that this request will be charged, about."""
        return self._work(request) * (self._first if self._rate is None else self._rate)

    def learn(self, request: Paint, seconds: float) -> None:
        """The engine painted this in so many of its seconds."""
        if seconds <= 0:
            return
        rate = seconds / self._work(request)
        self._rate = rate if self._rate is None else WEIGHT * rate + (1 - WEIGHT) * self._rate

    def _work(self, request: Paint) -> float:
        """Pixels times the rows that go through the UNet: guided pictures have two, Heun looks twice."""
        size = request.size
        pixels = size.width * size.height if isinstance(size, Size) else self._side**2
        rows = (2 if request.guidance_scale > 1 else 1) * (2 if request.sampler is Sampler.HEUN else 1)
        return float(request.picture_count * request.steps * rows * pixels)


def shared_seconds(own: float, others: Iterable[float]) -> float:
    """Seconds until a job is done that shares the engine evenly with others; all in engine seconds left."""
    return own + sum(min(own, other) for other in others)
