"""Tests the point of upgrade: the gateway refuses octets after the upgrade command, and none of them
reaches a backend or gets an answer inside TLS. Raw sockets, every protocol; octets together with
the command, in a second segment, and after the go-ahead."""

import functools
import re
import unittest

import fakes
import harness
import wire
from wire import Wire

env = None

INJECTED = {
    "smtp": b"EHLO injected.example\r\nMAIL FROM:<injected@example.net>\r\n",
    "lmtp": b"LHLO injected.example\r\n",
    "imap": b"i NOOP\r\ni LOGIN injected x\r\n",
    "pop3": b"CAPA\r\nUSER injected\r\n",
    "managesieve": b"NOOP \"injected\"\r\n",
    "nntp": b"MODE READER\r\nAUTHINFO USER injected\r\n",
    "acap": b"i NOOP\r\ni AUTHENTICATE \"injected\"\r\n",
    "irc": b"NICK injected\r\nOPER injected x\r\n",
}
# What a well-behaved backend says first.
BACKEND_GREETING = {
    "smtp": b"220 backend ESMTP\r\n", "lmtp": b"220 backend LMTP\r\n",
    "imap": b"* OK backend\r\n", "pop3": b"+OK backend\r\n",
    "managesieve": b'"IMPLEMENTATION" "x"\r\n"SIEVE" ""\r\n"VERSION" "1.0"\r\nOK "backend"\r\n',
    "nntp": b"200 backend\r\n", "acap": b'* ACAP (IMPLEMENTATION "backend")\r\n',
    "irc": b":backend 001 demo :Welcome\r\n",
}
KIND = "plaintext_injection"
SSLV2_HELLO = bytes.fromhex("802e0103010015000000100100800000050000040000ff") + b"x" * 25
ALERT = re.compile(rb"\A(\x15\x03.\x00\x02..)?\Z", re.DOTALL)
ONE_LINE = re.compile(rb"\A([^\r\n]*\r\n)?\Z")


def setUpModule():
    global env
    env = harness.Environment(servers=False)


class Recorder:
    """A backend that greets and keeps what it got after the PROXY header."""

    def __init__(self, protocol):
        self.octets = b""
        self._greeting = BACKEND_GREETING[protocol]

    async def __call__(self, reader, writer):
        writer.write(self._greeting)
        while data := await reader.read(65536):
            self.octets += data
            if b"QUIT" in data.upper() or b"EHLO" in data.upper():
                writer.write(b"250 backend\r\n")


def each_protocol(test):
    """Runs test(self, protocol, gateway) for each protocol by STARTTLS; what was
    injected must not have reached the backend."""

    @functools.wraps(test)
    def run(self):
        for protocol in wire.UPGRADE:
            recorder = Recorder(protocol)
            with self.subTest(protocol), fakes.Backend(recorder) as backend, env.gateway(
                    {"in": {"protocol": protocol, "tls": "starttls", "policy": "require",
                            "backend": "one"}}, {"one": backend.address}) as gateway:
                test(self, protocol, gateway)
                self.assertNotIn(b"injected", recorder.octets)

    return run


