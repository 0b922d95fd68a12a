"""Tests the recipes' server settings without the gateway: what the servers accept and what they
refuse, with PROXY headers that the test writes."""

import base64
import unittest

import harness
import proxy_v2
from wire import Wire

env = None
PLAIN = base64.b64encode(
    "\0{0.user}\0{0.password}".format(harness.mailservers.MailServers).encode())
LOGIN = "{0.user} {0.password}".format(harness.mailservers.MailServers).encode()


def setUpModule():
    global env
    env = harness.Environment()


def call(name, header):
    """A connection to a server, as the gateway makes it."""
    wire = Wire(env.servers.ports[name])
    return wire.send(header)


# Headers with and without TLS, by address family.
SECURE = {
    "v4": proxy_v2.header(),
    "v6": proxy_v2.header(("2001:db8::7", 40000), ("2001:db8::1", 993)),
}
NOT_SECURE = {
    "no TLV": proxy_v2.header(tls=False),
    "client bit 0": proxy_v2.header(tls=proxy_v2.ssl_tlv(client=0)),
    "v1": proxy_v2.v1(),
    "LOCAL": proxy_v2.local(),
    "from loopback": proxy_v2.header(("127.0.0.1", 40000), ("127.0.0.1", 143), tls=False),
}


def imap_login(header):
    with call("imap", header) as wire:
        wire.greeting("imap")
        return wire.ask("imap", b"a LOGIN " + LOGIN + b"\r\n").splitlines()[-1]


def pop3_login(header):
    with call("pop3", header) as wire:
        wire.greeting("pop3")
        user, password = LOGIN.split()
        first = wire.ask("pop3", b"USER " + user + b"\r\n")
        return first if first.startswith(b"-ERR") else wire.ask("pop3", b"PASS " + password + b"\r\n")


def sieve_login(header):
    with call("sieve", header) as wire:
        wire.greeting("managesieve")
        return wire.ask("managesieve", b'AUTHENTICATE "PLAIN" "' + PLAIN + b'"\r\n')


def submission_login(header):
    with call("dovecot_submission", header) as wire:
        wire.greeting("smtp")
        wire.ask("smtp", b"EHLO client.example.net\r\n")
        return wire.ask("smtp", b"AUTH PLAIN " + PLAIN + b"\r\n")


class DovecotLogin(unittest.TestCase):
    LOGINS = {
        "imap": (imap_login, b"a OK"),
        "pop3": (pop3_login, b"+OK"),
        "sieve": (sieve_login, b"OK"),
        "submission": (submission_login, b"235"),
    }

    def test_accepted_with_ssl_tlv(self):
        for name, (login, good) in self.LOGINS.items():
            for kind, header in SECURE.items():
                with self.subTest(name, header=kind):
                    self.assertTrue(login(header).startswith(good), login(header))

    def test_refused_without(self):
        for name, (login, good) in self.LOGINS.items():
            for kind, header in NOT_SECURE.items():
                with self.subTest(name, header=kind):
                    self.assertFalse(login(header).startswith(good))

    def test_no_header_no_greeting(self):
        with Wire(env.servers.ports["imap"]) as wire:
            wire.send(b"a CAPABILITY\r\n")
            self.assertNotIn(b"OK", wire.rest())

    def test_true_client_in_log(self):
        imap_login(proxy_v2.header(("198.51.100.23", 4711), ("192.0.2.1", 993)))
        self.assertTrue(env.servers.wait_for_log(
            "dovecot", r"imap-login: .*Login: .*rip=198\.51\.100\.23, rport=4711, lip=192\.0\.2\.1, lport=993"))

    def test_starttls_not_offered_inside(self):
        with call("imap", SECURE["v4"]) as wire:
            wire.greeting("imap")
            self.assertNotIn(b"STARTTLS", wire.ask("imap", b"a CAPABILITY\r\n"))
            self.assertTrue(wire.ask("imap", b"b STARTTLS\r\n").startswith(b"b BAD"))

    def test_sieve_mechanisms(self):
        with call("sieve", SECURE["v4"]) as wire:
            self.assertIn(b'"SASL" "PLAIN LOGIN"', wire.greeting("managesieve"))
        with call("sieve", proxy_v2.v1()) as wire:
            self.assertIn(b'"SASL" ""', wire.greeting("managesieve"))

    def test_lmtp_delivers_without_login(self):
        with call("lmtp", SECURE["v4"]) as wire:
            wire.greeting("lmtp")
            wire.ask("lmtp", b"LHLO client.example.net\r\n")
            wire.ask("lmtp", b"MAIL FROM:<a@example.net>\r\n")
            reply = wire.ask("lmtp", b"RCPT TO:<" + env.servers.user.encode() + b">\r\n")
            self.assertTrue(reply.startswith(b"250"), reply)
            reply = wire.ask("lmtp", b"RCPT TO:<nobody@example.org>\r\n")
            self.assertTrue(reply.startswith(b"550"), reply)


