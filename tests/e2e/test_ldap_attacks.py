"""Tests attacks on LDAP, each with the answer, the reason of the end and the counter; and how the
gateway ends a session, by a notice of disconnection."""

import functools
import unittest

import directory
import fakes
import harness
import wire
from directory import ask, ber, bind, code, extended, message, notices, search
from wire import Wire

env = None
ALERT = b"\x15\x03\x01\0\2\2\x0a"  # unexpected_message, fatal
CLIENT_HELLO = bytes.fromhex("160301002e0100002a0303") + b"\0" * 64
SSLV2_HELLO = bytes.fromhex("802e0103010015000000100100800000050000040000ff") + b"x" * 25
START_TLS = message(extended(directory.START_TLS))
SUCCESS = bytes.fromhex("300c02010178070a010004000400")
INJECTED = message(bind("cn=injected", "injected"), 2)
PROTOCOL_ERROR, CRITICAL_EXTENSION, CONFIDENTIALITY_REQUIRED, UNAVAILABLE = 2, 12, 13, 52


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def ldap_gateway(server=harness.DOWN, tls="starttls", **more):
    """A gateway with one listener `in`; by default its backend must not be called."""
    return env.gateway({"in": {"protocol": "ldap", "tls": tls, "backend": "one"}}, {"one": server},
                       **more)


class Recorder:
    """A backend that keeps what it got after the PROXY header, and answers nothing."""

    def __init__(self):
        self.octets = b""

    async def __call__(self, reader, writer):
        while data := await reader.read(65536):
            self.octets += data


def injection(test):
    """Runs test(self, client, gateway) and checks the outcome: the go-ahead at
    most, an alert at most behind it; counted; and not an octet at the backend."""

    @functools.wraps(test)
    def run(self):
        recorder = Recorder()
        with fakes.Backend(recorder) as backend, ldap_gateway(backend.address) as gateway:
            with Wire(gateway.ports["in"]) as client:
                said = test(self, client)
            self.assertIn(said.removeprefix(SUCCESS)[:1], (b"", b"\x15"))
            self.assertLessEqual(len(said.removeprefix(SUCCESS)), 7)
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
        said = client.send(START_TLS + INJECTED).rest()
        self.assertEqual(said, b"")
        return said

    @injection
    def test_one_octet_more(self, client):
        said = client.send(START_TLS + b"\x16").rest()
        self.assertEqual(said, b"")
        return said

    @injection
    def test_two_segments_before_the_reply(self, client):
        return client.send(START_TLS).send(INJECTED).rest()

    @injection
    def test_after_the_reply(self, client):
        self.assertEqual(client.send(START_TLS).exactly(len(SUCCESS)), SUCCESS)
        return client.send(INJECTED).rest()

    @injection
    def test_sslv2_hello_after_the_reply(self, client):
        self.assertEqual(client.send(START_TLS).exactly(len(SUCCESS)), SUCCESS)
        return client.send(SSLV2_HELLO).rest()

    def test_split_request_is_fine(self):
        recorder = Recorder()
        # Without a header, whose octets would be counted.
        with fakes.Backend(recorder, proxy=False) as backend, ldap_gateway(
                {"servers": [backend.address], "proxy_protocol": "none"}) as gateway:
            with Wire(gateway.ports["in"]) as client:
                for octet in START_TLS:
                    client.send(bytes([octet]))
                self.assertEqual(client.exactly(len(SUCCESS)), SUCCESS)
                client.start_tls(wire.context(env.ca)).send(b"inside")
                self.assertIsNotNone(gateway.wait_for_line("session established", "listener=in"))
                self.assertEqual(gateway.wait_for_metric(
                    6, "starling_bytes_total", direction="upstream_out"), 6)
            self.assertEqual(gateway.wait_for_metric(0, "starling_sessions"), 0)
            self.assertEqual(recorder.octets, b"inside")
            self.assertEqual(gateway.metrics().sum("starling_attacks_refused_total"), 0)
            gateway.assert_idle(self)

    def test_octets_of_a_backend_before_anybody_asked(self):
        """They come after the handshake, inside TLS, as all of a relay does."""
        with fakes.Backend(fakes.says(b"early")) as backend, ldap_gateway(backend.address) as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(client.send(START_TLS).exactly(len(SUCCESS)), SUCCESS)
                self.assertEqual(client.start_tls(wire.context(env.ca)).exactly(5), b"early")


