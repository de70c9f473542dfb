"""Data sets in Parquet files: what is read of them, and what is said where they have no pictures."""

from pathlib import Path

import pyarrow  # type: ignore[import-untyped]
import pytest
from pyarrow import parquet

from bench.drawn_deck import write_deck
from bot.uploads.archive import check_folder
from bot.uploads.image_check import ReencoderPool
from bot.uploads.parquet import read_parquet
from engine.messages import InvalidRequest


async def test_a_deck_is_read_in_order_with_the_bad_ones_named(
    tmp_path: Path,
) -> None:
    write_deck(tmp_path / "a.parquet", 3)
    rows = [{"jpg": b"no picture", "caption": "bad"}, {"jpg": None, "caption": None}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "b.parquet")

    async with ReencoderPool() as pool:
        got = [picture async for picture in check_folder(pool, tmp_path, tmp_path)]

    assert [picture.name for picture in got] == ["0.png", "1.png", "2.png", "row 4", "row 5"]
    assert [picture.image is not None for picture in got] == [True] * 3 + [False] * 2
    assert got[1].caption.endswith(", design 1")
    assert got[3].reason.startswith("This is not a picture that can be read.")
    assert got[4].reason == "It has no picture in it."


def test_a_parquet_without_pictures_is_refused_with_its_columns_and_one_without_captions_says_so(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.Table.from_pylist([{"label": 1, "words": "a"}]), path)
    with pytest.raises(InvalidRequest, match=r"^a\.parquet has no column of pictures.*are label, words\.$"):
        list(read_parquet([path], 9))
    parquet.write_table(pyarrow.Table.from_pylist([{"image": b"x"}] * 3), path)
    assert next(read_parquet([path], 9)).reason.startswith("There is no column of captions")
    with pytest.raises(InvalidRequest, match=r"^It has 3 pictures\. At most 2 are allowed"):
        list(read_parquet([path], 2))
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(InvalidRequest, match=r"^a\.parquet is not a Parquet file that can be read\.$"):
        list(read_parquet([path], 9))
