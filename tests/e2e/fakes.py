"""Fake backends with the behaviour that a test asks for: they echo, keep silent, greet late or
close in the middle. Each has a thread with an event loop."""

import asyncio
import socket
import struct
import threading

import harness  # noqa: F401  (puts the demonstration's modules on the path)
import proxy_v2


class Proxied:
    """What a PROXY v2 header said."""

    def __init__(self, local, source, destination, tlvs):
        self.local = local
        self.source = source
        self.destination = destination
        self.tlvs = tlvs  # {type: value}

    @property
    def tls(self):
        """{"client": bits, "verify": number, sub-type: value}, or None."""
        raw = self.tlvs.get(proxy_v2.PP2_TYPE_SSL)
        if raw is None:
            return None
        client, verify = struct.unpack("!BI", raw[:5])
        return {"client": client, "verify": verify, **parse_tlvs(raw[5:])}


def parse_tlvs(octets):
    result = {}
    while octets:
        kind, length = struct.unpack("!BH", octets[:3])
        result[kind] = octets[3:3 + length]
        octets = octets[3 + length:]
    return result


async def read_proxy(reader):
    """Reads a version 2 header; raises without one."""
    start = await reader.readexactly(16)
    if start[:12] != proxy_v2.SIGNATURE:
        raise ValueError("no PROXY header: {!r}".format(start))
    command, family, length = struct.unpack("!BBH", start[12:])
    body = await reader.readexactly(length)
    size, kind = {0x11: (4, socket.AF_INET), 0x21: (16, socket.AF_INET6)}.get(family, (0, None))
    if not size:
        return Proxied(command == 0x20, None, None, parse_tlvs(body))
    ports = struct.unpack("!HH", body[2 * size:2 * size + 4])
    source = (socket.inet_ntop(kind, body[:size]), ports[0])
    destination = (socket.inet_ntop(kind, body[size:2 * size]), ports[1])
    return Proxied(command == 0x20, source, destination, parse_tlvs(body[2 * size + 4:]))


class Backend:
    """A context manager. `handler(reader, writer)` is a coroutine function; the
    connection is closed when it returns. `proxied` has the headers of clients'
    sessions; the gateway's own checks say LOCAL, and get `checked` if there is one."""

    def __init__(self, handler, proxy=True, backlog=4096, unix=None, checked=None):
        self.port = None
        self.proxied = []
        self._handler = handler
        self._checked = checked or handler
        self._proxy = proxy
        self._backlog = backlog
        self._unix = unix
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._tasks = set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def address(self):
        """As the configuration names a server."""
        return "unix:" + self._unix if self._unix else "127.0.0.1:{}".format(self.port)

    def __enter__(self):
        self._thread.start()
        if not self._ready.wait(10):
            raise TimeoutError("the fake backend did not start")
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Stops listening and ends all connections; harmless the second time."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(20)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.close()

    async def _listen(self):
        if self._unix:
            return await asyncio.start_unix_server(self._serve, self._unix, backlog=self._backlog)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=self._backlog)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        handler = self._handler
        try:
            if self._proxy:
                header = await read_proxy(reader)
                if header.local:
                    handler = self._checked
                else:
                    self.proxied.append(header)
            await handler(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


async def echo(reader, writer):
    """Sends back all that it receives, until the end of data."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def silent(reader, writer):
    """Takes all and says nothing."""
    while await reader.read(65536):
        pass


def says(octets, then=silent):
    """Says `octets` first."""
    async def handler(reader, writer):
        writer.write(octets)
        await writer.drain()
        await then(reader, writer)
    return handler


async def close(reader, writer):
    """Ends at once."""


async def reset(reader, writer):
    """Resets the connection."""
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
