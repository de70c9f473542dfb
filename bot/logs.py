"""The log: events with fields, for people or as JSON; with prompts only where the operator wants them."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bot.config import LogSettings
from bot.pacing.log_limit import Rarely

PRIVATE = ("prompt", "text")  # fields with people's words
FLOODED = ("asyncio", "aiohttp.server")  # strangers can make these write as much as they like
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


class OfAKind(logging.Filter):
    """What servers say about their callers: one line of each kind in a minute.

    A request that cannot be read is the caller's fault: no traceback says more about it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rarely = Rarely()

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        more = self._rarely.due(_kind(record, error))
        if more is None:
            return False
        if error is not None and type(error).__module__ == "aiohttp.http_exceptions":
            record.msg, record.args = "a request that cannot be read: %s", (type(error).__name__,)
            record.exc_info = None
        if more:
            record.msg = f"{record.msg} ({more} more of this kind)"
        return True


def _kind(record: logging.LogRecord, error: BaseException | None) -> str:
    if error is None:
        return str(record.msg)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{type(error).__name__}:{trace.tb_lineno if trace is not None else 0}"


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
    for name in FLOODED:
        logging.getLogger(name).filters[:] = [OfAKind()]


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
