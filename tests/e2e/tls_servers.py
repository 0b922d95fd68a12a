"""Scripted servers that speak TLS behind a PROXY header, the certificates that they and the gateway
show, and a gateway before them.

Not for: real servers (test_backend_tls.py)."""

import os
import ssl

import fakes
import harness
import tls_material as tm

NAME = "backend.example"
ENDED = 'msg="session ended"'


def strict(settings):
    """Python takes the end of TCP for the end of TLS unless told otherwise."""
    settings.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 1 << 7)
    return settings


class Setting:
    """An environment with certificates: those of servers that the gateway believes or does not
    believe, and the gateway's own."""

    def __init__(self):
        self.env = harness.Environment(servers=False)
        root = tm.Authority("Servers' authority")
        stranger = tm.Authority("Nobody's authority")
        self.clients = tm.Authority("Gateways' authority")
        certificates = {
            "server": root.issue([NAME]), "other": root.issue(["other.example"]),
            "stranger": stranger.issue([NAME]), "expired": root.issue([NAME], days=(-9, -1)),
            "gateway": self.clients.issue(client="gateway"),
        }
        self.files = {n: c.save(self.env.dir, n) for n, c in certificates.items()}
        self.ca = tm.write(os.path.join(self.env.dir, "servers.pem"), root.cert)

    def server(self, inside, who="server", **attributes):
        """A Server with a certificate of `files`, and attributes of its TLS settings."""
        settings = strict(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        settings.load_cert_chain(self.files[who]["cert"], self.files[who]["key"])
        for name, value in attributes.items():
            setattr(settings, name, value)
        return Server(settings, inside)

    def backend(self, *servers, **options):
        """A backend's row, with TLS that verifies the server."""
        return {"servers": [s.address for s in servers], "proxy_protocol": "v2",
                "tls": {"verify": "required", "ca": self.ca, "name": NAME, **options}}

    def gateway(self, row, **more):
        return self.env.gateway(
            {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "far"},
             "imap": {"protocol": "imap", "tls": "starttls", "backend": "far"}},
            {"far": row}, **more)


class Tls:
    """TLS over a connection whose header has been read: a server in memory."""

    def __init__(self, reader, writer, settings):
        self.reader, self.writer = reader, writer
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = settings.wrap_bio(self._in, self._out, server_side=True)

    async def _do(self, call):
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                await self.flush()
                data = await self.reader.read(65536)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
            finally:
                await self.flush()

    async def flush(self):
        if self._out.pending:
            self.writer.write(self._out.read())
            await self.writer.drain()

    async def handshake(self):
        await self._do(self.ssl.do_handshake)

    async def read(self):
        """Some octets; none after close_notify. The end of TCP alone raises."""
        try:
            return await self._do(lambda: self.ssl.read(65536))
        except ssl.SSLZeroReturnError:
            return b""

    async def write(self, data):
        await self._do(lambda: self.ssl.write(data))

    async def close(self):
        try:
            self.ssl.unwrap()
        except ssl.SSLWantReadError:
            pass
        await self.flush()


class Server:
    """A handler for fakes.Backend: TLS, then `inside`; how sessions ended is noted."""

    def __init__(self, settings, inside):
        self.context = settings
        self.inside = inside
        self.ends = []  # "closed", or the error; without those that never began
        self.peers = []

    async def __call__(self, reader, writer):
        tls = Tls(reader, writer, self.context)
        try:
            await tls.handshake()
        except (ssl.SSLError, ConnectionError):
            return
        try:
            self.peers.append(tls.ssl.getpeercert())
            await self.inside(tls)
            self.ends.append("closed")
        except ssl.SSLError as error:
            self.ends.append(error.reason)
        except ConnectionError:
            self.ends.append("RESET")

    async def check(self, reader, writer):
        """What the gateway's probes get: TLS, and nothing is noted."""
        tls = Tls(reader, writer, self.context)
        try:
            await tls.handshake()
            while await tls.read():
                pass
        except (ssl.SSLError, ConnectionError):
            pass


class Far(fakes.Backend):
    """A backend of a Server; `checked`: another one, which the gateway's probes get."""

    def __init__(self, server, checked=None):
        super().__init__(server, checked=(checked or server).check)


async def echo(tls):
    while data := await tls.read():
        await tls.write(data)
    await tls.close()