class WrongOctets(unittest.TestCase):
    # what: (octets, kind, reason, the answer: results of notices, or octets)
    ROWS = {
        "TLS on a plain port": (CLIENT_HELLO, "tls_on_plain_port", "tls_on_plain_port", ALERT),
        "HTTP": (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "cross_protocol", "cross_protocol", b""),
        "another protocol": (b"a001 STARTTLS\r\n", "cross_protocol", "cross_protocol", b""),
        "NUL": (b"\0", "bad_octet", "bad_octet", [PROTOCOL_ERROR]),
        "8-bit octets": (b"\xc3\xa4\xc3\xb6\r\n", "bad_octet", "bad_octet", [PROTOCOL_ERROR]),
        "bare LF": (b"\n", "bad_octet", "bad_octet", [PROTOCOL_ERROR]),
        "indefinite length": (b"\x30\x80" + START_TLS[2:] + b"\0\0", "bad_octet", "bad_octet",
                              [PROTOCOL_ERROR]),
        "length of five octets": (b"\x30\x85\0\0\0\0\x1d" + START_TLS[2:], "bad_octet", "bad_octet",
                                  [PROTOCOL_ERROR]),
        "an id beyond 2^31-1": (message(extended(directory.START_TLS), 1 << 31), "bad_octet",
                                "bad_octet", [PROTOCOL_ERROR]),
        "an overlong message": (message(ber(0x68, b"x" * 8193)), "overlong_line", "line_too_long",
                                [PROTOCOL_ERROR]),
        "the length of one": (b"\x30\x84\xff\xff\xff\xff", "overlong_line", "line_too_long",
                              [PROTOCOL_ERROR]),
    }

    def test_each(self):
        with ldap_gateway() as gateway:
            for what, (octets, kind, reason, wanted) in self.ROWS.items():
                with self.subTest(what), Wire(gateway.ports["in"]) as client:
                    before = gateway.metrics()
                    said = client.send(octets).rest()
                    self.assertEqual(notices(said) if isinstance(wanted, list) else said, wanted)
                    for name, labels in (
                            ("starling_attacks_refused_total", {"kind": kind}),
                            ("starling_sessions_ended_total", {"reason": reason})):
                        value = before.sum(name, **labels) + 1
                        self.assertEqual(gateway.wait_for_metric(value, name, **labels), value)

    def test_lengths_in_the_long_form_are_fine(self):
        request = ber(0x30, ber(2, b"\1", True) + ber(0x77, ber(
            0x80, directory.START_TLS.encode(), True), True) + ber(0xA0, b""), True)
        with ldap_gateway() as gateway, Wire(gateway.ports["in"]) as client:
            self.assertEqual(client.send(request).exactly(len(SUCCESS)), SUCCESS)

    def test_ids(self):
        with ldap_gateway() as gateway:
            for number, answer in ((178, "300d020200b278070a010004000400"),
                                   ((1 << 31) - 1, "300f02047fffffff78070a010004000400")):
                answer = bytes.fromhex(answer)
                with self.subTest(number), Wire(gateway.ports["in"]) as client:
                    client.send(message(extended(directory.START_TLS), number))
                    self.assertEqual(client.exactly(len(answer)), answer)

    def test_a_value_is_a_protocol_error(self):
        with ldap_gateway() as gateway, Wire(gateway.ports["in"]) as client:
            self.assertEqual(code(ask(client, extended(directory.START_TLS, b"x"))), PROTOCOL_ERROR)
            self.assertEqual(code(ask(client, extended(directory.START_TLS), 2)), 0)

    def test_too_many_requests(self):
        with ldap_gateway() as gateway, Wire(gateway.ports["in"]) as client:
            client.send(message(ber(0x50, b"\1")) * 65)
            self.assertEqual(notices(client.rest()), [CONFIDENTIALITY_REQUIRED])
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_sessions_ended_total", reason="too_many_errors"), 1)

    def test_unbind_and_signals(self):
        with ldap_gateway() as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(client.send(message(directory.unbind())).rest(), b"")
            with Wire(gateway.ports["in"]) as client:  # asked, was told of StartTLS, left
                self.assertEqual(code(ask(client, search("", "x"))), CONFIDENTIALITY_REQUIRED)
            with Wire(gateway.ports["in"]) as client:
                damaged = directory.START_TLS.replace("037", "0X7")
                self.assertEqual(code(ask(client, extended(damaged))), CONFIDENTIALITY_REQUIRED)
            for name, labels, value in (
                    ("starling_sessions_ended_total", {"reason": "goodbye"}, 1),
                    ("starling_downgrade_signals_total", {"signal": "offer_then_close"}, 2),
                    ("starling_downgrade_signals_total", {"signal": "mangled_command"}, 1)):
                self.assertEqual(gateway.wait_for_metric(value, name, **labels), value, labels)


