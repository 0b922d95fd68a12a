"""Tests attacks on a few protocols, each with the answer, the reason of the end and the counter: IMAP's
literals, too many commands, protocols on TLS ports, old suites, and PROXY headers from the wrong
source.

Not for: attacks that every protocol knows (test_attack_matrix.py)."""

import struct
import unittest

import fakes
import harness
import proxy_v2
import wire
from wire import Wire

env = None
ALERT = b"\x15\x03\x01\0\2\2\x0a"  # unexpected_message, fatal
CLIENT_HELLO = bytes.fromhex("160301002e0100002a0303") + b"\0" * 64


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def starttls_gateway(protocol, **keys):
    """A gateway whose backend must not be called."""
    return env.gateway(
        {"in": {"protocol": protocol, "tls": "starttls", "policy": "require", "backend": "one",
                **keys}}, {"one": harness.DOWN})


class WrongOctets(unittest.TestCase):
    def test_bare_lf_where_the_listener_says_so(self):
        with starttls_gateway("imap", accept_bare_lf=True) as gateway:
            with Wire(gateway.ports["in"]) as client:
                client.greeting("imap")
                self.assertIn(b"STARTTLS", client.ask("imap", b"a CAPABILITY\n"))

    def test_imap_literals(self):
        with starttls_gateway("imap") as gateway:
            for command, answer in ((b"a LOGIN {4}\r\n", b"a NO [PRIVACYREQUIRED] "),
                                    (b"a LOGIN {4+}\r\nuser x\r\n", b"a NO [PRIVACYREQUIRED] "),
                                    (b"a X {4}\r\n", b"a BAD"), (b"a X {4+}\r\nuser\r\n", b"a BAD"),
                                    (b"a LOGIN {9000+}\r\n" + b"x" * 9000, b"* BYE")):
                with self.subTest(command[:20]), Wire(gateway.ports["in"]) as client:
                    client.greeting("imap")
                    self.assertTrue(client.send(command).line().startswith(answer))

    def test_too_many_commands(self):
        with starttls_gateway("smtp") as gateway, Wire(gateway.ports["in"]) as client:
            client.greeting("smtp")
            client.send(b"NOOP\r\n" * 200)
            client.rest()
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_sessions_ended_total", reason="too_many_errors"), 1)


