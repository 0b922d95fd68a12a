"""Tests faults of peers: backends that are down, silent or break off, and clients that vanish. Each
session ends with its reason, and the gateway leaks no buffer and no descriptor."""

import socket
import ssl
import struct
import threading
import unittest

import fakes
import harness
import wire
from wire import Wire

env = None
# protocol: how it says inside TLS that its backend cannot be had
UNAVAILABLE = {"smtp": b"4", "lmtp": b"4", "imap": b"* BYE", "pop3": b"-ERR", "managesieve": b"BYE"}


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def starttls(protocol, server, **more):
    return env.gateway({"in": {"protocol": protocol, "tls": "starttls", "policy": "require",
                               "backend": "one"}}, {"one": server}, **more)


def upgrade(client, protocol):
    """The upgrade, but no waiting for the backend's greeting."""
    client.greeting(protocol)
    client.ask(protocol, wire.UPGRADE[protocol][1])
    return client.start_tls()


class Faults(unittest.TestCase):
    def assert_ended(self, gateway, *reasons, count=1):
        """`count` sessions have ended, all by one of `reasons`."""
        self.assertEqual(
            gateway.wait_for_metric(count, "starling_sessions_ended_total"), count)
        ended = {r: gateway.metrics().sum("starling_sessions_ended_total", reason=r) for r in reasons}
        self.assertEqual(sum(ended.values()), count, gateway.lines[-3:])


class BackendFaults(Faults):
    def test_down(self):
        for protocol, begin in UNAVAILABLE.items():
            with self.subTest(protocol), starttls(protocol, harness.DOWN) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    said = upgrade(client, protocol).rest()
                    self.assertTrue(said.startswith(begin), said)
                self.assert_ended(gateway, "backend_unavailable")
                self.assertGreaterEqual(gateway.metrics().sum(
                    "starling_backend_connect_failures_total", backend="one", reason="refused"), 1)
                gateway.assert_idle(self)

    def test_down_and_implicit(self):
        with env.tcp(harness.DOWN) as gateway:
            with Wire(gateway.ports["tcp"]) as client:
                self.assertEqual(client.start_tls().rest(), b"")
            self.assert_ended(gateway, "backend_unavailable")
            gateway.assert_idle(self)

    def test_next_server(self):
        with fakes.Backend(fakes.echo) as backend, env.gateway(
                {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "two"}},
                {"two": {"servers": [harness.DOWN, backend.address], "proxy_protocol": "v2"}}) as gateway:
            for _ in range(4):
                with Wire(gateway.ports["tcp"]) as client:
                    self.assertEqual(client.start_tls().send(b"x").exactly(1), b"x")

    def test_silent(self):
        for protocol, begin in UNAVAILABLE.items():
            with self.subTest(protocol), fakes.Backend(fakes.silent) as backend, \
                    starttls(protocol, backend.address, limits={"greeting": "1s"}) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    said = upgrade(client, protocol).rest()
                    self.assertTrue(said.startswith(begin), said)
                self.assert_ended(gateway, "greeting_deadline")
                gateway.assert_idle(self)

    def test_closes_before_its_greeting(self):
        for protocol, begin in UNAVAILABLE.items():
            for how in (fakes.close, fakes.reset):
                with self.subTest(protocol, how=how.__name__), fakes.Backend(how) as backend, \
                        starttls(protocol, backend.address) as gateway:
                    with Wire(gateway.ports["in"]) as client:
                        said = upgrade(client, protocol).rest()
                        self.assertTrue(said.startswith(begin), said)
                    self.assert_ended(gateway, "backend_unavailable", "backend_closed",
                                      "backend_reset", "backend_protocol")
                    gateway.assert_idle(self)

    def test_refusing_greeting_is_passed_on(self):
        for protocol, greeting in (("smtp", b"554 5.3.2 no\r\n"), ("imap", b"* BYE no\r\n"),
                                   ("pop3", b"-ERR no\r\n")):
            with self.subTest(protocol), fakes.Backend(fakes.says(greeting)) as backend, \
                    starttls(protocol, backend.address) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    self.assertEqual(upgrade(client, protocol).rest(), greeting)
                self.assert_ended(gateway, "backend_refused")

    def test_closes_midway(self):
        async def half(reader, writer):
            await reader.read(10)
            writer.write(b"y" * 300_000)
            await writer.drain()

        async def broken(reader, writer):
            await reader.read(10)
            await fakes.reset(reader, writer)

        for handler, wanted, reason in ((half, b"y" * 300_000, "backend_closed"),
                                        (broken, b"", "backend_reset")):
            with self.subTest(reason), fakes.Backend(handler) as backend, \
                    env.tcp(backend.address) as gateway:
                with Wire(gateway.ports["tcp"]) as client:
                    self.assertEqual(client.start_tls().send(b"x").rest(), wanted)
                self.assert_ended(gateway, reason)
                gateway.assert_idle(self)

    def test_full_unix_backlog(self):
        """Nobody accepts for a second: the gateway asks again until somebody does,
        or the deadline of connecting has come."""
        path = env.dir + "/full"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            with env.tcp({"servers": ["unix:" + path]}, limits={"connect": "60s"}) as gateway:
                clients = [Wire(gateway.ports["tcp"]).start_tls() for _ in range(8)]
                # The backlog holds two connections; further ones wait.
                waiting = gateway.wait_for_metric(
                    lambda v: v >= 5, "starling_sessions", phase="upstream")
                late = threading.Timer(1, answer_all, (listener,))
                late.daemon = True
                late.start()
                said = [client.rest() for client in clients]
                for client in clients:
                    client.close()
                self.assertGreaterEqual(waiting, 5)
                self.assertEqual(said, [b"here"] * len(clients))