class PlaintextOnTlsPort(unittest.TestCase):
    def test_told_by_a_notice(self):
        for octets in (message(bind("cn=a", "secret")), START_TLS):
            with ldap_gateway(tls="implicit") as gateway, Wire(gateway.ports["in"]) as client:
                self.assertEqual(notices(client.send(octets).rest()), [CONFIDENTIALITY_REQUIRED])
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_attacks_refused_total", kind="plain_on_tls_port"), 1)

    def test_foreign_alpn(self):
        for alpn, welcome in ((["ldap"], True), (["http/1.1"], False), (None, True)):
            with self.subTest(alpn), fakes.Backend(fakes.echo) as backend, \
                    ldap_gateway(backend.address, tls="implicit") as gateway:
                with Wire(gateway.ports["in"]) as client:
                    if welcome:
                        client.start_tls(wire.context(env.ca, alpn)).send(b"x").exactly(1)
                    else:
                        with self.assertRaisesRegex(OSError, "no application protocol"):
                            client.start_tls(wire.context(env.ca, alpn))


class Goodbyes(unittest.TestCase):
    """Each by a notice, before TLS and inside."""

    def test_drain(self):
        with ldap_gateway() as gateway, Wire(gateway.ports["in"]) as client:
            self.assertEqual(code(ask(client, search("", "x"))), CONFIDENTIALITY_REQUIRED)
            gateway.signal()
            self.assertEqual(notices(client.rest()), [UNAVAILABLE])
            self.assertEqual(gateway.wait(), 0)

    def test_critical_controls(self):
        """Without one that is critical nothing must be done (RFC 4511 4.1.11)."""
        def controls(oid, critical):
            return ber(0xA0, ber(0x30, ber(4, oid.encode()) + ber(1, b"\xff" if critical else b"\0")))

        manage, paged, unknown = "2.16.840.1.113730.3.4.2", "1.2.840.113556.1.4.319", "1.2.3.4"
        start_tls = extended(directory.START_TLS)
        with ldap_gateway() as gateway:
            for oid, critical, of_start_tls, of_search in (
                    (unknown, True, CRITICAL_EXTENSION, CRITICAL_EXTENSION),
                    (unknown, False, 0, CONFIDENTIALITY_REQUIRED),
                    (manage, True, 0, CONFIDENTIALITY_REQUIRED),
                    (paged, True, CRITICAL_EXTENSION, CONFIDENTIALITY_REQUIRED),
                    (paged, False, 0, CONFIDENTIALITY_REQUIRED)):
                with self.subTest(oid, critical=critical), Wire(gateway.ports["in"]) as client:
                    more = {"controls": controls(oid, critical)}
                    self.assertEqual(code(ask(client, search("", "x"), **more)), of_search)
                    self.assertEqual(code(ask(client, start_tls, 2, **more)), of_start_tls)
                    if of_start_tls:  # and the session goes on
                        self.assertEqual(code(ask(client, start_tls, 3)), 0)
                    client.start_tls()

    def test_deadline(self):
        with ldap_gateway(limits={"pre_relay": "300ms"}) as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(notices(client.send(START_TLS[:-1]).rest()), [UNAVAILABLE])
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_sessions_ended_total", reason="pre_relay_deadline"), 1)

    def test_full_table(self):
        with ldap_gateway(workers=1, limits={"sessions": 1}) as gateway:
            with Wire(gateway.ports["in"]) as first:
                self.assertEqual(code(ask(first, search("", "x"))), CONFIDENTIALITY_REQUIRED)
                with Wire(gateway.ports["in"]) as late:
                    self.assertEqual(notices(late.rest()), [UNAVAILABLE])

    def test_server_down(self):
        for tls in ("starttls", "implicit"):
            with self.subTest(tls), ldap_gateway(tls=tls) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    if tls == "starttls":
                        self.assertEqual(code(ask(client, extended(directory.START_TLS))), 0)
                    client.start_tls(wire.context(env.ca))
                    self.assertEqual(notices(client.rest()), [UNAVAILABLE])
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_sessions_ended_total", reason="backend_unavailable"), 1)


if __name__ == "__main__":
    unittest.main()
