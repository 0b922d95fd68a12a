"""Tests attacks that HTTP alone knows, each with the answer, the reason of the end and the counter:
requests that two servers might read differently; and how the gateway ends a session.

Not for: attacks that every protocol knows (test_attack_matrix.py)."""

import unittest

import fakes
import harness
import webservers
import wire
from webservers import GO_AHEAD, REQUIRED, UPGRADE, closing, request, response
from wire import Wire

env = None
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def setUpModule():
    global env
    env = harness.Environment(servers=False)


BAD = closing(400)
UNAVAILABLE = closing(503)


def http_gateway(server=harness.DOWN, tls="starttls", policy=None, **more):
    """A gateway with one listener `in`; by default its backend must not be called."""
    listener = {"protocol": "http", "tls": tls, "backend": "one", **({"policy": policy} if policy else {})}
    return env.gateway({"in": listener}, {"one": server}, **more)


def post(fields):
    return request("/", "POST", fields)


class WrongOctets(unittest.TestCase):
    # what: (octets, kind and reason, the answer)
    MALFORMED = {
        "NUL in a value": post("A: \0\r\n"),
        "a bare LF in a value": post("A: b\nTransfer-Encoding: chunked\r\n"),
        "a bare CR": post("A: b\rTransfer-Encoding: chunked\r\n"),
        "a line that continues a field": post("Transfer-Encoding:\r\n chunked\r\n"),
        "a space before the colon": post("Transfer-Encoding : chunked\r\n"),
        "a length and chunks": post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        "chunks and a length": post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        "two lengths": post("Content-Length: 5\r\nContent-Length: 0\r\n"),
        "a list of lengths": post("Content-Length: 5, 5\r\n"),
        "a length with a sign": post("Content-Length: +5\r\n"),
        "a coding that is hidden": post("Transfer-Encoding: xchunked\r\n"),
        "chunks that are not last": post("Transfer-Encoding: chunked, identity\r\n"),
        "chunks of HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "two hosts": request("/", fields="Host: other.example\r\n"),
        "no host": b"GET / HTTP/1.1\r\n\r\n",
        "no valid host": request("/", host="a@b"),
        "a field without a name": post(": x\r\n"),
        "an unknown method": request("/", "FOO"),
        "an unknown version": b"GET / HTTP/1.9\r\nHost: x\r\n\r\n",
    }
    ROWS = {
        "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "cross_protocol", b""),
        **{what: (octets, "bad_octet", BAD) for what, octets in MALFORMED.items()},
    }
    def test_each(self):
        for policy in ("require", "opportunistic"):
            recorder = fakes.Recorder(answer=ANSWER)
            with fakes.Backend(recorder) as backend, \
                    http_gateway(backend.address, policy=policy) as gateway:
                for what, (octets, kind, wanted) in self.ROWS.items():
                    with self.subTest(what, policy=policy):
                        before = gateway.metrics()
                        with Wire(gateway.ports["in"]) as client:
                            self.assertEqual(client.send(octets).rest(), wanted)
                        for name, labels in (
                                ("starling_attacks_refused_total", {"kind": kind}),
                                ("starling_sessions_ended_total", {"reason": kind})):
                            value = before.sum(name, **labels) + 1
                            self.assertEqual(gateway.wait_for_metric(value, name, **labels), value)
                self.assertEqual((recorder.octets, backend.proxied), (b"", []))

    def test_upgrades_that_are_none(self):
        """Told how to ask; under opportunistic too, where the backend might agree."""
        upgrade = "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"
        for policy in ("require", "opportunistic"):
            with http_gateway(policy=policy) as gateway:
                for octets in (request("/", fields=upgrade), request("*", "POST", upgrade),
                               request("*", "OPTIONS", upgrade + "Transfer-Encoding: chunked\r\n")):
                    with self.subTest(octets, policy=policy), Wire(gateway.ports["in"]) as client:
                        self.assertEqual(client.send(octets).rest(), REQUIRED)

    def test_signals(self):
        with http_gateway() as gateway:
            for octets, said in (
                    (request("*", "OPTIONS", "Connection: Upgrade\r\nXXXXXXX: TLS/1.0\r\n"), REQUIRED),
                    (request("*", "XXXXXXX"), BAD)):
                with Wire(gateway.ports["in"]) as client:
                    self.assertEqual(client.send(octets).rest(), said)
            for name, labels, value in (
                    ("starling_sessions_ended_total", {"reason": "tls_required"}, 1),
                    ("starling_downgrade_signals_total", {"signal": "mangled_command"}, 2)):
                self.assertEqual(gateway.wait_for_metric(value, name, **labels), value, labels)

    def test_log_in_where_it_is_allowed(self):
        recorder = fakes.Recorder(answer=ANSWER)
        octets = request("/", fields="Authorization: Basic eDp5\r\n")
        listener = {"protocol": "http", "tls": "starttls", "backend": "one",
                    "policy": "opportunistic", "plaintext_auth": "allow"}
        with fakes.Backend(recorder) as backend, \
                env.gateway({"in": listener}, {"one": backend.address}) as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(response(client.send(octets))[0], 200)
            self.assertEqual(gateway.wait_for_metric(0, "starling_sessions"), 0)
            self.assertEqual(recorder.octets, octets)


