"""Tests which client the backends see, and what a client must not do through the gateway: relay, log
in in plaintext, claim another identity, upgrade again."""

import smtplib
import unittest

import fakes
import harness
import proxy_v2
import wire
from wire import Wire

env = None
gateway = None


def setUpModule():
    global env, gateway
    env = harness.Environment()
    gateway = unittest.enterModuleContext(env.standard())


def inside(listener, source="127.0.0.1"):
    """A session inside TLS, greeted."""
    protocol, tls = harness.LISTENERS[listener][:2]
    client = Wire(gateway.ports[listener], source)
    if tls == "starttls":
        return client.upgrade(protocol)
    client.start_tls()
    client.greeting(protocol)
    return client


def hello(client, protocol="smtp"):
    return client.ask(protocol, wire.HELLO[protocol])


class TrueAddress(unittest.TestCase):
    def test_dovecot_logs_it(self):
        user, password = env.servers.user.encode(), env.servers.password.encode()
        plain = harness.base64_plain(env.servers.user, env.servers.password)
        logins = {
            "imap": [b"a LOGIN " + user + b" " + password + b"\r\n"],
            "pop3": [b"USER " + user + b"\r\n", b"PASS " + password + b"\r\n"],
            "managesieve": [b'AUTHENTICATE "PLAIN" "' + plain + b'"\r\n'],
        }
        for number, listener in enumerate(["imap", "imaps", "pop3", "pop3s", "sieve", "sieves"], 1):
            source = "127.2.0.{}".format(number)
            protocol = harness.LISTENERS[listener][0]
            with self.subTest(listener), inside(listener, source) as client:
                for command in logins[protocol]:
                    reply = client.ask(protocol, command)
                self.assertTrue(reply.split(b" ", 1)[-1 if protocol == "imap" else 0].startswith(
                    (b"OK", b"+OK")), reply)
                self.assertTrue(env.servers.wait_for_log(
                    "dovecot", r"Login: .*rip={}, rport={}, lip=127\.0\.0\.1, lport={}".format(
                        source.replace(".", r"\."), client.name[1], gateway.ports[listener])))

    def test_lmtp_logs_it(self):
        with inside("lmtp", "127.2.1.1") as client:
            hello(client, "lmtp")
        self.assertTrue(env.servers.wait_for_log("dovecot", r"lmtp.*Connect from 127\.2\.1\.1"))

    def test_postfix_logs_it(self):
        for number, listener in enumerate(["mx", "mxs", "submission", "submissions"], 1):
            source = "127.2.2.{}".format(number)
            with self.subTest(listener), inside(listener, source) as client:
                hello(client)
                self.assertTrue(env.servers.wait_for_log(
                    "postfix", r"connect from unknown\[{}\]:{}".format(
                        source.replace(".", r"\."), client.name[1])))

    def test_headers_tell_tls_from_plaintext(self):
        for number, tls in enumerate((True, False), 1):
            source = "127.2.3.{}".format(number)
            subject = "tells-{}".format("yes" if tls else "no")
            with smtplib.SMTP("127.0.0.1", gateway.ports["mx"], "c.example.net", timeout=30,
                              source_address=(source, 0)) as smtp:
                if tls:
                    smtp.starttls(context=wire.context(env.ca))
                smtp.sendmail("a@example.net", [env.servers.user],
                              "Message-ID: <{0}@x>\r\nSubject: {0}\r\n\r\n".format(subject))
            self.assertTrue(env.servers.wait_for_log("dovecot", "msgid=<%s@x>: saved" % subject))
            code, output = harness.run([
                "curl", "-sS", "--cacert", env.ca, "--user",
                env.servers.user + ":" + env.servers.password,
                "imaps://localhost:{}/INBOX;MAILINDEX=*".format(gateway.ports["imaps"])])
            self.assertEqual(code, 0, output)
            self.assertIn("X-Gateway-TLS: " + ("yes" if tls else "no"), output)
            self.assertIn("[{}]".format(source), output)

    def test_proxy_header(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address) as one:
            tls = wire.context(env.ca, minimum_version=wire.ssl.TLSVersion.TLSv1_3)
            with Wire(one.ports["tcp"], "127.2.4.1") as client:
                client.start_tls(tls)
                client.send(b"x").exactly(1)
                cipher = client.socket.cipher()[0].encode()
                seen = backend.proxied[0]
                self.assertEqual(seen.source, client.name)
                self.assertEqual(seen.destination, ("127.0.0.1", one.ports["tcp"]))
                self.assertEqual(seen.tls["client"] & proxy_v2.CLIENT_SSL, proxy_v2.CLIENT_SSL)
                self.assertEqual(seen.tls[proxy_v2.PP2_SUBTYPE_SSL_VERSION], b"TLSv1.3")
                self.assertEqual(seen.tls[proxy_v2.PP2_SUBTYPE_SSL_CIPHER], cipher)
                self.assertEqual(seen.tlvs[0x02], b"mail.example.org")
                self.assertIn(0x05, seen.tlvs)  # UNIQUE_ID


