"""Fake backends with the behaviour that a test asks for: they echo, keep silent, greet late or
close in the middle. Each has a thread with an event loop."""

import asyncio
import re
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
    sessions. The headers of the gateway's own probes say LOCAL; probes get `checked`, or the
    handler's method `checked`, if there is one. Without headers (`proxy`) all get the handler's
    method `unproxied`, if there is one."""

    def __init__(self, handler, proxy=True, backlog=4096, unix=None, checked=None):
        self.port = None
        self.proxied = []
        self._handler = handler
        self._checked = checked or getattr(handler, "checked", handler)
        self._unproxied = getattr(handler, "unproxied", handler)
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
            else:
                handler = self._unproxied
            await handler(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


# What a probe says where the server waits for its client, and what a server that is well answers.
PROBES = (
    (rb"OPTIONS \* HTTP/1\.1\r\nHost: \S+\r\nConnection: close\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    (rb"QUIT\r\n", b"ERROR :Closing link\r\n"),
    (rb"\0\0\0\x08\x04\xd2\x16\x2f", b"N"),
    (rb"<\?xml version='1.0'\?><stream:stream xmlns='jabber:\w+' [^>]*>",
     b"<?xml version='1.0'?><stream:stream>"),
    (rb"\x30\x2a\x02\x01\x01\x63.{38}", b"\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\0\x04\0\x04\0"),
)


def answer_to_probe(octets):
    """What a server that is well says to a probe that says `octets`; None: it is no probe."""
    return next((said for probe, said in PROBES if re.fullmatch(probe, octets, re.DOTALL)), None)


class Recorder:
    """A handler that keeps what clients say. It says `greeting` at once, `answer` to the first octets
    of each connection, and closes when it has got `ends` octets. It answers probes and does not keep
    them."""

    def __init__(self, greeting=b"", answer=b"", ends=None):
        self.greeting = greeting
        self.octets = b""  # of all connections, as they came
        self.got = []      # of each connection
        self._answer = answer
        self._ends = ends

    async def __call__(self, reader, writer):
        writer.write(self.greeting)
        await self._keep(await reader.read(65536), reader, writer)

    async def unproxied(self, reader, writer):
        """Knows probes by what they say."""
        writer.write(self.greeting)
        first = await reader.read(65536)
        if (answer := answer_to_probe(first)) is None:
            await self._keep(first, reader, writer)
        else:
            await says(answer)(reader, writer)

    async def checked(self, reader, writer):
        """For a probe, as its PROXY header says."""
        writer.write(self.greeting)
        while data := await reader.read(65536):
            writer.write(answer_to_probe(data) or b"")

    async def _keep(self, data, reader, writer):
        if not data:
            return
        mine = len(self.got)
        self.got.append(b"")
        writer.write(self._answer)
        while data:
            self.octets += data
            self.got[mine] += data
            if self._ends is not None and len(self.got[mine]) >= self._ends:
                return
            data = await reader.read(65536)


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
