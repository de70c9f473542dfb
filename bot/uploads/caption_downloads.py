"""Captions of trainings as files for their person, which stay in the store for a day."""

import time

from sqlalchemy.ext.asyncio import AsyncSession

from bot.chats.interface import FilesReply
from bot.garbage_collection import GarbageCollector
from bot.uploads.caption_files import captions_file
from commands.answers import SendCaptions
from engine.messages import InvalidRequest, read_manifest
from storage import uploads
from storage.database import Database
from storage.files import Files


class CaptionDownloads:
    """Writes the files."""

    def __init__(self, database: Database, files: Files, garbage: GarbageCollector) -> None:
        self._database = database
        self._files = files
        self._garbage = garbage

    async def write(self, answer: SendCaptions, person_id: int) -> FilesReply:
        """The file with the captions. Raises InvalidRequest, CannotStore, OSError."""
        examples, manifest = answer.training.examples, answer.training.manifest
        if manifest is not None:
            try:
                examples = read_manifest(await self._files.get(manifest.sha256))
            except OSError as error:
                raise InvalidRequest("Its pictures are no longer here. Send them again.") from error
        async with self._garbage.pause():
            sha256 = await self._files.put(captions_file(examples))

            async def work(session: AsyncSession) -> None:
                await uploads.record(session, person_id, [sha256], time.time())

            await self._database.write(work)
        return FilesReply(files=((answer.name, sha256),), text=answer.text)