class NoRelay(unittest.TestCase):
    def test_in_plaintext_and_in_tls(self):
        for listener in ("mx", "mxs", "submission", "submissions", "plain mx"):
            with self.subTest(listener):
                client = Wire(gateway.ports["mx"]) if listener == "plain mx" else inside(listener)
                with client:
                    if listener == "plain mx":
                        client.greeting("smtp")
                    hello(client)
                    client.ask("smtp", b"MAIL FROM:<a@example.net>\r\n")
                    reply = client.ask("smtp", b"RCPT TO:<b@elsewhere.example>\r\n")
                    self.assertTrue(reply.startswith(b"554 5.7.1"), reply)

    def test_percent_and_source_routes(self):
        for recipient in (b"<b%elsewhere.example@example.org>", b"<@example.org:b@elsewhere.example>",
                          b'<"b@elsewhere.example"@example.org>'):
            with self.subTest(recipient), Wire(gateway.ports["mx"]) as client:
                client.greeting("smtp")
                hello(client)
                client.ask("smtp", b"MAIL FROM:<a@example.net>\r\n")
                reply = client.ask("smtp", b"RCPT TO:" + recipient + b"\r\n")
                self.assertTrue(reply.startswith(b"5"), reply)


class NoPlaintextLogin(unittest.TestCase):
    PLAIN = harness.base64_plain("demo@example.org", "correct-horse")

    def test_before_tls(self):
        attempts = [  # listener, command, what the reply begins with
            ("imap", b"a LOGIN demo@example.org correct-horse\r\n", b"a NO [PRIVACYREQUIRED]"),
            ("imap", b"a AUTHENTICATE PLAIN " + self.PLAIN + b"\r\n", b"a NO [PRIVACYREQUIRED]"),
            ("imap", b"a AUTHENTICATE PLAIN\r\n", b"a NO [PRIVACYREQUIRED]"),
            ("pop3", b"USER demo@example.org\r\n", b"-ERR [SYS/PERM]"),
            ("pop3", b"PASS correct-horse\r\n", b"-ERR [SYS/PERM]"),
            ("pop3", b"APOP demo@example.org 0123456789abcdef0123456789abcdef\r\n", b"-ERR [SYS/PERM]"),
            ("pop3", b"AUTH PLAIN " + self.PLAIN + b"\r\n", b"-ERR [SYS/PERM]"),
            ("sieve", b'AUTHENTICATE "PLAIN" "' + self.PLAIN + b'"\r\n', b"NO (ENCRYPT-NEEDED)"),
            ("submission", b"AUTH PLAIN " + self.PLAIN + b"\r\n", b"538 5.7.11"),
            ("submission", b"MAIL FROM:<demo@example.org>\r\n", b"530 5.7.0"),
            ("lmtp", b"MAIL FROM:<demo@example.org>\r\n", b"530 5.7.0"),
        ]
        before = self.sent_to_backends()
        for listener, command, begin in attempts:
            protocol = harness.LISTENERS[listener][0]
            with self.subTest(listener, command=command), Wire(gateway.ports[listener]) as client:
                client.greeting(protocol)
                reply = client.ask(protocol, command)
                self.assertTrue(reply.startswith(begin), reply)
        # Not one octet of that has gone on.
        self.assertEqual(self.sent_to_backends(), before)

    @staticmethod
    def sent_to_backends():
        return gateway.metrics().sum("starling_bytes_total", direction="upstream_out")

    def test_nowhere_on_the_plaintext_leg(self):
        steps = [  # what was sent before AUTH
            [],
            [b"MAIL FROM:<a@example.net>\r\n"],
            [b"MAIL FROM:<a@example.net>\r\n", b"RSET\r\n"],
            [b"VRFY demo\r\n"],
            [b"MAIL FROM:<a@example.net>\r\n", b"RSET\r\n", wire.HELLO["smtp"]],
        ]
        for before in steps:
            for command in (b"AUTH PLAIN " + self.PLAIN + b"\r\n", b"auth login\r\n"):
                with self.subTest(before=before, command=command), Wire(gateway.ports["mx"]) as client:
                    client.greeting("smtp")
                    self.assertNotIn(b"AUTH", hello(client))
                    for step in before:
                        client.ask("smtp", step)
                    reply = client.ask("smtp", command)
                    self.assertTrue(reply.startswith(b"5"), reply)
        self.assertNotRegex(env.servers.log("postfix"), "sasl_username|SASL PLAIN")

    def test_claims_of_identity(self):
        for before in ([], [b"MAIL FROM:<a@example.net>\r\n", b"RSET\r\n"]):
            for command in (b"XCLIENT ADDR=127.0.0.1\r\n", b"XFORWARD ADDR=127.0.0.1\r\n"):
                with self.subTest(before=before, command=command), Wire(gateway.ports["mx"]) as client:
                    client.greeting("smtp")
                    self.assertNotRegex(hello(client), b"XCLIENT|XFORWARD|BURL|BINARYMIME|CHUNKING")
                    for step in before:
                        client.ask("smtp", step)
                    reply = client.ask("smtp", command)
                    self.assertTrue(reply.startswith(b"5"), reply)


