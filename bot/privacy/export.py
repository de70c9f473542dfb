"""Exports of all that is stored about a person: zips that stay in the store for a day."""

import asyncio
import json
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.ext.asyncio import AsyncSession

from bot.garbage_collection import GarbageCollector
from engine.messages import INCOMING, InvalidRequest, Sha256
from storage import pictures, uploads
from storage.data_export import NamedFile, PersonalData, collect, find_person
from storage.database import Database
from storage.files import Files

MB = 2**20
LIMITS = {"discord": 9 * MB}  # bytes of a file that the bot can send there
LIMIT = 256 * MB
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # a fixed date, so that the same content makes the same zip
KINDS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg"}
SENT = "sent/"
NOTHING = "Nothing is stored about you here."


class Exports:
    """Packs one export after another."""

    def __init__(self, database: Database, files: Files, garbage: GarbageCollector) -> None:
        self._database = database
        self._files = files
        self._garbage = garbage
        self._packing = asyncio.Lock()

    async def export(self, person_id: int) -> tuple[NamedFile, ...]:
        """Export a person's data: the zips with their names. Raises InvalidRequest, OSError, CannotStore."""
        async with self._packing:
            async with self._database.reading() as session:
                data = await collect(session, person_id)
            if data is None:
                raise InvalidRequest(NOTHING)
            with TemporaryDirectory(prefix=INCOMING, dir=await self._work_folder()) as folder:
                zips = await self._pack(data, Path(folder))
                async with self._garbage.pause():
                    hashes = [await self._files.put(path) for path in zips]
                    unneeded = await self._database.write(lambda session: _record(session, person_id, hashes))
            await self._garbage.remove(unneeded)
        if unneeded:
            raise InvalidRequest(NOTHING)
        return tuple(zip((path.name for path in zips), hashes, strict=True))

    async def _work_folder(self) -> Path:
        """The store's own folder, where the next start removes what a killed bot left."""
        await asyncio.to_thread(self._files.folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        return self._files.folder

    async def _pack(self, data: PersonalData, folder: Path) -> list[Path]:
        """Write the zips, none larger than the chat can send unless one file is; missing files are listed."""
        limit, missing = LIMITS.get(data.chat, LIMIT), []
        zips = [folder / "atelier.zip"]
        size = 0
        for name, sha256 in data.files:
            try:
                content = await self._files.get(sha256)
            except OSError:
                missing.append(name)
                continue
            if size and size + len(content) > limit:
                zips.append(folder / f"atelier-{len(zips) + 1}.zip")
                size = 0
            size += await asyncio.to_thread(_add, zips[-1], name, content)
        text = json.dumps(data.data | {"missing": missing}, indent=1, ensure_ascii=False)
        await asyncio.to_thread(_add, zips[-1], "atelier.json", text.encode(errors="replace"))
        return zips


def _add(path: Path, name: str, content: bytes) -> int:
    """Add a file to the zip, unless it is an earlier export itself; how many bytes were added."""
    if name.startswith(SENT):
        ending = next((ending for start, ending in KINDS.items() if content.startswith(start)), None)
        if ending is None:
            return 0
        name += ending
    kind = zipfile.ZIP_DEFLATED if name.endswith(".json") else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "a", kind) as archive:
        archive.writestr(zipfile.ZipInfo(name, LONG_AGO), content, kind)
    return len(content)


async def _record(session: AsyncSession, person_id: int, hashes: Sequence[Sha256]) -> list[Sha256]:
    """Keep the zips for the person for a day, unless they were deleted meanwhile; the unneeded ones."""
    if await find_person(session, person_id) is None:
        return await pictures.find_unneeded(session, hashes)
    for sha256 in hashes:
        await uploads.record(session, person_id, [sha256], time.time())
    return []
