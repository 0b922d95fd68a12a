"""Tests what operators see: metrics, the two log lines of a session, signs of a downgrade, health."""

import json
import re
import unittest

import fakes
import harness
import wire
from wire import Wire

env = None
NAMES = {
    "starling_build_info", "starling_connections_accepted_total",
    "starling_connections_refused_total", "starling_sessions", "starling_sessions_ended_total",
    "starling_session_seconds_count", "starling_session_seconds_sum",
    "starling_session_seconds_bucket", "starling_tls_handshakes_total",
    "starling_tls_handshake_failures_total", "starling_tls_handshake_seconds_count",
    "starling_tls_negotiated_total", "starling_tls_group_total", "starling_starttls_offered_total",
    "starling_starttls_upgrades_total", "starling_plaintext_sessions_total",
    "starling_downgrade_signals_total", "starling_attacks_refused_total", "starling_bytes_total",
    "starling_backend_up", "starling_backend_sessions", "starling_backend_connect_failures_total",
    "starling_certificate_not_after_timestamp_seconds", "starling_config_last_reload_success",
    "starling_config_last_reload_timestamp_seconds", "starling_limit_reached_total",
    "starling_worker_buffers_out", "starling_worker_descriptors_in_use",
    "starling_worker_ring_completions_total", "starling_log_lines_lost_total",
}


def setUpModule():
    global env
    env = harness.Environment(servers=False)