class Postfix(unittest.TestCase):
    SOURCES = {
        "a client": proxy_v2.header(),
        "a client without TLS": proxy_v2.header(tls=False),
        "LOCAL": proxy_v2.local(),
        "from loopback": proxy_v2.header(("127.0.0.1", 40000), ("127.0.0.1", 25)),
        "v1 from loopback": proxy_v2.v1(("127.0.0.1", 40000), ("127.0.0.1", 25)),
    }

    def rcpt(self, wire, to):
        wire.ask("smtp", b"MAIL FROM:<a@example.net>\r\n")
        return wire.ask("smtp", b"RCPT TO:<" + to + b">\r\n")

    def hello(self, wire):
        wire.greeting("smtp")
        return wire.ask("smtp", b"EHLO client.example.net\r\n")

    def test_nobody_relays(self):
        for service in ("mx", "mx_plain", "submission"):
            for kind, header in self.SOURCES.items():
                with self.subTest(service, header=kind), call(service, header) as wire:
                    self.hello(wire)
                    reply = self.rcpt(wire, b"somebody@elsewhere.example")
                    self.assertTrue(reply.startswith(b"554"), reply)

    def test_mx_takes_own_mail_only(self):
        for service in ("mx", "mx_plain"):
            with self.subTest(service), call(service, proxy_v2.header()) as wire:
                self.hello(wire)
                self.assertTrue(self.rcpt(wire, env.servers.user.encode()).startswith(b"250"))

    def test_no_auth_on_mx(self):
        for service in ("mx", "mx_plain"):
            with self.subTest(service), call(service, proxy_v2.header()) as wire:
                self.assertNotIn(b"AUTH", self.hello(wire))
                reply = wire.ask("smtp", b"AUTH PLAIN " + PLAIN + b"\r\n")
                self.assertTrue(reply.startswith(b"503"), reply)

    def test_no_starttls_again(self):
        for service in ("mx", "mx_plain", "submission"):
            with self.subTest(service), call(service, proxy_v2.header()) as wire:
                self.assertNotIn(b"STARTTLS", self.hello(wire))
                reply = wire.ask("smtp", b"STARTTLS\r\n")
                self.assertTrue(reply.startswith((b"454", b"502")), reply)

    def test_submission_relays_after_login(self):
        with call("submission", proxy_v2.header()) as wire:
            self.assertIn(b"AUTH PLAIN LOGIN", self.hello(wire))
            reply = wire.ask("smtp", b"AUTH PLAIN " + base64.b64encode(b"\0demo@example.org\0wrong") + b"\r\n")
            self.assertTrue(reply.startswith(b"535"), reply)
            reply = wire.ask("smtp", b"AUTH PLAIN " + PLAIN + b"\r\n")
            self.assertTrue(reply.startswith(b"235"), reply)
            # Relaying is allowed now; the demonstration's transport says no.
            self.assertIn(b"sends no mail away", self.rcpt(wire, b"somebody@elsewhere.example"))

    def test_true_client_in_log(self):
        with call("mx", proxy_v2.header(("198.51.100.24", 4712), ("192.0.2.1", 25))) as wire:
            self.hello(wire)
        self.assertTrue(env.servers.wait_for_log(
            "postfix", r"connect from unknown\[198\.51\.100\.24\]:4712"))

    def test_xclient_refused(self):
        for service in ("mx", "mx_plain", "submission"):
            with self.subTest(service), call(service, proxy_v2.header()) as wire:
                self.assertNotIn(b"XCLIENT", self.hello(wire))
                reply = wire.ask("smtp", b"XCLIENT ADDR=127.0.0.1\r\n")
                self.assertTrue(reply.startswith((b"503", b"550", b"502")), reply)


if __name__ == "__main__":
    unittest.main()
