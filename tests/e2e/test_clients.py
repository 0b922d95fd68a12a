"""Tests common clients through the gateway to real servers: each protocol with STARTTLS and with
implicit TLS."""

import imaplib
import poplib
import re
import smtplib
import unittest

import harness
import wire

env = None
gateway = None


def setUpModule():
    global env, gateway
    env = harness.Environment()
    gateway = unittest.enterModuleContext(env.standard())
    deliver("hello")


def deliver(subject):
    """One mail by way of the MX, which is then in the mailbox."""
    with smtplib.SMTP("127.0.0.1", gateway.ports["mx"], timeout=30) as smtp:
        smtp.starttls(context=wire.context(env.ca))
        smtp.sendmail("sender@example.net", [env.servers.user],
                      "Subject: {0}\r\nMessage-ID: <{0}@example.net>\r\n\r\n{0}\r\n".format(subject))
    if not env.servers.wait_for_log("dovecot", "msgid=<{}@example.net>: saved".format(subject)):
        raise AssertionError("the mail did not arrive")


def login():
    return env.servers.user, env.servers.password


class OpensslClient(unittest.TestCase):
    PROTOCOLS = {  # listener: (-starttls, typed, seen after TLS)
        "mx": ("smtp", b"QUIT\n", "221 2.0.0"),
        "submission": ("smtp", b"QUIT\n", "221 2.0.0"),
        "lmtp": ("lmtp", b"QUIT\n", "221 2.0.0"),
        "imap": ("imap", b"a LOGOUT\n", "a OK"),
        "pop3": ("pop3", b"QUIT\n", "+OK"),
        "sieve": ("sieve", b"LOGOUT\n", "OK"),
    }

    def s_client(self, listener, typed, *more):
        return harness.run(
            ["openssl", "s_client", "-connect", "localhost:{}".format(gateway.ports[listener]),
             "-servername", "mail.example.org", "-CAfile", env.ca, "-verify_return_error",
             "-verify_hostname", "mail.example.org", "-crlf", "-ign_eof", *more], typed)

    def test_starttls(self):
        for listener, (name, typed, seen) in self.PROTOCOLS.items():
            with self.subTest(listener):
                code, output = self.s_client(listener, typed, "-starttls", name)
                self.assertEqual(code, 0, output)
                self.assertIn("Verify return code: 0 (ok)", output)
                self.assertIn(seen, output)

    def test_implicit(self):
        for listener, seen in (("imaps", "* OK"), ("pop3s", "+OK"), ("submissions", "220 "),
                               ("sieves", '"IMPLEMENTATION"'), ("lmtps", "220 ")):
            with self.subTest(listener):
                typed = b"a LOGOUT\n" if listener == "imaps" else \
                    b"LOGOUT\n" if listener == "sieves" else b"QUIT\n"
                code, output = self.s_client(listener, typed)
                self.assertEqual(code, 0, output)
                self.assertIn(seen, output)

    def test_versions_and_certificates(self):
        cases = [  # options, what is seen
            (["-tls1_3"], "TLSv1.3"),
            (["-tls1_2"], "TLSv1.2"),
            (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "ECDHE-RSA-AES128-GCM-SHA256"),
            (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "ECDHE-ECDSA-AES128-GCM-SHA256"),
            (["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"], "RSA-PSS"),
            (["-tls1_3", "-sigalgs", "ecdsa_secp256r1_sha256"], "ECDSA"),
            (["-tls1_3", "-groups", "P-256"], "prime256v1"),
            (["-tls1_3", "-groups", "X25519"], "X25519"),
        ]
        for options, seen in cases:
            with self.subTest(" ".join(options)):
                code, output = self.s_client("imaps", b"a LOGOUT\n", *options)
                self.assertEqual(code, 0, output)
                self.assertIn(seen, output)

    def test_resumption(self):
        for version in ("-tls1_3", "-tls1_2"):
            with self.subTest(version):
                path = env.dir + "/session" + version
                self.s_client("imaps", b"a LOGOUT\n", version, "-sess_out", path)
                _, output = self.s_client("imaps", b"a LOGOUT\n", version, "-sess_in", path)
                self.assertIn("Reused, ", output)
        self.assertGreaterEqual(
            gateway.metrics().sum("starling_tls_handshakes_total", listener="imaps", resumed="yes"), 2)

    def test_alpn(self):
        code, output = self.s_client("imaps", b"a LOGOUT\n", "-alpn", "imap")
        self.assertEqual(code, 0, output)
        self.assertIn("ALPN protocol: imap", output)
        code, output = self.s_client("imaps", b"a LOGOUT\n", "-alpn", "http/1.1")
        self.assertNotEqual(code, 0)
        self.assertIn("no application protocol", output)


class Gnutls(unittest.TestCase):
    def test_starttls(self):
        for listener, name, typed, seen in (
                ("mx", "smtp", b"QUIT\n", "221 2.0.0"),
                ("imap", "imap", b"a LOGOUT\n", "a OK"),
                ("pop3", "pop3", b"QUIT\n", "+OK"),
                ("sieve", "sieve", b"LOGOUT\n", "OK")):
            with self.subTest(listener):
                code, output = harness.converse(
                    ["gnutls-cli", "--starttls-proto", name, "--x509cafile", env.ca, "--crlf",
                     "--port", str(gateway.ports[listener]), "--verify-hostname", "mail.example.org",
                     "localhost"], typed)
                self.assertEqual(code, 0, output)
                self.assertIn("Handshake was completed", output)
                self.assertIn(seen, output)


