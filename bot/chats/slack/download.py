"""Files that people put into Slack, read by the bot: their own only, no larger than allowed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.chats.slack.errors import TROUBLES, error_of
from bot.chats.slack.mrkdwn import JSON
from bot.uploads.file_fields import IncomingFile
from engine.messages import InvalidRequest

CHUNK = 2**16
ASK = "check_file_info"  # what Slack says of a file that it does not describe
SLACK = ("slack.com", "slack-files.com")


class Fetching:
    """Reads files with the bot's token, which goes to Slack and to nobody else."""

    def __init__(self, client: AsyncWebClient, session: aiohttp.ClientSession) -> None:
        self._client = client
        self._session = session
        self._house = urlsplit(client.base_url)

    async def open(self, file: str, person: str) -> IncomingFile:
        """This person's file. Raises InvalidRequest with one sentence."""
        name, address = await self._found(file, person)
        return IncomingFile(name=name, chunks=self._read(name, address))

    async def described(self, files: Sequence[JSON]) -> list[JSON]:
        """These files of a message. By Slack Connect they come with hardly more than their ids: it is asked.

        Raises InvalidRequest with one sentence.
        """

        async def whole(file: JSON) -> JSON:
            return await self._told(str(file["id"])) if file.get("file_access") == ASK else file

        return list(await asyncio.gather(*(whole(one) for one in files)))

    async def _found(self, file: str, person: str) -> tuple[str, str]:
        """The name and the address of this person's file. Raises InvalidRequest."""
        told = await self._told(file)
        name = str(told.get("name") or "picture")
        if told.get("user") != person:
            raise InvalidRequest(f"{name} is not yours: only your own files are taken.")
        address = str(told.get("url_private_download") or told.get("url_private") or "")
        if not self._is_slacks(address):
            raise InvalidRequest(f"{name} does not lie in Slack: upload it here.")
        return name, address

    async def _told(self, file: str) -> JSON:
        try:
            told: JSON = (await self._client.files_info(file=file))["file"]
        except TROUBLES as error:
            raise InvalidRequest(
                f"one of the files cannot be read by the bot ({error_of(error)}): upload it with the form."
            ) from error
        return told

    async def _read(self, name: str, address: str) -> AsyncIterator[bytes]:
        """It as it comes: who takes no more ends it, and the rest is not read. No redirect is followed."""
        bearer = {"Authorization": f"Bearer {self._client.token}"}
        try:
            async with self._session.get(
                address, headers=bearer, allow_redirects=False, proxy=self._client.proxy
            ) as response:
                if response.status != 200 or response.content_type == "text/html":
                    raise InvalidRequest(f"{name} cannot be read by the bot: upload it again.")
                async for chunk in response.content.iter_chunked(CHUNK):
                    yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise InvalidRequest(f"{name} could not be read from Slack: send it again.") from error

    def _is_slacks(self, address: str) -> bool:
        url = urlsplit(address)
        if (url.scheme, url.netloc) == (self._house.scheme, self._house.netloc):
            return True
        host = url.hostname or ""
        return url.scheme == "https" and any(host == one or host.endswith(f".{one}") for one in SLACK)
