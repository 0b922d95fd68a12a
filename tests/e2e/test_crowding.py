"""Tests a full session table: who holds it with sessions that go no further gives way to the quiet,
on every listener; what is established stays.

Clients come from addresses of 127.0.0.0/8, which the tests make ordinary clients; behind a load
balancer they come from anywhere."""

import contextlib
import ftplib
import os
import re
import signal
import socket
import ssl
import unittest

import fakes
import ftpserver
import harness
import proxy_v2
import wire
from test_ftp import Explicit
from wire import Wire

NOISY, BALANCER = "127.66.0.1", "127.77.0.1"
ENDED = "starling_sessions_ended_total"
REFUSED = "starling_connections_refused_total"
PLACES = "starling_worker_session_places"
SESSIONS = 60
FILE = os.urandom(100000)
NOTHING_KEPT = {"new_sources": 0, "reserved_sessions": 0}
env = None


def setUpModule():
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
        return running.metrics().sum(ENDED, reason="crowded_out")


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
                running.wait_for_metric(lambda count: count > 0, ENDED, reason="crowded_out")
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
            for source in many(15) * 4:
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


class Reserved(Case):
    """Established sessions give no way: places are kept instead."""

    def fill(self, stack, running, sources):
        """Established sessions of these, until there is no more for any of them."""
        clients = []
        for source in sources:
            with contextlib.suppress(OSError, EOFError):
                while True:
                    clients.append(self.established(stack, running, source))
        return clients

    def test_each_listener_has_places_of_its_own(self):
        with contextlib.ExitStack() as stack, self.gateway(limits={"new_sources": 0}) as running:
            # An eighth of 60 is 7, of which each of three listeners has 2.
            self.assertEqual(running.metrics().sum(PLACES, state="reserved"), 6)
            self.assertEqual(len(self.fill(stack, running, [NOISY])), SESSIONS - 4)
            self.assertEqual(running.metrics().sum(PLACES, state="free"), 0)
            for listener in ("mx", "submission"):
                for number in range(2):
                    client = stack.enter_context(Wire(running.ports[listener], quiet(number)))
                    client.upgrade("smtp")
            self.assertEqual(running.metrics().sum(PLACES, state="used"), SESSIONS)
            self.assertEqual(self.crowded_out(running), 0)

    def test_sources_without_a_session(self):
        with contextlib.ExitStack() as stack, self.gateway(
                limits={"new_sources": 20, "reserved_sessions": 0}) as running:
            self.assertEqual(len(self.fill(stack, running, [NOISY, "127.66.0.2"])), SESSIONS - 12 + 1)
            # Each of those that come now has one session.
            self.assertEqual(len(self.fill(stack, running, [quiet(n) for n in range(20)])), 11)

    def test_the_most_of_a_listener(self):
        rows = {"imaps": {"protocol": "imap", "tls": "implicit", "backend": "echo",
                          "limits": {"most_sessions": 5}},
                "other": {"protocol": "imap", "tls": "implicit", "backend": "echo"}}
        with contextlib.ExitStack() as stack, self.gateway(listeners=rows) as running:
            self.assertEqual(len(self.fill(stack, running, [NOISY])), 5)
            with Wire(running.ports["other"], NOISY) as client:
                client.start_tls().greeting("imap")

    def test_ten_listeners_and_one_that_is_used(self):
        rows = {"in{}".format(n): {"protocol": "smtp", "tls": "starttls", "policy": "require",
                                   "backend": "mail"} for n in range(10)}
        with contextlib.ExitStack() as stack, self.gateway(
                [{"from": "127.0.0.0/8", "role": "trusted"}], listeners=rows,
                limits={"refusals": 10}) as running:
            clients = [stack.enter_context(Wire(running.ports["in7"])) for _ in range(SESSIONS)]
            for client in clients:
                self.assertEqual(client.greeting("smtp")[:4], b"220 ")
            with Wire(running.ports["in7"]) as client:
                self.assertEqual(client.line()[:4], b"421 ")
            with Wire(running.ports["in3"]) as client:
                self.assertEqual(client.line()[:4], b"421 ")

    def test_a_reload_moves_the_reservations(self):
        rows = {name: {"protocol": "imap", "tls": "implicit", "backend": "echo",
                       "limits": {"reserved_sessions": 10}} for name in ("a", "b", "imaps")}
        with contextlib.ExitStack() as stack, self.gateway(
                listeners=rows, limits={"new_sources": 0}) as running:
            self.assertEqual(running.metrics().sum(PLACES, state="reserved"), 30)
            clients = self.fill(stack, running, [NOISY])
            self.assertEqual(len(clients), 40)
            with open(running.config, encoding="utf-8") as f:
                text = f.read()
            # One listener less, and one with more.
            rest = re.sub(r'(?m)^.*"name": "a".*\n', "", text)
            self.assertNotEqual(rest, text)
            at = rest.index('"name": "b"')
            rest = rest[:at] + rest[at:].replace('"reserved_sessions": 10', '"reserved_sessions": 15', 1)
            with open(running.config, "w", encoding="utf-8") as f:
                f.write(rest)
            running.signal(signal.SIGHUP)
            running.wait_for_metric(1, "starling_config_reloads_total", result="success")
            running.wait_for_metric(15, PLACES, state="reserved")
            self.assertEqual(len(self.fill(stack, running, [NOISY])), 5)
            for client in clients:
                self.assertEqual(client.send(b"more").exactly(4), b"more")
            for _ in range(15):
                self.established(stack, running, quiet(1), listener="b")


