"""Tests attacks that PostgreSQL alone knows, each with the answer, the reason of the end and the
counter; cancel requests with servers that misbehave; and how the gateway ends a session, by an
ErrorResponse.

Not for: attacks that every protocol knows (test_attack_matrix.py)."""

import socket
import struct
import threading
import unittest

import psycopg2

import fakes
import harness
import wire
from database import CANCEL, GSSENC, SSL, errors, request, start_up
from wire import Wire

env = None
ALERT = b"\x15\x03\x01\0\2\2\x0a"  # unexpected_message, fatal
SSL_REQUEST = request(SSL)
CANCEL_REQUEST = request(CANCEL, b"\0\0\x12\x67key!")
INJECTED = start_up("injected")
BAD_LENGTH = [("08P01", "invalid length of startup packet")]
UNSUPPORTED = [("0A000", "unsupported frontend protocol")]
TLS_REQUIRED = [("28000", "TLS is required: set sslmode to require or verify-full")]
UNAVAILABLE = [("57P03", "server not available, try again later")]


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def gateway_before(*servers, tls="starttls", **more):
    """A gateway with one listener `in`; by default its backend must not be called."""
    keys = {"servers": list(servers) or [harness.DOWN], "proxy_protocol": "none"}
    return env.gateway({"in": {"protocol": "postgresql", "tls": tls, "backend": "one"}},
                       {"one": keys}, **more)


def fake(handler):
    return fakes.Backend(handler, proxy=False)


class Injection(unittest.TestCase):
    """CVE-2021-23214, as a server had it."""

    def test_a_request_to_cancel_behind_it(self):
        recorder = fakes.Recorder()
        with fake(recorder) as backend, gateway_before(backend.address) as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(client.send(SSL_REQUEST + CANCEL_REQUEST).rest(), b"")
            for name, labels in (
                    ("starling_attacks_refused_total", {"kind": "plaintext_injection"}),
                    ("starling_sessions_ended_total", {"reason": "plaintext_injection"})):
                self.assertEqual(gateway.wait_for_metric(1, name, listener="in", **labels), 1)
            self.assertEqual(gateway.metrics().sum("starling_tls_handshakes_total"), 0)
            self.assertEqual(recorder.got, [])

    def test_split_request_after_a_declined_one_is_fine(self):
        recorder = fakes.Recorder()
        with fake(recorder) as backend, gateway_before(backend.address) as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(client.send(request(GSSENC)).exactly(1), b"N")
                for octet in SSL_REQUEST:
                    client.send(bytes([octet]))
                self.assertEqual(client.exactly(1), b"S")
                client.start_tls(wire.context(env.ca)).send(b"inside")
                self.assertEqual(gateway.wait_for_metric(
                    6, "starling_bytes_total", direction="upstream_out"), 6)
            self.assertEqual(gateway.wait_for_metric(0, "starling_sessions"), 0)
            self.assertEqual(recorder.got, [b"inside"])
            self.assertEqual(gateway.metrics().sum("starling_attacks_refused_total"), 0)
            gateway.assert_idle(self)


