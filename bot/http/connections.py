"""Connections over HTTP: how many there may be at once, and how long each may keep the bot waiting.

A stranger is a caller who has not yet shown that they may be here. A guest has: no stranger displaces one.
"""

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import cast

import structlog
from aiohttp import web

from bot.http.file_handles import max_connections
from bot.pacing.log_limit import LogLimit

log = structlog.get_logger(__name__)

FULL = b"Too many connections are open here. Try again in a moment."
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(FULL), FULL)
)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What connections may cost. `patience`: seconds for headers, for a body to go on, and to read an answer.

    `in_all`: connections at once; `strangers`: of these, from one address, before they may be here.
    """

    patience: float = 30.0
    in_all: int = 4096
    strangers: int = 256


BOUNDS = Bounds()


class Connections:
    """The open connections of one server. When there are too many, the oldest stranger's is closed."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._most = min(bounds.in_all, max_connections())
        self._strangers: dict[Connection, None] = {}
        self._of: dict[str, dict[Connection, None]] = {}
        self._open = 0
        self._server: asyncio.Server | None = None
        self._log_limit = LogLimit()

    def __len__(self) -> int:
        return self._open

    async def listen(self, runner: web.AppRunner, address: str, port: int) -> int:
        """Serve this application from now on, at an address of this machine; the port. Raises OSError."""
        server = runner.server
        assert server is not None, "the runner is not set up"
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self, cast(asyncio.Protocol, server())), address, port
        )
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Let nobody else in."""
        if self._server is not None:
            self._server.close()

    def admit(self, connection: "Connection") -> bool:
        """Whether there is room for another connection; then it has a place."""
        here = self._of.get(connection.network, {})
        if len(here) >= self._bounds.strangers:
            self._end(next(iter(here)), "Too many connections from one address")
        if self._open >= self._most and self._strangers:
            self._end(next(iter(self._strangers)), "Too many connections")
        self._open += 1
        if self._open > self._most:
            self._log_limit.warn(log, "No room for a connection", address=connection.network)
            return False
        self._strangers[connection] = None
        self._of.setdefault(connection.network, {})[connection] = None
        connection.set_deadline(2 * self._bounds.patience)
        return True

    def release(self, connection: "Connection") -> None:
        """It is closed, or about to be: its place is free."""
        if not connection.gone:
            connection.gone = True
            self._open -= 1
        self.trust(connection)

    def trust(self, connection: "Connection") -> None:
        """Count it as a guest's from now on."""
        if connection not in self._strangers:
            return
        del self._strangers[connection]
        del self._of[connection.network][connection]
        if not self._of[connection.network]:
            del self._of[connection.network]

    def end_stalled(self, connection: "Connection") -> None:
        """End it: it keeps the bot waiting."""
        self._end(connection, "Connection was open without use")

    @property
    def patience(self) -> float:
        """Seconds until an answer has to be read."""
        return self._bounds.patience

    def _end(self, connection: "Connection", why: str) -> None:
        self._log_limit.warn(log, why, address=connection.network)
        self.release(connection)
        connection.end()


class Connection(asyncio.Protocol):
    """One connection, before it is aiohttp's."""

    def __init__(self, connections: Connections, inner: asyncio.Protocol) -> None:
        self.network = ""
        self.gone = False
        self._connections, self._inner = connections, inner
        self._transport: asyncio.Transport | None = None
        self._refused = False
        self._due: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.network = network(str((transport.get_extra_info("peername") or ("",))[0]))
        if self._connections.admit(self):
            self._inner.connection_made(transport)
        else:
            self._refused = True
            self._transport.write(REFUSAL)
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if not self._refused:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._refused else self._inner.eof_received()

    def pause_writing(self) -> None:
        self._unread = self._later(self._connections.patience)
        if not self._refused:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
        if not self._refused:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._due, self._unread):
            if timer is not None:
                timer.cancel()
        self._connections.release(self)
        if not self._refused:
            self._inner.connection_lost(exc)

    def trust(self) -> None:
        """Whoever is at its other end may be here, for as long as they like."""
        if self._due is not None:
            self._due.cancel()
        self._connections.trust(self)

    def set_deadline(self, seconds: float) -> None:
        """Close it if it is still a stranger's after so many seconds."""
        self._due = self._later(seconds)

    def end(self) -> None:
        """Hang up at once."""
        if self._transport is not None:
            self._transport.abort()

    def _later(self, seconds: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self._connections.end_stalled, self)


def trust(request: web.Request) -> None:
    """Count this request's connection as a guest's from now on."""
    connection = request.transport.get_protocol() if request.transport is not None else None
    if isinstance(connection, Connection):
        connection.trust()


def network(address: str) -> str:
    """Whose address it is: of IPv6, one person has 2^64."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