async def smtp(reader, writer):
    """Enough of an SMTP server."""
    writer.write(b"220 backend ESMTP\r\n")
    while line := await reader.readline():
        verb = line[:4].upper()
        writer.write(b"250-backend\r\n250 8BITMIME\r\n" if verb == b"EHLO" else
                     b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
        if verb == b"QUIT":
            return


def mx(backend, **keys):
    return env.gateway(
        {"mx": {"protocol": "smtp", "tls": "starttls", "policy": "opportunistic", "backend": "one",
                **keys}}, {"one": backend.address})


def fields(line):
    """The fields of a logfmt line."""
    return {k: v.strip('"') for k, v in re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', line)}


class Metrics(unittest.TestCase):
    def test_all_from_the_start(self):
        with fakes.Backend(smtp) as backend, mx(backend) as gateway:
            metrics = gateway.metrics()
            self.assertEqual(NAMES - {name for name, _ in metrics}, set())
            for name, labels in (
                    ("starling_downgrade_signals_total", {"signal": "not_taken", "protocol": "smtp"}),
                    ("starling_attacks_refused_total", {"kind": "plaintext_injection"}),
                    ("starling_sessions_ended_total", {"reason": "handshake_deadline"}),
                    ("starling_tls_handshakes_total", {"version": "TLSv1.3", "resumed": "no"}),
                    ("starling_sessions", {"phase": "relay"})):
                self.assertTrue(metrics.has(name, listener="mx", **labels), (name, labels))
                self.assertEqual(metrics.sum(name, listener="mx", **labels), 0)
            self.assertEqual(gateway.wait_for_metric(1, "starling_backend_up", backend="one"), 1)
            self.assertGreater(
                metrics.sum("starling_certificate_not_after_timestamp_seconds"), 1_700_000_000)
            self.assertEqual(metrics.sum("starling_build_info"), 1)

    def test_a_tls_session(self):
        with fakes.Backend(smtp) as backend, mx(backend) as gateway:
            with Wire(gateway.ports["mx"]) as client:
                client.upgrade("smtp", wire.context(env.ca))
                during = gateway.metrics()
                self.assertEqual(during.sum("starling_sessions", listener="mx"), 1)
                client.ask("smtp", wire.HELLO["smtp"])
                client.ask("smtp", b"QUIT\r\n")
                client.rest()
            for name, labels in (
                    ("starling_connections_accepted_total", {}),
                    ("starling_starttls_offered_total", {"protocol": "smtp"}),
                    ("starling_starttls_upgrades_total", {"protocol": "smtp"}),
                    ("starling_tls_handshakes_total", {"version": "TLSv1.3", "resumed": "no"}),
                    ("starling_tls_negotiated_total", {}), ("starling_tls_group_total", {}),
                    ("starling_tls_handshake_seconds_count", {}),
                    ("starling_sessions_ended_total", {"reason": "backend_closed"}),
                    ("starling_session_seconds_count", {})):
                self.assertEqual(gateway.wait_for_metric(1, name, listener="mx", **labels), 1, name)
            for direction in ("downstream_in", "downstream_out", "upstream_in", "upstream_out"):
                self.assertGreater(gateway.metrics().sum(
                    "starling_bytes_total", listener="mx", direction=direction), 0)
            self.assertEqual(gateway.metrics().sum("starling_plaintext_sessions_total"), 0)

    def test_health(self):
        with fakes.Backend(smtp) as backend, mx(backend) as gateway:
            gateway.wait_for_metric(1, "starling_backend_up")
            self.assertEqual(gateway.get("/healthz")[0], 200)
            self.assertEqual(gateway.get("/readyz")[0], 200)
            self.assertEqual(gateway.get("/nothing")[0], 404)

    def test_not_ready_when_a_backend_is_down(self):
        backend = fakes.Backend(smtp)
        with backend, mx(backend) as gateway:
            gateway.wait_for_metric(1, "starling_backend_up")
            backend.stop()
            with Wire(gateway.ports["mx"]) as client:  # it learns by a failed connect
                client.upgrade("smtp")
                client.rest()
            self.assertEqual(gateway.wait_for_metric(0, "starling_backend_up", backend="one"), 0)
            self.assertEqual(gateway.get("/readyz?backends=any")[0], 503)
            self.assertEqual(gateway.get("/readyz")[0], 200)
            self.assertEqual(gateway.get("/healthz")[0], 200)


class Log(unittest.TestCase):
    def test_a_server_without_a_header_knows_our_port(self):
        with fakes.Backend(fakes.echo, proxy=False) as backend, env.tcp(
                {"servers": [backend.address], "proxy_protocol": "none"}) as gateway:
            with Wire(gateway.ports["tcp"]) as client:
                client.start_tls(wire.context(env.ca))
                client.send(b"octets\r\n")
                self.assertEqual(client.line(), b"octets\r\n")
            begin = fields(gateway.wait_for_line("session established") or "")
            end = fields(gateway.wait_for_line("session ended") or "")
            self.assertGreater(int(begin["upstream_port"]), 0)
            self.assertEqual(end["upstream_port"], begin["upstream_port"])

    def test_lines_can_be_left_out(self):
        for sessions, lines in (("all", 2), ("ended", 1), ("none", 0)):
            with self.subTest(sessions), fakes.Backend(fakes.echo) as backend, env.tcp(
                    backend.address, log={"sessions": sessions}) as gateway:
                with Wire(gateway.ports["tcp"]) as client:
                    client.start_tls(wire.context(env.ca))
                gateway.wait_for_metric(1, "starling_sessions_ended_total")
                gateway.stop()
                self.assertEqual(sum("session e" in line for line in gateway.lines), lines)

    def test_tls_session(self):
        with fakes.Backend(smtp) as backend, mx(backend) as gateway:
            with Wire(gateway.ports["mx"], "127.5.0.1") as client:
                client.upgrade("smtp", wire.context(env.ca))
                peer = "127.5.0.1:{}".format(client.name[1])
                cipher = client.socket.cipher()[0]
                begin = fields(gateway.wait_for_line("session established", peer) or "")
                client.ask("smtp", b"AUTH PLAIN c2VjcmV0LXdvcmQ=\r\n")
                client.ask("smtp", b"QUIT\r\n")
                client.rest()
            end = fields(gateway.wait_for_line("session ended", peer) or "")
            for line in (begin, end):
                for key, value in (
                        ("listener", "mx"), ("peer", peer), ("sni", "mail.example.org"),
                        ("tls_version", "TLSv1.3"), ("cipher", cipher), ("resumed", "false"),
                        ("backend", "one"), ("server", backend.address)):
                    self.assertEqual(line.get(key), value, (key, line))
                self.assertIn("group", line)
                self.assertEqual(line.get("session"), begin.get("session"))
            self.assertNotIn("upstream_port", end)  # the header tells the server who it is
            self.assertEqual(end["reason"], "backend_closed")
            for key in ("downstream_in", "downstream_out", "upstream_in", "upstream_out"):
                self.assertGreater(int(end[key]), 0)
            self.assertNotIn("c2VjcmV0", "\n".join(gateway.lines))

    def test_plaintext_session(self):
        with fakes.Backend(smtp) as backend, mx(backend) as gateway:
            with Wire(gateway.ports["mx"], "127.5.0.2") as client:
                client.greeting("smtp")
                client.ask("smtp", wire.HELLO["smtp"])
                client.ask("smtp", b"MAIL FROM:<secret@example.net>\r\n")
                begin = gateway.wait_for_line("session established", "127.5.0.2")
                self.assertIsNotNone(begin)
                client.ask("smtp", b"QUIT\r\n")
            self.assertIsNotNone(gateway.wait_for_line("session ended", "127.5.0.2"))
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_plaintext_sessions_total", listener="mx", protocol="smtp"), 1)
            self.assertNotIn("secret@", "\n".join(gateway.lines))

    def test_json(self):
        with fakes.Backend(smtp) as backend, env.gateway(
                {"mx": {"protocol": "smtp", "tls": "starttls", "policy": "require", "backend": "one"}},
                {"one": backend.address}, log={"format": "json"}) as gateway:
            with Wire(gateway.ports["mx"]) as client:
                client.greeting("smtp")
                client.ask("smtp", b"QUIT\r\n")
            line = gateway.wait_for_line("session ended", "goodbye")
            self.assertEqual(json.loads(line)["reason"], "goodbye")

    def test_peer_octets_are_escaped(self):
        evil = 'a" reason=none\r\nevent=forged \x1b[31m'
        with fakes.Backend(smtp) as backend, mx(backend) as gateway:
            code, _ = harness.run(
                ["openssl", "s_client", "-starttls", "smtp", "-connect",
                 "127.0.0.1:{}".format(gateway.ports["mx"]), "-servername", evil, "-quiet"], b"QUIT\n")
            self.assertIsNotNone(gateway.wait_for_line("session ended"))
            text = "\n".join(gateway.lines)
            self.assertNotIn("\x1b", text)
            self.assertFalse([line for line in gateway.lines if line.startswith("event=forged")])
            self.assertNotIn('a" reason=none', text)


class DowngradeSignals(unittest.TestCase):
    ROWS = {
        "not_taken": [wire.HELLO["smtp"], b"MAIL FROM:<a@example.net>\r\n"],
        "mangled_command": [wire.HELLO["smtp"], b"XXXXXXXA\r\n"],
        "ehlo_refused": [wire.HELLO["smtp"], b"HELO client.example.net\r\n"],
        "offer_then_close": [wire.HELLO["smtp"]],
    }

    def test_each(self):
        for signal, commands in self.ROWS.items():
            with self.subTest(signal), fakes.Backend(smtp) as backend, mx(backend) as gateway:
                with Wire(gateway.ports["mx"]) as client:
                    client.greeting("smtp")
                    for command in commands:
                        client.ask("smtp", command)
                    if signal != "offer_then_close":
                        client.ask("smtp", b"QUIT\r\n")
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_downgrade_signals_total", listener="mx", protocol="smtp",
                    signal=signal), 1)

    def test_none_of_an_honest_client(self):
        with fakes.Backend(smtp) as backend, mx(backend) as gateway:
            with Wire(gateway.ports["mx"]) as client:
                client.upgrade("smtp")
                client.ask("smtp", b"QUIT\r\n")
                client.rest()
            self.assertIsNotNone(gateway.wait_for_line("session ended"))
            self.assertEqual(gateway.metrics().sum("starling_downgrade_signals_total"), 0)
            self.assertEqual(gateway.metrics().sum("starling_attacks_refused_total"), 0)


if __name__ == "__main__":
    unittest.main()
