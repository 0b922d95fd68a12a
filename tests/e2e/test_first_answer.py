"""Tests when the gateway sends tickets of TLS 1.3: a client that connects and says nothing gets one
where that is safe, and a client that only writes and closes loses nothing by it.

Not for: acknowledgements (tests/sim/first_answer_test.cc and the rings' conformance suite), or
the time to a first answer (bench/)."""

import asyncio
import ftplib
import os
import socket
import ssl
import threading
import unittest

import fakes
import ftpserver
import harness
import wire
from test_ftp import Explicit, Implicit
from protocol_profiles import PROFILES

env = None
HANDSHAKES = "starling_tls_handshakes_total"
APPLICATION_DATA = 0x17  # what all records of TLS 1.3 look like, but for a handshake's first
# Named by clients of these, or TLS is not taken from the first octet.
ALPN = {"postgresql": ["postgresql"]}
LARGE = os.urandom(1024) * 6 * 1024
ROUNDS = 12


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def settings(alpn=None):
    return wire.context(alpn=alpn, minimum_version=ssl.TLSVersion.TLSv1_3)


class Records:
    """TLS by hand over a connection, which is read when a test says so and not otherwise."""

    def __init__(self, connection, tls=None, session=None):
        self.connection = connection
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (tls or settings()).wrap_bio(
            self._in, self._out, server_hostname="mail.example.org", session=session)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self._in.write(self.record())
        self.flush()

    def flush(self):
        self.connection.sendall(self._out.read())

    def record(self):
        """The next one that comes, still sealed."""
        header = self._exactly(5)
        return header + self._exactly(int.from_bytes(header[3:], "big"))

    def _exactly(self, count):
        octets = b""
        while len(octets) < count:
            more = self.connection.recv(count - len(octets))
            if not more:
                raise EOFError("amid a record")
            octets += more
        return octets

    def read_record(self):
        """What one record brings: plaintext, or nothing if it is a ticket."""
        record = self.record()
        if record[0] != APPLICATION_DATA:
            raise AssertionError("a record of type {}".format(record[0]))
        self._in.write(record)
        try:
            return self.tls.read(65536)
        except ssl.SSLWantReadError:
            return b""

    def write(self, octets):
        self.tls.write(octets)
        self.flush()

    def close(self):
        """close_notify, and the end, with whatever has come unread."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()
        self.connection.close()


def upgrade(client, profile):
    """To where the client's hello comes next."""
    if profile.greeting_end:
        client.until(profile.greeting_end)
    if profile.opening:
        client.send(profile.opening).until(profile.opening_end)
    client.send(profile.upgrade).until(profile.go_ahead)
    if not profile.go_ahead.endswith(profile.go_ahead_end):
        client.until(profile.go_ahead_end)


