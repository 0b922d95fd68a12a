"""Tests a full session table: sources that hold it with sessions that go no further give way to
quiet ones, on every listener. Established sessions stay.

Not here: places that are kept for listeners and for new sources (test_reserved_places.py)."""

import contextlib
import ssl
import unittest

import full_table
import proxy_v2
import wire
from full_table import Case, NOISY, PLACES, SESSIONS, many, quiet
from wire import Wire

BALANCER = "127.77.0.1"
REFUSED = "starling_connections_refused_total"
NOTHING_KEPT = {"new_sources": 0, "reserved_sessions": 0}


def setUpModule():
    full_table.set_up()


def silent(client, _header):
    """It never says a word."""


def half_hello(client, header):
    client.send(header + b"\x16\x03\x01\x02\x00\x01")


def before_finished(client, header):
    """A hello, and nothing after what the gateway answers."""
    client.send(header)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = wire.context().wrap_bio(incoming, outgoing, server_hostname="mail.example.org")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    client.send(outgoing.read()).exactly(100)


def talks(client, header):
    client.send(header).greeting("smtp")
    client.ask("smtp", b"EHLO noisy\r\n")


def upgrades(client, header):
    client.send(header).greeting("smtp")
    client.ask("smtp", b"EHLO noisy\r\n")
    client.ask("smtp", b"STARTTLS\r\n")


def mails(client, header):
    """On an MX the backend has a connection for it."""
    client.send(header).greeting("smtp")
    client.ask("smtp", b"EHLO noisy\r\n")
    client.ask("smtp", b"MAIL FROM:<a@example.net>\r\n")


def mails_and_dribbles(client, header):
    mails(client, header)
    client.send(b"RCPT T")


def asks_to_send(client, header):
    mails(client, header)
    client.ask("smtp", b"RCPT TO:<b@example.org>\r\n")
    client.ask("smtp", b"DATA\r\n")


KINDS = {
    "silent, implicit": ("imaps", silent), "half a hello": ("imaps", half_hello),
    "no Finished": ("imaps", before_finished), "silent, by STARTTLS": ("submission", silent),
    "a dialogue": ("submission", talks), "no hello after the go-ahead": ("submission", upgrades),
    "a plaintext leg": ("mx", mails), "half a command there": ("mx", mails_and_dribbles),
    "DATA without a mail": ("mx", asks_to_send),
}


