"""LoRAs in a folder are found by name and brought to where the engine reads."""

import json
from pathlib import Path

import pytest
import safetensors
import structlog

from bot.uploads.lora_folder import AdapterFolder
from engine.messages import ADAPTER_NAME, InvalidRequest, stored_path
from storage.files import Files

HEADER = b'{"x.lora_A.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
WHOLE = len(HEADER).to_bytes(8, "little") + HEADER + bytes(4)


@pytest.fixture
def folder(tmp_path: Path) -> AdapterFolder:
    (tmp_path / "adapters").mkdir()
    return AdapterFolder(tmp_path / "adapters", Files(tmp_path / "files"))


def put(folder: AdapterFolder, *files: str, content: bytes = WHOLE) -> None:
    for file in files:
        path = folder.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


async def test_a_lora_is_known_by_its_file_name(folder: AdapterFolder) -> None:
    put(folder, "ink.safetensors", "maria-2.safetensors", "notes.txt", ".hidden.safetensors")

    assert list(await folder.names()) == ["ink", "maria-2"]


async def test_any_file_is_offered_under_a_name_made_from_its_own(folder: AdapterFolder) -> None:
    files = {
        "Ink Wash v2.0.safetensors": "ink-wash-v2-0",
        "PonyStyle.SAFETENSORS": "ponystyle",
        "styles/Crème brûlée.safetensors": "creme-brulee",
        "maria/adapter_model.safetensors": "maria",
        "-_odd_-.safetensors": "odd",
        "add_detail_xl_by_somebody_with_a_long_name-000010.safetensors": "add_detail_xl_by_somebody_w-",
        "add_detail_xl_by_somebody_with_a_long_name-000020.safetensors": "add_detail_xl_by_somebody_w-",
        "墨.safetensors": "lora-",
    }
    put(folder, *files)

    names = {file: name for name, file in (await folder.list_files()).offered.items()}

    assert names.keys() == files.keys()
    assert len(set(names.values())) == len(files)
    for file, name in names.items():
        assert ADAPTER_NAME.fullmatch(name)
        assert name.startswith(files[file])
        assert files[file].endswith("-") or name == files[file]
    wash, maria = await folder.find("ink-wash-v2-0"), await folder.find("maria")
    assert wash is not None
    assert maria is not None
    assert wash.sha256 == maria.sha256


async def test_a_name_never_comes_to_mean_another_file(folder: AdapterFolder) -> None:
    put(folder, "b/Ink.safetensors", "a/ink.safetensors")
    both = (await folder.list_files()).offered
    put(folder, "Ink!.safetensors", "ink.safetensors")
    now = (await folder.list_files()).offered

    assert len(both) == 2
    assert "ink" not in both
    assert {name: now[name] for name in both} == both
    assert now["ink"] == "ink.safetensors"


async def test_what_is_passed_over_is_told_with_the_reason_and_logged_once(
    folder: AdapterFolder,
) -> None:
    put(folder, "old.ckpt", "empty.safetensors", content=b"")
    put(folder, "page.safetensors", content=b"<html>not found</html>")
    put(folder, "pickled.safetensors", content=b"\x80\x02}q\x00.      ")
    put(folder, "ink.safetensors", "Ink Wash.safetensors")
    (folder.folder / "gone.safetensors").symlink_to(folder.folder / "nowhere")

    with structlog.testing.capture_logs() as logged:
        passed = (await folder.list_files()).passed
        await folder.names()

    assert passed == {
        "old.ckpt": "This is a pickle, which can run code",
        "empty.safetensors": "This is not a safetensors file",
        "page.safetensors": "This is not a safetensors file",
        "pickled.safetensors": "This is a pickle or zip file, which can run code",
        "gone.safetensors": "It cannot be read: No such file or directory",
    }
    assert sorted(event["file"] for event in logged) == sorted([*passed, "Ink Wash.safetensors"])


async def test_a_folder_that_is_linked_in_a_circle_ends(folder: AdapterFolder) -> None:
    put(folder, "ink.safetensors")
    (folder.folder / "again").symlink_to(folder.folder)

    assert list(await folder.names()) == ["ink"]


async def test_the_alpha_that_peft_wrote_beside_a_lora_comes_with_it(folder: AdapterFolder) -> None:
    put(folder, "maria/adapter_model.safetensors")
    peft_config = {"r": 4, "lora_alpha": 16, "alpha_pattern": {}}
    (folder.folder / "maria/adapter_config.json").write_text(json.dumps(peft_config))

    lora = await folder.find("maria")

    assert lora is not None
    stored = stored_path(folder.files.folder, lora.sha256)
    with safetensors.safe_open(stored, "np") as file:
        assert json.loads(file.metadata()["lora_adapter_metadata"]) == peft_config
        assert list(file.keys()) == ["x.lora_A.weight"]


async def test_a_lora_that_is_found_is_stored_under_its_hash(folder: AdapterFolder) -> None:
    put(folder, "ink.safetensors")

    lora = await folder.find("ink")

    assert lora is not None
    stored = stored_path(folder.files.folder, lora.sha256)
    assert stored.read_bytes() == (folder.folder / "ink.safetensors").read_bytes()


async def test_no_folder_is_an_empty_library(tmp_path: Path) -> None:
    assert list(await AdapterFolder(tmp_path / "nothing", Files(tmp_path / "files")).names()) == []


async def test_a_lora_that_cannot_be_read_is_one_sentence(folder: AdapterFolder) -> None:
    put(folder, "ink.safetensors")
    folder.files.folder.write_bytes(b"no folder")

    with pytest.raises(InvalidRequest, match=r"^The LoRA ink cannot be read: File exists\.$"):
        await folder.find("ink")
