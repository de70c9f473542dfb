"""The metrics of the bot, for Prometheus."""

import asyncio
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from engine.messages import Event, JobId, Progress, Ready, StepStarted

LAG_EVERY = 0.01  # seconds between two measurements of the lag
SECONDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
STEPS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LAGS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)


class Metrics:
    """All metrics of one bot. `observe` takes the engine's events; other parts of the bot set the rest."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.queued = Gauge("atelier_queued_jobs", "Queued jobs.", registry=self._registry)
        self.running = Gauge("atelier_running_jobs", "Jobs in the engine.", registry=self._registry)
        self.wait = Histogram(
            "atelier_wait_seconds",
            "Time from the queue to the engine.",
            buckets=SECONDS,
            registry=self._registry,
        )
        self.step = Histogram(
            "atelier_step_seconds", "One step of one picture.", buckets=STEPS, registry=self._registry
        )
        self.batch = Histogram(
            "atelier_batch_jobs",
            "Jobs in a step.",
            buckets=(1, 2, 3, 4, 6, 8, 12, 16, 32, 64),
            registry=self._registry,
        )
        self.ended = Counter(
            "atelier_jobs_ended", "Jobs by how they ended.", ["state"], registry=self._registry
        )
        self.starts = Counter("atelier_engine_ready", "Times an engine got ready.", registry=self._registry)
        self.losses = Counter(
            "atelier_jobs_lost", "Jobs lost with an engine.", ["died"], registry=self._registry
        )
        self.cards = Counter(
            "atelier_cards", "Cards by how the chat took them.", ["result"], registry=self._registry
        )
        self.lag = Histogram(
            "atelier_loop_lag_seconds", "How late the event loop woke.", buckets=LAGS, registry=self._registry
        )
        self._longest = 0.0
        Gauge(
            "atelier_loop_lag_longest_seconds",
            "The longest block of the event loop since this was last read.",
            registry=self._registry,
        ).set_function(self._longest_lag)
        self._steps: dict[JobId, tuple[int, float]] = {}

    def text(self) -> bytes:
        """All metrics as text for /metrics."""
        return generate_latest(self._registry)

    def observe(self, event: Event) -> None:
        """Take in an event of the engine."""
        match event:
            case Ready():
                self.starts.inc()
                self._steps.clear()
            case StepStarted():
                self.batch.observe(len(event.jobs))
            case Progress():
                step, at = self._steps.get(event.job, (event.step, 0.0))
                now = time.monotonic()
                if event.step > step:
                    self.step.observe((now - at) / (event.step - step))
                self._steps[event.job] = (event.step, now)
            case _ if (job := getattr(event, "job", None)) is not None:
                self._steps.pop(job, None)

    async def watch_event_loop(self) -> None:
        """Measure for ever how late the event loop wakes."""
        while True:
            due = time.monotonic() + LAG_EVERY
            await asyncio.sleep(LAG_EVERY)
            late = max(0.0, time.monotonic() - due)
            self.lag.observe(late)
            self._longest = max(self._longest, late)

    def _longest_lag(self) -> float:
        longest, self._longest = self._longest, 0.0
        return longest
