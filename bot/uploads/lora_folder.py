"""LoRAs that lie in the operator's folder, brought into the store when somebody asks for one.

Any file name will do: each is offered under a name made from its own, which people can say in a command and
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
# What trainers call every file of theirs: its folder has the name.
EVERYBODYS = frozenset({"adapter_model", "pytorch_lora_weights", "lora", "model"})
LONGEST, MARK = 32, 4  # characters of a name, and of what tells two apart
PEFTS, PEFTS_CONFIG = "adapter_model.safetensors", "adapter_config.json"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class AdapterFolder:
    """A library of LoRAs: the engine, which only knows hashes, finds them among the files."""

    folder: Path
    files: Files
    _looked: dict[Path, tuple[tuple[int, int], str]] = field(default_factory=dict, repr=False)
    _told: set[tuple[str, str]] = field(default_factory=set, repr=False)

    async def names(self) -> Collection[str]:
        """The names under which the folder's files can be used."""
        return sorted((await self.list_files()).offered)

    async def list_files(self) -> OperatorFiles:
        """What lies in the folder: the file of each name, and what is passed over and why."""
        found = await asyncio.to_thread(self._lying)
        self._tell(found)
        return found

    async def find(self, name: str) -> Lora | None:
        """The LoRA, once the store has its file. Raises InvalidRequest when that cannot be done."""
        files = await asyncio.to_thread(self._lying)
        if name not in files.offered:
            return None
        path = self.folder / files.offered[name]
        try:
            content = await asyncio.to_thread(with_config, path)
            return Lora(name=name, sha256=await self.files.put(path if content is None else content))
        except OSError as error:
            raise InvalidRequest(f"The LoRA {name} cannot be read: {error.strerror}.") from error

    async def usual_loras(self) -> Collection[Mention]:
        """The folder's are used where somebody asks for them."""
        return ()

    def _lying(self) -> OperatorFiles:
        offered, passed = [], {}
        for path in walked(self.folder):
            file = path.relative_to(self.folder).as_posix()
            if why := self._unfit(path):
                passed[file] = why
            elif path.suffix.lower() == SUFFIX:
                offered.append(file)
        return OperatorFiles(offered=named(offered), passed=passed)

    def _unfit(self, path: Path) -> str:
        """Why the file cannot be used, as far as its beginning tells; one that did not change is known."""
        if path.suffix.lower() in PICKLES:
            return "This is a pickle, which can run code"
        if path.suffix.lower() != SUFFIX:
            return ""
        try:
            state = path.stat()
            known, why = self._looked.get(path, (None, ""))
            if known != (state.st_mtime_ns, state.st_size):
                why = unfit(path, state.st_size)
                self._looked[path] = (state.st_mtime_ns, state.st_size), why
        except OSError as error:
            return f"It cannot be read: {error.strerror}"
        return why

    def _tell(self, found: OperatorFiles) -> None:
        """Write what people would wonder about into the log, once."""
        made = {file: name for name, file in found.offered.items() if file != f"{name}{SUFFIX}"}
        for file, name in made.items() - self._told:
            log.info("LoRA file offered under another name", file=printable(file), name=name)
        for file, why in found.passed.items() - self._told:
            log.warning("LoRA file skipped", file=printable(file), reason=why)
        self._told.update(made.items(), found.passed.items())


def walked(folder: Path) -> Iterator[Path]:
    """Its files and those of its subfolders, also of linked ones, without the hidden ones."""
    seen: set[str] = set()
    for inside, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(inside)
        folders[:] = sorted(one for one in folders if not one.startswith(".")) if real not in seen else []
        if real not in seen:
            yield from (Path(inside, file) for file in sorted(files) if not file.startswith("."))
        seen.add(real)


def unfit(path: Path, size: int) -> str:
    """Why this is not a LoRA, as its size and beginning tell, in one sentence; or nothing. Raises OSError."""
    with path.open("rb") as file:
        start = file.read(START)
    try:
        check_lora(size, start)
        check_whole(path)
    except InvalidRequest as refusal:
        return str(refusal).partition(". ")[0].rstrip(".")
    return ""


def named(files: Sequence[str]) -> Mapping[str, str]:
    """The files by the names that they are offered under.

    A file that is called so, in the folder itself, has its name; of others that would have the same, each
    gets some letters of its path's hash behind it, as what is too long does, so that no name comes to mean
    another file when more are put there.
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
    """The file's own name as far as it can be said in a command: "Ink Wash v2.0" is ink-wash-v2-0."""
    stem = file.stem.casefold()
    if stem in EVERYBODYS and file.parent.name:
        stem = file.parent.name.casefold()
    if ADAPTER_NAME.fullmatch(stem):
        return stem
    letters = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return re.sub(r"-+", "-", re.sub(r"[^a-z0-9_-]+", "-", letters)).strip("-_")


def with_config(path: Path) -> bytes | None:
    """The file that PEFT saved with its configuration in the metadata, or None where there is none beside it.

    PEFT writes alpha into a file of its own, and without it a LoRA counts for more or less than it should.
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
        told = json.loads(config.read_bytes())
    except (ValueError, RecursionError):
        raise InvalidRequest(f"The {PEFTS_CONFIG} beside the LoRA cannot be read.") from None
    metadata = {**header.get("__metadata__", {})}
    metadata.setdefault("lora_adapter_metadata", json.dumps(told, sort_keys=True))
    text = json.dumps({**header, "__metadata__": metadata}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]
