"""The run that a lent GPU is given measures all that it should, within its deadline, whatever fails."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.gpu import Stage, run, stages
from bench.gpu_stages.subject import Subject, tiny_subject


def lines_of(subject: Subject, chosen: list[Stage], seconds: float) -> list[Mapping[str, Any]]:
    lines: list[str] = []
    run(subject, time.monotonic() + seconds, chosen, lines.append)
    return [json.loads(line) for line in lines]


@pytest.mark.filterwarnings("ignore")  # of kernels that a CPU has not
def test_each_stage_works_on_a_tiny_model_and_writes_a_line(tmp_path: Path) -> None:
    subject = tiny_subject(tmp_path)
    chosen = [
        stage for stage in stages(subject, time.monotonic() + 600) if "compiled" not in stage.name
    ]  # which takes half a minute

    lines = lines_of(subject, chosen, seconds=600)

    assert [line["stage"] for line in lines] == [stage.name for stage in chosen]
    assert [line for line in lines if "failed" in line or "skipped" in line] == []
    by_name = {line["stage"]: line for line in lines}
    assert by_name["rounding of a merged LoRA"]["lost"]["bfloat16, to nearest"]["1%"] > 0.1
    assert by_name["pictures, 1 at 64"]["pictures_a_second"].keys() == {
        "engine",
        "engine, fast",
        "pipeline, eager",
    }
    assert by_name["training, batch 1"]["pictures_a_second"] > 0


def test_a_stage_that_fails_ends_nobody_elses_and_what_the_deadline_does_not_allow_is_skipped(
    tmp_path: Path,
) -> None:
    def fail(_: Subject) -> Mapping[str, object]:
        raise RuntimeError("no kernel image is available")

    def measure(_: Subject) -> Mapping[str, object]:
        return {"milliseconds": 3}

    first, second, third, fourth = lines_of(
        tiny_subject(tmp_path),
        [
            Stage(name="broken", needs=1, measure=fail),
            Stage(name="long", needs=100, measure=measure),
            Stage(name="short", needs=1, measure=measure),
            Stage(name="too long", needs=1e6, measure=measure),
        ],
        seconds=200.5,
    )

    assert first["failed"] == "RuntimeError: no kernel image is available"
    assert (second["milliseconds"], third["milliseconds"]) == (3, 3)
    assert fourth["skipped"] == "needs 1000000 s, 200 s are left"
