"""Tests TLS to backends: scripted servers after the PROXY header, including servers that the gateway
must reject, that cut connections off, or that stall.

Not for: real servers (test_backend_tls.py)."""

import asyncio
import hashlib
import os
import pty
import shutil
import ssl
import subprocess
import unittest

import fakes
import harness
import tls_material as tm
from ports import reserve_ports
from wire import Wire, context

NAME = "backend.example"
HANDSHAKES = "starling_backend_tls_handshakes_total"
ENDED = 'msg="session ended"'
FAILURES = "starling_backend_tls_handshake_failures_total"

env = None
material = None


def strict(settings):
    """Python takes the end of TCP for the end of TLS unless told otherwise."""
    settings.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 1 << 7)
    return settings


class Material:
    def __init__(self, folder):
        root = tm.Authority("Servers' authority")
        stranger = tm.Authority("Nobody's authority")
        self.clients = tm.Authority("Gateways' authority")
        certificates = {
            "server": root.issue([NAME]), "other": root.issue(["other.example"]),
            "stranger": stranger.issue([NAME]), "expired": root.issue([NAME], days=(-9, -1)),
            "gateway": self.clients.issue(client="gateway"),
        }
        self.files = {n: c.save(folder, n) for n, c in certificates.items()}
        self.ca = tm.write(os.path.join(folder, "servers.pem"), root.cert)

    def context(self, who, **attributes):
        result = strict(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        result.load_cert_chain(self.files[who]["cert"], self.files[who]["key"])
        for name, value in attributes.items():
            setattr(result, name, value)
        return result


def setUpModule():
    global env, material
    env = harness.Environment(servers=False)
    material = Material(env.dir)


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

    def __init__(self, inside, who="server", **attributes):
        self.context = material.context(who, **attributes)
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


def backend(*servers, **options):
    return {"servers": [s.address for s in servers], "proxy_protocol": "v2",
            "tls": {"verify": "required", "ca": material.ca, "name": NAME, **options}}


def gateway(row, **more):
    return env.gateway(
        {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "far"},
         "imap": {"protocol": "imap", "tls": "starttls", "backend": "far"}},
        {"far": row}, **more)


class Believed(unittest.TestCase):
    def test_octets_arrive_whole_both_ways(self):
        server = Server(echo)
        octets = os.urandom(3_000_000)
        with Far(server) as far, gateway(backend(far)) as running:
            with Wire(running.ports["tcp"]).start_tls() as client:
                got = hashlib.sha256()
                for at in range(0, len(octets), 100_000):
                    part = octets[at:at + 100_000]
                    client.send(part)
                    got.update(client.exactly(len(part)))
                client.socket = client.socket.unwrap()
                self.assertEqual(client.rest(), b"")
            self.assertEqual(got.digest(), hashlib.sha256(octets).digest())
            self.assertEqual(running.wait_for_metric(1, HANDSHAKES), 1)
            running.assert_idle(self)
            self.assertEqual(far.proxied[0].source[0], "127.0.0.1")
        self.assertEqual(server.ends, ["closed"])

    def test_sessions_are_resumed_with_either_version(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server = Server(echo, minimum_version=version, maximum_version=version)
            with self.subTest(version), Far(server) as far, \
                    gateway(backend(far), workers=1) as running:
                for _ in range(5):
                    with Wire(running.ports["tcp"]).start_tls() as client:
                        self.assertEqual(client.send(b"ping").exactly(4), b"ping")
                self.assertEqual(running.wait_for_metric(4, HANDSHAKES, resumed="yes"), 4)
                self.assertEqual(running.metrics().sum(HANDSHAKES, resumed="no"), 1)
                self.assertIsNotNone(running.wait_for_line(
                    ENDED, "upstream_tls_version=TLSv1." + version.name[-1],
                    "upstream_resumed=true"))

    def test_a_session_that_leads_nowhere_is_not_offered_again(self):
        def refuse(tls, *_):
            return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE if tls.session_reused else None
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server = Server(echo, minimum_version=version, maximum_version=version,
                            sni_callback=refuse)
            with self.subTest(version), Far(server) as far, \
                    gateway(backend(far), workers=1) as running:
                for _ in range(3):
                    with Wire(running.ports["tcp"]).start_tls() as client:
                        self.assertEqual(client.send(b"ping").exactly(4), b"ping")
                # Each full handshake brought another one to try.
                self.assertEqual(running.wait_for_metric(3, HANDSHAKES, resumed="no"), 3)
                self.assertEqual(running.metrics().sum(FAILURES, reason="peer_alert"), 2)
                running.assert_idle(self)

    def test_the_gateway_shows_its_certificate(self):
        server = Server(echo, verify_mode=ssl.CERT_REQUIRED)
        server.context.load_verify_locations(cadata=material.clients.cert)
        with Far(server) as far:
            with gateway(backend(far, client_certificate=material.files["gateway"])) as running, \
                    Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.send(b"ping").exactly(4), b"ping")
            self.assertIn(((("commonName", "gateway"),),), [p["subject"] for p in server.peers])
            with gateway(backend(far)) as running, \
                    Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.send(b"ping").rest(), b"")

    def test_renewed_files_are_taken_over(self):
        def names():
            return [dict(pair for row in p["subject"] for pair in row)["commonName"]
                    for p in server.peers]

        folder = os.path.join(env.dir, "renewed")
        os.mkdir(folder)
        own = material.clients.issue(client="first").save(folder, "own")
        ca = os.path.join(folder, "ca.pem")
        shutil.copy(material.ca, ca)
        server = Server(echo, verify_mode=ssl.CERT_REQUIRED)
        server.context.load_verify_locations(cadata=material.clients.cert)
        with Far(server) as far, \
                gateway(backend(far, ca=ca, client_certificate=own)) as running:
            def reloaded(count):
                self.assertEqual(running.wait_for_metric(
                    count, "starling_config_reloads_total", trigger="files", result="success"),
                    count)

            with Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.send(b"ping").exactly(4), b"ping")
            material.clients.issue(client="second").save(folder, "own")
            reloaded(1)
            with Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.send(b"ping").exactly(4), b"ping")
            self.assertEqual(names(), ["first", "second"])
            # Whom the file no longer has is believed no more, with a session or without.
            tm.write(ca, tm.Authority("Another").cert)
            reloaded(2)
            with Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.send(b"ping").rest(), b"")

    def test_keys_are_updated_when_the_server_asks(self):
        # Python cannot ask for that; openssl can, where its input has a line with K.
        # What it says reaches a terminal at once.
        port = reserve_ports(["s_server"])["s_server"]
        files = material.files["server"]
        terminal, its_end = pty.openpty()
        child = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:{}".format(port), "-tls1_3",
             "-cert", files["cert"], "-key", files["key"]],
            stdin=subprocess.PIPE, stdout=its_end)
        os.close(its_end)

        def type_in(line):
            child.stdin.write(line + b"\n")
            child.stdin.flush()

        row = {**backend(), "servers": ["127.0.0.1:{}".format(port)], "proxy_protocol": "none"}
        with child, open(terminal, "rb") as said, gateway(row) as running, \
                Wire(running.ports["tcp"]).start_tls() as client:
            try:
                client.send(b"hello\n")
                self.assertIn(b"hello\r\n", said)
                for i in range(3):
                    type_in(b"K")
                    self.assertIn(b"SSL_do_handshake -> 1\r\n", said)
                    type_in(b"line %d" % i)
                    self.assertEqual(client.line(), b"line %d\n" % i)
                    client.send(b"answer %d\n" % i)
                    self.assertIn(b"answer %d\r\n" % i, said)
            finally:
                child.kill()