class WrongOctets(unittest.TestCase):
    # what: (octets, kind, reason, the answer: errors, or octets)
    ROWS = {
        "an unknown version": (request(4 << 16), "bad_octet", "bad_octet", UNSUPPORTED),
        "a damaged request": (request(SSL ^ 0xFF00), "bad_octet", "bad_octet", UNSUPPORTED),
        "a cancel without a key": (request(CANCEL, b"\0\0\0\1"), "bad_octet", "bad_octet", BAD_LENGTH),
        "an old log-in": (request(2 << 16, b"\0" * 288), "plaintext_auth", "tls_required",
                          b"EFATAL:  this version of the protocol is not supported; "
                          b"TLS is required\n\0"),
    }

    def test_each(self):
        with gateway_before() as gateway:
            for what, (octets, kind, reason, wanted) in self.ROWS.items():
                with self.subTest(what), Wire(gateway.ports["in"]) as client:
                    before = gateway.metrics()
                    said = client.send(octets).rest()
                    self.assertEqual(errors(said) if isinstance(wanted, list) else said, wanted)
                    for name, labels in (
                            ("starling_attacks_refused_total", {"kind": kind}),
                            ("starling_sessions_ended_total", {"reason": reason})):
                        value = before.sum(name, **labels) + 1
                        self.assertEqual(gateway.wait_for_metric(value, name, **labels), value)
            self.assertEqual(gateway.metrics().sum(
                "starling_downgrade_signals_total", signal="mangled_command"), 1)

    def test_log_in_after_gssapi_was_declined(self):
        with gateway_before() as gateway, Wire(gateway.ports["in"]) as client:
            self.assertEqual(client.send(request(GSSENC)).exactly(1), b"N")
            self.assertEqual(errors(client.send(start_up("demo")).rest()), TLS_REQUIRED)

    def test_gssapi_twice(self):
        with gateway_before() as gateway, Wire(gateway.ports["in"]) as client:
            self.assertEqual(client.send(request(GSSENC)).exactly(1), b"N")
            self.assertEqual(errors(client.send(request(GSSENC)).rest())[0][0], "08P01")

    def test_tls_behind_a_declined_request(self):
        """It may be the first octet, and no later one."""
        with gateway_before() as gateway, Wire(gateway.ports["in"]) as client:
            self.assertEqual(client.send(request(GSSENC)).exactly(1), b"N")
            self.assertEqual(client.send(bytes.fromhex("160301002e")).rest(), ALERT)
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_attacks_refused_total", kind="tls_on_plain_port"), 1)


class Cancel(unittest.TestCase):
    """Each server gets the request once, on a connection of its own, whatever the
    others do; and the client is let go then."""

    def cancel(self, gateway, reason):
        name = "starling_sessions_ended_total"
        before = gateway.metrics().sum(name, reason=reason)
        with Wire(gateway.ports["in"]) as client:
            self.assertEqual(client.send(CANCEL_REQUEST).rest(), b"")
        self.assertEqual(gateway.wait_for_metric(before + 1, name, reason=reason), before + 1)

    def test_every_server_gets_it_once(self):
        recorders = [fakes.Recorder(ends=16) for _ in range(5)]
        with fake(recorders[0]) as a, fake(recorders[1]) as b, fake(recorders[2]) as c, \
                fake(recorders[3]) as d, fake(recorders[4]) as e:
            servers = [backend.address for backend in (a, b, c, d, e)]
            with gateway_before(*servers) as gateway:
                for times in (1, 2, 3):
                    self.cancel(gateway, "backend_closed")
                    for recorder in recorders:
                        self.assertEqual(recorder.got, [CANCEL_REQUEST] * times)
                gateway.assert_idle(self)

    def test_servers_that_misbehave(self):
        """One is down, one says something, one resets, one never closes."""
        recorders = [fakes.Recorder(ends=16), fakes.Recorder()]
        with fake(recorders[0]) as good, fake(recorders[1]) as hung, \
                fake(fakes.says(b"E" * 9000, then=fakes.close)) as talks, fake(fakes.reset) as resets:
            servers = [harness.DOWN, hung.address, talks.address, resets.address, good.address]
            with gateway_before(*servers, limits={"greeting": "500ms"}) as gateway:
                self.cancel(gateway, "backend_closed")
                self.assertEqual([r.got for r in recorders], [[CANCEL_REQUEST]] * 2)
                gateway.assert_idle(self)

    def test_no_server(self):
        with gateway_before(harness.DOWN, "127.0.0.1:1") as gateway:
            self.cancel(gateway, "backend_unavailable")
            gateway.assert_idle(self)

    def test_the_session_has_its_deadline(self):
        hung = fakes.Recorder()
        with fake(hung) as backend:
            with gateway_before(backend.address, limits={
                    "pre_relay": "400ms", "pre_relay_total": "500ms"}) as gateway:
                self.cancel(gateway, "pre_relay_total")
                self.assertEqual(hung.got, [CANCEL_REQUEST])
                gateway.assert_idle(self)

    def test_client_that_does_not_wait(self):
        """Some close at once."""
        recorders = [fakes.Recorder(ends=16), fakes.Recorder(ends=16)]
        with fake(recorders[0]) as a, fake(recorders[1]) as b:
            with gateway_before(a.address, b.address) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    client.send(CANCEL_REQUEST)
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_sessions_ended_total", reason="backend_closed"), 1)
                self.assertEqual([r.got for r in recorders], [[CANCEL_REQUEST]] * 2)

    def test_client_that_resets_when_one_has_answered(self):
        """The servers behind get the request as well."""
        reached = threading.Event()

        async def talks(reader, writer):
            await reader.readexactly(16)
            writer.write(b"E" * 100)
            await writer.drain()

        async def hangs(reader, _writer):
            await reader.readexactly(16)
            reached.set()
            await reader.read(1)

        good = fakes.Recorder(ends=16)
        with fake(talks) as a, fake(hangs) as b, fake(good) as c:
            servers = [a.address, b.address, c.address]
            with gateway_before(*servers, limits={"connect": "1s"}) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    client.send(CANCEL_REQUEST)
                    self.assertTrue(reached.wait(wire.TIMEOUT))
                    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.close()
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_sessions_ended_total", reason="backend_closed"), 1)
                self.assertEqual(good.got, [CANCEL_REQUEST])
                gateway.assert_idle(self)

    def test_more_octets_are_not_passed_on(self):
        recorder = fakes.Recorder(ends=16)
        with fake(recorder) as backend, gateway_before(backend.address) as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(client.send(CANCEL_REQUEST + INJECTED).rest(), b"")
            self.assertEqual(recorder.got, [CANCEL_REQUEST])

    def test_drain(self):
        hung = fakes.Recorder()
        with fake(hung) as backend, gateway_before(backend.address) as gateway:
            with Wire(gateway.ports["in"]) as client:
                client.send(CANCEL_REQUEST)
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_backend_sessions"), 1)
                gateway.signal()
                self.assertEqual(client.rest(), b"")
                self.assertEqual(gateway.wait(), 0)


