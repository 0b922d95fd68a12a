"""Tests log-ins before TLS: the gateway refuses and counts them, however their arguments are
written, and its message says that TLS is missing. The answer to a line that is not a command says
what is wrong with it."""

import unittest

import fakes
import harness
from wire import GREETING, Wire

env = None
gateway = None

PRIVACY = {
    "smtp": b"538 5.7.11 ", "lmtp": b"538 5.7.11 ", "imap": b"a NO [PRIVACYREQUIRED] ",
    "pop3": b"-ERR [SYS/PERM] ", "managesieve": b"NO (ENCRYPT-NEEDED) ",
    "acap": b"a NO (ENCRYPT-NEEDED) ", "nntp": b"483 ", "irc": b":mail.example.org 451 ",
}
MAIL = (b"AUTH PLAIN AHUAcA==\r\n", b"AUTH PLAIN\r\n", b"auth login\r\n", b"AUTH LOGIN dQ==\r\n",
        b"AUTH CRAM-MD5\r\n", b"AUTH\r\n")
LOG_INS = {
    "smtp": MAIL, "lmtp": MAIL,
    "imap": (b"a LOGIN u p\r\n", b'a login "u" "p"\r\n', b"a LOGIN {1}\r\n", b"a LOGIN u {1}\r\n",
             b"a LOGIN {1+}\r\nu {1+}\r\np\r\n", b"a LOGIN {1+}\r\nu {1}\r\n", b"a LOGIN {999999}\r\n",
             b"a AUTHENTICATE PLAIN\r\n", b"a AUTHENTICATE PLAIN AHUAcA==\r\n",
             b"a AUTHENTICATE PLAIN {8}\r\n", b"a AUTHENTICATE PLAIN {8+}\r\nAHUAcA==\r\n"),
    "pop3": (b"USER u\r\n", b"PASS p\r\n", b"APOP u 0123456789abcdef0123456789abcdef\r\n",
             b"AUTH PLAIN\r\n", b"AUTH PLAIN AHUAcA==\r\n", b"auth login\r\n"),
    "managesieve": (b'AUTHENTICATE "PLAIN"\r\n', b'AUTHENTICATE "PLAIN" "AHUAcA=="\r\n',
                    b'AUTHENTICATE "PLAIN" {8+}\r\nAHUAcA==\r\n', b'AUTHENTICATE "PLAIN" {8}\r\n',
                    b"AUTHENTICATE {5+}\r\nPLAIN {8+}\r\nAHUAcA==\r\n"),
    "acap": (b'a AUTHENTICATE "PLAIN"\r\n', b'a AUTHENTICATE "PLAIN" "AHUAcA=="\r\n',
             b'a AUTHENTICATE "PLAIN" {8+}\r\nAHUAcA==\r\n', b'a AUTHENTICATE "PLAIN" {8}\r\n'),
    "nntp": (b"AUTHINFO USER u\r\n", b"AUTHINFO PASS p\r\n", b"AUTHINFO SASL PLAIN AHUAcA==\r\n",
             b"authinfo sasl plain\r\n", b"AUTHINFO GENERIC x\r\n"),
    "irc": (b"PASS p\r\n", b"OPER u p\r\n", b"AUTHENTICATE PLAIN\r\n"),
}
FAULTS = {
    b"X\n": b"Bare <LF> received", b"X\rY\r\n": b"Bare <CR> received", b"X\0Y\r\n": b"NUL received",
    b"X" * 13000: b"Line too long", b"\xc3\xa4\r\n": b"8-bit octet in a command",
}
# protocol: what stands around the words
GOODBYE = {
    "smtp": b"500 5.5.2 %s, goodbye\r\n", "lmtp": b"500 5.5.2 %s, goodbye\r\n",
    "imap": b"* BYE %s\r\n", "pop3": b"-ERR %s\r\n", "managesieve": b'BYE "%s"\r\n',
    "acap": b'* BYE "%s"\r\n', "nntp": b"400 %s\r\n", "irc": b"ERROR :%s\r\n",
}


def setUpModule():
    global env, gateway
    env = harness.Environment(servers=False)
    backend = unittest.enterModuleContext(fakes.Backend(fakes.silent))
    gateway = unittest.enterModuleContext(env.gateway(
        {p: {"protocol": p, "tls": "starttls", "policy": "require", "backend": "fake"} for p in PRIVACY},
        {"fake": backend.address}))


class Words(unittest.TestCase):
    def test_log_ins(self):
        name = "starling_attacks_refused_total"
        for protocol, begin in PRIVACY.items():
            for count, log_in in enumerate(LOG_INS[protocol], 1):
                with self.subTest(protocol, log_in=log_in), Wire(gateway.ports[protocol]) as client:
                    if GREETING[protocol]:
                        client.greeting(protocol)
                    said = client.send(log_in).line()
                    self.assertTrue(said.startswith(begin), said)
                    self.assertEqual(gateway.wait_for_metric(
                        count, name, listener=protocol, kind="plaintext_auth"), count)

    def test_lines_that_are_none(self):
        name = "starling_sessions_ended_total"
        for protocol, goodbye in GOODBYE.items():
            for octets, words in FAULTS.items():
                reason = "line_too_long" if words == b"Line too long" else "bad_octet"
                count = gateway.metrics().sum(name, listener=protocol, reason=reason) + 1
                with self.subTest(protocol, words=words), Wire(gateway.ports[protocol]) as client:
                    if GREETING[protocol]:
                        client.greeting(protocol)
                    self.assertEqual(client.send(octets).rest(), goodbye % words)
                    self.assertEqual(gateway.wait_for_metric(
                        count, name, listener=protocol, reason=reason), count)


if __name__ == "__main__":
    unittest.main()