class DataChannels(Case):
    """FTP's: sessions of their own, which are neither half-open nor above what is reserved."""

    def setUp(self):
        self.server = self.enterContext(ftpserver.ProFtpd())
        self.server.put("file", FILE)
        keys = {"protocol": "ftp", "tls": "starttls", "backend": "ftp"}
        imaps = {"protocol": "imap", "tls": "implicit", "backend": "echo"}
        echo = self.enterContext(fakes.Backend(fakes.says(b"* OK ready\r\n", fakes.echo)))
        self.running = self.enterContext(env.gateway(
            {"ftp": keys, "imaps": imaps},
            {"ftp": {"servers": [self.server.address], "proxy_protocol": "none"},
             "echo": echo.address}, workers=1, limits={"sessions": SESSIONS},
            sources=[{"from": ["127.0.0.0/8"], "role": "client", "sessions": 1000}]))

    def log_in(self):
        client = Explicit(context=wire.context(env.ca))
        self.addCleanup(client.close)
        client.connect("127.0.0.1", self.running.ports["ftp"], timeout=wire.TIMEOUT,
                       source_address=(NOISY, 0))
        client.login(self.server.name, self.server.password)
        client.prot_p()
        client.voidcmd("TYPE I")
        return client

    def test_one_that_waits_stays(self):
        with contextlib.ExitStack() as stack:
            client = self.log_in()
            address = client.makepasv()
            for _ in range(SESSIONS):
                stack.enter_context(Wire(self.running.ports["imaps"], NOISY))
            for number in range(SESSIONS - 10):
                self.established(stack, self.running, quiet(number))
            self.assertGreater(self.crowded_out(self.running), 0)
            data = stack.enter_context(socket.create_connection(
                address, wire.TIMEOUT, source_address=(NOISY, 0)))
            client.sendcmd("RETR file")
            with client.context.wrap_socket(data, server_hostname="mail.example.org") as tls:
                received = b""
                while octets := tls.recv(65536):
                    received += octets
                tls.unwrap()
            self.assertEqual(client.voidresp()[:3], "226")
            self.assertEqual(received, FILE)

    def test_they_leave_what_is_reserved(self):
        refused = 0
        for _ in range(SESSIONS // 2):
            try:
                self.log_in().makepasv()
            except (ftplib.Error, OSError, EOFError):
                refused += 1
        self.assertGreater(refused, 0)
        # Of an eighth of 60 the other listener has 3, and 3 are for sources without a session.
        self.assertEqual(self.running.metrics().sum(PLACES, state="free"), 3)
        self.assertEqual(self.running.metrics().sum(PLACES, state="reserved"), 3)
        with contextlib.ExitStack() as stack:
            for number in range(6):
                self.established(stack, self.running, quiet(number))
        self.assertEqual(self.crowded_out(self.running), 0)


if __name__ == "__main__":
    unittest.main()
