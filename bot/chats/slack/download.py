"""Downloads of files in Slack, no larger than allowed: people's own, or those of a message they chose."""

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


class Downloads:
    """Reads files with the bot's token, which goes to Slack and to nobody else."""

    def __init__(self, client: AsyncWebClient, session: aiohttp.ClientSession) -> None:
        self._client = client
        self._session = session
        self._api_address = urlsplit(client.base_url)

    async def open(self, file: str, person: str) -> IncomingFile:
        """Open this person's file, or anybody's where nobody is named. Raises InvalidRequest."""
        name, address = await self._locate(file, person)
        return IncomingFile(name=name, chunks=self._read(name, address))

    async def describe(self, files: Sequence[JSON]) -> list[JSON]:
        """Describe these files of a message. Those from Slack Connect come with little more than their ids.

        Raises InvalidRequest with one sentence.
        """

        async def complete(file: JSON) -> JSON:
            return await self._read_info(str(file["id"])) if file.get("file_access") == ASK else file

        return list(await asyncio.gather(*(complete(file) for file in files)))

    async def _locate(self, file: str, person: str) -> tuple[str, str]:
        """Find the name and address of this person's file, or anybody's. Raises InvalidRequest."""
        info = await self._read_info(file)
        name = str(info.get("name") or "picture")
        if person and info.get("user") != person:
            raise InvalidRequest(f"The file {name} is not yours. Only your own files are taken.")
        address = str(info.get("url_private_download") or info.get("url_private") or "")
        if not self._is_slacks(address):
            raise InvalidRequest(f"The file {name} is not in Slack. Upload it here.")
        return name, address

    async def _read_info(self, file: str) -> JSON:
        try:
            info: JSON = (await self._client.files_info(file=file))["file"]
        except TROUBLES as error:
            raise InvalidRequest(
                f"The bot cannot read one of the files ({error_of(error)}). Upload it with the form."
            ) from error
        return info

    async def _read(self, name: str, address: str) -> AsyncIterator[bytes]:
        """Read it in chunks, only as far as they are taken. No redirect is followed."""
        bearer = {"Authorization": f"Bearer {self._client.token}"}
        try:
            async with self._session.get(
                address, headers=bearer, allow_redirects=False, proxy=self._client.proxy
            ) as response:
                if response.status != 200 or response.content_type == "text/html":
                    raise InvalidRequest(f"The bot cannot read the file {name}. Upload it again.")
                async for chunk in response.content.iter_chunked(CHUNK):
                    yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise InvalidRequest(f"The file {name} could not be read from Slack. Send it again.") from error

    def _is_slacks(self, address: str) -> bool:
        url = urlsplit(address)
        if (url.scheme, url.netloc) == (self._api_address.scheme, self._api_address.netloc):
            return True
        host = url.hostname or ""
        return url.scheme == "https" and any(
            host == domain or host.endswith(f".{domain}") for domain in SLACK
        )
