"""Tests TLS to scripted servers: which servers the gateway believes and which not, sessions that it
resumes, the certificate that it shows, renewed files, and updates of keys.

Not for: real servers (test_backend_tls.py), or how servers cut records and end
(test_upstream_records.py)."""

import hashlib
import os
import pty
import shutil
import ssl
import subprocess
import unittest

import fakes
import tls_material as tm
from ports import reserve_ports
from tls_servers import ENDED, Far, Setting, echo
from wire import Wire

HANDSHAKES = "starling_backend_tls_handshakes_total"
FAILURES = "starling_backend_tls_handshake_failures_total"
setting = None


def setUpModule():
    global setting
    setting = Setting()


class Believed(unittest.TestCase):
    def test_octets_arrive_whole_both_ways(self):
        server = setting.server(echo)
        octets = os.urandom(3_000_000)
        with Far(server) as far, setting.gateway(setting.backend(far)) as running:
            with Wire(running.ports["tcp"]).start_tls() as client:
                got = hashlib.sha256()
                for at in range(0, len(octets), 100_000):
                    part = octets[at:at + 100_000]
                    client.send(part)
                    got.update(client.exactly(len(part)))
                client.socket = client.socket.unwrap()
                self.assertEqual(client.rest(), b"")
            self.assertEqual(got.digest(), hashlib.sha256(octets).digest())
            self.assertEqual(running.wait_for_metric(1, HANDSHAKES), 1)
            running.assert_idle(self)
            self.assertEqual(far.proxied[0].source[0], "127.0.0.1")
        self.assertEqual(server.ends, ["closed"])

    def test_sessions_are_resumed_with_either_version(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server = setting.server(echo, minimum_version=version, maximum_version=version)
            with self.subTest(version), Far(server) as far, \
                    setting.gateway(setting.backend(far), workers=1) as running:
                for _ in range(5):
                    with Wire(running.ports["tcp"]).start_tls() as client:
                        self.assertEqual(client.send(b"ping").exactly(4), b"ping")
                self.assertEqual(running.wait_for_metric(4, HANDSHAKES, resumed="yes"), 4)
                self.assertEqual(running.metrics().sum(HANDSHAKES, resumed="no"), 1)
                self.assertIsNotNone(running.wait_for_line(
                    ENDED, "upstream_tls_version=TLSv1." + version.name[-1],
                    "upstream_resumed=true"))

    def test_a_session_that_leads_nowhere_is_not_offered_again(self):
        def refuse(tls, *_):
            return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE if tls.session_reused else None
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server = setting.server(echo, minimum_version=version, maximum_version=version,
                            sni_callback=refuse)
            with self.subTest(version), Far(server) as far, \
                    setting.gateway(setting.backend(far), workers=1) as running:
                for _ in range(3):
                    with Wire(running.ports["tcp"]).start_tls() as client:
                        self.assertEqual(client.send(b"ping").exactly(4), b"ping")
                # Each full handshake brought another one to try.
                self.assertEqual(running.wait_for_metric(3, HANDSHAKES, resumed="no"), 3)
                self.assertEqual(running.metrics().sum(FAILURES, reason="peer_alert"), 2)
                running.assert_idle(self)

    def test_a_server_that_hangs_is_not_asked_again_without_its_session(self):
        """A session that was offered may be the cause of an alert, but not of silence."""
        class Hanging:
            def __init__(self):
                self._well = setting.server(echo)
                self.check = self._well.check
                self.hangs = False

            async def __call__(self, reader, writer):
                await (fakes.silent if self.hangs else self._well)(reader, writer)

        servers = [Hanging(), Hanging()]
        with Far(servers[0]) as one, Far(servers[1]) as two, \
                setting.gateway({**setting.backend(one, two), "balance": "source_hash"}, workers=1,
                                limits={"connect": "900ms", "connect_try": "500ms"}) as running:
            def ping():
                with Wire(running.ports["tcp"]).start_tls() as client:
                    self.assertEqual(client.send(b"ping").exactly(4), b"ping")

            running.wait_for_metric(2, "starling_backend_up")
            for _ in range(3):
                ping()
            self.assertEqual(running.wait_for_metric(2, HANDSHAKES, resumed="yes"), 2)
            servers[0 if one.proxied else 1].hangs = True
            ping()
            self.assertEqual(running.metrics().sum(FAILURES, reason="timeout"), 1)

    def test_the_gateway_shows_its_certificate(self):
        server = setting.server(echo, verify_mode=ssl.CERT_REQUIRED)
        server.context.load_verify_locations(cadata=setting.clients.cert)
        with Far(server) as far:
            row = setting.backend(far, client_certificate=setting.files["gateway"])
            with setting.gateway(row) as running, \
                    Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.send(b"ping").exactly(4), b"ping")
            self.assertIn(((("commonName", "gateway"),),), [p["subject"] for p in server.peers])
            with setting.gateway(setting.backend(far)) as running, \
                    Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.send(b"ping").rest(), b"")

    def test_renewed_files_are_taken_over(self):
        def names():
            return [dict(pair for row in p["subject"] for pair in row)["commonName"]
                    for p in server.peers]

        folder = os.path.join(setting.env.dir, "renewed")
        os.mkdir(folder)
        own = setting.clients.issue(client="first").save(folder, "own")
        ca = os.path.join(folder, "ca.pem")
        shutil.copy(setting.ca, ca)
        server = setting.server(echo, verify_mode=ssl.CERT_REQUIRED)
        server.context.load_verify_locations(cadata=setting.clients.cert)
        with Far(server) as far, \
                setting.gateway(setting.backend(far, ca=ca, client_certificate=own)) as running:
            def reloaded(count):
                self.assertEqual(running.wait_for_metric(
                    count, "starling_config_reloads_total", trigger="files", result="success"),
                    count)

            with Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.send(b"ping").exactly(4), b"ping")
            setting.clients.issue(client="second").save(folder, "own")
            reloaded(1)
            with Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.send(b"ping").exactly(4), b"ping")
            self.assertEqual(names(), ["first", "second"])
            # Whom the file no longer has is believed no more, with a session or without.
            tm.write(ca, tm.Authority("Another").cert)
            reloaded(2)
            with Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.send(b"ping").rest(), b"")

    def test_keys_are_updated_when_the_server_asks(self):
        # Python cannot ask for that; openssl can, where its input has a line with K.
        # What it says reaches a terminal at once.
        port = reserve_ports(["s_server"])["s_server"]
        files = setting.files["server"]
        terminal, its_end = pty.openpty()
        child = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:{}".format(port), "-tls1_3",
             "-cert", files["cert"], "-key", files["key"]],
            stdin=subprocess.PIPE, stdout=its_end)
        os.close(its_end)

        def type_in(line):
            child.stdin.write(line + b"\n")
            child.stdin.flush()

        row = {**setting.backend(), "servers": ["127.0.0.1:{}".format(port)], "proxy_protocol": "none"}
        with child, open(terminal, "rb") as said, setting.gateway(row) as running, \
                Wire(running.ports["tcp"]).start_tls() as client:
            try:
                client.send(b"hello\n")
                self.assertIn(b"hello\r\n", said)
                for i in range(3):
                    type_in(b"K")
                    self.assertIn(b"SSL_do_handshake -> 1\r\n", said)
                    type_in(b"line %d" % i)
                    self.assertEqual(client.line(), b"line %d\n" % i)
                    client.send(b"answer %d\n" % i)
                    self.assertIn(b"answer %d\r\n" % i, said)
            finally:
                child.kill()


