"""Tests requests to cancel a statement, with a real PostgreSQL: psql's and psycopg2's own, with one
server and with two, in plaintext and inside TLS, and with a wrong key.

Not for: servers that misbehave (test_postgresql_attacks.py)."""

import signal
import subprocess
import threading
import unittest

import psycopg2

import wire
from database import CANCEL, SSL, Database, request
from postgresql_front import CANCELED, Front, ask, wait_for_sleeper
from wire import Wire

front = None


def setUpModule():
    global front
    front = unittest.enterModuleContext(Front())


class Psql(unittest.TestCase):
    def test_interrupt(self):
        child = subprocess.Popen(
            ["psql", "-X", "-c", "select pg_sleep(100)", front.conninfo(application_name="interrupted")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            wait_for_sleeper(front.server, "interrupted")
            child.send_signal(signal.SIGINT)
            output = child.communicate(timeout=30)[0].decode()
        finally:
            child.kill()
            child.wait()
        self.assertIn(CANCELED, output)


class Cancel(unittest.TestCase):
    """psycopg2's cancel() is libpq 15's, which is in plaintext always."""

    def cancel(self, before, databases, name):
        """A session that sleeps at one of the databases and is woken; which one."""
        with front.connect(before, application_name=name) as client:
            port = int(ask(client, "show port"))
            failures = []

            def sleep():
                try:
                    ask(client, "select pg_sleep(100)")
                except psycopg2.Error as problem:
                    failures.append(problem)

            sleeper = threading.Thread(target=sleep, daemon=True)
            sleeper.start()
            wait_for_sleeper(next(d for d in databases if d.port == port), name)
            client.cancel()
            sleeper.join(30)
            self.assertFalse(sleeper.is_alive())
            self.assertIn(CANCELED, str(failures[0]))
            return port

    def test_one_server(self):
        before = front.gateway.metrics()
        self.cancel(front.gateway, [front.server], "one")
        name = "starling_sessions_ended_total"
        value = before.sum(name, reason="backend_closed") + 1
        self.assertEqual(front.gateway.wait_for_metric(value, name, reason="backend_closed"), value)
        # It is no plaintext session of its server's, and nothing to complain of.
        for name in ("starling_plaintext_sessions_total", "starling_attacks_refused_total",
                     "starling_downgrade_signals_total"):
            self.assertEqual(front.gateway.metrics().sum(name), before.sum(name), name)

    def test_two_servers(self):
        # With one worker sessions go to each in turn.
        with Database() as other, front.running(front.server, other, workers=1) as before:
            ports = [self.cancel(before, [front.server, other], "two-{}".format(n)) for n in range(4)]
            self.assertEqual(sorted(ports), sorted([front.server.port, other.port] * 2))
            before.assert_idle(self)

    def test_inside_tls_too(self):
        """As libpq 17 does it: that goes to a server as any session does."""
        with front.connect() as client:
            pid = client.info.backend_pid
            with Wire(front.gateway.ports["postgresql"]) as other:
                self.assertEqual(other.send(request(SSL)).exactly(1), b"S")
                other.start_tls(wire.context(front.env.ca))
                self.assertEqual(
                    other.send(request(CANCEL, pid.to_bytes(4, "big") + b"none")).rest(), b"")
            self.assertTrue(front.server.wait_for_log(
                "wrong key in cancel request for process {}".format(pid)))
            self.assertEqual(ask(client, "select 1"), 1)

    def test_a_wrong_key_cancels_nothing(self):
        with front.connect() as client:
            pid = client.info.backend_pid
            with Wire(front.gateway.ports["postgresql"]) as other:
                # Held until the server has closed: then it has been seen to.
                self.assertEqual(
                    other.send(request(CANCEL, pid.to_bytes(4, "big") + b"junk")).rest(), b"")
                self.assertIn("wrong key in cancel request for process {}".format(pid), front.server.log())
            self.assertEqual(ask(client, "select 1"), 1)


if __name__ == "__main__":
    unittest.main()
