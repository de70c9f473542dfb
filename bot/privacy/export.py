"""All that is stored about a person as zips in the store, where they lie for a day."""

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
LIMITS = {"discord": 9 * MB}  # bytes of a file that somebody can be sent
LIMIT = 256 * MB
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same content is the same zip
KINDS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg"}
SENT = "sent/"
NOTHING = "nothing is stored about you here."


class Exports:
    """Packs one person's things after another's."""

    def __init__(self, database: Database, files: Files, garbage: GarbageCollector) -> None:
        self._database = database
        self._files = files
        self._garbage = garbage
        self._packing = asyncio.Lock()

    async def of(self, person_id: int) -> tuple[NamedFile, ...]:
        """The zips by name. Raises InvalidRequest, OSError, CannotStore."""
        async with self._packing:
            async with self._database.reading() as session:
                found = await collect(session, person_id)
            if found is None:
                raise InvalidRequest(NOTHING)
            with TemporaryDirectory(prefix=INCOMING, dir=await self._work_folder()) as folder:
                packed = await self._packed(found, Path(folder))
                async with self._garbage.pause():
                    hashes = [await self._files.put(path) for path in packed]
                    unneeded = await self._database.write(lambda session: _noted(session, person_id, hashes))
            await self._garbage.remove(unneeded)
        if unneeded:
            raise InvalidRequest(NOTHING)
        return tuple(zip((path.name for path in packed), hashes, strict=True))

    async def _work_folder(self) -> Path:
        """On the store's own disk, where the next start removes what a killed bot left."""
        await asyncio.to_thread(self._files.folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        return self._files.folder

    async def _packed(self, found: PersonalData, folder: Path) -> list[Path]:
        """The zips, none larger than the chat sends unless one file is; what is not there is told."""
        limit, missing = LIMITS.get(found.chat, LIMIT), []
        packed = [folder / "atelier.zip"]
        size = 0
        for name, sha256 in found.files:
            try:
                content = await self._files.get(sha256)
            except OSError:
                missing.append(name)
                continue
            if size and size + len(content) > limit:
                packed.append(folder / f"atelier-{len(packed) + 1}.zip")
                size = 0
            size += await asyncio.to_thread(_add, packed[-1], name, content)
        told = json.dumps(found.data | {"missing": missing}, indent=1, ensure_ascii=False)
        await asyncio.to_thread(_add, packed[-1], "atelier.json", told.encode(errors="replace"))
        return packed


def _add(path: Path, name: str, content: bytes) -> int:
    """Put it into the zip, unless it is one itself: a zip of before; how many bytes more that are."""
    if name.startswith(SENT):
        ending = next((ending for start, ending in KINDS.items() if content.startswith(start)), None)
        if ending is None:
            return 0
        name += ending
    kind = zipfile.ZIP_DEFLATED if name.endswith(".json") else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "a", kind) as packed:
        packed.writestr(zipfile.ZipInfo(name, LONG_AGO), content, kind)
    return len(content)


async def _noted(session: AsyncSession, person_id: int, hashes: Sequence[Sha256]) -> list[Sha256]:
    """They are the person's for a day, unless they were forgotten meanwhile; what nothing needs."""
    if await find_person(session, person_id) is None:
        return await pictures.find_unneeded(session, hashes)
    for sha256 in hashes:
        await uploads.record(session, person_id, sha256, time.time())
    return []
