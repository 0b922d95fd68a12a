"""Tests white space around and between the words of a command: asks the real servers and the gateway
the same lines. The gateway accepts every command that a server accepts, or DIFFERENCES says why
not; and the server gets a single space.

Not for: FTP (test_ftp_lines.py) or XMPP (test_xmpp_attacks.py)."""

import os
import shutil
import unittest

import ircservers
import harness
import newsserver
import webservers
from mailservers import MailServers
from proxy_v2 import header
from wire import Wire

env = None
gateway = None
servers = {}  # name: (port, octets before the dialogue)

# How a line of words is changed.
WAYS = {
    "a space behind": lambda words: b" ".join(words) + b" ",
    "two spaces behind": lambda words: b" ".join(words) + b"  ",
    "a tab behind": lambda words: b" ".join(words) + b"\t",
    "a space before": lambda words: b" " + b" ".join(words),
    "a tab before": lambda words: b"\t" + b" ".join(words),
    "two spaces first": lambda words: b"  ".join(words[:2]) + b"".join(b" " + w for w in words[2:]),
    "a tab first": lambda words: b"\t".join(words[:2]) + b"".join(b" " + w for w in words[2:]),
    "two spaces last": lambda words: b" ".join(words[:-1]) + b"  " + words[-1],
    "a tab last": lambda words: b" ".join(words[:-1]) + b"\t" + words[-1],
}
BEHIND = {"a space behind", "two spaces behind"}
AROUND = BEHIND | {"a tab behind", "a space before", "a tab before"}
FIRST = {"two spaces first", "two spaces last"}  # of two words: between them
ALL = set(WAYS)
# server: ((what comes before, line, in how many of the ways the server takes it), ...)
EHLO, LHLO = (b"EHLO x.example.net",), (b"LHLO x.example.net",)
TABLE = {
    "postfix": (
        ((), b"EHLO x.example.net", ALL), ((), b"HELO x.example.net", ALL),
        ((), b"NOOP", AROUND), ((), b"RSET", AROUND), ((), b"QUIT", AROUND),
        (EHLO, b"STARTTLS", AROUND),
    ),
    "dovecot-submission": (
        ((), b"EHLO x.example.net", BEHIND | {"a tab behind"}),
        ((), b"NOOP", BEHIND), ((), b"RSET", BEHIND), ((), b"QUIT", BEHIND),
        (EHLO, b"STARTTLS", BEHIND),
    ),
    "dovecot-lmtp": (
        ((), b"LHLO x.example.net", BEHIND | {"a tab behind"}),
        ((), b"NOOP", BEHIND), ((), b"RSET", BEHIND), ((), b"QUIT", BEHIND),
        (LHLO, b"STARTTLS", BEHIND),
    ),
    "dovecot-imap": (
        ((), b"a STARTTLS", BEHIND), ((), b"a CAPABILITY", BEHIND), ((), b"a NOOP", BEHIND),
        ((), b"a LOGOUT", BEHIND), ((), b"a ID NIL", BEHIND | {"two spaces last"}),
        ((), b"a LOGIN user secret", BEHIND | {"two spaces last"}),
        ((), b"a AUTHENTICATE PLAIN", BEHIND),
    ),
    "dovecot-pop3": (
        ((), b"STLS", BEHIND), ((), b"CAPA", BEHIND), ((), b"QUIT", BEHIND),
        ((), b"USER demo", BEHIND | FIRST | {"a tab behind"}), ((), b"AUTH PLAIN", BEHIND),
    ),
    "dovecot-sieve": (
        ((), b"STARTTLS", BEHIND), ((), b"CAPABILITY", BEHIND), ((), b"NOOP", BEHIND),
        ((), b'NOOP "x"', BEHIND | FIRST), ((), b"LOGOUT", BEHIND),
        ((), b'AUTHENTICATE "PLAIN"', BEHIND | FIRST),
    ),
    # RFC 3977 sections 9.2 and 9.8 have no white space before a command; INN takes it.
    "nnrpd": (
        ((), b"STARTTLS", AROUND), ((), b"CAPABILITIES", AROUND), ((), b"HELP", AROUND),
        ((), b"QUIT", AROUND), ((), b"MODE READER", ALL), ((), b"AUTHINFO USER demo", ALL),
    ),
    "innd": (
        ((), b"CAPABILITIES", AROUND), ((), b"HELP", AROUND), ((), b"QUIT", AROUND),
        ((), b"MODE READER", ALL), ((), b"MODE STREAM", ALL), ((), b"IHAVE <a@b>", ALL),
    ),
    "inspircd": (
        ((), b"STARTTLS", BEHIND | {"a space before"}),
        ((), b"CAP LS", BEHIND | FIRST | {"a space before"}),
        ((), b"CAP LS 302", BEHIND | FIRST | {"a space before", "a tab behind"}),
        ((), b"CAP REQ :tls", BEHIND | FIRST | {"a space before"}),
        ((), b"QUIT", BEHIND | {"a space before"}),
        ((), b":demo STARTTLS", BEHIND | FIRST | {"a space before"}),
        ((), b"@a=b STARTTLS", BEHIND | FIRST | {"a space before"}),
    ),
    "ngircd": (
        ((), b"CAP LS", AROUND | FIRST), ((), b"CAP LS 302", AROUND | FIRST),
        ((), b"QUIT", AROUND),
    ),
}
# By server, line and way: what a server takes and the gateway refuses, and why. It is empty
# so far.
DIFFERENCES = {}