class HalfOpen(Case):
    def crowd(self, stack, running, kind, sources, header=lambda number: b""):
        """As many as the listener may have, and some that are refused."""
        listener, act = KINDS[kind]
        clients = []
        for number in range(SESSIONS):
            client = stack.enter_context(
                Wire(running.ports[listener], sources[number % len(sources)]))
            with contextlib.suppress(EOFError, AssertionError, ConnectionError, ssl.SSLError):
                act(client, header(number))
            clients.append(client)
        return clients

    def check(self, kind, sources):
        with self.subTest(kind, sources=len(sources)), contextlib.ExitStack() as stack, \
                self.gateway() as running:
            friend = self.established(stack, running, "127.9.9.9")
            self.crowd(stack, running, kind, sources)
            held = [name for name in running.ports if name != KINDS[kind][0]]
            running.wait_for_metric(lambda places: places <= 7 * len(held), PLACES, state="reserved")
            for number in range(15):
                self.served(running, quiet(number))
            # They are served at the same time as well, more of them than were reserved.
            at_once = [self.established(stack, running, quiet(100 + n)) for n in range(20)]
            self.assertGreater(self.crowded_out(running), 0)
            for client in [friend] + at_once:
                self.assertEqual(client.send(b"more").exactly(4), b"more")
            self.assertEqual(running.metrics().sum("starling_worker_stale_completions_total"), 0)

    def test_of_one_address(self):
        for kind in KINDS:
            self.check(kind, [NOISY])

    def test_of_many_addresses(self):
        for kind in KINDS:
            self.check(kind, many(20))

    def test_of_as_many_addresses_as_sessions(self):
        """None is heavier than another: the oldest gives way."""
        for kind in ("silent, implicit", "a dialogue", "a plaintext leg"):
            self.check(kind, many(SESSIONS))

    def test_behind_a_load_balancer(self):
        sources = [{"from": ["0.0.0.0/0", "::/0"], "role": "client", "sessions": 1000},
                   {"from": BALANCER, "role": "balancer"}]
        for kind, (listener, _act) in KINDS.items():
            def header(number):
                return proxy_v2.header(("203.0.{}.7".format(number % 4), 4000), ("192.0.2.1", 25))

            with self.subTest(kind), contextlib.ExitStack() as stack, \
                    self.gateway(sources) as running:
                for number in range(SESSIONS):
                    client = stack.enter_context(Wire(running.ports[listener], BALANCER))
                    with contextlib.suppress(EOFError, AssertionError, ConnectionError):
                        if kind.startswith("silent"):
                            client.send(header(number))
                        KINDS[kind][1](client, header(number))
                for number in range(10):
                    client = ("198.51.{}.9".format(number), 4000)
                    self.served(running, BALANCER, proxy_v2.header(client, ("192.0.2.1", 25)))
                self.assertGreater(self.crowded_out(running), 0)

    def test_one_network_of_ipv6_is_one_source(self):
        """However many of its addresses come, and here each of them once."""
        sources = [{"from": ["0.0.0.0/0", "::/0"], "role": "client", "sessions": 1000},
                   {"from": BALANCER, "role": "balancer"}]

        def header(network, number):
            client = "2001:db8:0:{:x}::{:x}".format(network, number)
            return proxy_v2.header((client, 4000), ("2001:db8::25", 25))

        with contextlib.ExitStack() as stack, self.gateway(sources, limits=NOTHING_KEPT) as running:
            for number in range(SESSIONS):
                client = stack.enter_context(Wire(running.ports["submission"], BALANCER))
                talks(client, header(1, number + 1))
            with Wire(running.ports["submission"], BALANCER) as client:
                self.assertTrue(client.send(header(1, 1000)).rest().startswith(b"421 "))
            self.assertEqual(self.crowded_out(running), 0)
            for number in range(10):
                self.served(running, BALANCER, header(2 + number, 1))
            self.assertGreater(self.crowded_out(running), 0)

    def test_without_a_header(self):
        """Connections of a balancer that never say whose they are."""
        sources = [{"from": ["0.0.0.0/0", "::/0"], "role": "client", "sessions": 1000},
                   {"from": BALANCER, "role": "balancer"}]
        with contextlib.ExitStack() as stack, self.gateway(sources, limits={
                "proxy_header": "5m"}) as running:
            for _ in range(SESSIONS):
                stack.enter_context(Wire(running.ports["mx"], BALANCER))
            self.served(running, quiet(0))

    def test_the_heaviest_is_told_so_itself(self):
        with contextlib.ExitStack() as stack, self.gateway(limits=NOTHING_KEPT) as running:
            clients = self.crowd(stack, running, "a dialogue", [NOISY])
            with Wire(running.ports["submission"], NOISY) as client:
                self.assertTrue(client.rest().startswith(b"421 "))
            self.assertEqual(self.crowded_out(running), 0)
            self.assertGreater(running.metrics().sum(REFUSED, reason="session_limit"), 0)
            self.served(running, quiet(0))
            # The oldest of them went first, and was told why.
            self.assertIn(b"421 4.3.2 mail.example.org Too many connections, try again later",
                          clients[0].rest())
            line = running.wait_for_line("session ended", "reason=crowded_out")
            self.assertIn("peer=" + NOISY, line)

    def test_what_a_word_would_break_gets_none(self):
        """Amid TLS, or where TLS is to begin, plaintext is never said."""
        for kind, answer in (("no Finished", b""), ("no hello after the go-ahead", b"\x15\x03"),
                             ("silent, implicit", b"\x15\x03"), ("half a hello", b"\x15\x03")):
            with self.subTest(kind), contextlib.ExitStack() as stack, \
                    self.gateway(limits=NOTHING_KEPT) as running:
                clients = self.crowd(stack, running, kind, [NOISY])
                for number in range(5):
                    self.served(running, quiet(number))
                running.wait_for_metric(lambda count: count > 0, "starling_sessions_ended_total", reason="crowded_out")
                said = clients[0].rest()
                self.assertNotIn(b"421", said)
                if answer:
                    self.assertEqual(said[:2], answer)


