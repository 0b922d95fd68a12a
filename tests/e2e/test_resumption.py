"""Tests session tickets: clients resume across workers, reloads, restarts and gateways that share a
key file, but never on a listener that requires more."""

import os
import signal
import ssl
import unittest

import fakes
import harness
import tls_material as tm
from wire import Wire, context

env = None
GREETING = b"* OK one\r\n"
HANDSHAKES = "starling_tls_handshakes_total"


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def keys(name):
    return tm.write(os.path.join(env.dir, name), tm.ticket_keys(), 0o600)


def settings(version):
    versions = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
    return context(minimum_version=versions[version], maximum_version=versions[version])


def visit(port, tls, session=None, greeting=b""):
    """One connection to an echo behind `greeting`; (whether it resumed, the session to go on
    with)."""
    with Wire(port) as client:
        client.socket = tls.wrap_socket(client.socket, server_hostname="mail.example.org",
                                        session=session)
        said = client.send(b"ping").exactly(len(greeting) + 4)
        assert said == greeting + b"ping", said
        return client.socket.session_reused, client.socket.session


class Resumption(unittest.TestCase):
    def test_across_workers_and_reloads(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address, workers=2) as gateway:
            port = gateway.ports["tcp"]
            for version in ("TLSv1.2", "TLSv1.3"):
                with self.subTest(version):
                    tls = settings(version)
                    _, session = visit(port, tls)
                    # The kernel spreads these over both workers.
                    for _ in range(20):
                        resumed, session = visit(port, tls, session)
                        self.assertTrue(resumed)
                    before = gateway.metrics().sum("starling_config_reloads_total")
                    gateway.signal(signal.SIGHUP)
                    gateway.wait_for_metric(before + 1, "starling_config_reloads_total")
                    self.assertTrue(visit(port, tls, session)[0])
                    self.assertEqual(gateway.metrics().sum(
                        HANDSHAKES, version=version, resumed="yes"), 21)
            self.assertEqual(gateway.metrics().sum("starling_tls_tickets_unknown_total"), 0)

    def test_across_restarts_and_gateways_with_the_same_file(self):
        shared = {"ticket_keys": keys("shared.keys")}
        for version in ("TLSv1.2", "TLSv1.3"):
            with self.subTest(version), fakes.Backend(fakes.echo) as backend:
                tls = settings(version)
                with env.tcp(backend.address, tls=shared) as one:
                    _, session = visit(one.ports["tcp"], tls)
                with env.tcp(backend.address, tls=shared) as again, \
                        env.tcp(backend.address, tls=shared) as other:
                    for gateway in (again, other, again):
                        resumed, session = visit(gateway.ports["tcp"], tls, session)
                        self.assertTrue(resumed)
                        self.assertGreater(gateway.metrics().sum(HANDSHAKES, resumed="yes"), 0)
                with env.tcp(backend.address) as stranger:
                    self.assertFalse(visit(stranger.ports["tcp"], tls, session)[0])
                    self.assertEqual(
                        stranger.metrics().sum("starling_tls_tickets_unknown_total"), 1)

    def test_rotated_keys_are_noticed_and_old_tickets_still_open(self):
        path = keys("rotated.keys")
        tls = settings("TLSv1.3")
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls={"ticket_keys": path}) as gateway:
            port = gateway.ports["tcp"]
            _, session = visit(port, tls)
            with open(path, encoding="ascii") as f:
                lines = f.read().splitlines(keepends=True)
            # Another one first: tickets of the old first key are still opened.
            tm.write(path, "".join(lines[1:] + lines[:1]) + tm.ticket_keys(1), 0o600)
            gateway.wait_for_metric(1, "starling_config_reloads_total", trigger="files",
                                    result="success")
            self.assertTrue(visit(port, tls, session)[0])
            tm.write(path, tm.ticket_keys(), 0o600)
            gateway.wait_for_metric(2, "starling_config_reloads_total", trigger="files",
                                    result="success")
            self.assertFalse(visit(port, tls, session)[0])
            # What is no such file changes nothing.
            _, session = visit(port, tls)
            tm.write(path, "no keys\n", 0o600)
            gateway.wait_for_metric(1, "starling_config_reloads_total", trigger="files",
                                    result="failure")
            self.assertIsNotNone(gateway.wait_for_line("rotated.keys", "line 1"))
            self.assertTrue(visit(port, tls, session)[0])

    def test_a_ticket_is_no_way_around_another_policy(self):
        root = tm.Authority()
        ca = tm.write(os.path.join(env.dir, "clients.pem"), root.cert)
        own = root.issue(["own.example"]).save(env.dir, "own")
        common = {"protocol": "tcp", "tls": "implicit", "backend": "echo"}
        listeners = {
            "plain": common,
            "twin": common,
            "modern": {**common, "tls_options": {"preset": "modern"}},
            "groups": {**common, "tls_options": {"groups": ["X25519", "P-256"]}},
            "names": {**common, "tls_options": {"certificates": [own]}},
            "optional": {**common, "tls_options": {
                "client_certificate": {"mode": "optional", "ca": ca}}},
            "require": {**common, "tls_options": {
                "client_certificate": {"mode": "require", "ca": ca}}},
            "mail": {**common, "protocol": "imap", "backend": "mail"},
        }
        with fakes.Backend(fakes.echo) as backend, \
                fakes.Backend(fakes.says(GREETING, fakes.echo)) as mail, env.gateway(
                    listeners, {"echo": backend.address, "mail": mail.address}) as gateway:
            for version in ("TLSv1.2", "TLSv1.3"):
                tls = settings(version)
                _, session = visit(gateway.ports["plain"], tls)
                self.assertTrue(visit(gateway.ports["twin"], tls, session)[0])
                for name in ("modern", "groups", "names", "optional", "mail"):
                    if (name, version) == ("modern", "TLSv1.2"):
                        continue
                    with self.subTest(name, version=version):
                        greeting = GREETING if name == "mail" else b""
                        self.assertFalse(visit(gateway.ports[name], tls, session, greeting)[0])
                for giver in ("plain", "optional"):
                    _, session = visit(gateway.ports[giver], tls)
                    with self.subTest("require", version=version, giver=giver), \
                            self.assertRaises((ssl.SSLError, EOFError, ConnectionError)):
                        visit(gateway.ports["require"], tls, session)


if __name__ == "__main__":
    unittest.main()