PROTOCOLS = {
    "postfix": "smtp", "dovecot-submission": "smtp", "dovecot-lmtp": "lmtp", "dovecot-imap": "imap",
    "dovecot-pop3": "pop3", "dovecot-sieve": "managesieve", "nnrpd": "nntp", "innd": "nntp",
    "inspircd": "irc", "ngircd": "irc",
}
# How much of a reply's first line tells which reply it is. POP3's "+OK" may stand alone.
WORDS = {"smtp": 1, "lmtp": 1, "imap": 3, "pop3": 3, "managesieve": 2, "nntp": 1, "irc": 4}
# What an IRC server does not know before registration it may leave unanswered; this it answers.
SENTINEL = b"CAP LIST\r\n"

DOVECOT = """
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
"""
POSTFIX = """127.0.0.1:@{{offers}} inet n - n - - smtpd
  -o smtpd_tls_security_level=may
  -o smtpd_tls_cert_file={cert}
  -o smtpd_tls_key_file={key}
"""
INSPIRCD = """
<module name="ssl_gnutls"><module name="starttls">
<sslprofile name="own" provider="gnutls" certfile="{cert}" keyfile="{key}">
"""


def setUpModule():
    global env, gateway
    env = harness.Environment(servers=False)
    cert = env.certificates["pairs"][0][0]
    key = shutil.copy(env.certificates["pairs"][0][1], env.dir + "/servers.key")
    os.chmod(key, 0o644)  # some servers read it as their own user
    files = {"cert": cert, "key": key}
    mail = unittest.enterModuleContext(MailServers(
        dovecot=DOVECOT.format(**files), master=POSTFIX.format(**files), more=["offers"]))
    news = unittest.enterModuleContext(newsserver.NewsServer(tls=(env.ca, cert, key)))
    inspircd = unittest.enterModuleContext(ircservers.Inspircd(settings=INSPIRCD.format(**files)))
    ngircd = unittest.enterModuleContext(ircservers.Ngircd())
    plain = header(tls=False)
    servers.update({
        "postfix": (mail.ports["offers"], b""),
        "dovecot-submission": (mail.ports["dovecot_submission"], plain),
        "dovecot-lmtp": (mail.ports["lmtp"], plain), "dovecot-imap": (mail.ports["imap"], plain),
        "dovecot-pop3": (mail.ports["pop3"], plain), "dovecot-sieve": (mail.ports["sieve"], plain),
        "nnrpd": (news.ports["nnrpd"], b""), "innd": (news.ports["innd"], b""),
        "inspircd": (inspircd.ports["plain"], b""), "ngircd": (ngircd.port, b""),
    })
    passing = {"policy": "opportunistic", "plaintext_auth": "allow"}
    listeners = {p: {"protocol": p, "tls": "starttls", "backend": p, "policy": "require"}
                 for p in sorted(set(PROTOCOLS.values()))}
    listeners.update({p + "-leg": {"protocol": p, "tls": "starttls", "backend": p, **passing}
                      for p in ("smtp", "lmtp", "imap", "pop3", "managesieve")})
    ports = {"smtp": mail.ports["submission"], "lmtp": mail.ports["lmtp"],
             "imap": mail.ports["imap"], "pop3": mail.ports["pop3"],
             "managesieve": mail.ports["sieve"], "nntp": news.ports["nnrpd"], "irc": ngircd.port}
    backends = {name: "127.0.0.1:{}".format(port) for name, port in ports.items()}
    for name in ("nntp", "irc"):  # they know no PROXY header
        backends[name] = {"servers": [backends[name]], "proxy_protocol": "none"}
    gateway = unittest.enterModuleContext(env.gateway(listeners, backends))