class Swaks(unittest.TestCase):
    def swaks(self, listener, *more):
        return harness.run(
            ["swaks", "--server", "127.0.0.1:{}".format(gateway.ports[listener]), "--helo",
             "client.example.net", "--from", "sender@example.net", "--to", env.servers.user, *more])

    def test_delivers(self):
        user, password = login()
        auth = ["--auth", "PLAIN", "--auth-user", user, "--auth-password", password]
        for listener, options, seen in (
                ("mx", ["--tls"], "queued as"),
                ("mx", [], "queued as"),
                ("mxs", ["--tls-on-connect"], "queued as"),
                ("submission", ["--tls", *auth], "queued as"),
                ("submissions", ["--tls-on-connect", *auth], "queued as"),
                ("lmtp", ["--protocol", "LMTP", "--tls"], "Saved"),
                ("lmtps", ["--protocol", "LMTP", "--tls-on-connect"], "Saved")):
            with self.subTest(listener, options=" ".join(options)):
                code, output = self.swaks(listener, *options)
                self.assertEqual(code, 0, output)
                self.assertIn(seen, output)
                self.assertEqual("TLS started with cipher" in output, options != [], output)

    def test_pipelined(self):
        for options in (["--tls", "--pipeline"], ["--pipeline"]):
            with self.subTest(" ".join(options)):
                code, output = self.swaks("mx", *options)
                self.assertEqual(code, 0, output)


class Curl(unittest.TestCase):
    def curl(self, *arguments):
        return harness.run(["curl", "-sS", "--cacert", env.ca, "--user", ":".join(login()), *arguments])

    def test_reads(self):
        deliver("curl-reads")
        for scheme, listener, path, more in (
                ("imap", "imap", "INBOX;MAILINDEX=1", ["--ssl-reqd"]),
                ("imaps", "imaps", "INBOX;MAILINDEX=1", []),
                ("pop3", "pop3", "1", ["--ssl-reqd"]),
                ("pop3s", "pop3s", "1", [])):
            with self.subTest(scheme):
                url = "{}://localhost:{}/{}".format(scheme, gateway.ports[listener], path)
                code, output = self.curl(*more, url)
                self.assertEqual(code, 0, output)
                self.assertIn("Subject: ", output)

    def test_sends(self):
        mail = env.write("mail", "Subject: by curl\r\n\r\nhello\r\n")
        for scheme, listener, more in (("smtp", "submission", ["--ssl-reqd"]),
                                       ("smtps", "submissions", [])):
            with self.subTest(scheme):
                url = "{}://localhost:{}/client.example.net".format(scheme, gateway.ports[listener])
                code, output = self.curl(*more, "--mail-from", "demo@example.org", "--mail-rcpt",
                                         env.servers.user, "--upload-file", mail, url)
                self.assertEqual(code, 0, output)


class PythonClients(unittest.TestCase):
    def test_imaplib(self):
        context = wire.context(env.ca)
        for name in ("imap", "imaps"):
            with self.subTest(name):
                if name == "imap":
                    imap = imaplib.IMAP4("localhost", gateway.ports[name], timeout=30)
                    imap.starttls(context)
                else:
                    imap = imaplib.IMAP4_SSL(
                        "localhost", gateway.ports[name], ssl_context=context, timeout=30)
                with imap:
                    imap.login(*login())
                    self.assertEqual(imap.select("INBOX", readonly=True)[0], "OK")
                    self.assertIn(b"Subject:", imap.fetch("1", "(BODY.PEEK[HEADER])")[1][0][1])

    def test_poplib(self):
        context = wire.context(env.ca)
        for name in ("pop3", "pop3s"):
            with self.subTest(name):
                if name == "pop3":
                    pop = poplib.POP3("localhost", gateway.ports[name], timeout=30)
                    self.assertIn("STLS", pop.capa())
                    pop.stls(context)
                else:
                    pop = poplib.POP3_SSL(
                        "localhost", gateway.ports[name], context=context, timeout=30)
                self.assertIn("USER", pop.capa())
                pop.user(login()[0])
                pop.pass_(login()[1])
                self.assertGreaterEqual(pop.stat()[0], 1)
                pop.quit()

    def test_smtplib_and_lmtp(self):
        context = wire.context(env.ca)
        for kind, listener in ((smtplib.SMTP, "mx"), (smtplib.SMTP, "submission"), (smtplib.LMTP, "lmtp")):
            with self.subTest(listener):
                client = kind("127.0.0.1", gateway.ports[listener], timeout=30)
                client.ehlo_or_helo_if_needed()
                self.assertTrue(client.has_extn("starttls"))
                self.assertFalse(client.has_extn("auth"))
                client.starttls(context=context)
                client.ehlo_or_helo_if_needed()
                self.assertFalse(client.has_extn("starttls"))
                if listener == "submission":
                    client.login(*login())
                client.sendmail("demo@example.org", [env.servers.user], "Subject: x\r\n\r\nx\r\n")
                client.quit()

    def test_sieve_script(self):
        with wire.Wire(gateway.ports["sieve"]) as client:
            client.upgrade("managesieve", wire.context(env.ca))
            secret = harness.base64_plain(*login())
            self.assertTrue(client.ask(
                "managesieve", b'AUTHENTICATE "PLAIN" "' + secret + b'"\r\n').startswith(b"OK"))
            script = b"keep;\r\n"
            self.assertTrue(client.ask("managesieve", b'PUTSCRIPT "one" {%d+}\r\n%s\r\n' % (
                len(script), script)).startswith(b"OK"))
            self.assertRegex(client.ask("managesieve", b"LISTSCRIPTS\r\n"), re.compile(b'"one"'))


if __name__ == "__main__":
    unittest.main()
