"""Takes in uploaded files: re-encodes pictures, stores files, and records whose they are."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncSession

from bot.chats.interface import Caller
from bot.dispatch.refusal_count import count
from bot.garbage_collection import GarbageCollector
from bot.uploads.allowance import allowance_for
from bot.uploads.archive import LARGEST_ZIP, ZIP, CheckedPicture, check_file
from bot.uploads.image_check import FIRST_FRAME, LARGEST_FILE, ReencodedImage, ReencoderPool
from bot.uploads.lora_check import check_lora, check_whole
from bot.uploads.spool import Check, spool_file
from commands.permissions import NotAllowed
from commands.syntax.parser import shorten
from engine.messages import InvalidRequest, Sha256
from storage import people, uploads
from storage.database import Database
from storage.files import Files
from storage.uploads import NO_ORIGINS, NO_SIZES


@dataclass(frozen=True, kw_only=True)
class StoredPicture:
    """A picture in the store that its person may train with."""

    sha256: Sha256
    kind: str  # "png" or "jpeg"
    width: int
    height: int
    name: str
    caption: str
    recipe: str = ""  # as it was in the file
    repeats: int = 1  # in an epoch
    concept: str = ""  # its own trigger and class, where the data set has several
    regularization: bool = False  # it shows the class alone
    note: str = ""  # what was done to it that its person may not expect
    origin: Mapping[str, Any] = field(default_factory=dict)  # what its own file said


@dataclass(frozen=True, kw_only=True)
class IntakeResult:
    """The pictures of an uploaded file, or captions by file name, and what was refused: names with reasons.

    A reason without a name is about all of them.
    """

    pictures: tuple[StoredPicture, ...] = ()
    captions: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[tuple[str, str], ...] = ()


class FileTooLarge(InvalidRequest):
    """The file is larger than any may be: the rest is not read."""


class Intake:
    """Takes in files from all chats, one file at a time of each person."""

    def __init__(
        self, database: Database, files: Files, garbage: GarbageCollector, chain: Path | None = None
    ) -> None:
        """`chain`: the certificates by which our own Content Credentials are known."""
        self._database = database
        self._files = files
        self._garbage = garbage
        self._pool = ReencoderPool(chain=chain)
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def close(self) -> None:
        """End the idle processes that re-encode pictures."""
        await self._pool.close()

    async def take(self, caller: Caller, name: str, chunks: AsyncIterable[bytes]) -> IntakeResult:
        """Store the pictures in this file as this person's; it is read as it arrives.

        Raises InvalidRequest with one sentence when nothing of it can be used, FileTooLarge when it is too
        large; OSError, CannotStore.
        """
        async with self._receive(caller, chunks, check_size) as path, self._garbage.pause():
            stored, refused = await self._store_pictures(caller, name, path)
            sizes = {picture.sha256: (picture.width, picture.height) for picture in stored}
            origins = {picture.sha256: dict(picture.origin) for picture in stored}
            await self._record_owner(caller, list(sizes), sizes, origins)
        return IntakeResult(pictures=tuple(stored), refused=tuple(refused))

    async def _store_pictures(
        self, caller: Caller, name: str, path: Path
    ) -> tuple[list[StoredPicture], list[tuple[str, str]]]:
        """Store the pictures; what was stored and what was not. Raises NotAllowed without any room."""
        stored: list[StoredPicture] = []
        refused: list[tuple[str, str]] = []
        room, full = await allowance_for(self._database, self._files, caller), None
        async for picture in check_file(self._pool, name, path):
            if picture.image is None:
                refused.append((picture.name, picture.reason))
                continue
            try:
                room.fill(await asyncio.to_thread(_size, picture.image.path))
            except NotAllowed as refusal:
                full = refusal
                refused.append((picture.name, str(refusal)))
            else:
                stored.append(await self._store(picture, picture.image))
        if full is not None and not stored:
            raise full
        return stored, refused

    @asynccontextmanager
    async def _receive(
        self, caller: Caller, chunks: AsyncIterable[bytes], check: Check
    ) -> AsyncGenerator[Path]:
        """The file, if this person may send it; one at a time of each person is worked on.

        A refusal is counted.
        """
        try:
            await allowance_for(self._database, self._files, caller)
            async with spool_file(self._files.folder, chunks, check) as path, self._turn(caller):
                yield path
        except NotAllowed as refusal:
            await count(self._database, caller, refusal)
            raise

    async def _store(self, picture: CheckedPicture, image: ReencodedImage) -> StoredPicture:
        return StoredPicture(
            sha256=await self._files.put(image.path),
            kind=image.kind,
            width=image.width,
            height=image.height,
            name=picture.name,
            caption=picture.caption,
            recipe=image.recipe,
            repeats=picture.repeats,
            concept=picture.concept,
            regularization=picture.regularization,
            note=FIRST_FRAME if image.animated else "",
            origin=image.origin,
        )

    def _turn(self, caller: Caller) -> asyncio.Lock:
        """The lock by which files of one person are worked on one by one."""
        who = caller.chat, caller.person
        turn = self._turns.get(who)
        if turn is None:
            turn = self._turns[who] = asyncio.Lock()
        return turn

    async def take_lora(self, caller: Caller, chunks: AsyncIterable[bytes]) -> Sha256:
        """Store this file, which may be a LoRA, as this person's; the engine checks later whether it is one.

        Raises InvalidRequest with one sentence when it plainly is not; OSError, CannotStore.
        """
        async with self._receive(caller, chunks, check_lora) as path, self._garbage.pause():
            check_whole(path)
            (await allowance_for(self._database, self._files, caller)).fill(_size(path))
            sha256 = await self._files.put(path)
            await self._record_owner(caller, [sha256])
        return sha256

    async def _record_owner(
        self,
        caller: Caller,
        hashes: Sequence[Sha256],
        sizes: Mapping[Sha256, tuple[int, int]] = NO_SIZES,
        origins: Mapping[Sha256, dict[str, Any]] = NO_ORIGINS,
    ) -> None:
        """Record whose files these are: nobody else may use them by their hashes."""

        async def work(session: AsyncSession) -> None:
            space = await people.upsert_space(session, caller.chat, caller.space, caller.space_name)
            me = await people.upsert_person(session, caller.chat, caller.person, caller.person_name)
            await uploads.record(session, me.id, hashes, time.time(), space.id, sizes, origins)

        await self._database.write(work)


def refusal_lines(refused: Sequence[tuple[str, str]]) -> list[str]:
    """What was refused, in a line each."""
    return [f"{shorten(name)}: {reason}" if name else reason for name, reason in refused]


def check_size(size: int, start: bytes) -> None:
    """Raise FileTooLarge when a file of so many bytes, which starts so, is larger than any may be."""
    if start.startswith(ZIP):
        if size > LARGEST_ZIP:
            raise FileTooLarge(
                f"The zip is larger than {LARGEST_ZIP // 2**30} GB. Send a smaller one, or train in a "
                "terminal (python -m bot train)."
            )
    elif size > LARGEST_FILE:
        raise FileTooLarge(f"The picture is larger than {LARGEST_FILE // 2**20} MB. Send a smaller one.")


def _size(path: Path) -> int:
    return path.stat().st_size