def first_line(port, before, protocol, commands, line, sentinel):
    """What is said first to `line`, behind the replies to `commands`."""
    with Wire(port) as client:
        client.send(before)
        client.greeting(protocol)
        for command in commands:
            client.ask(protocol, command + b"\r\n")
        return client.send(line + b"\r\n" + sentinel).line()


def kind(protocol, reply):
    if protocol == "irc" and reply.startswith(b"ERROR "):  # the rest has the session's number
        return b"ERROR"
    return b" ".join(reply.split()[:WORDS[protocol]])


def ways_of(line):
    """(name, octets) of each way that changes `line`."""
    words = line.split(b" ")
    for name, change in WAYS.items():
        if len(words) > 1 or not name.endswith(("first", "last")):
            yield name, change(words)


class EveryServer(unittest.TestCase):
    def check(self, server):
        protocol = PROTOCOLS[server]
        port, before = servers[server]
        silent = SENTINEL if protocol == "irc" else b""
        for commands, line, taken in TABLE[server]:
            theirs = kind(protocol, first_line(port, before, protocol, commands, line, silent))
            ours = first_line(gateway.ports[protocol], b"", protocol, commands, line, b"")
            for name, octets in ways_of(line):
                with self.subTest(line=octets, way=name):
                    said = first_line(port, before, protocol, commands, octets, silent)
                    self.assertEqual(kind(protocol, said) == theirs, name in taken, said)
                    if name not in taken or (server, line, name) in DIFFERENCES:
                        continue
                    self.assertEqual(first_line(
                        gateway.ports[protocol], b"", protocol, commands, octets, b""), ours)

    def test_postfix(self):
        self.check("postfix")

    def test_dovecot_submission(self):
        self.check("dovecot-submission")

    def test_dovecot_lmtp(self):
        self.check("dovecot-lmtp")

    def test_dovecot_imap(self):
        self.check("dovecot-imap")

    def test_dovecot_pop3(self):
        self.check("dovecot-pop3")

    def test_dovecot_managesieve(self):
        self.check("dovecot-sieve")

    def test_nnrpd(self):
        self.check("nnrpd")

    def test_innd(self):
        self.check("innd")

    def test_inspircd(self):
        self.check("inspircd")

    def test_ngircd(self):
        self.check("ngircd")

    def test_the_table_is_whole(self):
        self.assertEqual(set(TABLE), set(PROTOCOLS))
        for server, line, name in DIFFERENCES:
            self.assertIn(name, {l: t for _, l, t in TABLE[server]}[line])