class Silent(unittest.TestCase):
    def ticket(self, port, protocol, upgraded, settings, session=None):
        """Of a client that says nothing inside TLS; (whether it resumed, the session)."""
        with wire.Wire(port) as client:
            if upgraded:
                upgrade(client, PROFILES[protocol])
            tls = Records(client.socket, settings, session)
            self.assertEqual(tls.read_record(), b"", "the first record was no ticket")
            self.assertTrue(tls.tls.session.has_ticket)
            return tls.tls.session_reused, tls.tls.session

    def test_every_protocol(self):
        """Once before a server that says nothing, and once before no server at all."""
        listeners = {}
        for protocol in PROFILES:
            for tls in ("implicit", "starttls"):
                for backend in ("silent", "down"):
                    listeners["-".join((protocol, tls, backend))] = {
                        "protocol": protocol, "tls": tls, "backend": backend}
        with fakes.Backend(fakes.silent, proxy=False) as backend, env.gateway(listeners, {
                "silent": {"servers": [backend.address], "proxy_protocol": "none"},
                "down": {"servers": [harness.DOWN], "proxy_protocol": "none"}}) as gateway:
            for name, keys in listeners.items():
                protocol, tls = keys["protocol"], keys["tls"]
                ways = {tls == "starttls"}
                if PROFILES[protocol].direct_tls:
                    ways.add(False)
                for upgraded in ways:
                    with self.subTest(name, upgraded=upgraded):
                        client = (gateway.ports[name], protocol, upgraded,
                                  settings(ALPN.get(protocol)))
                        resumed, session = self.ticket(*client)
                        self.assertFalse(resumed)
                        # A resumed session has another one.
                        for _ in range(2):
                            resumed, session = self.ticket(*client, session)
                            self.assertTrue(resumed)

    def test_opaque_with_the_servers_first_octet(self):
        heard, speak = threading.Event(), threading.Event()

        async def handler(reader, writer):
            await reader.readexactly(4)
            heard.set()
            await asyncio.to_thread(speak.wait, wire.TIMEOUT)
            writer.write(b"pong")
            await fakes.silent(reader, writer)

        with fakes.Backend(handler) as backend, env.tcp(backend.address) as gateway, \
                wire.Wire(gateway.ports["tcp"]) as client:
            tls = Records(client.socket)
            tls.write(b"ping")
            self.assertTrue(heard.wait(wire.TIMEOUT))
            # A ticket sent before would have come by now.
            client.socket.setblocking(False)
            with self.assertRaises(BlockingIOError):
                client.socket.recv(1, socket.MSG_PEEK)
            client.socket.settimeout(wire.TIMEOUT)
            speak.set()
            self.assertEqual(tls.read_record(), b"")
            self.assertTrue(tls.tls.session.has_ticket)
            self.assertEqual(tls.read_record(), b"pong")

    def test_opaque_with_the_answer_to_close_notify(self):
        async def swallow(reader, writer):
            await reader.read()

        with fakes.Backend(swallow) as backend, env.tcp(backend.address) as gateway, \
                wire.Wire(gateway.ports["tcp"]) as client:
            tls = Records(client.socket)
            with self.assertRaises(ssl.SSLWantReadError):
                tls.tls.unwrap()
            tls.flush()
            self.assertEqual(tls.read_record(), b"")
            self.assertTrue(tls.tls.session.has_ticket)


class Uploads(unittest.TestCase):
    """By clients that never read behind the handshake, and close at once."""

    def test_opaque(self):
        got = []
        done = threading.Semaphore(0)

        async def handler(reader, writer):
            octets = 0
            while data := await reader.read(1 << 20):
                octets += len(data)
            if octets:  # the gateway looks by itself whether the server is there
                got.append(octets)
                done.release()

        with fakes.Backend(handler) as backend, env.tcp(backend.address) as gateway:
            for _ in range(ROUNDS):
                client = Records(socket.create_connection(
                    ("127.0.0.1", gateway.ports["tcp"]), wire.TIMEOUT))
                client.write(LARGE)
                client.close()
                self.assertTrue(done.acquire(timeout=wire.TIMEOUT))
            self.assertEqual(got, [len(LARGE)] * ROUNDS)
            gateway.assert_idle(self)

    def test_files(self):
        with ftpserver.ProFtpd() as server:
            keys = {"protocol": "ftp", "backend": "proftpd"}
            with env.gateway({"starttls": {**keys, "tls": "starttls"},
                              "implicit": {**keys, "tls": "implicit"}},
                             {"proftpd": {"servers": [server.address],
                                          "proxy_protocol": "none"}}) as gateway:
                for listener, kind in (("starttls", Explicit), ("implicit", Implicit)):
                    for passive in (True, False):
                        with self.subTest(listener, passive=passive), \
                                kind(context=wire.context(env.ca)) as client:
                            client.connect("127.0.0.1", gateway.ports[listener], wire.TIMEOUT)
                            client.login(server.name, server.password, secure=kind is Explicit)
                            client.prot_p()
                            client.voidcmd("TYPE I")
                            for number in range(ROUNDS // 4):
                                name = "{}-{}-{}".format(listener, passive, number)
                                self.store(client, name, passive)
                                self.assertEqual(server.get(name), LARGE)
                gateway.assert_idle(self)

    def store(self, client, name, passive):
        if passive:
            connection = socket.create_connection(
                ftplib.parse227(client.sendcmd("PASV")), wire.TIMEOUT)
            client.sendcmd("STOR " + name)
        else:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                client.sendport(*listener.getsockname())
                client.sendcmd("STOR " + name)
                listener.settimeout(wire.TIMEOUT)
                connection = listener.accept()[0]
                connection.settimeout(wire.TIMEOUT)
        upload = Records(connection)
        upload.write(LARGE)
        upload.close()
        self.assertEqual(client.voidresp()[:3], "226")


if __name__ == "__main__":
    unittest.main()
