"""Tests limits: the deadlines, a crowded and a full session table, and a log that nobody reads."""

import fcntl
import os
import time
import unittest

import fakes
import harness
import wire
from wire import Wire

env = None


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def trickle(client, octets):
    """One octet after the other until the gateway has enough; all that it said."""
    client.socket.settimeout(0.05)
    said = b""
    for octet in octets:
        try:
            client.send(bytes([octet]))
            more = client.socket.recv(4096)
            if not more:
                return said
            said += more
        except TimeoutError:
            continue
        except OSError:
            return said
    raise AssertionError("the gateway took all {} octets".format(len(octets)))


class Deadlines(unittest.TestCase):
    """Activity does not extend any of them: a client that sends an octet every
    50 ms is ended all the same."""

    def smtp(self, **limits):
        return env.gateway({"in": {"protocol": "smtp", "tls": "starttls", "policy": "require",
                                   "backend": "one", "limits": limits}}, {"one": harness.DOWN})

    def assert_ended(self, gateway, reason, client_began, seconds):
        self.assertEqual(gateway.wait_for_metric(
            1, "starling_sessions_ended_total", reason=reason), 1, gateway.lines[-3:])
        # Never early; how late is the machine's mood.
        self.assertGreaterEqual(time.monotonic() - client_began, seconds)

    def test_pre_relay(self):
        """Octets that make no command; a command gives more time, but for more octets; and
        any number of commands gives no more than that."""
        rows = (("pre_relay_deadline", {"pre_relay": "1s"}, b"X" * 400, b"No command received"),
                ("pre_relay_silence", {"pre_relay_silence": "1s"}, b"NOOP\r\n" + b"X" * 400,
                 b"Timeout, closing"),
                ("pre_relay_total", {"pre_relay": "1s", "pre_relay_total": "1s"},
                 b"NOOP\r\n" * 400, b"TLS was not started in time"))
        for reason, limits, octets, words in rows:
            with self.subTest(reason), self.smtp(**limits) as gateway:
                began = time.monotonic()
                with Wire(gateway.ports["in"]) as client:
                    client.greeting("smtp")
                    said = trickle(client, octets)
                self.assertIn(words, said.splitlines()[-1])
                self.assert_ended(gateway, reason, began, 1)

    def test_patience(self):
        """A client that waits for a welcome, after NICK and USER, and not for TLS."""
        with env.gateway({"in": {"protocol": "irc", "tls": "starttls", "backend": "one",
                                 "irc": {"sts_port": 6697}, "limits": {"patience": "1s"}}},
                         {"one": harness.DOWN}) as gateway:
            began = time.monotonic()
            with Wire(gateway.ports["in"]) as client:
                client.send(b"NICK demo\r\nUSER demo 0 * :Demo\r\n")
                self.assertEqual(client.rest().splitlines()[-1],
                                 b"ERROR :TLS required: send STARTTLS, or connect with TLS to port "
                                 b"6697")
            self.assert_ended(gateway, "tls_required", began, 1)

    def test_handshake(self):
        with self.smtp(handshake="1s") as gateway:
            with Wire(gateway.ports["in"]) as client:
                client.greeting("smtp")
                began = time.monotonic()
                client.ask("smtp", b"STARTTLS\r\n")
                trickle(client, b"\x16\x03\x01\x07\xd0\x01\x00\x07\xcc\x03\x03" + b"\0" * 1990)
            self.assert_ended(gateway, "handshake_deadline", began, 1)
            self.assertEqual(gateway.metrics().sum(
                "starling_tls_handshake_failures_total", reason="timeout"), 1)

    def test_greeting(self):
        with fakes.Backend(fakes.says(b"220-still\r\n")) as backend, env.gateway(
                {"in": {"protocol": "smtp", "tls": "starttls", "policy": "require",
                        "backend": "one", "limits": {"greeting": "1s"}}},
                {"one": backend.address}) as gateway:
            with Wire(gateway.ports["in"]) as client:
                client.greeting("smtp")
                began = time.monotonic()
                client.ask("smtp", b"STARTTLS\r\n")
                client.start_tls()
                self.assertTrue(client.rest().startswith(b"4"))
            self.assert_ended(gateway, "greeting_deadline", began, 1)

    def test_idle(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, {"limits": {"idle": "1s"}}) as gateway:
            with Wire(gateway.ports["tcp"]) as client:
                client.start_tls()
                began = time.monotonic()
                client.send(b"x").exactly(1)
                self.assertEqual(client.rest(), b"")
            self.assert_ended(gateway, "idle_deadline", began, 1)


class Crowd(unittest.TestCase):
    def test_nobody_has_more_than_the_usual_time(self):
        """One session of two is half of the table."""
        with env.gateway({"in": {"protocol": "smtp", "tls": "starttls", "policy": "require",
                                 "backend": "one"}}, {"one": harness.DOWN}, workers=1,
                         limits={"sessions": 2, "pre_relay": "1s"}) as gateway:
            with Wire(gateway.ports["in"]) as client:
                client.greeting("smtp")
                client.send(b"NOOP\r\n").line()
                self.assertIn(b" Server busy and TLS not started in time", client.rest())
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_sessions_ended_total", reason="pre_relay_crowded"), 1)


class FullTable(unittest.TestCase):
    BUSY = {"smtp": b"421 ", "lmtp": b"421 ", "imap": b"* BYE", "pop3": b"-ERR", "managesieve": b"BYE"}

    def test_refused_with_the_protocols_words(self):
        for protocol, words in self.BUSY.items():
            with self.subTest(protocol), env.gateway(
                    {"in": {"protocol": protocol, "tls": "starttls", "policy": "require",
                            "backend": "one"}}, {"one": harness.DOWN},
                    workers=1, limits={"sessions": 4}) as gateway:
                clients = [Wire(gateway.ports["in"]) for _ in range(4)]
                for client in clients:
                    client.greeting(protocol)
                for number in range(1, 6):
                    with Wire(gateway.ports["in"]) as late:
                        self.assertTrue(late.rest().startswith(words))
                    self.assertEqual(gateway.wait_for_metric(
                        number, "starling_connections_refused_total", reason="session_limit"), number)
                # Those within are not disturbed, and room that is given back is used.
                for client in clients:
                    client.ask(protocol, wire.UPGRADE[protocol][0], multiline=True)
                    client.close()
                self.assertEqual(gateway.wait_for_metric(0, "starling_sessions"), 0)
                with Wire(gateway.ports["in"]) as client:
                    self.assertTrue(client.greeting(protocol).startswith(wire.GREETING[protocol]))
                self.assertGreaterEqual(
                    gateway.metrics().sum("starling_limit_reached_total", limit="sessions"), 5)
                gateway.assert_idle(self)


class FullPipe(unittest.TestCase):
    def test_a_log_that_nobody_reads_stops_nobody(self):
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        try:
            with fakes.Backend(fakes.echo) as backend, env.tcp(
                    backend.address, stdout=writer, workers=1,
                    limits={"log_records": 64}) as gateway:
                for _ in range(200):
                    with Wire(gateway.ports["tcp"]) as client:
                        self.assertEqual(client.start_tls().send(b"x").exactly(1), b"x")
                self.assertEqual(gateway.wait_for_metric(
                    200, "starling_sessions_ended_total"), 200)
                self.assertGreater(gateway.metrics().sum("starling_log_lines_lost_total"), 0)
        finally:
            os.close(writer)
            os.close(reader)


if __name__ == "__main__":
    unittest.main()