class UpgradeAgain(unittest.TestCase):
    def test_refused_inside_tls(self):
        for listener in harness.LISTENERS:
            protocol = harness.LISTENERS[listener][0]
            with self.subTest(listener), inside(listener) as client:
                if protocol in wire.HELLO:
                    self.assertNotIn(b"STARTTLS", hello(client, protocol))
                else:
                    reply = client.ask(protocol, wire.UPGRADE[protocol][0], multiline=True)
                    self.assertNotRegex(reply, b"STARTTLS|STLS")
                reply = client.ask(protocol, wire.UPGRADE[protocol][1])
                self.assertTrue(reply.startswith((b"4", b"5", b"s BAD", b"s NO", b"-ERR", b"NO")), reply)

    def test_after_plaintext_work(self):
        """STARTTLS after RSET upgrades to a fresh leg; within a transaction not."""
        with Wire(gateway.ports["mx"], "127.2.5.1") as client:
            client.greeting("smtp")
            hello(client)
            self.assertTrue(client.ask("smtp", b"MAIL FROM:<a@example.net>\r\n").startswith(b"250"))
            self.assertTrue(client.ask("smtp", b"STARTTLS\r\n").startswith(b"503"))
            self.assertTrue(client.ask("smtp", b"RSET\r\n").startswith(b"250"))
            self.assertTrue(client.ask("smtp", b"STARTTLS\r\n").startswith(b"220"))
            client.start_tls()
            # Nothing is left of the transaction: RCPT needs MAIL again.
            hello(client)
            reply = client.ask("smtp", b"RCPT TO:<demo@example.org>\r\n")
            self.assertTrue(reply.startswith(b"503"), reply)


if __name__ == "__main__":
    unittest.main()
