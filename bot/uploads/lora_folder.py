"""LoRA files in the operator's folder, copied into the store when somebody asks for one.

Any file name will do: each is offered under a name made from its own, which can be typed in a command and
which stays the same while the file has that name.
"""

import asyncio
import hashlib
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import structlog

from bot.uploads.lora_check import check_lora, check_whole
from bot.uploads.spool import START
from commands.syntax.lora_syntax import Lora, Mention, OperatorFiles, printable
from engine.messages import ADAPTER_NAME, HEADER_BYTES, InvalidRequest
from storage.files import Files

SUFFIX = ".safetensors"
PICKLES = frozenset({".pt", ".pth", ".ckpt", ".bin", ".pkl"})
# File names that training tools always use: the folder has the name then.
COMMON_STEMS = frozenset({"adapter_model", "pytorch_lora_weights", "lora", "model"})
LONGEST, MARK = 32, 4  # characters of a name, and of the hash that tells two apart
PEFTS, PEFTS_CONFIG = "adapter_model.safetensors", "adapter_config.json"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class AdapterFolder:
    """The library of the operator's LoRAs: their names, and their hashes in the store."""

    folder: Path
    files: Files
    _checked: dict[Path, tuple[tuple[int, int], str]] = field(default_factory=dict, repr=False)
    _logged: set[tuple[str, str]] = field(default_factory=set, repr=False)

    async def names(self) -> Collection[str]:
        """The names under which the folder's files can be used."""
        return sorted((await self.list_files()).offered)

    async def list_files(self) -> OperatorFiles:
        """The files in the folder by the names that they are offered under, and which are skipped and why."""
        files = await asyncio.to_thread(self._scan)
        self._log_files(files)
        return files

    async def find(self, name: str) -> Lora | None:
        """Copy a LoRA into the store. Raises InvalidRequest when it cannot be read."""
        files = await asyncio.to_thread(self._scan)
        if name not in files.offered:
            return None
        path = self.folder / files.offered[name]
        try:
            content = await asyncio.to_thread(content_with_config, path)
            return Lora(name=name, sha256=await self.files.put(path if content is None else content))
        except OSError as error:
            raise InvalidRequest(f"The LoRA {name} cannot be read: {error.strerror}.") from error

    async def usual_loras(self) -> Collection[Mention]:
        """None: those of the folder are used only where somebody asks for them."""
        return ()

    def _scan(self) -> OperatorFiles:
        offered, passed = [], {}
        for path in walk_files(self.folder):
            file = path.relative_to(self.folder).as_posix()
            if why := self._unfit_reason(path):
                passed[file] = why
            elif path.suffix.lower() == SUFFIX:
                offered.append(file)
        return OperatorFiles(offered=assign_names(offered), passed=passed)

    def _unfit_reason(self, path: Path) -> str:
        """Why the file cannot be used, as far as its start tells; remembered until the file changes."""
        if path.suffix.lower() in PICKLES:
            return "This is a pickle, which can run code"
        if path.suffix.lower() != SUFFIX:
            return ""
        try:
            state = path.stat()
            checked, why = self._checked.get(path, (None, ""))
            if checked != (state.st_mtime_ns, state.st_size):
                why = unfit_reason(path, state.st_size)
                self._checked[path] = (state.st_mtime_ns, state.st_size), why
        except OSError as error:
            return f"It cannot be read: {error.strerror}"
        return why

    def _log_files(self, files: OperatorFiles) -> None:
        """Log files that are renamed or skipped, once each."""
        made = {file: name for name, file in files.offered.items() if file != f"{name}{SUFFIX}"}
        for file, name in made.items() - self._logged:
            log.info("LoRA file offered under another name", file=printable(file), name=name)
        for file, why in files.passed.items() - self._logged:
            log.warning("LoRA file skipped", file=printable(file), reason=why)
        self._logged.update(made.items(), files.passed.items())


def walk_files(folder: Path) -> Iterator[Path]:
    """The files in a folder and its subfolders, also linked ones, without the hidden ones."""
    seen: set[str] = set()
    for inside, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(inside)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if real not in seen else []
        if real not in seen:
            yield from (Path(inside, file) for file in sorted(files) if not file.startswith("."))
        seen.add(real)


def unfit_reason(path: Path, size: int) -> str:
    """Why this is not a LoRA, as far as its size and start tell, or "". Raises OSError."""
    with path.open("rb") as file:
        start = file.read(START)
    try:
        check_lora(size, start)
        check_whole(path)
    except InvalidRequest as refusal:
        return str(refusal).partition(". ")[0].rstrip(".")
    return ""


def assign_names(files: Sequence[str]) -> Mapping[str, str]:
    """The files by the names that they are offered under.

    A file in the folder itself whose name fits keeps it. Others that would get the same name, or too long a
    one, get some digits of their path's hash behind it, so that no name means another file once more are
    added.
    """
    wanted = {file: name_of(PurePosixPath(file)) for file in files}
    often = Counter(wanted.values())
    names: dict[str, str] = {}
    for file, name in wanted.items():
        alone = often[name] == 1 or file == f"{name}{SUFFIX}"
        if not ADAPTER_NAME.fullmatch(name) or not alone:
            mark = hashlib.sha256(file.encode(errors="surrogateescape")).hexdigest()[:MARK]
            name = f"{name[: LONGEST - MARK - 1].rstrip('-_') or 'lora'}-{mark}"
        names.setdefault(name, file)
    return names


def name_of(file: PurePosixPath) -> str:
    """The file's name in a form that can be typed in a command: "Ink Wash v2.0" is ink-wash-v2-0."""
    stem = file.stem.casefold()
    if stem in COMMON_STEMS and file.parent.name:
        stem = file.parent.name.casefold()
    if ADAPTER_NAME.fullmatch(stem):
        return stem
    letters = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return re.sub(r"-+", "-", re.sub(r"[^a-z0-9_-]+", "-", letters)).strip("-_")


def content_with_config(path: Path) -> bytes | None:
    """The file that PEFT saved with its configuration in the metadata, or None where there is none beside it.

    PEFT writes alpha into a file of its own. Without it a LoRA would have the wrong strength.
    Raises InvalidRequest, OSError.
    """
    config = path.with_name(PEFTS_CONFIG)
    if path.name != PEFTS or not config.is_file():
        return None
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    if end > min(len(content), 8 + HEADER_BYTES):
        return None  # the engine says what is wrong with it
    try:
        header: dict[str, Any] = json.loads(content[8:end])
        config_json = json.loads(config.read_bytes())
    except (ValueError, RecursionError):
        raise InvalidRequest(f"The {PEFTS_CONFIG} beside the LoRA cannot be read.") from None
    metadata = {**header.get("__metadata__", {})}
    metadata.setdefault("lora_adapter_metadata", json.dumps(config_json, sort_keys=True))
    text = json.dumps({**header, "__metadata__": metadata}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]
