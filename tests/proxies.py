"""Two small proxies, SOCKS5 and HTTP: whatever host is asked for, they lead to one port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Proxy:
    """`asked`: the hosts that were asked for, `host:port`. `target`: the port where all of them lead; 0 refuses."""

    target: int
    port: int = 0
    asked: list[str] = field(default_factory=list)

    async def pipe(self, near: Streams, first: bytes = b"") -> None:
        """Pass bytes both ways until one side ends."""
        far = await asyncio.open_connection("127.0.0.1", self.target)
        far[1].write(first)
        ways = [asyncio.create_task(_pass_on(near[0], far[1])), asyncio.create_task(_pass_on(far[0], near[1]))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way, writer in zip(ways, (far[1], near[1]), strict=True):
            way.cancel()
            writer.close()

    async def socks5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """RFC 1928 without a password: CONNECT to a name or an IPv4 address."""
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        kind = (await reader.readexactly(4))[3]
        host = await reader.readexactly((await reader.readexactly(1))[0] if kind == 3 else 4)
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append(f"{host.decode() if kind == 3 else '.'.join(map(str, host))}:{port}")
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await self.pipe((reader, writer))

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """RFC 9110: CONNECT opens a tunnel, anything else names the whole address in its first line."""
        first = await reader.readuntil(b"\r\n")
        method, address, _ = first.decode().split(" ", 2)
        self.asked.append(address if method == "CONNECT" else address.split("/")[2])
        if method != "CONNECT":
            await self.pipe((reader, writer), first)
            return
        await reader.readuntil(b"\r\n\r\n")
        if not self.target:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await self.pipe((reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


@contextlib.asynccontextmanager
async def proxy(scheme: str, target: int) -> AsyncIterator[Proxy]:
    """A running proxy; `scheme` is socks5 or http."""
    made = Proxy(target)
    server = await asyncio.start_server(getattr(made, scheme), "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