class PlaintextOnTlsPort(unittest.TestCase):
    # The answer of each protocol to plaintext on a TLS port.
    WORDS = {"smtp": b"554 5.7.10 ", "lmtp": b"554 5.7.10 ", "imap": b"* BYE [PRIVACYREQUIRED] ",
             "pop3": b"-ERR [SYS/PERM] ", "managesieve": b"BYE (ENCRYPT-NEEDED) ",
             "nntp": b"502 ", "acap": b"* BYE (ENCRYPT-NEEDED) "}

    def implicit(self, backend, **more):
        listeners = {name: {"protocol": name, "tls": "implicit", "backend": "b"}
                     for name in [*self.WORDS, "tcp"]}
        return env.gateway(listeners, {"b": backend.address}, **more)

    def test_told_in_the_clients_own_protocol(self):
        http = b"HTTP/1.1 400 Bad Request\r\n"
        rows = [(name, words, b"CAPABILITY\r\n") for name, words in self.WORDS.items()]
        rows += [(name, http, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") for name in ("imap", "tcp")]
        rows += [("tcp", ALERT, b"EHLO client.example.net\r\n"), ("smtp", ALERT, b"\0\1"),
                 ("imap", ALERT, b"\x80\x2e\x01\x03\x01" + b"\0" * 60)]
        with fakes.Backend(fakes.echo) as backend, self.implicit(backend) as gateway:
            for number, (listener, words, octets) in enumerate(rows, 1):
                with self.subTest(listener, octets=octets), Wire(gateway.ports[listener]) as client:
                    said = client.send(octets).rest()
                    self.assertTrue(said.startswith(words), said)
                    self.assertEqual(said.count(b"TLS is spoken here"), int(words != ALERT))
                    for name, labels in (
                            ("starling_attacks_refused_total", {"kind": "plain_on_tls_port"}),
                            ("starling_tls_handshake_failures_total", {"reason": "not_tls"}),
                            ("starling_sessions_ended_total", {"reason": "plain_on_tls_port"})):
                        self.assertEqual(gateway.wait_for_metric(number, name, **labels), number)
            self.assertEqual(backend.proxied, [])

    def test_who_waits_for_a_greeting_is_told_at_the_deadline(self):
        with fakes.Backend(fakes.echo) as backend, \
                self.implicit(backend, limits={"pre_relay": "300ms"}) as gateway:
            for name, words in [*self.WORDS.items(), ("tcp", b"")]:
                with self.subTest(name), Wire(gateway.ports[name]) as client:
                    said = client.rest()
                    self.assertTrue(said.startswith(words), said)
                    self.assertEqual(said == b"", name == "tcp")
            self.assertEqual(gateway.wait_for_metric(
                8, "starling_sessions_ended_total", reason="pre_relay_deadline"), 8)

    def test_old_suites_refused(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address) as gateway:
            for options in (["-cipher", "AES128-GCM-SHA256"], ["-cipher", "DHE-RSA-AES128-GCM-SHA256"],
                            ["-cipher", "ECDHE-RSA-AES128-SHA256"]):
                with self.subTest(options):
                    code, output = harness.run(
                        ["openssl", "s_client", "-connect", "127.0.0.1:{}".format(gateway.ports["tcp"]),
                         "-tls1_2", *options])
                    self.assertNotEqual(code, 0)
                    self.assertIn("handshake failure", output)
            self.assertEqual(backend.proxied, [])
            self.assertGreaterEqual(gateway.wait_for_metric(
                lambda v: v >= 3, "starling_tls_handshake_failures_total", listener="tcp"), 3)

    def test_renegotiation_refused(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address) as gateway:
            # It ends by itself, since the gateway ends the session.
            _, output = harness.converse(
                ["openssl", "s_client", "-connect", "127.0.0.1:{}".format(gateway.ports["tcp"]),
                 "-tls1_2"], b"R\n")
            self.assertIn("RENEGOTIATING", output)
            self.assertRegex(output, "no renegotiation|unexpected message")
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_sessions_ended_total", reason="tls_error"), 1)


class ProxyHeaderIn(unittest.TestCase):
    """A listener behind a load balancer, which alone may send PROXY headers."""

    TRUSTED, STRANGER = "127.3.0.1", "127.3.0.2"
    SOURCE = ("198.51.100.9", 40009)

    def listener(self, **keys):
        return {"proxy_protocol": {"from": [self.TRUSTED + "/32"]}, **keys}

    def test_from_a_trusted_source(self):
        for first in (proxy_v2.header(self.SOURCE, tls=False), proxy_v2.v1(self.SOURCE)):
            with self.subTest(first), fakes.Backend(fakes.echo) as backend, \
                    env.tcp(backend.address, self.listener()) as gateway:
                with Wire(gateway.ports["tcp"], self.TRUSTED) as client:
                    for octet in first:
                        client.send(bytes([octet]))
                    client.start_tls()
                    client.send(b"x").exactly(1)
                self.assertEqual(backend.proxied[0].source, self.SOURCE)
                self.assertIsNotNone(gateway.wait_for_line("session established", "198.51.100.9:40009"))

    def test_local(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address, self.listener()) as gateway:
            with Wire(gateway.ports["tcp"], self.TRUSTED) as client:
                client.send(proxy_v2.local()).start_tls()
                client.send(b"x").exactly(1)
                self.assertEqual(backend.proxied[0].source, client.name)

    def test_from_a_stranger(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address, self.listener()) as gateway:
            with Wire(gateway.ports["tcp"], self.STRANGER) as client:
                client.send(proxy_v2.header(self.SOURCE))
                self.assertLessEqual(len(client.rest()), 7)
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_sessions_ended_total", reason="proxy_header_untrusted"), 1)
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_attacks_refused_total", kind="untrusted_proxy"), 1)
            self.assertEqual(backend.proxied, [])

    def test_missing_or_malformed(self):
        wrong_crc = proxy_v2.header(self.SOURCE, tls=b"\x03\x00\x04\x01\x02\x03\x04")
        too_long = proxy_v2.SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 65535)
        rows = (CLIENT_HELLO, b"PROXY TCP4 999.0.0.1 x 1 2\r\n", wrong_crc, too_long)
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address, self.listener()) as gateway:
            for number, first in enumerate(rows, 1):
                with self.subTest(first[:30]), Wire(gateway.ports["tcp"], self.TRUSTED) as client:
                    client.send(first)
                    self.assertLessEqual(len(client.rest()), 7)
                    self.assertEqual(gateway.wait_for_metric(
                        number, "starling_sessions_ended_total", reason="proxy_header_bad"), number)
            self.assertEqual(backend.proxied, [])

    def test_where_none_is_expected(self):
        """A PROXY header on an ordinary listener is neither TLS nor a command."""
        with starttls_gateway("smtp") as gateway, Wire(gateway.ports["in"], self.TRUSTED) as client:
            client.greeting("smtp")
            client.send(proxy_v2.v1(self.SOURCE))
            self.assertTrue(client.line().startswith(b"5"))


if __name__ == "__main__":
    unittest.main()
