"""A TCP proxy in front of a server, with the faults of a network to order.

with TcpProxy(server.port) as proxy:
    connect(f"http://127.0.0.1:{proxy.port}")
    proxy.fault = FAULTS["reset in mid-response"]
    ...
    proxy.heal()
"""

import asyncio
import contextlib
import math
import socket
import struct
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from scripts.processes import free_port

BLOCK_BYTES = 1 << 16
# With this, closing a socket sends a reset in place of an orderly end.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """What the proxy does to connections, old and new; the default passes everything on.

    `cuts` ends the open connections when the fault begins. `answers` is what a new connection gets:
    "pass", "close" (before a byte), or "silence". `requests` and `responses` say whether bytes go
    on; a connection that lost some stays silent for good, as no network gives part of them later.
    `delay_s` holds up each block of a response, and `pace_bytes` is its size. After
    `response_bytes` of responses a connection ends: with a reset, or with `garbage` in front of it.
    """

    cuts: bool = False
    listens: bool = True
    answers: str = "pass"
    requests: bool = True
    responses: bool = True
    delay_s: float = 0.0
    pace_bytes: int = BLOCK_BYTES
    response_bytes: int | None = None
    resets: bool = True
    garbage: bytes = b""


PASS = Fault()
FAULTS: dict[str, Fault] = {
    "gone": Fault(cuts=True, listens=False),
    "closed before the handshake": Fault(cuts=True, answers="close"),
    "accepts and stays silent": Fault(cuts=True, answers="silence"),
    "half-open, both ways": Fault(requests=False, responses=False),
    "half-open, no response": Fault(responses=False),
    "slow by 1 s a block": Fault(delay_s=1.0),
    "trickles": Fault(delay_s=0.01, pace_bytes=16),
    "reset in mid-response": Fault(response_bytes=20),
    "ended in mid-response": Fault(response_bytes=20, resets=False),
    "garbage in mid-response": Fault(response_bytes=20, garbage=b"\xff" * 64),
}


class Heard:
    """When a connection was last heard."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def within(self, seconds: float) -> bool:
        """Note that it is heard now, unless it was silent for longer than that."""
        now = time.monotonic()
        if now - self._last > seconds:
            return False
        self._last = now
        return True


class TcpProxy:
    """Passes connections on to a port of this machine; `fault` may be changed at any time."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self.accepted = 0
        # Seconds of silence after which a connection is forgotten without a word, as firewalls do.
        self.forgets_after_s = math.inf
        self._fault = PASS
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter | None]] = set()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    @property
    def fault(self) -> Fault:
        """What is wrong now."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._run(self._begin(fault))

    def heal(self) -> None:
        """Pass everything on again. Connections that were hurt stay as they are."""
        self.fault = PASS

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all connections."""
        self._run(self._begin(Fault(cuts=True, listens=False)))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _begin(self, fault: Fault) -> None:
        self._fault = fault
        if fault.listens and self._listener is None:
            await self._listen()
        if not fault.listens and self._listener is not None:
            self._listener.close()
            self._listener = None
        if fault.cuts:
            for client, server in tuple(self._links):
                _end(client, resets=True)
                if server is not None:
                    _end(server, resets=True)
        await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self.accepted += 1
        fault = self._fault
        if fault.answers == "close":
            _end(client, resets=False)
            return
        if fault.answers == "silence":
            link: tuple[asyncio.StreamWriter, asyncio.StreamWriter | None] = (client, None)
            self._links.add(link)
            while await reader.read(BLOCK_BYTES):
                pass
            self._links.discard(link)
            _end(client, resets=False)
            return
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            _end(client, resets=True)
            return
        link = (client, server)
        self._links.add(link)
        try:
            heard = Heard()
            await asyncio.gather(
                self._pass_requests(reader, server, heard),
                self._pass_responses(answers, client, heard),
            )
        finally:
            self._links.discard(link)
            _end(client, resets=False)
            _end(server, resets=False)

    async def _pass_requests(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, heard: "Heard"
    ) -> None:
        is_lost = False
        with contextlib.suppress(OSError):
            while block := await reader.read(BLOCK_BYTES):
                is_lost |= not (self._fault.requests and heard.within(self.forgets_after_s))
                if not is_lost:
                    server.write(block)
                    await server.drain()
        _end(server, resets=False)

    async def _pass_responses(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, heard: "Heard"
    ) -> None:
        passed, of, is_lost = 0, self._fault, False
        with contextlib.suppress(OSError):
            while block := await reader.read(self._fault.pace_bytes):
                fault = self._fault
                if fault is not of:
                    passed, of = 0, fault
                if fault.delay_s:
                    await asyncio.sleep(fault.delay_s)
                is_lost |= not (fault.responses and heard.within(self.forgets_after_s))
                if is_lost:
                    continue
                if fault.response_bytes is not None:
                    block = block[: max(fault.response_bytes - passed, 0)]
                client.write(block)
                await client.drain()
                passed += len(block)
                if fault.response_bytes is not None and passed >= fault.response_bytes:
                    client.write(fault.garbage)
                    _end(client, resets=fault.resets and not fault.garbage)
                    return
        _end(client, resets=False)


def _end(writer: asyncio.StreamWriter, *, resets: bool) -> None:
    """Close a connection, with a reset where that is asked for."""
    if writer.is_closing():
        return
    if resets:
        with contextlib.suppress(OSError):
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE
            )
        writer.transport.abort()
    else:
        writer.close()
