"""A gateway of one worker with a small session table, for tests of what happens when it is full.

Clients come from addresses of 127.0.0.0/8, which count as ordinary clients here."""

import contextlib
import unittest

import fakes
import harness
from wire import Wire

NOISY = "127.66.0.1"
PLACES = "starling_worker_session_places"
SESSIONS = 60
env = None


def set_up():
    """For setUpModule."""
    global env
    env = harness.Environment(servers=False)


def many(count):
    """Addresses of an attacker that has many."""
    return ["127.{}.{}.1".format(128 + n // 200, n % 200 + 1) for n in range(count)]


def quiet(number):
    return "127.3.{}.1".format(number + 1)


async def mail(reader, writer):
    """A mail server that says yes."""
    writer.write(b"220 mx.example.org ESMTP\r\n")
    in_mail = False
    while line := await reader.readline():
        if in_mail:
            in_mail = line != b".\r\n"
            writer.write(b"" if in_mail else b"250 taken\r\n")
        elif line.upper().startswith(b"DATA"):
            in_mail = True
            writer.write(b"354 go on\r\n")
        else:
            writer.write(b"250 fine\r\n")
        await writer.drain()


class Case(unittest.TestCase):
    """One worker with a small table; three listeners."""

    @contextlib.contextmanager
    def gateway(self, sources=None, limits=None, listeners=None, **more):
        rows = listeners or {
            "mx": {"protocol": "smtp", "tls": "starttls", "policy": "opportunistic", "backend": "mail"},
            "imaps": {"protocol": "imap", "tls": "implicit", "backend": "echo"},
            "submission": {"protocol": "smtp", "tls": "starttls", "policy": "require",
                           "backend": "mail"}}
        with fakes.Backend(mail) as mails, fakes.Backend(fakes.says(b"* OK ready\r\n", fakes.echo)) as echo, env.gateway(
                rows, {"mail": mails.address, "echo": echo.address}, workers=1,
                sources=sources or [{"from": ["127.0.0.0/8"], "role": "client", "sessions": 1000}],
                limits={"sessions": SESSIONS, **(limits or {})}, **more) as running:
            yield running

    def established(self, stack, running, source, listener="imaps"):
        """A session of IMAPS behind its handshake."""
        client = stack.enter_context(Wire(running.ports[listener], source))
        client.start_tls().greeting("imap")
        self.assertEqual(client.send(b"ping").exactly(4), b"ping")
        return client

    def served(self, running, source, header=b""):
        """A client of every listener gets what it came for."""
        for listener in running.ports:
            with self.subTest(listener, source=source), Wire(running.ports[listener], source) as client:
                client.send(header)
                if listener == "imaps":
                    client.start_tls().greeting("imap")
                    self.assertEqual(client.send(b"ping").exactly(4), b"ping")
                else:
                    client.upgrade("smtp")
                    self.assertTrue(client.ask("smtp", b"EHLO quiet\r\n").startswith(b"250"))

    def crowded_out(self, running):
        return running.metrics().sum("starling_sessions_ended_total", reason="crowded_out")
