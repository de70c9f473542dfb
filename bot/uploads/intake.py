"""Pictures that people send, taken in: made anew, kept in the store, and written down as theirs."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncSession

from bot.chats.interface import Caller
from bot.dispatch.refusal_count import count
from bot.garbage_collection import GarbageCollector
from bot.uploads.allowance import allowance_for
from bot.uploads.archive import LARGEST_ZIP, ZIP, Taken, taken
from bot.uploads.image_check import LARGEST_FILE, Upload, Uploads
from bot.uploads.lora_check import check_lora, check_whole
from bot.uploads.spool import Check, aside
from commands.permissions import Refused
from commands.syntax.parser import shorten
from engine.messages import InvalidRequest, Sha256
from storage import people, uploads
from storage.database import Database
from storage.files import Files


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A picture in the store, which its person may train with from now on."""

    sha256: Sha256
    kind: str  # "png" or "jpeg"
    width: int
    height: int
    name: str
    caption: str
    recipe: str = ""  # as it stood in the file


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of a file, a picture or a zip of some; `refused` has names with reasons.

    A reason without a name is a word on all of them.
    """

    pictures: tuple[Kept, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


class TooLarge(InvalidRequest):
    """More than is ever taken: the rest is not read."""


class Intake:
    """Takes files from every chat in, of each person one picture at a time."""

    def __init__(self, database: Database, files: Files, garbage: GarbageCollector) -> None:
        self._database = database
        self._files = files
        self._garbage = garbage
        self._uploads = Uploads()
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def close(self) -> None:
        """End what waits for pictures to come."""
        await self._uploads.close()

    async def take(self, caller: Caller, name: str, chunks: AsyncIterable[bytes]) -> Sent:
        """Keep what this file has in it, as this person's; it is read as it comes, and to its end.

        Raises InvalidRequest with one sentence when nothing of it can be taken, TooLarge when there is too
        much of it; OSError, CannotStore.
        """
        async with self._received(caller, chunks, check_size) as path, self._garbage.pause():
            kept, refused = await self._taken(caller, name, path)
            await self._note(caller, [one.sha256 for one in kept])
        return Sent(pictures=tuple(kept), refused=tuple(refused))

    async def _taken(self, caller: Caller, name: str, path: Path) -> tuple[list[Kept], list[tuple[str, str]]]:
        """What is kept, and what is not. Raises Refused when there was no room for anything."""
        kept: list[Kept] = []
        refused: list[tuple[str, str]] = []
        room, full = await allowance_for(self._database, self._files, caller), None
        async for one in taken(self._uploads, name, path):
            if one.upload is None:
                refused.append((one.name, one.reason))
                continue
            try:
                room.fill(await asyncio.to_thread(_size, one.upload.path))
            except Refused as refusal:
                full = refusal
                refused.append((one.name, str(refusal)))
            else:
                kept.append(await self._kept(one, one.upload))
        if full is not None and not kept:
            raise full
        return kept, refused

    @asynccontextmanager
    async def _received(
        self, caller: Caller, chunks: AsyncIterable[bytes], check: Check
    ) -> AsyncGenerator[Path]:
        """The file, once this person may send it; of each person one at a time is looked at.

        Who may not, or has no room, is counted.
        """
        try:
            await allowance_for(self._database, self._files, caller)
            async with aside(self._files.folder, chunks, check) as path, self._turn(caller):
                yield path
        except Refused as refusal:
            await count(self._database, caller, refusal)
            raise

    async def _kept(self, one: Taken, upload: Upload) -> Kept:
        return Kept(
            sha256=await self._files.put(upload.path),
            kind=upload.kind,
            width=upload.width,
            height=upload.height,
            name=one.name,
            caption=one.caption,
            recipe=upload.recipe,
        )

    def _turn(self, caller: Caller) -> asyncio.Lock:
        """What one person sends is looked at one by one, whatever others send."""
        who = caller.chat, caller.person
        turn = self._turns.get(who)
        if turn is None:
            turn = self._turns[who] = asyncio.Lock()
        return turn

    async def take_lora(self, caller: Caller, chunks: AsyncIterable[bytes]) -> Sha256:
        """Keep this file, which may be a LoRA, as this person's; the engine says later whether it is one.

        Raises InvalidRequest with one sentence when it plainly is none; OSError, CannotStore.
        """
        async with self._received(caller, chunks, check_lora) as path, self._garbage.pause():
            check_whole(path)
            (await allowance_for(self._database, self._files, caller)).fill(_size(path))
            sha256 = await self._files.put(path)
            await self._note(caller, [sha256])
        return sha256

    async def _note(self, caller: Caller, hashes: Sequence[Sha256]) -> None:
        """Write down whose files these are: nobody else may use them by their hashes."""

        async def work(session: AsyncSession) -> None:
            space = await people.upsert_space(session, caller.chat, caller.space, caller.space_name)
            me = await people.upsert_person(session, caller.chat, caller.person, caller.person_name)
            for sha256 in hashes:
                await uploads.record(session, me.id, sha256, time.time(), space.id)

        await self._database.write(work)


def left_out(refused: Sequence[tuple[str, str]]) -> list[str]:
    """What was not taken, in a line each."""
    return [f"{shorten(name)}: {reason}" if name else reason for name, reason in refused]


def check_size(size: int, start: bytes) -> None:
    """Raise TooLarge when a file of so many bytes, which begins so, is more than is ever taken."""
    most, what = (LARGEST_ZIP, "zip") if start.startswith(ZIP) else (LARGEST_FILE, "picture")
    if size > most:
        raise TooLarge(f"The {what} is larger than {most // 2**20} MB. Send a smaller one.")


def _size(path: Path) -> int:
    return path.stat().st_size
