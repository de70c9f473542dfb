"""What the documents promise is there: their links lead somewhere, and behind each tick there is a test."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TICK = re.compile(r'\[✓\]\(([^ )]+) "([a-z0-9_]+)"\)')
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)")
HEAD = "| | in the browser | Discord | Slack |"


def test_each_tick_leads_to_a_test() -> None:
    _, _, table = (ROOT / "docs/parity.md").read_text().partition(HEAD)
    rows = [line.split("|")[2:-1] for line in table.split("\n\n")[0].splitlines()[2:]]
    ticks = [TICK.fullmatch(cell.strip()) for row in rows for cell in row if cell.strip() != "no"]

    assert len(rows) > 15
    assert all(len(row) == 3 for row in rows)
    assert None not in ticks
    for tick in ticks:
        assert tick is not None
        path, name = tick.groups()
        assert re.search(rf"^(async )?def {name}\(", (ROOT / "docs" / path).read_text(), re.MULTILINE), tick[
            0
        ]


def documents() -> list[Path]:
    """Every Markdown file of the repository."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines()]


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_each_link_of_a_document_leads_to_a_file_or_a_heading(document: Path) -> None:
    for link in LINK.findall(document.read_text()):
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), f"{document.name} links to {link}"
        if anchor and target.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{document.name} links to {link}"