class Legs(unittest.TestCase):
    """On a plaintext leg the server, less liberal than its neighbours, sees one space."""

    def ask(self, protocol, *dialogue):
        with Wire(gateway.ports[protocol + "-leg"]) as client:
            client.greeting(protocol)
            for line, wanted in dialogue:
                reply = client.ask(protocol, line + b"\r\n")
                self.assertTrue(reply.startswith(wanted), (line, reply))

    def test_lmtp(self):
        self.ask("lmtp", (b"\tLHLO\tx.example.net ", b"250-"),
                 (b" MAIL  FROM:<a@example.net>\t", b"250 "),
                 (b"RCPT\tTO:<demo@example.org>  ", b"250 "), (b"\tRSET ", b"250 "),
                 (b"MAIL FROM:<\"a  b\"@example.net>\t BODY=8BITMIME ", b"250 "),
                 (b" QUIT\t", b"221 "))

    def test_imap(self):
        credentials = "{} {}".format(MailServers.user, MailServers.password).encode()
        self.ask("imap", (b"a XYZ  X ", b"a BAD "), (b"a CAPABILITY  ", b"* CAPABILITY "),
                 (b"a AUTHENTICATE  PLAIN  " + harness.base64_plain("nobody", "x"), b"a NO "),
                 (b"a NOOP ", b"a OK "), (b"a LOGIN  " + credentials.replace(b" ", b"  ") + b"  ",
                                          b"* BAD [ALERT]"))

    def test_managesieve(self):
        self.ask("managesieve", (b"LISTSCRIPTS  ", b"NO "), (b"NOOP   \"x  y\" ", b'OK (TAG "x  y")'))

    def test_pop3(self):
        self.ask("pop3", (b"STAT ", b"-ERR "), (b"CAPA  ", b"+OK"))


class Http(unittest.TestCase):
    """RFC 9112 section 5: white space around a field's value. Where servers differ about a
    request, the gateway refuses it: white space around the first line, a tab in it, white
    space before a colon, and a field that goes on in the next line, which Apache takes."""

    FIELDS = ("Host", "mail.example.org"), ("Connection", "Upgrade"), ("Upgrade", "TLS/1.0"), \
        ("Content-Length", "0")
    UPGRADE = "OPTIONS * HTTP/1.1\r\n{}\r\n"

    def ask(self, apache, request):
        """The status that Apache gives, and the gateway."""
        with apache.call() as client:
            theirs = client.send(request.encode()).line()[9:12]
        with Wire(self.gateway.ports["http"]) as client:
            return theirs, client.send(request.encode()).line()[9:12]

    def test_apache(self):
        listener = {"protocol": "http", "tls": "starttls", "backend": "apache"}
        with webservers.WebServer() as apache, env.gateway(
                {"http": listener}, {"apache": apache.address}) as self.gateway:
            for space in ("", " ", "\t", " \t  "):
                with self.subTest(space=space):
                    fields = "".join(n + ":" + space + v + space + "\r\n" for n, v in self.FIELDS)
                    self.assertEqual(self.ask(apache, self.UPGRADE.format(fields)), (b"200", b"101"))
            fields = "".join(n + ": " + v + "\r\n" for n, v in self.FIELDS)
            usual = self.UPGRADE.format(fields)
            for name, request, theirs in (
                    ("behind the first line", usual.replace("1.1\r\n", "1.1 \r\n", 1), b"400"),
                    ("before it", " " + usual, b"400"),
                    ("a tab in it", usual.replace("S *", "S\t*"), b"400"),
                    ("before a colon", usual.replace("Host:", "Host :"), b"400"),
                    ("a line that goes on", usual.replace("Upgrade: TLS", "Upgrade:\r\n TLS"), b"200")):
                with self.subTest(name):
                    self.assertEqual(self.ask(apache, request), (theirs, b"400"))


if __name__ == "__main__":
    unittest.main()
