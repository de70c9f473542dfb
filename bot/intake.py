"""Pictures that people send, taken in: made anew, kept in the store, and written down as theirs."""

import time
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from bot.leftovers import Leftovers
from bot.lora_files import aside
from bot.packed import LARGEST_ZIP, ZIP, taken
from bot.uploads import LARGEST_FILE, Uploads
from engine.messages import InvalidRequest, Sha256
from storage import uploads
from storage.database import Database
from storage.files import Files
from storage.people import person as known_person


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A picture in the store, which its person may train with from now on."""

    sha256: Sha256
    kind: str  # "png" or "jpeg"
    width: int
    height: int
    name: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of a file, a picture or a zip of some; `refused` has names with reasons."""

    pictures: tuple[Kept, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


class Intake:
    """Takes files from every chat in, one picture at a time."""

    def __init__(self, database: Database, files: Files, leftovers: Leftovers) -> None:
        self._database = database
        self._files = files
        self._leftovers = leftovers
        self._uploads = Uploads()

    async def take(self, chat: str, person: str, person_name: str, name: str, content: bytes) -> Sent:
        """Keep what this file has in it, as this person's.

        Raises InvalidRequest with one sentence when nothing of it can be taken; OSError, CannotStore.
        """
        kept: list[Kept] = []
        refused: list[tuple[str, str]] = []
        async with self._leftovers.keeping():
            async for one in taken(self._uploads, name, content):
                if one.upload is None:
                    refused.append((one.name, one.reason))
                    continue
                upload = one.upload
                kept.append(
                    Kept(
                        sha256=await self._files.put(upload.content),
                        kind=upload.kind,
                        width=upload.width,
                        height=upload.height,
                        name=one.name,
                        caption=one.caption,
                    )
                )
            hashes = [one.sha256 for one in kept]
            await self._database.write(
                partial(_note, chat=chat, person=person, name=person_name, hashes=hashes)
            )
        return Sent(pictures=tuple(kept), refused=tuple(refused))

    async def take_lora(
        self, chat: str, person: str, person_name: str, chunks: AsyncIterable[bytes]
    ) -> Sha256:
        """Keep this file, which may be a LoRA, as this person's; the engine says later whether it is one.

        Raises InvalidRequest with one sentence when it plainly is none; OSError, CannotStore.
        """
        async with aside(self._files.folder, chunks) as path, self._leftovers.keeping():
            sha256 = await self._files.put(path)
            await self._database.write(
                partial(_note, chat=chat, person=person, name=person_name, hashes=[sha256])
            )
        return sha256


def check_size(size: int, start: bytes) -> None:
    """Raise InvalidRequest when a file of so many bytes, which begins so, is more than is ever taken."""
    most, what = (LARGEST_ZIP, "zip") if start.startswith(ZIP) else (LARGEST_FILE, "picture")
    if size > most:
        raise InvalidRequest(f"the {what} is larger than {most // 2**20} MB: send a smaller one.")


async def _note(
    session: AsyncSession, *, chat: str, person: str, name: str, hashes: Sequence[Sha256]
) -> None:
    """Write down whose pictures these are: nobody else may train with them by their hashes."""
    me = await known_person(session, chat, person, name)
    for sha256 in hashes:
        await uploads.note(session, me.id, sha256, time.time())
