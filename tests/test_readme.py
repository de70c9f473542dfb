"""The README's table of what works where is not a promise: behind each tick there is a test."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TICK = re.compile(r'\[✓\]\(([^ )]+) "([a-z0-9_]+)"\)')
HEAD = "| | in the browser | Discord | Slack |"


def test_each_tick_leads_to_a_test() -> None:
    _, _, table = (ROOT / "README.md").read_text().partition(HEAD)
    rows = [line.split("|")[2:-1] for line in table.split("\n\n")[0].splitlines()[2:]]
    ticks = [TICK.fullmatch(cell.strip()) for row in rows for cell in row if cell.strip() != "no"]

    assert len(rows) > 15
    assert all(len(row) == 3 for row in rows)
    assert None not in ticks
    for tick in ticks:
        assert tick is not None
        path, name = tick.groups()
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), tick[0]
