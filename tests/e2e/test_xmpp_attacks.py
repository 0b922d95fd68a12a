"""Tests attacks on XMPP, each with the answer, the reason of the end and the counter; and how the
gateway ends a stream, by a stream error."""

import functools
import re
import socket
import ssl
import unittest

import fakes
import harness
import wire
import xmppservers
from wire import Wire
from xmppservers import FEATURES, PROCEED, START_TLS, error_of, header

env = None
ALERT = b"\x15\x03\x01\0\2\2\x0a"  # unexpected_message, fatal
CLIENT_HELLO = bytes.fromhex("160301002e0100002a0303") + b"\0" * 64
SSLV2_HELLO = bytes.fromhex("802e0103010015000000100100800000050000040000ff") + b"x" * 25
HEADER = header("example.org")
INJECTED = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>"
BOMB = (b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>"
        b"<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]><x>&c;</x>")


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def xmpp_gateway(server=harness.DOWN, tls="starttls", protocol="xmpp-client", **more):
    """A gateway with one listener `in`; by default its backend must not be called."""
    return env.gateway(
        {"in": {"protocol": protocol, "tls": tls, "backend": "one", "xmpp": {"domains": ["example.org"]}}},
        {"one": server}, **more)


class Recorder:
    """A backend that keeps what it got after the PROXY header, and answers nothing."""

    def __init__(self):
        self.octets = b""

    async def __call__(self, reader, writer):
        while data := await reader.read(65536):
            self.octets += data


def offered(client, octets=HEADER):
    """Sends a header and takes the offer."""
    client.send(octets)
    return client.until(FEATURES)