def answer_all(listener):
    """Accepts and answers until the listener is closed."""
    while True:
        try:
            with listener.accept()[0] as connection:
                connection.sendall(b"here")
        except ConnectionError:
            continue  # one of the gateway's own checks has left already
        except OSError:
            return


class ClientFaults(Faults):
    def test_vanishes(self):
        def vanish(client):
            client.close()

        def reset(client):
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

        def go_ahead(client):
            client.greeting("smtp")
            client.ask("smtp", b"STARTTLS\r\n")

        def handshake(client):
            go_ahead(client)
            client.send(b"\x16\x03\x01\x02\x00\x01")

        def established(client):
            client.upgrade("smtp")
            client.ask("smtp", b"NOOP\r\n")

        for when in (lambda c: None, lambda c: c.greeting("smtp"), go_ahead, handshake, established):
            for how in (vanish, reset):
                with self.subTest(when=when.__name__, how=how.__name__), \
                        fakes.Backend(fakes.says(b"220 backend\r\n", fakes.echo)) as backend, \
                        starttls("smtp", backend.address) as gateway:
                    client = Wire(gateway.ports["in"])
                    when(client)
                    how(client)
                    if when is established:
                        reasons = ["client_truncated"] if how is vanish else ["client_reset"]
                    else:
                        reasons = ["client_left_early", "client_reset", "handshake_failed"]
                    self.assert_ended(gateway, *reasons)
                    gateway.assert_idle(self)

    def test_reads_nothing(self):
        """A client that does not read stops its own backend and nobody else's."""
        async def flood(reader, writer):
            first = await reader.read(1)
            if first == b"e":
                await fakes.echo(reader, writer)
            while True:
                writer.write(b"z" * 65536)
                await writer.drain()
        with fakes.Backend(flood) as backend, env.tcp(backend.address) as gateway:
            stuck = [Wire(gateway.ports["tcp"]).start_tls().send(b"f") for _ in range(20)]
            with Wire(gateway.ports["tcp"]) as client:
                client.start_tls().send(b"e")
                for number in range(300):
                    data = b"%06d" % number * 100
                    self.assertEqual(client.send(data).exactly(len(data)), data)
            for client in stuck:
                client.close()
            gateway.assert_idle(self)

    def test_half_close(self):
        """close_notify of the client reaches the backend as the end of data, and
        what the backend says after it still comes."""
        async def answer_at_end(reader, writer):
            data = await reader.read(-1)
            writer.write(b"got %d\r\n" % len(data) + b"z" * 200_000)
            await writer.drain()
        with fakes.Backend(answer_at_end) as backend, env.tcp(backend.address) as gateway:
            connection = socket.create_connection(("127.0.0.1", gateway.ports["tcp"]), timeout=20)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = wire.context().wrap_bio(incoming, outgoing)

            def drive(step):
                while True:
                    try:
                        return step()
                    except ssl.SSLWantReadError:
                        connection.sendall(outgoing.read())
                        incoming.write(connection.recv(65536))
            with connection:
                drive(tls.do_handshake)
                tls.write(b"x" * 1000)
                with self.assertRaises(ssl.SSLWantReadError):
                    tls.unwrap()
                connection.sendall(outgoing.read())
                got = b""
                while len(got) < 200_010:
                    got += drive(lambda: tls.read(65536))
                self.assertEqual(got, b"got 1000\r\n" + b"z" * 200_000)
            self.assertEqual(gateway.wait_for_metric(1, "starling_sessions_ended_total"), 1)


if __name__ == "__main__":
    unittest.main()
