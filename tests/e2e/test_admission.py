"""Tests that handshakes are admitted fairly: one address floods, stalls or has more than its share,
and the clients of others are served meanwhile.

Clients come from several addresses of 127.0.0.0/8. In the first classes nothing limits what one
source may have: such as loopback is by default, or a flood of many addresses."""

import contextlib
import itertools
import select
import ssl
import unittest

import harness
from wire import Wire, context

NOISY, QUIET, THIRD = "127.0.0.66", "127.0.0.2", "127.0.0.3"
ENDED = "starling_sessions_ended_total"
REFUSED = "starling_connections_refused_total"
LIMIT = "starling_limit_reached_total"
env = None


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def gateway(limits, sources=None, own=None):
    listeners = {"imaps": {"protocol": "imap", "tls": "implicit", "backend": "one"},
                 "imap": {"protocol": "imap", "tls": "starttls", "backend": "one"}}
    for row in listeners.values():
        row["limits"] = own or {}
    more = {"sources": sources} if sources else {}
    return env.gateway(listeners, {"one": harness.DOWN}, workers=1, limits=limits, **more)


def begin(**attributes):
    """A client's TLS, what it is to read, and its first flight."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context(**attributes).wrap_bio(incoming, outgoing, server_hostname="mail.example.org")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return client, incoming, outgoing.read()


def hello(**attributes):
    return begin(**attributes)[2]


def upgraded(wire):
    """After the go-ahead of STARTTLS."""
    wire.greeting("imap")
    wire.send(b"a STARTTLS\r\n").line()
    return wire


class HalfOpen(unittest.TestCase):
    """Clients of one address that send their hello, read the answer and are silent."""

    def hold(self, stack, port, count, source=NOISY, upgrade=False):
        wires = []
        for _ in range(count):
            wire = stack.enter_context(Wire(port, source))
            if upgrade:
                upgraded(wire)
            wire.tls, wire.incoming, flight = begin()
            wires.append(wire.send(flight))
        return wires

    def assert_told(self, wire):
        """It can read the alert behind the gateway's flight."""
        wire.incoming.write(wire.rest())
        with self.assertRaisesRegex(ssl.SSLError, "(?i)alert.internal.error"):
            wire.tls.do_handshake()
            wire.tls.read(1)

    def check(self, listener, upgrade):
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(gateway({"handshakes_in_flight": 4}, own={"handshake": "8s"}))
            port = running.ports[listener]
            silent = self.hold(stack, port, 12, upgrade=upgrade)
            running.wait_for_metric(8, LIMIT, limit="handshakes_in_flight")
            for source in (QUIET, THIRD):
                with Wire(port, source) as client:
                    if upgrade:
                        upgraded(client)
                    client.start_tls()  # within a second, and the flood's deadline is far away
                running.wait_for_metric(0, "starling_backend_sessions")
            self.assertEqual(running.metrics().sum(ENDED, reason="handshake_deadline"), 0)
            gone = running.wait_for_metric(lambda n: n >= 1, ENDED, reason="handshake_limit")
            # Those that gave way were told so, and were the oldest ones.
            self.assertLessEqual(gone, 2)
            self.assert_told(silent[0])
            for wire in silent:
                wire.close()
            running.wait_for_metric(0, "starling_sessions")
            running.assert_idle(self)

    def test_they_keep_no_place_from_others(self):
        self.check("imaps", upgrade=False)

    def test_they_keep_no_place_from_others_after_an_upgrade(self):
        self.check("imap", upgrade=True)

    def crowd(self, stack, running, octets):
        """200 addresses with 15 connections each; every second one sends these."""
        for number in range(3000):
            wire = stack.enter_context(Wire(running.ports["imaps"], "127.0.1.{}".format(number % 200 + 1)))
            if number % 2:
                wire.send(octets)
        running.wait_for_metric(3000, "starling_sessions")

    def serves(self, running, *sources):
        for source in sources:
            with Wire(running.ports["imaps"], source) as client:
                client.start_tls()

    def test_a_part_of_a_hello_needs_no_place(self):
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(gateway({"sessions": 4000, "handshakes_in_flight": 10}))
            self.crowd(stack, running, hello()[:200])
            self.serves(running, QUIET, THIRD)
            self.assertEqual(running.metrics().sum(LIMIT, limit="handshakes_in_flight"), 0)

    def test_many_addresses_keep_no_place_from_another(self):
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(gateway(
                {"sessions": 4000, "handshakes_in_flight": 1000}, own={"handshake": "20s"}))
            self.crowd(stack, running, hello())
            running.wait_for_metric(lambda n: n >= 400, LIMIT, limit="handshakes_in_flight")
            self.serves(running, QUIET, THIRD)
            self.assertEqual(running.metrics().sum(ENDED, reason="handshake_deadline"), 0)

    def test_a_full_queue_has_room_for_others(self):
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(gateway(
                {"handshakes_in_flight": 1, "handshake_queue": 4}, own={"handshake": "20s"}))
            port = running.ports["imaps"]
            silent = self.hold(stack, port, 10)
            running.wait_for_metric(5, ENDED, reason="handshake_limit")
            waiting = self.hold(stack, port, 1, QUIET)[0]
            running.wait_for_metric(6, ENDED, reason="handshake_limit")
            for wire in silent:
                wire.close()
            self.assertTrue(waiting.exactly(1) == b"\x16")