class NotBelieved(unittest.TestCase):
    def test_clients_are_refused_and_operators_told(self):
        cases = {"other": "server_certificate_invalid", "stranger": "server_certificate_invalid",
                 "expired": "server_certificate_invalid"}
        for who, reason in cases.items():
            server = setting.server(echo, who)
            with self.subTest(who), Far(server) as far, \
                    setting.gateway(setting.backend(far)) as running:
                with Wire(running.ports["imap"]) as client:
                    client.upgrade("imap")
                    self.assertIn(b"* BYE", client.rest())
                self.assertEqual(running.metrics().sum(FAILURES, reason=reason), 1)
                self.assertEqual(running.metrics().sum(
                    "starling_backend_connect_failures_total", reason="tls"), 1)
                self.assertIsNotNone(running.wait_for_line(
                    ENDED, "upstream_tls_failure=" + reason, "reason=backend_unavailable"))
                running.assert_idle(self)
            self.assertEqual(len(server.peers), 0)

    def test_the_next_server_is_tried(self):
        good, bad = setting.server(echo), setting.server(echo, "stranger")
        with Far(bad, checked=good) as first, Far(good) as second, \
                setting.gateway(setting.backend(first, second)) as running:
            for _ in range(4):
                with Wire(running.ports["tcp"]).start_tls() as client:
                    self.assertEqual(client.send(b"ping").exactly(4), b"ping")
            self.assertGreater(running.metrics().sum(FAILURES), 0)
        self.assertEqual(bad.peers, [])

    def test_no_verification_takes_anybody(self):
        server = setting.server(echo, "stranger")
        with Far(server) as far:
            row = {**setting.backend(far), "tls": {"verify": "none"}}
            with setting.gateway(row) as running, Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.send(b"ping").exactly(4), b"ping")

    def test_a_plaintext_server_is_none(self):
        async def plaintext(reader, writer):
            writer.write(b"* OK ready\r\n")
            await fakes.silent(reader, writer)
        with fakes.Backend(plaintext) as far, setting.gateway(setting.backend(far)) as running:
            with Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.rest(), b"")
            self.assertEqual(running.wait_for_metric(1, FAILURES), 1)

    def test_a_silent_server_is_given_up(self):
        with fakes.Backend(fakes.silent) as far, \
                setting.gateway(setting.backend(far), limits={"connect": "1s"}) as running:
            with Wire(running.ports["tcp"]).start_tls() as client:
                self.assertEqual(client.rest(), b"")
            self.assertEqual(running.wait_for_metric(1, FAILURES, reason="timeout"), 1)


if __name__ == "__main__":
    unittest.main()
