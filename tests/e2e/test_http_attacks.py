"""Tests attacks on HTTP's Upgrade, each with the answer, the reason of the end and the counter;
requests that two servers might read differently; and how the gateway ends a session."""

import functools
import unittest

import fakes
import harness
import webservers
import wire
from webservers import GO_AHEAD, REQUIRED, UPGRADE, request, response
from wire import Wire

env = None
ALERT = b"\x15\x03\x01\0\2\2\x0a"  # unexpected_message, fatal
SSLV2_HELLO = bytes.fromhex("802e0103010015000000100100800000050000040000ff") + b"x" * 25
INJECTED = request("/injected")
ASKED = b"OPTIONS * HTTP/1.1\r\nHost: mail.example.org\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def status(text):
    return "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".format(text).encode()


BAD = status("400 Bad Request")
UNAVAILABLE = status("503 Service Unavailable")


def http_gateway(server=harness.DOWN, tls="starttls", policy=None, **more):
    """A gateway with one listener `in`; by default its backend must not be called."""
    listener = {"protocol": "http", "tls": tls, "backend": "one", **({"policy": policy} if policy else {})}
    return env.gateway({"in": listener}, {"one": server}, **more)


class Recorder:
    """A backend that keeps what it got after the PROXY header, and gives one answer."""

    def __init__(self):
        self.octets = b""

    async def __call__(self, reader, writer):
        while data := await reader.read(65536):
            if not self.octets:
                writer.write(ANSWER)
            self.octets += data


def injection(test):
    """Runs test(self, client) and checks the outcome: the go-ahead at most, an
    alert at most behind it; counted; and not an octet at the backend."""

    @functools.wraps(test)
    def run(self):
        for policy in ("require", "opportunistic"):
            recorder = Recorder()
            with self.subTest(policy), fakes.Backend(recorder) as backend, \
                    http_gateway(backend.address, policy=policy) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    said = test(self, client)
                self.assertIn(said.removeprefix(GO_AHEAD)[:1], (b"", b"\x15"))
                self.assertLessEqual(len(said.removeprefix(GO_AHEAD)), 7)
                for name, labels in (
                        ("starling_attacks_refused_total", {"kind": "plaintext_injection"}),
                        ("starling_sessions_ended_total", {"reason": "plaintext_injection"})):
                    self.assertEqual(gateway.wait_for_metric(1, name, listener="in", **labels), 1)
                self.assertEqual(gateway.metrics().sum("starling_tls_handshakes_total"), 0)
                self.assertEqual((recorder.octets, backend.proxied), (b"", []))

    return run


class Injection(unittest.TestCase):
    @injection
    def test_one_segment(self, client):
        said = client.send(UPGRADE + INJECTED).rest()
        self.assertEqual(said, b"")
        return said

    @injection
    def test_one_octet_more(self, client):
        said = client.send(UPGRADE + b"\x16").rest()
        self.assertEqual(said, b"")
        return said

    @injection
    def test_an_empty_line_more(self, client):
        said = client.send(UPGRADE + b"\r\n").rest()
        self.assertEqual(said, b"")
        return said

    @injection
    def test_two_segments_before_the_reply(self, client):
        return client.send(UPGRADE).send(INJECTED).rest()

    @injection
    def test_after_the_reply(self, client):
        self.assertEqual(client.send(UPGRADE).exactly(len(GO_AHEAD)), GO_AHEAD)
        return client.send(INJECTED).rest()

    @injection
    def test_sslv2_hello_after_the_reply(self, client):
        self.assertEqual(client.send(UPGRADE).exactly(len(GO_AHEAD)), GO_AHEAD)
        return client.send(SSLV2_HELLO).rest()

    def test_split_request_is_fine(self):
        recorder = Recorder()
        # Without a header, whose octets would be counted.
        with fakes.Backend(recorder, proxy=False) as backend, http_gateway(
                {"servers": [backend.address], "proxy_protocol": "none"}) as gateway:
            with Wire(gateway.ports["in"]) as client:
                for octet in UPGRADE:
                    client.send(bytes([octet]))
                self.assertEqual(client.exactly(len(GO_AHEAD)), GO_AHEAD)
                client.start_tls(wire.context(env.ca))
                self.assertEqual(response(client)[0], 200)
                client.send(b"inside")
                wanted = len(ASKED) + 6
                self.assertEqual(gateway.wait_for_metric(
                    wanted, "starling_bytes_total", direction="upstream_out"), wanted)
            self.assertEqual(gateway.wait_for_metric(0, "starling_sessions"), 0)
            self.assertEqual(recorder.octets, ASKED + b"inside")
            self.assertEqual(gateway.metrics().sum("starling_attacks_refused_total"), 0)
            gateway.assert_idle(self)

    def test_answer_of_a_backend_before_it_was_asked(self):
        """It comes after the handshake, inside TLS, as all of a relay does."""
        with fakes.Backend(fakes.says(b"early")) as backend, http_gateway(backend.address) as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(client.send(UPGRADE).exactly(len(GO_AHEAD)), GO_AHEAD)
                self.assertEqual(client.start_tls(wire.context(env.ca)).exactly(5), b"early")