class NotBelieved(unittest.TestCase):
    def test_clients_are_refused_and_operators_told(self):
        cases = {"other": "server_certificate_invalid", "stranger": "server_certificate_invalid",
                 "expired": "server_certificate_invalid"}
        for who, reason in cases.items():
            server = Server(echo, who)
            with self.subTest(who), Far(server) as far, \
                    gateway(backend(far)) as running:
                with Wire(running.ports["imap"]) as client:
                    client.upgrade("imap")
                    self.assertIn(b"* BYE", client.rest())
                self.assertEqual(running.metrics().sum(FAILURES, reason=reason), 1)
                self.assertEqual(running.metrics().sum(
                    "starling_backend_connect_failures_total", reason="tls"), 1)
                self.assertIsNotNone(running.wait_for_line(
                    ENDED, "upstream_tls_failure=" + reason, "reason=backend_unavailable"))
                running.assert_idle(self)
            self.assertEqual(len(server.peers), 0)

    def test_the_next_server_is_tried(self):
        good, bad = Server(echo), Server(echo, "stranger")
        with Far(bad, checked=good) as first, Far(good) as second, \
                gateway(backend(first, second)) as running:
            for _ in range(4):
                with Wire(running.ports["tcp"]).start_tls() as client:
                    self.assertEqual(client.send(b"ping").exactly(4), b"ping")
            self.assertGreater(running.metrics().sum(FAILURES), 0)
        self.assertEqual(bad.peers, [])

    def test_no_verification_takes_anybody(self):
        server = Server(echo, "stranger")
        with Far(server) as far:
            row = {**backend(far), "tls": {"verify": "none"}}
            with gateway(row) as running, Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.send(b"ping").exactly(4), b"ping")

    def test_a_plaintext_server_is_none(self):
        async def plaintext(reader, writer):
            writer.write(b"* OK ready\r\n")
            await fakes.silent(reader, writer)
        with fakes.Backend(plaintext) as far, gateway(backend(far)) as running:
            with Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.rest(), b"")
            self.assertEqual(running.wait_for_metric(1, FAILURES), 1)

    def test_a_silent_server_is_given_up(self):
        with fakes.Backend(fakes.silent) as far, \
                gateway(backend(far), limits={"connect": "1s"}) as running:
            with Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.rest(), b"")
            self.assertEqual(running.wait_for_metric(1, FAILURES, reason="timeout"), 1)