class Goodbyes(unittest.TestCase):
    """Each by an ErrorResponse, before TLS and inside."""

    def test_drain(self):
        with gateway_before() as gateway, Wire(gateway.ports["in"]) as client:
            self.assertEqual(client.send(request(GSSENC)).exactly(1), b"N")
            gateway.signal()
            self.assertEqual(errors(client.rest()), [
                ("57P01", "terminating connection due to administrator command")])
            self.assertEqual(gateway.wait(), 0)

    def test_full_table(self):
        with gateway_before(workers=1, limits={"sessions": 1}) as gateway:
            with Wire(gateway.ports["in"]) as first:
                self.assertEqual(first.send(request(GSSENC)).exactly(1), b"N")
                with Wire(gateway.ports["in"]) as late:
                    self.assertEqual(errors(late.rest()), [
                        ("53300", "too many connections, try again later")])
                # libpq shows a plaintext answer only to clients that asked for plaintext.
                for mode, text in (("disable", "too many connections, try again later"),
                                   ("require", "error response during SSL exchange")):
                    with self.assertRaisesRegex(psycopg2.OperationalError, text):
                        psycopg2.connect(host="127.0.0.1", port=gateway.ports["in"], user="x",
                                         sslmode=mode, gssencmode="disable")

    def test_server_down(self):
        for tls in ("starttls", "implicit"):
            with self.subTest(tls), gateway_before(tls=tls) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    if tls == "starttls":
                        self.assertEqual(client.send(SSL_REQUEST).exactly(1), b"S")
                    client.start_tls(wire.context(env.ca))
                    self.assertEqual(errors(client.rest()), UNAVAILABLE)
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_sessions_ended_total", reason="backend_unavailable"), 1)

    def test_client_that_leaves(self):
        with gateway_before() as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(client.send(request(GSSENC)).exactly(1), b"N")
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_sessions_ended_total", reason="client_left_early"), 1)
            self.assertEqual(gateway.metrics().sum("starling_downgrade_signals_total"), 0)


if __name__ == "__main__":
    unittest.main()
