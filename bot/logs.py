"""Sets up the log: lines for people or JSON, with prompts only where the operator wants them."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bot.config import LogSettings
from bot.pacing.log_limit import LogLimit

PRIVATE = ("prompt", "text")  # fields that hold what people wrote
FLOODED = ("asyncio", "aiohttp.server")  # strangers can make these log as much as they like
# Verbose below warnings; some of them log addresses that contain tokens.
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


class RateLimitFilter(logging.Filter):
    """Lets through one line of each kind in a minute of what servers log about their callers.

    A request that cannot be read is the caller's mistake: it needs no traceback.
    """

    def __init__(self) -> None:
        super().__init__()
        self._log_limit = LogLimit()

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        more = self._log_limit.due(_kind(record, error))
        if more is None:
            return False
        if error is not None and type(error).__module__ == "aiohttp.http_exceptions":
            record.msg, record.args = "Request cannot be read: %s", (type(error).__name__,)
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


def configure_logging(settings: LogSettings) -> None:
    """Set up structlog and the standard library's logging alike. Called once, by a program."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *(() if settings.prompts else (drop_private_fields,)),
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
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_final_processors(settings),
            ],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(settings.level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in FLOODED:
        logging.getLogger(name).filters[:] = [RateLimitFilter()]


def drop_private_fields(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Remove what people wrote from an event."""
    for name in PRIVATE:
        event.pop(name, None)
    return event


def _final_processors(settings: LogSettings) -> list[Processor]:
    """Turn an event into a line. Tracebacks show no local variables, which may be prompts or secrets."""
    if settings.json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