class Injection(unittest.TestCase):
    def assert_refused(self, said, protocol, gateway, go_ahead):
        """Nothing was said but (perhaps, if `go_ahead`) the go-ahead and an alert,
        or else one refusal; and it was counted."""
        if go_ahead:
            reply, found, rest = said.partition(wire.UPGRADE[protocol][2])
            if found:
                said = rest.split(b"\r\n", 1)[-1] if protocol in ("imap", "pop3") else rest
                self.assertEqual(reply, b"")
            self.assertRegex(said, ALERT if found else ONE_LINE)
        else:
            self.assertFalse(said.startswith(wire.UPGRADE[protocol][2]), said)
            self.assertRegex(said, ONE_LINE)
        self.assertEqual(gateway.wait_for_metric(
            1, "starling_attacks_refused_total", listener="in", protocol=protocol, kind=KIND), 1)
        self.assertEqual(gateway.wait_for_metric(
            1, "starling_sessions_ended_total", listener="in", reason=KIND), 1)
        self.assertEqual(gateway.metrics().sum("starling_tls_handshakes_total", listener="in"), 0)

    @each_protocol
    def test_one_segment(self, protocol, gateway):
        with Wire(gateway.ports["in"]) as client:
            client.greeting(protocol)
            client.send(wire.UPGRADE[protocol][1] + INJECTED[protocol])
            self.assert_refused(client.rest(), protocol, gateway, go_ahead=False)

    @each_protocol
    def test_one_octet_more(self, protocol, gateway):
        with Wire(gateway.ports["in"]) as client:
            client.greeting(protocol)
            client.send(wire.UPGRADE[protocol][1] + b"\x16")
            self.assert_refused(client.rest(), protocol, gateway, go_ahead=False)

    @each_protocol
    def test_two_segments_before_the_reply(self, protocol, gateway):
        """Both are under way before the reply can be read: the second is found by
        the last look, or is the first that TLS sees. It is never answered."""
        with Wire(gateway.ports["in"]) as client:
            client.greeting(protocol)
            client.send(wire.UPGRADE[protocol][1])
            client.send(INJECTED[protocol])
            self.assert_refused(client.rest(), protocol, gateway, go_ahead=True)

    @each_protocol
    def test_after_the_reply(self, protocol, gateway):
        with Wire(gateway.ports["in"]) as client:
            client.greeting(protocol)
            go_ahead = client.ask(protocol, wire.UPGRADE[protocol][1])
            client.send(INJECTED[protocol])
            self.assert_refused(go_ahead + client.rest(), protocol, gateway, go_ahead=True)

    @each_protocol
    def test_sslv2_hello_after_the_reply(self, protocol, gateway):
        with Wire(gateway.ports["in"]) as client:
            client.greeting(protocol)
            go_ahead = client.ask(protocol, wire.UPGRADE[protocol][1])
            client.send(SSLV2_HELLO)
            self.assert_refused(go_ahead + client.rest(), protocol, gateway, go_ahead=True)

    @each_protocol
    def test_split_command_is_fine(self, protocol, gateway):
        """The command itself octet by octet, then TLS: no false alarm."""
        with Wire(gateway.ports["in"]) as client:
            client.greeting(protocol)
            for octet in wire.UPGRADE[protocol][1]:
                client.send(bytes([octet]))
            tag = wire.UPGRADE[protocol][1].split(b" ")[0]
            self.assertTrue(client.reply(protocol, tag).startswith(wire.UPGRADE[protocol][2]))
            client.start_tls()
            if wire.SECOND_GREETING[protocol]:
                client.greeting(protocol)
            client.send(b"x inside\r\n")
            self.assertIsNotNone(gateway.wait_for_line("session established", "listener=in"))
        self.assertEqual(gateway.metrics().sum("starling_attacks_refused_total", kind=KIND), 0)


class ResponseInjection(unittest.TestCase):
    """What a backend says at the wrong time never reaches the client as its own."""

    def test_octets_behind_the_greeting(self):
        """CVE-2021-22947: replies that wait in the stream before anybody asked."""
        async def handler(reader, writer):
            writer.write(b"220 backend ESMTP\r\n250 injected\r\n")
            await fakes.silent(reader, writer)
        with fakes.Backend(handler) as backend, env.gateway(
                {"in": {"protocol": "smtp", "tls": "starttls", "policy": "require",
                        "backend": "one"}}, {"one": backend.address}) as gateway:
            with Wire(gateway.ports["in"]) as client:
                client.greeting("smtp")
                reply = client.ask("smtp", wire.HELLO["smtp"])
                self.assertNotIn(b"injected", reply)
                self.assertEqual(client.ask("smtp", b"STARTTLS\r\n"), b"220 2.0.0 Ready to start TLS\r\n")

    def test_preauth_is_never_relayed(self):
        with fakes.Backend(fakes.says(b"* PREAUTH injected\r\n")) as backend, env.gateway(
                {"in": {"protocol": "imap", "tls": "starttls", "backend": "one"}},
                {"one": backend.address}) as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertTrue(client.greeting("imap").startswith(b"* OK"))
                self.assertNotIn(b"injected", client.ask("imap", b"c CAPABILITY\r\n"))
                self.assertTrue(client.ask("imap", b"s STARTTLS\r\n").startswith(b"s OK"))
                client.start_tls()
                client.rest()
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_sessions_ended_total", reason="backend_preauth"), 1)


if __name__ == "__main__":
    unittest.main()
