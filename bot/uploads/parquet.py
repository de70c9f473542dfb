"""Reads pictures and their captions from Parquet files, as data sets are published, a few rows at a time."""

import io
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bot.uploads.captions import check_caption
from bot.uploads.file_bundle import BundleEntry, File, too_many_text
from engine.messages import InvalidRequest

SUFFIX = ".parquet"
IMAGES = ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "image_bytes", "bytes")
TEXTS = ("text", "caption", "prompt", "description", "captions")
ROWS = 32  # that are in memory at once
NO_PYARROW = "Reading Parquet needs pyarrow, which is not installed here: pip install pyarrow."


def parquet_files(path: Path) -> list[Path]:
    """The Parquet files that this path names: itself, or those in the folder, by name."""
    if path.is_dir():
        return sorted(path.glob(f"*{SUFFIX}"))
    return [path] if path.suffix.lower() == SUFFIX and path.is_file() else []


def read_parquet(files: Sequence[Path], most: int) -> Iterator[BundleEntry]:
    """The pictures of these files in order, with their captions.

    Raises InvalidRequest, before the first, where a file cannot be read, has no pictures, or they are more
    than `most`; OSError.
    """
    try:
        from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise InvalidRequest(NO_PYARROW) from error
    try:
        opened = [parquet.ParquetFile(file) for file in files]
        if (rows := sum(file.metadata.num_rows for file in opened)) > most:
            raise InvalidRequest(too_many_text(rows, most))
        columns = [_columns(path.name, file.schema_arrow) for path, file in zip(files, opened, strict=True)]
        if any(text is None for _, text in columns):
            yield BundleEntry(name="", reason=f"There is no column of captions ({', '.join(TEXTS)}).")
        place = 0
        for file, (image, text) in zip(opened, columns, strict=True):
            for batch in file.iter_batches(ROWS, columns=[image] if text is None else [image, text]):
                for row in batch.to_pylist():
                    yield _entry(place, row[image], None if text is None else row[text])
                    place += 1
    except ArrowException as error:
        raise InvalidRequest(f"{files[0].name} is not a Parquet file that can be read.") from error


def _columns(name: str, schema: Any) -> tuple[str, str | None]:
    """The columns of pictures and of captions. Raises InvalidRequest with those that there are."""
    kinds = {field.name: str(field.type) for field in schema}
    binary = [column for column, kind in kinds.items() if "binary" in kind]
    texts = [column for column, kind in kinds.items() if re.fullmatch(r"(large_)?string(_view)?", kind)]
    image = next((column for column in IMAGES if column in binary), binary[0] if len(binary) == 1 else None)
    if image is None:
        raise InvalidRequest(
            f"{name} has no column of pictures, such as image. Its columns are {', '.join(kinds)}."
        )
    text = next((column for column in TEXTS if column in texts), texts[0] if len(texts) == 1 else None)
    return image, text


def _entry(place: int, image: Any, text: str | None) -> BundleEntry:
    """The picture of a row: bytes, or bytes with a path, as Hugging Face's datasets have them."""
    content, path = (image.get("bytes"), image.get("path")) if isinstance(image, dict) else (image, None)
    name = PurePosixPath(path).name if path else f"row {place + 1}"
    if not content:
        return BundleEntry(name=name, reason="It has no picture in it.")
    try:
        caption = check_caption(text or "")
    except InvalidRequest as refusal:
        return BundleEntry(name=name, reason=str(refusal))
    file = File(PurePosixPath(name), len(content), partial(_open, content))
    return BundleEntry(name=name, picture=file, caption=caption)


def _open(content: bytes) -> IO[bytes]:
    return io.BytesIO(content)
