"""Speaks HTTP to the search API: kept connections, as many as requests are under way.

The providers' clients take milliseconds of a processor for a request, which would be measured. h11
knows the protocol and leaves the rest to whoever uses it.
"""

import asyncio
import sys
from contextlib import suppress

import h11

HOST = "127.0.0.1"
SOCKETS = 8_192


class Hangup(ConnectionError):
    """The service closed a connection instead of answering."""


class Client:
    """Kept connections to a port of this computer. Use it on one event loop."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Way] = []
        self._all: set[_Way] = set()

    async def open(self, number: int) -> None:
        """Open connections, so that the first requests need not."""
        self._idle += await asyncio.gather(*(self._opened() for _ in range(number)))

    async def get(self, target: str) -> tuple[int, bytes]:
        """Return status and body of an answer. Raises OSError where there is none."""
        while self._idle and self._idle[-1].is_closed:
            self._all.discard(self._idle.pop())
        way = self._idle.pop() if self._idle else await self._opened()
        try:
            answer = await way.get(target)
        except BaseException:
            self._all.discard(way)
            way.close()
            raise
        self._idle.append(way)
        return answer

    def close(self) -> None:
        """Close all connections."""
        for way in self._all:
            way.close()
        self._idle.clear()
        self._all.clear()

    async def _opened(self) -> "_Way":
        loop = asyncio.get_running_loop()
        _, way = await loop.create_connection(_Way, HOST, self._port)
        self._all.add(way)
        return way


class _Way(asyncio.Protocol):
    """One connection: a request, then its answer, then the next request."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._status = 0
        self._body = b""

    @property
    def is_closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    async def get(self, target: str) -> tuple[int, bytes]:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._status, self._body = 0, b""
        request = h11.Request(method="GET", target=target, headers=[("Host", HOST)])
        sent = (self._http.send(request) or b"") + (self._http.send(h11.EndOfMessage()) or b"")
        self._transport.write(sent)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        try:
            while self._understood(self._http.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            self._fail(Hangup(f"The service answered with what is no HTTP: {error}"))

    def _understood(self, event: object) -> bool:
        """Take in a part of the answer; return whether another one may be there already."""
        if isinstance(event, h11.Response):
            self._status = event.status_code
        elif isinstance(event, h11.Data):
            self._body += event.data
        elif isinstance(event, h11.EndOfMessage):
            if self._http.their_state is h11.DONE:
                self._http.start_next_cycle()
            else:  # it closes the connection behind this answer
                self.close()
            if self._answer is not None and not self._answer.done():
                self._answer.set_result((self._status, self._body))
            return False
        else:
            return False
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(Hangup("The service hung up."))

    def _fail(self, error: Hangup) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def many_sockets() -> None:
    """Let this process have thousands of sockets, as far as the computer lets it."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SOCKETS if hard == resource.RLIM_INFINITY else min(SOCKETS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
