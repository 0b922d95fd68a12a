"""Tests further programs that read, send and filter mail, with STARTTLS and, if they support it,
implicit TLS."""

import smtplib
import unittest

import harness
import mail_clients
import wire

env = None
gateway = None


def setUpModule():
    global env, gateway
    env = harness.Environment()
    gateway = unittest.enterModuleContext(env.standard())
    with smtplib.SMTP("127.0.0.1", gateway.ports["mx"], timeout=30) as smtp:
        smtp.starttls(context=wire.context(env.ca))
        smtp.sendmail("sender@example.net", [env.servers.user],
                      "Subject: to be read\r\nMessage-ID: <read@example.net>\r\n\r\nhello\r\n")
    if not env.servers.wait_for_log("dovecot", "msgid=<read@example.net>: saved"):
        raise AssertionError("the mail did not arrive")


def handshakes(listener):
    return gateway.metrics().sum("starling_tls_handshakes_total", listener=listener)


class Readers(unittest.TestCase):
    def test_fetchmail(self):
        for listener, protocol, tls in (("imap", "imap", "starttls"), ("imaps", "imap", "implicit"),
                                        ("pop3", "pop3", "starttls"), ("pop3s", "pop3", "implicit")):
            with self.subTest(listener):
                before = handshakes(listener)
                code, output, mail = mail_clients.fetchmail(
                    env, protocol, gateway.ports[listener], tls)
                self.assertEqual(code, 0, output)
                self.assertIn("Subject: to be read", mail)
                self.assertGreater(handshakes(listener), before)

    def test_mbsync(self):
        for listener, tls in (("imap", "starttls"), ("imaps", "implicit")):
            with self.subTest(listener):
                before = handshakes(listener)
                code, output, mails = mail_clients.mbsync(env, gateway.ports[listener], tls)
                self.assertEqual(code, 0, output)
                self.assertTrue(any("Subject: to be read" in mail for mail in mails), output)
                self.assertGreater(handshakes(listener), before)

    def test_plaintext_is_refused(self):
        for protocol in ("imap", "pop3"):
            with self.subTest(protocol):
                code, output, mail = mail_clients.fetchmail(
                    env, protocol, gateway.ports[protocol], "none")
                self.assertNotEqual(code, 0, output)
                self.assertEqual(mail, "")
        code, output, mails = mail_clients.mbsync(env, gateway.ports["imap"], "none")
        self.assertNotEqual(code, 0, output)
        self.assertEqual(mails, [])


    def test_plaintext_needs_the_server_to_agree(self):
        with env.gateway(
                {"imap": {"protocol": "imap", "tls": "starttls", "policy": "opportunistic",
                          "plaintext_auth": "allow", "backend": "imap"}},
                {"imap": "127.0.0.1:{}".format(env.servers.ports["imap"])}) as running:
            with wire.Wire(running.ports["imap"]) as client:
                client.greeting("imap")
                reply = client.ask("imap", b"a LOGIN %s %s\r\n" % (
                    env.servers.user.encode(), env.servers.password.encode()))
                self.assertIn(b"a NO [PRIVACYREQUIRED]", reply)
            code, output, mails = mail_clients.mbsync(env, running.ports["imap"], "starttls")
            self.assertEqual(code, 0, output)
            self.assertTrue(mails, output)


class Senders(unittest.TestCase):
    def test_msmtp(self):
        for listener, tls, log_in, protocol in (
                ("mx", "starttls", False, "smtp"), ("mxs", "implicit", False, "smtp"),
                ("mx", "none", False, "smtp"), ("submission", "starttls", True, "smtp"),
                ("submissions", "implicit", True, "smtp"), ("lmtp", "starttls", False, "lmtp"),
                ("lmtps", "implicit", False, "lmtp")):
            with self.subTest(listener, tls=tls):
                before = handshakes(listener)
                code, output = mail_clients.msmtp(
                    env, gateway.ports[listener], tls, log_in, protocol)
                self.assertEqual(code, 0, output)
                self.assertEqual(handshakes(listener) > before, tls != "none", output)


class Filters(unittest.TestCase):
    def test_sieve_connect(self):
        script = env.write("script.sieve", "keep;\n")
        port = gateway.ports["sieve"]
        code, output = mail_clients.sieve_connect(
            env, port, "--upload", "--localsieve", script, "--remotesieve", "by-sieve-connect")
        self.assertEqual(code, 0, output)
        code, output = mail_clients.sieve_connect(env, port, "--list")
        self.assertEqual(code, 0, output)
        self.assertIn("by-sieve-connect", output)
        self.assertGreaterEqual(handshakes("sieve"), 2)


if __name__ == "__main__":
    unittest.main()
