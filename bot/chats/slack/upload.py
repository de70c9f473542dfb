"""Uploads to Slack: three calls, and then a check that the files have really arrived."""

import asyncio
from collections.abc import Sequence

import aiohttp
import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.chats.slack.errors import TROUBLES, error_of, is_passing
from bot.chats.slack.mrkdwn import JSON
from bot.pacing.backoff import Backoff

LOOKS = 6  # at a file that Slack processes
UNSEEN = 3  # looks at a file that is ready and shown nowhere, before it is shared again
SLOWEST = 1.0  # seconds between two looks, which follow each other quickly at first
# Seconds until the first look, doubled each time: no file is ready at once, and looks are 100 a minute.
FIRST_LOOK = 0.25
TRIES = 3  # how often a file is shared that nobody sees

log = structlog.get_logger(__name__)


class NotShared(Exception):
    """Slack took the file and shows it nowhere."""


class Uploads:
    """Uploads for a channel, or for a thread in it."""

    def __init__(self, client: AsyncWebClient, session: aiohttp.ClientSession) -> None:
        self._client = client
        self._session = session

    async def share(
        self, channel: str, thread: str | None, files: Sequence[tuple[str, str, bytes]]
    ) -> list[str]:
        """Share these files (name, title, content); their ids, once they are seen there. Raises NotShared.

        An upload can be completed once: a file that nobody sees is uploaded anew.
        """
        ids: dict[int, str] = {}
        for _ in range(TRIES):
            missing = [place for place in range(len(files)) if place not in ids]
            new = {place: await self._put(files[place][0], files[place][2]) for place in missing}
            titled: list[dict[str, str | None]] = [
                {"id": file, "title": files[place][1]} for place, file in new.items()
            ]
            taken = await self._complete(titled, channel, thread)
            for place, file in new.items():
                if await self._is_shared(file, channel, taken=taken):
                    ids[place] = file
                else:
                    await self._drop(file)
            if len(ids) == len(files):
                return [ids[place] for place in range(len(files))]
            log.warning("File uploaded but not shared", channel=channel, files=len(files) - len(ids))
        raise NotShared(f"{len(files) - len(ids)} of the files")

    async def _complete(self, titled: list[dict[str, str | None]], channel: str, thread: str | None) -> bool:
        """Make the last call of three; whether Slack took it. If unknown, the files are looked at."""
        try:
            await self._client.files_completeUploadExternal(
                files=titled, channel_id=channel, thread_ts=thread
            )
        except TROUBLES as error:
            if not is_passing(error):
                raise
            log.warning("Unknown whether files were shared", reason=error_of(error))
            return False
        return True

    async def remove(self, file: str) -> None:
        """Delete a file of the bot's, and with it the message that shares it."""
        await self._client.files_delete(file=file)

    async def _drop(self, file: str) -> None:
        """Delete a file that must not appear later, next to its replacement."""
        try:
            await self.remove(file)
        except TROUBLES as error:
            log.info("Unseen file not deleted", reason=error_of(error))

    async def _put(self, name: str, content: bytes) -> str:
        slot = await self._client.files_getUploadURLExternal(filename=name, length=len(content))
        async with self._session.post(slot["upload_url"], data=content, proxy=self._client.proxy) as response:
            response.raise_for_status()
        return str(slot["file_id"])

    async def _is_shared(self, file: str, channel: str, *, taken: bool) -> bool:
        """Whether Slack shows the file in the channel; one that it took and works on counts as shown."""
        unseen, backoff = 0, Backoff(FIRST_LOOK, SLOWEST)
        for _ in range(LOOKS):
            await asyncio.sleep(backoff.next())
            info: JSON = (await self._client.files_info(file=file))["file"]
            if info.get("mimetype"):
                if channel in _places(info):
                    return True
                unseen += 1
            if unseen >= UNSEEN:
                return False
        return taken and not unseen


def _places(file: JSON) -> set[str]:
    shares = file.get("shares") or {}
    return {channel for kind in shares.values() for channel in kind} | set(file.get("ims") or ())
