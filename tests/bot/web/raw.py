"""Requests byte by byte, as no client would send them."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; a status of 0: the connection was closed without a word."""

    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """An open connection to the address of a chat."""

    def __init__(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.host = address.removeprefix("http://")
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, address: str) -> "Line":
        host, _, port = address.removeprefix("http://").partition(":")
        return cls(address, *await asyncio.open_connection(host, int(port)))

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        with suppress(ConnectionError):
            await self.writer.drain()

    async def ask(self, method: str, path: str, *headers: bytes, body: bytes = b"") -> Answer:
        """One request, and the answer to it."""
        lines = [f"{method} {path} HTTP/1.1".encode(), f"Host: {self.host}".encode()]
        if method == "POST":
            lines += [f"Origin: http://{self.host}".encode(), f"Content-Length: {len(body)}".encode()]
        await self.send(b"\r\n".join([*lines, *headers, b"", body]))
        return await self.answer()

    async def answer(self, seconds: float = 20.0) -> Answer:
        async with asyncio.timeout(seconds):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return Answer(status=0, headers={}, body=b"")
            first, *rest = head.decode("latin-1").split("\r\n")
            fields = dict(line.split(": ", 1) for line in rest if line)
            headers = {name.lower(): value for name, value in fields.items()}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(status=int(first.split()[1]), headers=headers, body=body)

    async def ended(self, seconds: float = 20.0) -> bool:
        """Whether the other side hangs up within this time, whatever it says before."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(2**16):
                    pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self.writer.close()


async def ask(address: str, method: str, path: str, *headers: bytes, body: bytes = b"") -> Answer:
    """One request on a connection of its own."""
    line = await Line.to(address)
    try:
        return await line.ask(method, path, *headers, body=body)
    finally:
        line.close()