class TlsPorts(unittest.TestCase):
    def test_alpn(self):
        """By TLS from the first octet on either listener."""
        for tls in ("starttls", "implicit"):
            for alpn, chosen in ((["h2", "http/1.1"], "http/1.1"), (["imap"], None), (None, None)):
                with self.subTest(alpn, tls=tls), fakes.Backend(fakes.echo) as backend, \
                        http_gateway(backend.address, tls=tls) as gateway:
                    with Wire(gateway.ports["in"]) as client:
                        if alpn != ["imap"]:
                            client.start_tls(wire.context(env.ca, alpn)).send(b"x").exactly(1)
                            self.assertEqual(client.socket.selected_alpn_protocol(), chosen)
                        else:
                            with self.assertRaisesRegex(OSError, "no application protocol"):
                                client.start_tls(wire.context(env.ca, alpn))


class Goodbyes(unittest.TestCase):
    """A status where an answer is due, and silence where none is."""

    def test_drain(self):
        for octets, said in ((b"", b""), (b"OPT", UNAVAILABLE)):
            with self.subTest(octets), http_gateway() as gateway, Wire(gateway.ports["in"]) as client:
                client.send(octets)
                wanted = len(octets)
                self.assertEqual(
                    gateway.wait_for_metric(1, "starling_sessions", phase="negotiate"), 1)
                self.assertEqual(gateway.wait_for_metric(
                    wanted, "starling_bytes_total", direction="downstream_in"), wanted)
                gateway.signal()
                self.assertEqual(client.rest(), said)
                self.assertEqual(gateway.wait(), 0)

    def test_deadline(self):
        with http_gateway(limits={"pre_relay": "300ms"}) as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(client.rest(), b"")
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_sessions_ended_total", reason="pre_relay_deadline"), 1)

    def test_full_table(self):
        with http_gateway(workers=1, limits={"sessions": 1}) as gateway:
            with Wire(gateway.ports["in"]):
                self.assertEqual(gateway.wait_for_metric(1, "starling_sessions"), 1)
                with Wire(gateway.ports["in"]) as late:
                    self.assertEqual(late.rest(), UNAVAILABLE)

    def test_server_down(self):
        for tls, policy in (("starttls", "require"), ("starttls", "opportunistic"), ("implicit", None)):
            with self.subTest(tls, policy=policy), http_gateway(tls=tls, policy=policy) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    if tls == "starttls":
                        self.assertEqual(client.send(UPGRADE).exactly(len(GO_AHEAD)), GO_AHEAD)
                    client.start_tls(wire.context(env.ca))
                    self.assertEqual(client.rest(), UNAVAILABLE)
                if policy == "opportunistic":
                    with Wire(gateway.ports["in"]) as client:
                        self.assertEqual(client.send(request()).rest(), UNAVAILABLE)
                wanted = 2 if policy == "opportunistic" else 1
                self.assertEqual(gateway.wait_for_metric(
                    wanted, "starling_sessions_ended_total", reason="backend_unavailable"), wanted)

    def test_server_killed_in_its_answer(self):
        half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
        with fakes.Backend(fakes.says(half, fakes.reset)) as backend, http_gateway(backend.address) as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(client.send(UPGRADE).exactly(len(GO_AHEAD)), GO_AHEAD)
                client.start_tls(wire.context(env.ca))
                # A reset may overtake what came before it; the gateway adds nothing.
                said = client.rest()
                self.assertEqual(said, half[:len(said)])
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_sessions_ended_total", reason="backend_reset"), 1)
            gateway.assert_idle(self)


if __name__ == "__main__":
    unittest.main()
