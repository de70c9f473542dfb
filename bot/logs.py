"""The log: events with fields, for people or as JSON; with prompts only where the operator wants them."""

import logging
import sys
import time

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bot.config import LogSettings

PRIVATE = ("prompt", "text")  # fields with people's words
EVERY = 60.0  # seconds between two events of a kind
MOST_KINDS = 100
# Chatty below warnings; some of them show addresses that have tokens in them.
QUIET = (
    "asyncio",
    "aiohttp.access",
    "aiosqlite",
    "alembic",
    "sqlalchemy",
    "discord",
    "slack_bolt",
    "slack_sdk",
)


class Rarely:
    """Lets one event of a kind through in a minute: a flood of bad requests must not become one of lines."""

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._last: dict[str, float] = {}
        self._kept_back: dict[str, int] = {}

    def due(self, kind: str) -> int | None:
        """How many of this kind were kept back since the last; None: this one is kept back, too."""
        now = time.monotonic()
        if now - self._last.get(kind, -self._every) < self._every:
            self._kept_back[kind] = self._kept_back.get(kind, 0) + 1
            return None
        if len(self._last) >= MOST_KINDS:
            self._last.clear()
            self._kept_back.clear()
        self._last[kind] = now
        return self._kept_back.pop(kind, 0)

    def warn(self, log: structlog.stdlib.BoundLogger, event: str, **fields: object) -> None:
        """Log it, unless the same was logged within the minute."""
        more = self.due(event)
        if more is not None:
            log.warning(event, more=more, **fields)


def set_up(settings: LogSettings) -> None:
    """Send structlog's and the standard library's events the same way. Called once, by a program."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *(() if settings.prompts else (without_words,)),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_ending(settings)],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(settings.level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def without_words(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The event without what people wrote."""
    for name in PRIVATE:
        event.pop(name, None)
    return event


def _ending(settings: LogSettings) -> list[Processor]:
    """From an event to a line. Tracebacks show no local variables, which could be prompts or secrets."""
    if settings.json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
