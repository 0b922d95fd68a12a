"""Tests libraries that send mail: a megabyte with STARTTLS and with implicit TLS, logged in at
Postfix, and delivered unchanged."""

import unittest

import mails
from programs import Programs, harness

env = None
programs = None
# library: how it upgrades, and what it says where it may not log in in plaintext. Most never see
# the gateway's reply: it offers no AUTH, and they look for that.
CLIENTS = {
    "net-smtp": (("upgrade",), '538 "5.7.11 Encryption required'),
    "nodemailer": (("offered", "upgrade"), "530 5.7.0 Must issue a STARTTLS command first"),
    "angus-smtp": (("offered", "upgrade"), "530 5.7.0 Must issue a STARTTLS command first"),
    "lettre": (("offered", "upgrade"), "No compatible authentication mechanism was found"),
    "aiosmtplib": (("offered", "upgrade"), r"AUTH extension is not supported .* \(or STARTTLS\)"),
}


def setUpModule():
    global env, programs
    env = harness.Environment()
    programs = Programs(env, unittest.enterModuleContext(env.standard(["submission", "submissions"])))


def given(path):
    return {"FROM": env.servers.user, "TO": env.servers.user, "USER": env.servers.user,
            "PASSWORD": env.servers.password, "MAIL": path}


class Senders(unittest.TestCase):
    def test_mail_arrives_as_it_was(self):
        for name, (ways, _) in CLIENTS.items():
            for tls in (*ways, "implicit"):
                with self.subTest(name, tls=tls):
                    path, octets = mails.make(env, name, tls)
                    listener = "submissions" if tls == "implicit" else "submission"
                    output = programs.work(self, name, listener, tls, **given(path))
                    sent = output.count("sent a mail of {} octets".format(len(octets)))
                    self.assertGreater(sent, 0, output)
                    self.check_delivered(name, tls, octets, sent)

    def check_delivered(self, name, tls, octets, count):
        saved = "msgid=<{}.{}@example.net>: saved".format(name, tls)
        self.assertTrue(env.servers.wait_for_log("dovecot", saved, count))
        arrived = mails.delivered(env, name, tls)
        self.assertEqual(len(arrived), count)
        for mail in arrived:
            # lettre ends what it is given by a line's end, whether it has one or not.
            self.assertTrue(mail.endswith((octets, octets + b"\r\n")), "another mail arrived")

    def test_no_log_in_without_tls(self):
        for name, (_, words) in CLIENTS.items():
            with self.subTest(name):
                programs.fail(self, words, name, "submission", "none",
                              **given(mails.make(env, name, "none")[0]))

    def test_unknown_authority(self):
        for name in CLIENTS:
            for listener, tls in (("submission", "upgrade"), ("submissions", "implicit")):
                with self.subTest(name, tls=tls):
                    programs.fail_before_a_stranger(
                        self, name, listener, tls, **given(mails.make(env, name, "stranger")[0]))


if __name__ == "__main__":
    unittest.main()
