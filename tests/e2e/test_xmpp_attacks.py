"""Tests attacks that XMPP alone knows, each with the answer, the reason of the end and the counter;
and how the gateway ends a stream, by a stream error.

Not for: attacks that every protocol knows (test_attack_matrix.py)."""

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
            recorder = fakes.Recorder()
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
    def test_open_form(self, client):
        said = client.send(START_TLS.replace(b"/>", b"></starttls>") + b"\x16").rest()
        self.assertEqual(said, b"")
        return said

    def test_all_in_one_segment(self):
        """A client sends the header, the request and injected octets without waiting for the offer."""
        with xmpp_gateway() as gateway, Wire(gateway.ports["in"]) as client:
            said = client.send(HEADER + START_TLS + INJECTED).rest()
            self.assertIn(said, (b"", said[:said.find(FEATURES)] + FEATURES))
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_attacks_refused_total", kind="plaintext_injection"), 1)

    def test_white_space_is_dropped(self):
        """As go-xmpp and scanners send it: with the request, at once, after the reply, with
        the hello, and split among them. None of it reaches the server."""
        recorder = fakes.Recorder()
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


class WrongOctets(unittest.TestCase):
    # what: (octets, kind, reason, the answer: the error of a stream, or octets)
    ROWS = {
        "a stream of servers": (header("example.org", "xmpp-server"), "cross_protocol",
                                "cross_protocol", "invalid-namespace"),
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
        self.assertIn("a listener with protocol imap cannot have a section xmpp", output)


class DirectTls(unittest.TestCase):
    def test_alpn(self):
        for protocol, other in (("xmpp-client", "xmpp-server"), ("xmpp-server", "xmpp-client")):
            with fakes.Backend(fakes.echo) as backend, \
                    xmpp_gateway(backend.address, tls="implicit", protocol=protocol) as gateway:
                for alpn, welcome in (([protocol], True), (None, True), ([other, protocol], True),
                                      ([other], False)):
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

    def test_silence(self):
        with xmpp_gateway(limits={"pre_relay": "300ms", "pre_relay_silence": "400ms"}) as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(error_of(client.send(HEADER).rest()), "connection-timeout")
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_sessions_ended_total", reason="pre_relay_silence"), 1)

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
