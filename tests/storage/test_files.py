"""Files are kept under their hash, whole or not at all."""

import hashlib
import os
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from engine.messages import Sha256, stored_path
from storage.files import Files

CONTENT = b"weights" * 100_000


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files")


async def test_bytes_are_found_under_their_hash(files: Files) -> None:
    sha256 = await files.put(CONTENT)

    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert stored_path(files.folder, sha256).read_bytes() == CONTENT


@pytest.mark.parametrize("place", ["folder", "memory"])
async def test_files_are_weighed_together_and_one_that_is_gone_weighs_nothing(
    files: Files, place: str
) -> None:
    store = files if place == "folder" else Files(f"memory://{uuid4()}")
    hashes = [await store.put(content) for content in (b"a", b"bc", CONTENT)]
    await store.remove(hashes[0])

    assert await store.total_size(hashes) == 2 + len(CONTENT)


async def test_a_file_is_copied_and_stays_where_it_was(files: Files, tmp_path: Path) -> None:
    source = tmp_path / "ink.safetensors"
    source.write_bytes(CONTENT)

    sha256 = await files.put(source)

    assert source.read_bytes() == CONTENT
    assert stored_path(files.folder, sha256).read_bytes() == CONTENT


async def test_a_file_that_is_there_already_is_not_copied_again(files: Files, tmp_path: Path) -> None:
    source = tmp_path / "ink.safetensors"
    source.write_bytes(CONTENT)
    place = stored_path(files.folder, await files.put(CONTENT))
    before = place.stat()

    await files.put(source)
    await files.put(CONTENT)

    assert place.stat().st_mtime_ns == before.st_mtime_ns
    assert place.stat().st_ino == before.st_ino


async def test_nothing_else_is_left_in_the_folder(files: Files, tmp_path: Path) -> None:
    await files.put(CONTENT)
    with pytest.raises(FileNotFoundError):
        await files.put(tmp_path / "nothing")

    assert [path for path in files.folder.rglob("*") if path.is_file()] == [
        stored_path(files.folder, await files.put(CONTENT))
    ]


async def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("a file where the folder should be")

    with pytest.raises(OSError, match="File exists"):
        await Files(tmp_path / "files").put(CONTENT)


async def test_what_was_put_is_got_and_can_be_removed(files: Files) -> None:
    sha256 = await files.put(CONTENT)

    assert await files.get(sha256) == CONTENT
    assert files.path(sha256) == stored_path(files.folder, sha256)
    await files.remove(sha256)
    await files.remove(sha256)
    with pytest.raises(FileNotFoundError):
        await files.get(sha256)


async def test_what_a_killed_program_left_half_written_is_removed_but_not_what_is_being_written(
    files: Files,
) -> None:
    sha256 = await files.put(CONTENT)
    left, fresh = files.folder / "incoming-left", files.folder / "incoming-fresh"
    for path in (left, fresh, stored_path(files.folder, sha256)):
        path.touch()
    for path in (left, stored_path(files.folder, sha256)):
        os.utime(path, (0, 0))

    await files.tidy()

    assert (left.exists(), fresh.exists()) == (False, True)
    assert await files.get(sha256) == CONTENT


async def test_old_files_are_those_that_nobody_put_since(files: Files, objects: Files) -> None:
    old, fresh = await files.put(b"old"), await files.put(b"fresh")
    os.utime(stored_path(files.folder, old), (1000, 1000))
    (files.folder / "ab" / "notes.txt").parent.mkdir(exist_ok=True)
    (files.folder / "ab" / "notes.txt").write_text("nobody's")
    stored = await objects.put(b"old")

    assert await files.list_older_than(2000.0) == [old]
    assert set(await files.list_older_than(4e9)) == {old, fresh}
    assert (await objects.list_older_than(2000.0), await objects.list_older_than(4e9)) == ([], [stored])


async def test_a_path_in_words_is_a_folder_too(tmp_path: Path) -> None:
    files = Files(str(tmp_path / "files"))

    sha256 = await files.put(CONTENT)

    assert stored_path(tmp_path / "files", sha256).read_bytes() == CONTENT


@pytest.fixture
def objects() -> Files:
    return Files(f"memory://{uuid4()}/files")


async def test_an_object_store_keeps_files_under_the_same_names(objects: Files, tmp_path: Path) -> None:
    source = tmp_path / "ink.safetensors"
    source.write_bytes(CONTENT)

    sha256 = await objects.put(source)
    assert await objects.put(CONTENT) == sha256 == hashlib.sha256(CONTENT).hexdigest()

    assert await objects.get(sha256) == CONTENT
    system, root = fsspec.core.url_to_fs(str(objects.place))
    assert system.find(root) == [f"{root}/{sha256[:2]}/{sha256}"]
    await objects.tidy()
    await objects.remove(sha256)
    await objects.remove(sha256)
    with pytest.raises(FileNotFoundError):
        await objects.get(sha256)


async def test_an_object_store_is_no_folder(objects: Files) -> None:
    assert objects.path(Sha256("ab" * 32)) is None
    with pytest.raises(ValueError, match="is not a folder"):
        _ = objects.folder