class ManyStall(unittest.TestCase):
    """200 addresses take all places and stall; each has one, as many as another client would have."""

    PLACES = 100

    def check(self, octets, listener="imaps", upgrade=False, header=lambda source: b"", sources=None):
        """`header`: what a load balancer says of a client that comes from `source`."""
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(gateway(
                {"sessions": 2000, "handshakes_in_flight": self.PLACES}, sources, {"handshake": "8s"}))
            port = running.ports[listener]

            def connect(source):
                wire = Wire(port) if sources else Wire(port, source)
                wire.send(header(source))
                return upgraded(wire) if upgrade else wire

            for number in range(800):
                stack.enter_context(connect("127.0.1.{}".format(number % 200 + 1))).send(octets)
            running.wait_for_metric(lambda n: n >= self.PLACES, LIMIT, limit="handshakes_in_flight")
            for number in range(10):
                with connect("127.0.0.{}".format(number + 2)) as client:
                    client.start_tls()
            self.assertGreaterEqual(running.metrics().sum(ENDED, reason="handshake_limit"), self.PLACES)

    def test_after_the_servers_flight(self):
        self.check(hello())

    def test_in_tls_1_2(self):
        self.check(hello(maximum_version=ssl.TLSVersion.TLSv1_2))

    def test_amid_a_hello_of_many_records(self):
        self.check(b"\x16\x03\x01\x00\x01" + hello()[5:6])

    def test_after_an_upgrade(self):
        self.check(hello(), "imap", upgrade=True)

    BALANCER = [{"from": "127.0.0.1", "role": "balancer"}]

    def test_behind_a_load_balancer(self):
        self.check(hello(), header=lambda source: "PROXY TCP4 {} 127.0.0.1 1000 993\r\n".format(source).encode(),
                   sources=self.BALANCER)

    def test_from_networks_of_ipv6(self):
        """Each connection has an address of its own, of as many networks as there are addresses above."""
        hosts = itertools.count(1)

        def header(source):
            client = "2001:db8:{}::{:x}".format(":".join(source.split(".")[2:]), next(hosts))
            return "PROXY TCP6 {} ::1 1000 993\r\n".format(client).encode()

        self.check(hello(), header=header, sources=self.BALANCER)


class Flood(unittest.TestCase):
    def test_others_are_served_first(self):
        """A thousand hellos of one address at once, and behind them one of another."""
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(gateway({"sessions": 2000, "key_operations_per_turn": 1}))
            port = running.ports["imaps"]
            octets = hello()
            flood = [stack.enter_context(Wire(port, NOISY)) for _ in range(1000)]
            good = stack.enter_context(Wire(port, QUIET))
            running.wait_for_metric(1001, "starling_sessions")
            for wire in flood:
                wire.send(octets)
            good.send(octets)
            self.assertEqual(good.exactly(1), b"\x16")
            answers = select.poll()
            for wire in flood:
                answers.register(wire.socket, select.POLLIN)
            self.assertLess(len(answers.poll(0)), len(flood), "all of the flood had their turn before")
            for wire in flood:
                self.assertEqual(wire.exactly(1), b"\x16")


class OverShare(unittest.TestCase):
    SOURCES = [{"from": "127.0.0.0/8", "role": "client", "handshakes_per_second": 1, "handshakes_burst": 3}]

    def test_it_is_served_last_and_then_refused(self):
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(gateway(
                {"handshakes_in_flight": 1}, sources=self.SOURCES, own={"handshake": "30s"}))
            port = running.ports["imaps"]
            octets = hello()
            noisy = []
            for number in range(6):
                noisy.append(stack.enter_context(Wire(port, NOISY)).send(octets))
                running.wait_for_metric(number, LIMIT, limit="handshakes_in_flight")
            quiet = stack.enter_context(Wire(port, QUIET)).send(octets)
            running.wait_for_metric(6, LIMIT, limit="handshakes_in_flight")
            # Each that has had its turn leaves, and the next one has it.
            for wire in (noisy[0], noisy[1], quiet, noisy[2], noisy[3], noisy[4], noisy[5]):
                self.assertEqual(wire.exactly(1), b"\x16")
                wire.close()
            running.wait_for_metric(0, "starling_sessions")
            self.assertEqual(running.metrics().sum(REFUSED, reason="source_handshakes"), 0)

    def test_beyond_that_it_is_refused(self):
        with gateway({}, sources=self.SOURCES) as running:
            done = 0
            for _ in range(20):
                with Wire(running.ports["imaps"], NOISY) as client:
                    with contextlib.suppress(ssl.SSLError, OSError):
                        client.start_tls()
                        done += 1
            self.assertGreaterEqual(done, 6)
            self.assertLess(done, 20)
            self.assertEqual(running.wait_for_metric(20 - done, REFUSED, reason="source_handshakes"),
                             20 - done)


if __name__ == "__main__":
    unittest.main()