class Stays(Case):
    def test_established_sessions(self):
        """Nobody's relay gives way, however heavy its source is."""
        with contextlib.ExitStack() as stack, self.gateway() as running:
            clients = []
            with contextlib.suppress(OSError, EOFError):
                while True:
                    clients.append(self.established(stack, running, NOISY))
            self.assertGreater(len(clients), 35)
            others = []
            for number in range(20):
                with contextlib.suppress(OSError, EOFError):
                    others.append(self.established(stack, running, quiet(number)))
            self.assertEqual(len(others), 3, "what is kept for sources without a session")
            self.assertEqual(self.crowded_out(running), 0)
            for client in clients:
                self.assertEqual(client.send(b"more").exactly(4), b"more")

    def test_probes_and_exempt_sources(self):
        for role in ("probe", "exempt"):
            sources = [{"from": "127.0.0.0/8", "role": "client", "sessions": 1000},
                       {"from": "127.5.0.1", "role": role}]
            with self.subTest(role), contextlib.ExitStack() as stack, \
                    self.gateway(sources) as running:
                held = [stack.enter_context(Wire(running.ports["submission"], "127.5.0.1"))
                        for _ in range(40)]
                for client in held:
                    client.greeting("smtp")
                for number in range(SESSIONS):
                    stack.enter_context(Wire(running.ports["imaps"], NOISY))
                for number in range(10):
                    self.served(running, quiet(number))
                self.assertGreater(self.crowded_out(running), 0)
                for client in held:
                    self.assertTrue(client.ask("smtp", b"NOOP\r\n").startswith(b"250"))
                # And it gets in as well.
                self.served(running, "127.5.0.1")

    def test_a_trusted_source_weighs_less(self):
        sources = [{"from": "127.0.0.0/8", "role": "client", "sessions": 1000},
                   {"from": "127.5.0.1", "role": "trusted"}]
        with contextlib.ExitStack() as stack, self.gateway(sources) as running:
            webmail = [stack.enter_context(Wire(running.ports["submission"], "127.5.0.1"))
                       for _ in range(12)]
            for client in webmail:
                client.greeting("smtp")
            for source in many(6) * 10:
                stack.enter_context(Wire(running.ports["imaps"], source))
            for number in range(10):
                self.served(running, quiet(number))
            for client in webmail:
                self.assertTrue(client.ask("smtp", b"NOOP\r\n").startswith(b"250"))
            # Where all of the table is its own, it gives way too.
            for _ in range(SESSIONS):
                stack.enter_context(Wire(running.ports["imaps"], "127.5.0.1"))
            self.served(running, quiet(50))

    def test_a_leg_whose_server_is_at_work(self):
        """A mail is on its way, and the server has not said yet what it makes of it."""
        with contextlib.ExitStack() as stack, self.gateway(limits=NOTHING_KEPT) as running:
            busy = [stack.enter_context(Wire(running.ports["mx"], NOISY)) for _ in range(10)]
            for client in busy:
                asks_to_send(client, b"")
                client.send(b"Subject: x\r\n\r\n")
            running.wait_for_metric(10, "starling_backend_sessions")
            for _ in range(SESSIONS):
                client = stack.enter_context(Wire(running.ports["mx"], NOISY))
                with contextlib.suppress(EOFError, AssertionError, ConnectionError):
                    mails(client, b"")
            for number in range(10):
                self.served(running, quiet(number))
            self.assertGreater(self.crowded_out(running), 0)
            for client in busy:
                self.assertEqual(client.ask("smtp", b"text\r\n.\r\n"), b"250 taken\r\n")


if __name__ == "__main__":
    unittest.main()