LONG = b"x" * 6000
# Of more than a gateway receives at a time, and no line ends where a record does.
GREETINGS = {
    "smtp": b"".join(b"220-%03d %s\r\n" % (i, b"x" * 52) for i in range(100)) + b"220 x\r\n",
    "imap": b"* OK " + LONG + b"\r\n", "pop3": b"+OK " + LONG + b"\r\n",
    "nntp": b"200 " + LONG + b"\r\n"}
GREETINGS["lmtp"] = GREETINGS["smtp"]
# protocol: a command that the gateway passes on to a server in plaintext, and its reply
COMMANDS = {
    "smtp": (b"VRFY a\r\n", b"".join(b"550-%05d %s\r\n" % (i, b"x" * 51) for i in range(700)) +
             b"550 x\r\n"),
    "imap": (b"a LIST x x\r\n", b"a NO " + 7 * LONG + b"\r\n"),
    "pop3": (b"LIST\r\n", b"-ERR " + 7 * LONG + b"\r\n")}
COMMANDS["lmtp"] = COMMANDS["smtp"]
# The same of FTP, inside TLS.
LISTING = (b"STAT x\r\n", b"213-x\r\n" +
           b"".join(b" %05d %s\r\n" % (i, b"x" * 53) for i in range(700)) + b"213 x\r\n")


class Records(unittest.TestCase):
    """A server cuts its lines into records as it likes."""

    def server(self, greeting, reply=None):
        async def speak(tls):
            for octets in (greeting, reply):
                for at in range(0, len(octets or b""), 100):
                    await tls.write(octets[at:at + 100])
                if octets == greeting and reply:
                    await tls.read()
            await echo(tls)
        return fakes.Backend(Server(speak))

    def gateway(self, protocol, far, **more):
        return env.gateway({"x": {"protocol": protocol, "tls": "starttls", "backend": "far",
                                  **more}}, {"far": backend(far)})

    def test_greetings_behind_the_upgrade(self):
        for protocol, greeting in GREETINGS.items():
            with self.subTest(protocol), self.server(greeting) as far, \
                    self.gateway(protocol, far) as running:
                with Wire(running.ports["x"]) as client:
                    client.upgrade(protocol)
                    self.assertEqual(client.send(b"ping").exactly(4), b"ping")

    def test_replies_in_plaintext(self):
        for protocol, (command, reply) in COMMANDS.items():
            with self.subTest(protocol), self.server(GREETINGS[protocol], reply) as far, \
                    self.gateway(protocol, far, policy="opportunistic") as running:
                with Wire(running.ports["x"]) as client:
                    client.greeting(protocol)
                    self.assertEqual(client.send(command).exactly(len(reply)), reply)

    def test_replies_inside_tls(self):
        greeting = b"220 " + LONG + b"\r\n"
        command, reply = LISTING
        with self.server(greeting, reply) as far, \
                self.gateway("ftp", far, tls="implicit") as running:
            with Wire(running.ports["x"]).start_tls() as client:
                self.assertEqual(client.exactly(len(greeting)), greeting)
                self.assertEqual(client.send(command).exactly(len(reply)), reply)


class CutOff(unittest.TestCase):
    def test_a_server_that_ends_before_it_has_greeted(self):
        async def half(tls):
            await tls.write(b"* OK half of wh")
        for inside in (half, Tls.flush):
            with self.subTest(inside), fakes.Backend(Server(inside)) as far, \
                    gateway(backend(far)) as running:
                with Wire(running.ports["imap"]) as client:
                    client.upgrade("imap")
                    self.assertIn(b"* BYE ", client.rest())
                self.assertIsNotNone(running.wait_for_line(ENDED, "reason=backend_unavailable"))

    def test_a_server_that_ends_without_saying_so(self):
        async def half(tls):
            await tls.write(b"half of what")
        server = Server(half)
        with Far(server) as far, gateway(backend(far)) as running:
            with Wire(running.ports["tcp"]) as client:
                client.socket = strict(context()).wrap_socket(
                    client.socket, server_hostname="x.example", suppress_ragged_eofs=False)
                self.assertEqual(client.exactly(12), b"half of what")
                with self.assertRaises((ssl.SSLError, ConnectionResetError)):
                    client.receive()
            self.assertIsNotNone(running.wait_for_line(ENDED, "reason=backend_truncated"))

    def test_a_client_that_ends_without_saying_so(self):
        server = Server(echo)
        with Far(server) as far, gateway(backend(far)) as running:
            client = Wire(running.ports["tcp"]).start_tls()
            self.assertEqual(client.send(b"ping").exactly(4), b"ping")
            client.close()
            self.assertIsNotNone(running.wait_for_line(ENDED, "reason=client_truncated"))
            running.assert_idle(self)
        self.assertEqual(len(server.ends), 1)
        self.assertIn(server.ends[0], ("UNEXPECTED_EOF_WHILE_READING", "RESET"))


if __name__ == "__main__":
    unittest.main()
