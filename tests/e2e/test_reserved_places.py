"""Tests the places of a session table that are kept: for each listener, for sources without a
session, and what FTP's data channels leave of them.

Not here: which half-open sessions give way (test_crowding.py)."""

import contextlib
import ftplib
import os
import re
import signal
import socket
import unittest

import fakes
import ftpserver
import full_table
import wire
from full_table import Case, NOISY, PLACES, SESSIONS, quiet
from test_ftp import Explicit
from wire import Wire

FILE = os.urandom(100000)


def setUpModule():
    full_table.set_up()


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

    def test_established_sessions_take_no_place_of_a_newcomer(self):
        with contextlib.ExitStack() as stack, self.gateway(
                limits={"new_sources": 20, "reserved_sessions": 0}) as running:
            self.fill(stack, running, [NOISY, "127.66.0.2"])
            # New sources fill what is kept for them, and the last of them has only just come.
            self.assertEqual(len(self.fill(stack, running, [quiet(n) for n in range(10)])), 10)
            fresh = stack.enter_context(Wire(running.ports["imaps"], quiet(10)))
            running.wait_for_metric(0, PLACES, state="free")
            for _ in range(5):
                with self.assertRaises((OSError, EOFError)):
                    self.established(stack, running, NOISY)
            fresh.start_tls().greeting("imap")
            self.assertEqual(self.crowded_out(running), 0)

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
        self.running = self.enterContext(full_table.env.gateway(
            {"ftp": keys, "imaps": imaps},
            {"ftp": {"servers": [self.server.address], "proxy_protocol": "none"},
             "echo": echo.address}, workers=1, limits={"sessions": SESSIONS},
            sources=[{"from": ["127.0.0.0/8"], "role": "client", "sessions": 1000}]))

    def log_in(self):
        client = Explicit(context=wire.context(full_table.env.ca))
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
