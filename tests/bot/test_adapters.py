"""LoRAs in a folder are found by name and brought to where the engine reads."""

from pathlib import Path

import pytest

from bot.adapters import AdapterFolder
from engine.messages import InvalidRequest, stored_at
from storage.files import Files


@pytest.fixture
def folder(tmp_path: Path) -> AdapterFolder:
    (tmp_path / "adapters").mkdir()
    return AdapterFolder(tmp_path / "adapters", Files(tmp_path / "files"))


async def test_a_lora_is_known_by_its_file_name(folder: AdapterFolder) -> None:
    for name in ("ink.safetensors", "maria-2.safetensors", "Not A Name.safetensors", "notes.txt"):
        (folder.folder / name).write_bytes(b"")

    assert list(await folder.names()) == ["ink", "maria-2"]


async def test_a_lora_that_is_found_is_stored_under_its_hash(folder: AdapterFolder) -> None:
    (folder.folder / "ink.safetensors").write_bytes(b"weights")

    lora = await folder.find("ink")

    assert stored_at(folder.files.folder, lora.sha256).read_bytes() == b"weights"


async def test_no_folder_is_an_empty_library(tmp_path: Path) -> None:
    assert list(await AdapterFolder(tmp_path / "nothing", Files(tmp_path / "files")).names()) == []


async def test_a_lora_that_cannot_be_read_is_one_sentence(folder: AdapterFolder) -> None:
    (folder.folder / "ink.safetensors").mkdir()

    with pytest.raises(InvalidRequest, match=r"^the LoRA ink cannot be read: Is a directory\.$"):
        await folder.find("ink")
