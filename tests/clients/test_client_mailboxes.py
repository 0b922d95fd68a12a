"""Tests libraries that read mail, with Dovecot: they store a megabyte and fetch it octet for octet
by IMAP, find it by a search, fetch it by POP3, and learn of new mail by IDLE."""

import smtplib
import unittest

import mails
import wire
from programs import Programs, harness

env = None
programs = None
mail = None
# library: protocol, how it upgrades, what it says where it may not log in in plaintext, and
# whether its program waits by IDLE
CLIENTS = {
    "go-imap-v1": ("imap", ("upgrade",), "Login is disabled", False),
    "go-imap-v2": ("imap", ("upgrade",), r"NO \[PRIVACYREQUIRED\]", False),
    "imapflow": ("imap", ("offered", "upgrade"), "Login is disabled", True),
    "angus-imap": ("imap", ("offered", "upgrade"), "No login methods supported", False),
    "angus-pop3": ("pop3", ("offered", "upgrade"), "TLS required", False),
    "imapclient": ("imap", ("upgrade",), r"\[PRIVACYREQUIRED\]", True),
}


def setUpModule():
    global env, programs, mail
    env = harness.Environment()
    gateway = unittest.enterModuleContext(env.standard(["mx", "imap", "imaps", "pop3", "pop3s"]))
    programs = Programs(env, gateway)
    mail = mails.make(env, "reader", "any")
    with smtplib.SMTP("127.0.0.1", gateway.ports["mx"], timeout=wire.TIMEOUT) as smtp:
        smtp.starttls(context=wire.context(env.ca))
        smtp.sendmail("sender@example.net", [env.servers.user], mail[1])
    if not env.servers.wait_for_log("dovecot", "msgid=<reader.any@example.net>: saved"):
        raise AssertionError("the mail did not arrive")


def given(name, tls):
    return {"USER": env.servers.user, "PASSWORD": env.servers.password, "MAIL": mail[0],
            "SUBJECT": mails.SUBJECT.format(name="reader", tls="any"),
            "MAILBOX": "{}-{}".format(name, tls)}


def listener(protocol, tls):
    return protocol + ("s" if tls == "implicit" else "")


class Readers(unittest.TestCase):
    def test_mail_is_read_as_it_was(self):
        for name, (protocol, ways, _, idle) in CLIENTS.items():
            for tls in (*ways, "implicit"):
                with self.subTest(name, tls=tls):
                    output = programs.work(self, name, listener(protocol, tls), tls, **given(name, tls))
                    self.assertIn("found 1", output)
                    self.assertIn("{} octets came back unchanged".format(len(mail[1])), output)
                    self.assertEqual("told of mail number 2" in output, idle, output)

    def test_no_log_in_without_tls(self):
        for name, (protocol, _, words, _) in CLIENTS.items():
            with self.subTest(name):
                programs.fail(self, words, name, protocol, "none", **given(name, "none"))

    def test_unknown_authority(self):
        for name, (protocol, *_) in CLIENTS.items():
            for tls in ("upgrade", "implicit"):
                with self.subTest(name, tls=tls):
                    programs.fail_before_a_stranger(
                        self, name, listener(protocol, tls), tls, **given(name, "stranger"))


if __name__ == "__main__":
    unittest.main()