def injection(test):
    """Runs test(self, client, gateway) and checks the outcome: the go-ahead at
    most, an alert at most behind it; counted; and not an octet at the backend."""

    @functools.wraps(test)
    def run(self):
        for protocol in ("xmpp-client", "xmpp-server"):
            recorder = Recorder()
            with self.subTest(protocol), fakes.Backend(recorder) as backend, \
                    xmpp_gateway(backend.address, protocol=protocol) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    offered(client, header("example.org", protocol))
                    said = test(self, client)
                self.assertIn(said.removeprefix(PROCEED)[:1], (b"", b"\x15"))
                self.assertLessEqual(len(said.removeprefix(PROCEED)), 7)
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
    def test_too_much_white_space(self, client):
        said = client.send(START_TLS + b" \t\r\n" * 4 + b"\n").rest()
        self.assertEqual(said, b"")
        return said

    @injection
    def test_too_much_white_space_in_two_segments(self, client):
        client.send(START_TLS + b"\n" * 9)
        return client.exactly(len(PROCEED)) + client.send(b"\n" * 8).rest()

    @injection
    def test_white_space_of_another_kind(self, client):
        said = client.send(START_TLS + b"\n\v").rest()
        self.assertEqual(said, b"")
        return said

    @injection
    def test_an_element_behind_white_space(self, client):
        said = client.send(START_TLS + b"\n" + INJECTED).rest()
        self.assertEqual(said, b"")
        return said

    @injection
    def test_an_element_behind_white_space_after_the_reply(self, client):
        self.assertEqual(client.send(START_TLS + b"\n").exactly(len(PROCEED)), PROCEED)
        return client.send(b"\n" + INJECTED).rest()

    @injection
    def test_open_form(self, client):
        said = client.send(START_TLS.replace(b"/>", b"></starttls>") + b"\x16").rest()
        self.assertEqual(said, b"")
        return said

    @injection
    def test_two_segments_before_the_reply(self, client):
        return client.send(START_TLS).send(INJECTED).rest()

    @injection
    def test_after_the_reply(self, client):
        self.assertEqual(client.send(START_TLS).exactly(len(PROCEED)), PROCEED)
        return client.send(INJECTED).rest()

    @injection
    def test_sslv2_hello_after_the_reply(self, client):
        self.assertEqual(client.send(START_TLS).exactly(len(PROCEED)), PROCEED)
        return client.send(SSLV2_HELLO).rest()

    def test_all_in_one_segment(self):
        """The header, the request and the injected: nothing of the offer is waited for."""
        with xmpp_gateway() as gateway, Wire(gateway.ports["in"]) as client:
            said = client.send(HEADER + START_TLS + INJECTED).rest()
            self.assertIn(said, (b"", said[:said.find(FEATURES)] + FEATURES))
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_attacks_refused_total", kind="plaintext_injection"), 1)

    def test_split_request_is_fine(self):
        recorder = Recorder()
        # Without a header, whose octets would be counted.
        with fakes.Backend(recorder, proxy=False) as backend, xmpp_gateway(
                {"servers": [backend.address], "proxy_protocol": "none"}) as gateway:
            with Wire(gateway.ports["in"]) as client:
                for octet in HEADER + b" \n" + START_TLS:
                    client.send(bytes([octet]))
                client.until(FEATURES)
                self.assertEqual(client.exactly(len(PROCEED)), PROCEED)
                client.start_tls(wire.context(env.ca)).send(b"inside")
                self.assertIsNotNone(gateway.wait_for_line("session established", "listener=in"))
                self.assertEqual(gateway.wait_for_metric(
                    6, "starling_bytes_total", direction="upstream_out"), 6)
            self.assertEqual(gateway.wait_for_metric(0, "starling_sessions"), 0)
            self.assertEqual(recorder.octets, b"inside")
            self.assertEqual(gateway.metrics().sum("starling_attacks_refused_total"), 0)
            gateway.assert_idle(self)

    def test_white_space_is_dropped(self):
        """As go-xmpp and scanners send it: with the request, at once, after the reply, with
        the hello, and split among them. None of it reaches the server."""
        recorder = Recorder()
        blanks = b"\n \r\t" * 4
        with fakes.Backend(recorder, proxy=False) as backend, xmpp_gateway(
                {"servers": [backend.address], "proxy_protocol": "none"}) as gateway:
            sent = 0
            for parts in ((16, 0, 0, 0), (0, 16, 0, 0), (0, 0, 16, 0), (0, 0, 0, 16), (4, 4, 4, 4),
                          (1, 0, 0, 0), (1, 1, 1, 1), (0, 0, 1, 15)):
                cut = [blanks[sum(parts[:i]):sum(parts[:i + 1])] for i in range(4)]
                with self.subTest(parts), Wire(gateway.ports["in"]) as client:
                    offered(client)
                    client.send(START_TLS + cut[0])
                    client.send(cut[1])
                    self.assertEqual(client.exactly(len(PROCEED)), PROCEED)
                    client.send(cut[2])
                    # In one segment with the hello.
                    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
                    client.send(cut[3])
                    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                    tls = wire.context(env.ca).wrap_bio(incoming, outgoing,
                                                       server_hostname="mail.example.org")
                    with self.assertRaises(ssl.SSLWantReadError):
                        tls.do_handshake()
                    client.send(outgoing.read())
                    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
                    while True:
                        incoming.write(client.receive())
                        try:
                            tls.do_handshake()
                            break
                        except ssl.SSLWantReadError:
                            pass
                    tls.write(b"inside")
                    client.send(outgoing.read())
                    sent += len(b"inside")
                    self.assertEqual(gateway.wait_for_metric(
                        sent, "starling_bytes_total", direction="upstream_out"), sent)
            self.assertEqual(gateway.wait_for_metric(0, "starling_sessions"), 0)
            self.assertEqual(recorder.octets, b"inside" * (sent // len(b"inside")))
            self.assertEqual(gateway.metrics().sum("starling_attacks_refused_total"), 0)
            gateway.assert_idle(self)

    def test_octets_of_a_backend_before_anybody_asked(self):
        """They come after the handshake, inside TLS, as all of a relay does."""
        with fakes.Backend(fakes.says(b"early")) as backend, xmpp_gateway(backend.address) as gateway:
            with Wire(gateway.ports["in"]) as client:
                offered(client)
                self.assertEqual(client.send(START_TLS).exactly(len(PROCEED)), PROCEED)
                self.assertEqual(client.start_tls(wire.context(env.ca)).exactly(5), b"early")


class WrongOctets(unittest.TestCase):
    # what: (octets, kind, reason, the answer: the error of a stream, or octets)
    ROWS = {
        "TLS on a plain port": (CLIENT_HELLO, "tls_on_plain_port", "tls_on_plain_port", ALERT),
        "HTTP": (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "cross_protocol", "cross_protocol", b""),
        "another protocol": (b"a001 STARTTLS\r\n", "cross_protocol", "cross_protocol", b""),
        "a stream of servers": (header("example.org", "xmpp-server"), "cross_protocol",
                                "cross_protocol", "invalid-namespace"),
        "NUL": (HEADER + b"<star\0ttls", "bad_octet", "bad_octet", "not-well-formed"),
        "8-bit octets": (b"\xc3\xa4\xc3\xb6", "bad_octet", "bad_octet", "not-well-formed"),
        "half a character": (header("\udcc3"), "bad_octet", "bad_octet", "not-well-formed"),
        "a bomb of entities": (BOMB, "bad_octet", "bad_octet", "restricted-xml"),
        "an entity": (header("&xxe;"), "bad_octet", "bad_octet", "restricted-xml"),
        "a comment": (HEADER + b"<!-- -->", "bad_octet", "bad_octet", "restricted-xml"),
        "an instruction": (b"<?php?>", "bad_octet", "bad_octet", "restricted-xml"),
        "another encoding": (b"<?xml version='1.0' encoding='utf-16'?>" + HEADER, "bad_octet",
                             "bad_octet", "unsupported-encoding"),
        "text": (HEADER + b"STARTTLS\r\n", "bad_octet", "bad_octet", "bad-format"),
        "a tag without end": (b"<" + b"x" * 8193, "overlong_line", "line_too_long",
                              "policy-violation"),
        "attributes without end": (
            b"<x " + b" ".join(b"a%d=''" % n for n in range(400)) + b">", "overlong_line",
            "line_too_long", "policy-violation"),
        "a log-in": (HEADER + INJECTED, "plaintext_auth", "tls_required", "policy-violation"),
    }

    def test_each(self):
        with xmpp_gateway() as gateway:
            for what, (octets, kind, reason, wanted) in self.ROWS.items():
                with self.subTest(what), Wire(gateway.ports["in"]) as client:
                    before = gateway.metrics()
                    said = client.send(octets).rest()
                    self.assertEqual(error_of(said) if isinstance(wanted, str) else said, wanted)
                    for name, labels in (
                            ("starling_attacks_refused_total", {"kind": kind}),
                            ("starling_sessions_ended_total", {"reason": reason})):
                        value = before.sum(name, **labels) + 1
                        self.assertEqual(gateway.wait_for_metric(value, name, **labels), value)

    def test_ends_without_an_attack(self):
        with xmpp_gateway() as gateway:
            for octets, reason, wanted in (
                    (HEADER + b" " * 10240, "too_many_errors", "policy-violation"),
                    (HEADER + b"<message/>", "tls_required", "policy-violation"),
                    (HEADER.replace(b" version='1.0'", b""), "tls_required", "unsupported-version"),
                    (HEADER + b"</stream:stream>", "goodbye", None)):
                with self.subTest(wanted), Wire(gateway.ports["in"]) as client:
                    before = gateway.metrics()
                    self.assertEqual(error_of(client.send(octets).rest()), wanted)
                    value = before.sum("starling_sessions_ended_total", reason=reason) + 1
                    self.assertEqual(gateway.wait_for_metric(
                        value, "starling_sessions_ended_total", reason=reason), value)
            self.assertEqual(gateway.metrics().sum("starling_attacks_refused_total"), 0)

    def test_what_stands_in_the_request(self):
        with xmpp_gateway() as gateway, Wire(gateway.ports["in"]) as client:
            offered(client)
            said = client.send(START_TLS.replace(b"/>", b"><x/></starttls>")).rest()
            self.assertEqual(
                said, b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>")

    def test_signals(self):
        with xmpp_gateway() as gateway:
            with Wire(gateway.ports["in"]) as client:
                offered(client)
            with Wire(gateway.ports["in"]) as client:
                offered(client)
                client.send(START_TLS.replace(b"<starttls", b"<XXXXXXXX")).rest()
            with Wire(gateway.ports["in"]) as client:
                offered(client)
                client.send(INJECTED).rest()
            for signal, value in (("offer_then_close", 1), ("mangled_command", 1), ("not_taken", 2)):
                self.assertEqual(gateway.wait_for_metric(
                    value, "starling_downgrade_signals_total", signal=signal), value, signal)


class Header(unittest.TestCase):
    def test_the_answer(self):
        names = {"a.example": b"a.example", "B.example": b"b.example", "127.0.0.1": b"a.example"}
        listener = {"protocol": "xmpp-client", "tls": "starttls", "backend": "one",
                    "xmpp": {"domains": ["a.example", "b.example"]}}
        ids = set()
        with env.gateway({"in": listener}, {"one": harness.DOWN}) as gateway:
            for to, wanted in names.items():
                with self.subTest(to), Wire(gateway.ports["in"]) as client:
                    match = re.fullmatch(
                        rb"<\?xml version='1\.0'\?><stream:stream xmlns='jabber:client' "
                        rb"xmlns:stream='http://etherx\.jabber\.org/streams' from='(.*)' "
                        rb"id='([0-9a-f]{8})' version='1\.0' xml:lang='en'>", offered(client, header(to)))
                    self.assertEqual(match[1], wanted)
                    ids.add(match[2])
        self.assertEqual(len(ids), len(names))

    def test_the_section_is_for_xmpp_alone(self):
        listener = {"protocol": "imap", "tls": "starttls", "backend": "one",
                    "xmpp": {"domains": ["a.example"]}}
        config = env.configure({"in": listener}, {"one": harness.DOWN})[0]
        code, output = harness.run([harness.BINARY, "-t", "-c", config])
        self.assertNotEqual(code, 0)
        self.assertIn("the section xmpp, expected no such section for protocol imap", output)


class DirectTls(unittest.TestCase):
    def test_plaintext_is_told_so(self):
        for octets in (HEADER, HEADER + START_TLS):
            with xmpp_gateway(tls="implicit") as gateway, Wire(gateway.ports["in"]) as client:
                self.assertEqual(error_of(client.send(octets).rest()), "policy-violation")
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_attacks_refused_total", kind="plain_on_tls_port"), 1)

    def test_alpn(self):
        for protocol, other in (("xmpp-client", "xmpp-server"), ("xmpp-server", "xmpp-client")):
            with fakes.Backend(fakes.echo) as backend, \
                    xmpp_gateway(backend.address, tls="implicit", protocol=protocol) as gateway:
                for alpn, welcome in (([protocol], True), (None, True), ([other, protocol], True),
                                      ([other], False), (["http/1.1"], False)):
                    with self.subTest((protocol, alpn)), Wire(gateway.ports["in"]) as client:
                        if welcome:
                            client.start_tls(wire.context(env.ca, alpn)).send(b"x").exactly(1)
                            self.assertEqual(client.socket.selected_alpn_protocol(),
                                             protocol if alpn else None)
                        else:
                            with self.assertRaisesRegex(OSError, "no application protocol"):
                                client.start_tls(wire.context(env.ca, alpn))


class Goodbyes(unittest.TestCase):
    """Each by the error of a stream, before TLS and inside."""

    def test_drain(self):
        with xmpp_gateway() as gateway, Wire(gateway.ports["in"]) as client:
            offered(client)
            gateway.signal()
            said = client.rest()
            self.assertTrue(said.startswith(b"<stream:error><system-shutdown "), said)
            self.assertTrue(said.endswith(b"</stream:error></stream:stream>"), said)
            self.assertEqual(gateway.wait(), 0)

    def test_deadline(self):
        with xmpp_gateway(limits={"pre_relay": "300ms", "pre_relay_silence": "400ms"}) as gateway:
            for octets, reason in ((b"<stream:stream", "pre_relay_deadline"),
                                   (HEADER, "pre_relay_silence")):
                with Wire(gateway.ports["in"]) as client:
                    self.assertEqual(error_of(client.send(octets).rest()), "connection-timeout")
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_sessions_ended_total", reason=reason), 1)

    def test_full_table(self):
        with xmpp_gateway(workers=1, limits={"sessions": 1}) as gateway:
            with Wire(gateway.ports["in"]) as first:
                offered(first)
                with Wire(gateway.ports["in"]) as late:
                    self.assertEqual(error_of(late.rest()), "resource-constraint")

    def test_server_down(self):
        for tls in ("starttls", "implicit"):
            with self.subTest(tls), xmpp_gateway(tls=tls) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    if tls == "starttls":
                        offered(client)
                        self.assertEqual(client.send(START_TLS).exactly(len(PROCEED)), PROCEED)
                    client.start_tls(wire.context(env.ca))
                    self.assertEqual(error_of(client.rest()), "remote-connection-failed")
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_sessions_ended_total", reason="backend_unavailable"), 1)

    def test_killed_server(self):
        """The relay's end: the client sees one as well, and nothing is left."""
        with xmppservers.Prosody("example.org") as server:
            keys = {"servers": [server.backend("c2s")], "proxy_protocol": "none"}
            listener = {"protocol": "xmpp-client", "tls": "starttls", "backend": "one"}
            with env.gateway({"in": listener}, {"one": keys}) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    offered(client)
                    self.assertEqual(client.send(START_TLS).exactly(len(PROCEED)), PROCEED)
                    client.start_tls(wire.context(env.ca)).send(HEADER).until(b"</stream:features>")
                    server.stop()
                    self.assertEqual(client.rest(), b"")
                self.assertEqual(gateway.wait_for_metric(
                    lambda v: v >= 1, "starling_sessions_ended_total", listener="in"), 1)
                gateway.assert_idle(self)


if __name__ == "__main__":
    unittest.main()
