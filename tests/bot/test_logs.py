"""The log tells events with fields, and people's words only where the operator wants them."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bot.config import LogSettings
from bot.logs import configure_logging


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


def test_events_of_both_kinds_are_json_with_their_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(json=True))

    structlog.get_logger("bot").info("job ended", job="k3f9qa", seconds=1.5)
    logging.getLogger("engine").warning("the %s was late", "bus")

    ours, theirs = map(json.loads, capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["job"], ours["seconds"], ours["level"]) == (
        "job ended",
        "k3f9qa",
        1.5,
        "info",
    )
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("the bus was late", "warning", "engine")


@pytest.mark.parametrize("wanted", [True, False])
def test_prompts_are_logged_only_where_they_are_wanted(
    capsys: pytest.CaptureFixture[str], *, wanted: bool
) -> None:
    configure_logging(LogSettings(prompts=wanted))

    structlog.get_logger().info("said", text="/imagine a vermilion fox", person="ana")

    assert ("vermilion" in capsys.readouterr().err) is wanted


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    configure_logging(LogSettings(json=as_json))
    prompt = "a vermilion fox"

    try:
        raise ValueError(str(len(prompt)))
    except ValueError:
        structlog.get_logger().exception("unexpected error", number="k3f9qa")

    log = capsys.readouterr().err
    assert "Traceback" in log
    assert "ValueError: 15" in log
    assert "vermilion fox" not in log.replace('prompt = "a vermilion fox"', "")


def test_what_is_below_the_level_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(level="warning"))

    structlog.get_logger().info("nobody wants to know")

    assert capsys.readouterr().err == ""
