"""Tables of captions by file name, such as metadata.jsonl and metadata.csv of Hugging Face's imagefolder."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from bot.uploads.captions import check_caption, decode_text
from commands.syntax.parser import join_list, shorten
from engine.messages import InvalidRequest

NAMES = ("metadata.jsonl", "metadata.csv", "captions.jsonl", "captions.csv")
SENT = "-captions.csv"  # how the names of those end that people get of their trainings
FILE_COLUMNS = ("file_name", "filename", "file", "image", "path")  # the first is imagefolder's
TEXT_COLUMNS = ("text", "caption", "captions", "prompt", "description")
LARGEST = 64 * 2**20  # bytes: 100,000 captions of 600 letters
A_PICTURE = 16 * 2**10  # bytes of a table for each picture that there may be: the longest caption, in English
SEPARATORS = (",", ";", "\t")  # spreadsheets in some countries write the second, or the third in UTF-16
NAMED = 5  # rows that cannot be read which are told of
OTHERS = "Further rows cannot be read either."

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CaptionTable:
    """The captions by the file names in it, and the sentences about rows that cannot be read."""

    captions: Mapping[str, str]
    problems: tuple[str, ...] = ()


def is_table(path: PurePosixPath) -> bool:
    """Whether a file of this name is a table of captions."""
    return path.name.lower() in NAMES or path.name.lower().endswith(SENT)


def largest_table(pictures: int) -> int:
    """The most bytes of tables, where so many pictures may come."""
    return min(LARGEST, pictures * A_PICTURE)


def read_table(name: str, content: bytes, most: int = LARGEST) -> CaptionTable:
    """The captions in a table of this name and of at most so many bytes, as far as they can be read.

    Raises InvalidRequest with one sentence where nothing of it can.
    """
    if len(content) > most:
        raise InvalidRequest(f"Tables of captions may have {most // 2**20} MB here.")
    text = decode_text(content, "It")
    captions: dict[str, str] = {}
    problems: list[str] = []
    columns: tuple[str, str] | None = None
    for number, row in _jsonl_rows(text) if name.lower().endswith(".jsonl") else _csv_rows(text):
        try:
            if isinstance(row, InvalidRequest):
                raise row
            columns = columns or _find_columns(list(row))
            file, caption = (_text(row, column) for column in columns)
            if file:
                captions.setdefault(file, check_caption(caption))
        except InvalidRequest as refusal:
            if columns is None:
                raise
            problems.append(f"Row {number:,} cannot be read. {refusal}")
    if len(problems) > NAMED:
        problems = [*problems[:NAMED], OTHERS]
    return CaptionTable(captions=captions, problems=tuple(problems))


def write_table(captions: Sequence[tuple[str, str]]) -> bytes:
    """A captions.csv with these names and captions, which spreadsheets open as UTF-8."""
    file = io.StringIO(newline="")
    rows = csv.writer(file)
    rows.writerow((FILE_COLUMNS[0], TEXT_COLUMNS[0]))
    rows.writerows(captions)
    return file.getvalue().encode("utf-8-sig")


def _jsonl_rows(text: str) -> Iterator[tuple[int, Row | InvalidRequest]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, _json_row(line)


def _json_row(line: str) -> Row | InvalidRequest:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    return row if isinstance(row, dict) else InvalidRequest("It is not a JSON object.")


def _csv_rows(text: str) -> Iterator[tuple[int, Row | InvalidRequest]]:
    head = text.partition("\n")[0]
    separator = max(SEPARATORS, key=head.count)
    try:
        for number, row in enumerate(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator), 2):
            yield number, {str(name).strip(): value for name, value in row.items() if name is not None}
    except csv.Error as error:
        yield 0, InvalidRequest(f"It is not a table that can be read ({error}).")


def _find_columns(names: Sequence[str]) -> tuple[str, str]:
    """The columns of file names and captions. Raises InvalidRequest, naming those that are there."""
    lower = {name.lower(): name for name in names}
    file = next((lower[name] for name in FILE_COLUMNS if name in lower), None)
    others = [name for name in names if name != file]
    text = next((lower[name] for name in TEXT_COLUMNS if name in lower), None)
    text = text or (others[0] if len(others) == 1 else None)
    if file is None or text is None:
        there = join_list([shorten(name) for name in names[:20]]) or "no columns"
        raise InvalidRequest(
            f"It has {there}. One column must be {FILE_COLUMNS[0]}, and one {TEXT_COLUMNS[0]}."
        )
    return file, text


def _text(row: Row, column: str) -> str:
    """The text in a column, the first where there are several. Raises InvalidRequest."""
    value = row.get(column)
    if isinstance(value, list) and value:
        value = value[0]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidRequest(f"Its {column} is no text.")
    return value.strip()