def post(fields):
    return request("/", "POST", fields)


class WrongOctets(unittest.TestCase):
    # what: (octets, kind and reason, the answer)
    MALFORMED = {
        "NUL": b"OPTIONS\0* HTTP/1.1\r\n",
        "NUL in a value": post("A: \0\r\n"),
        "8-bit octets": b"OPTIONS \xc3\xa4 HTTP/1.1\r\n",
        "a bare LF": UPGRADE.replace(b"\r\n", b"\n"),
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
        "a host that is none": request("/", host="a@b"),
        "a field without a name": post(": x\r\n"),
        "an unknown method": request("/", "FOO"),
        "an unknown version": b"GET / HTTP/1.9\r\nHost: x\r\n\r\n",
    }
    ROWS = {
        "an SSLv2 hello": (SSLV2_HELLO, "tls_on_plain_port", ALERT),
        "mail": (b"EHLO client.example.net\r\n", "cross_protocol", b""),
        "IMAP": (b"a001 STARTTLS\r\n", "cross_protocol", b""),
        "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "cross_protocol", b""),
        "an overlong head": (post("A: " + "x" * 8192 + "\r\n"), "overlong_line",
                             status("431 Request Header Fields Too Large")),
        "a line without end": (b"x" * 8193, "overlong_line",
                               status("431 Request Header Fields Too Large")),
        **{what: (octets, "bad_octet", BAD) for what, octets in MALFORMED.items()},
    }
    REASONS = {"overlong_line": "line_too_long"}

    def test_each(self):
        for policy in ("require", "opportunistic"):
            recorder = Recorder()
            with fakes.Backend(recorder) as backend, \
                    http_gateway(backend.address, policy=policy) as gateway:
                for what, (octets, kind, wanted) in self.ROWS.items():
                    with self.subTest(what, policy=policy):
                        before = gateway.metrics()
                        with Wire(gateway.ports["in"]) as client:
                            self.assertEqual(client.send(octets).rest(), wanted)
                        for name, labels in (
                                ("starling_attacks_refused_total", {"kind": kind}),
                                ("starling_sessions_ended_total",
                                 {"reason": self.REASONS.get(kind, kind)})):
                            value = before.sum(name, **labels) + 1
                            self.assertEqual(gateway.wait_for_metric(value, name, **labels), value)
                self.assertEqual((recorder.octets, backend.proxied), (b"", []))

    def test_upgrades_that_are_none(self):
        """Told how to ask; under opportunistic too, where the backend might agree."""
        upgrade = "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"
        for policy in ("require", "opportunistic"):
            with http_gateway(policy=policy) as gateway:
                for octets in (request("/", fields=upgrade), request("*", "POST", upgrade),
                               request("*", "OPTIONS", upgrade + "Content-Length: 5\r\n") + b"hello",
                               request("*", "OPTIONS", upgrade + "Transfer-Encoding: chunked\r\n")):
                    with self.subTest(octets, policy=policy), Wire(gateway.ports["in"]) as client:
                        self.assertEqual(client.send(octets).rest(), REQUIRED)

    def test_log_in_and_signals(self):
        with http_gateway() as gateway:
            for octets, said in (
                    (request("/", fields="Authorization: Basic eDp5\r\n"), REQUIRED),
                    (request("*", "OPTIONS", "Connection: Upgrade\r\nXXXXXXX: TLS/1.0\r\n"), REQUIRED),
                    (request("*", "XXXXXXX"), BAD)):
                with Wire(gateway.ports["in"]) as client:
                    self.assertEqual(client.send(octets).rest(), said)
            for name, labels, value in (
                    ("starling_attacks_refused_total", {"kind": "plaintext_auth"}, 1),
                    ("starling_sessions_ended_total", {"reason": "tls_required"}, 2),
                    ("starling_downgrade_signals_total", {"signal": "mangled_command"}, 2)):
                self.assertEqual(gateway.wait_for_metric(value, name, **labels), value, labels)

    def test_log_in_where_it_is_allowed(self):
        recorder = Recorder()
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
    def test_plaintext_on_a_tls_port(self):
        for octets in (UPGRADE, request()):
            with http_gateway(tls="implicit") as gateway, Wire(gateway.ports["in"]) as client:
                self.assertTrue(client.send(octets).rest().startswith(b"HTTP/1.1 400 "))
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_attacks_refused_total", kind="plain_on_tls_port"), 1)

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
            for octets, said in ((b"", b""), (UPGRADE[:-1], status("408 Request Timeout"))):
                with Wire(gateway.ports["in"]) as client:
                    self.assertEqual(client.send(octets).rest(), said)
            self.assertEqual(gateway.wait_for_metric(
                2, "starling_sessions_ended_total", reason="pre_relay_deadline"), 2)

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
