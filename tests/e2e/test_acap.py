"""Tests ACAP with a scripted server and a raw client, because Debian has no ACAP server."""

import unittest

import fakes
import harness
import wire
from wire import Wire

env = None
GREETING = b'* ACAP (IMPLEMENTATION "scripted") (SASL "PLAIN")\r\n'


def setUpModule():
    global env
    env = harness.Environment(servers=False)


async def scripted(reader, writer):
    """Says OK to all, and keeps nothing."""
    writer.write(GREETING)
    while line := await reader.readline():
        writer.write(line.split(b" ")[0] + b' OK "scripted"\r\n')


class Acap(unittest.TestCase):
    def gateway(self, backend, tls="starttls"):
        return env.gateway({"in": {"protocol": "acap", "tls": tls, "backend": "b"}},
                           {"b": backend.address})

    def test_starttls(self):
        with fakes.Backend(scripted) as backend, self.gateway(backend) as gateway:
            with Wire(gateway.ports["in"]) as client:
                client.greeting("acap")
                self.assertEqual(client.ask("acap", b"a STARTTLS\r\n"),
                                 b'a OK "Begin TLS negotiation now"\r\n')
                client.start_tls(wire.context(env.ca))
                self.assertEqual(client.greeting("acap"), GREETING)
                self.assertEqual(client.ask("acap", b'b AUTHENTICATE "PLAIN" "x"\r\n'),
                                 b'b OK "scripted"\r\n')
                self.assertEqual(backend.proxied[0].source, client.name)

    def test_implicit(self):
        with fakes.Backend(scripted) as backend, self.gateway(backend, "implicit") as gateway:
            with Wire(gateway.ports["in"]) as client:
                client.start_tls(wire.context(env.ca))
                self.assertEqual(client.greeting("acap"), GREETING)

    def test_no_log_in_in_plaintext(self):
        with fakes.Backend(scripted) as backend, self.gateway(backend) as gateway:
            with Wire(gateway.ports["in"]) as client:
                client.greeting("acap")
                self.assertTrue(client.ask("acap", b'a AUTHENTICATE "PLAIN" "x"\r\n')
                                .startswith(b"a NO (ENCRYPT-NEEDED) "))
            for name, labels in (
                    ("starling_attacks_refused_total", {"kind": "plaintext_auth"}),
                    ("starling_downgrade_signals_total", {"signal": "not_taken"})):
                self.assertEqual(gateway.wait_for_metric(1, name, protocol="acap", **labels), 1)
            self.assertEqual(backend.proxied, [])


if __name__ == "__main__":
    unittest.main()
