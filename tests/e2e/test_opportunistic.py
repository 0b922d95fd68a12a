"""Tests `policy: opportunistic` for IMAP, POP3 and ManageSieve, with a real Dovecot that would accept
plaintext passwords from anybody, and with servers whose capabilities the gateway must hide."""

import imaplib
import poplib
import unittest

import fakes
import harness
import mail_clients
import mailservers
from wire import Wire, context

PROTOCOLS = {"imap": "imap", "pop3": "pop3", "sieve": "managesieve"}
# listener: a command that the gateway does not answer, and how Dovecot's reply begins
WORK = {
    "imap": (b"a SELECT INBOX\r\n", b"a BAD"),
    "pop3": (b"STAT\r\n", b"-ERR"),
    "sieve": (b"LISTSCRIPTS\r\n", b"NO"),
}
CAPABILITY = {"imap": b"c CAPABILITY\r\n", "pop3": b"CAPA\r\n", "sieve": b"CAPABILITY\r\n"}

env = None
gateway = None


def setUpModule():
    global env, gateway
    env = harness.Environment(servers=False)
    env.servers = mailservers.MailServers(
        dovecot="disable_plaintext_auth = no\nauth_failure_delay = 0\n")
    unittest.enterModuleContext(env.servers)
    listeners, backends = {}, {}
    for name, protocol in PROTOCOLS.items():
        backends[name] = "127.0.0.1:{}".format(env.servers.ports[name])
        for auth in ("refuse", "allow"):
            listeners[name + "_" + auth] = {
                "protocol": protocol, "tls": "starttls", "policy": "opportunistic",
                "plaintext_auth": auth, "backend": name}
    backends["lmtp"] = "127.0.0.1:{}".format(env.servers.ports["lmtp"])
    listeners["lmtps"] = {"protocol": "lmtp", "tls": "implicit", "backend": "lmtp"}
    gateway = unittest.enterModuleContext(env.gateway(listeners, backends, ready="/readyz"))
    code, output = mail_clients.msmtp(
        env, gateway.ports["lmtps"], "implicit", log_in=False, protocol="lmtp")
    if code != 0:
        raise AssertionError(output)


def credentials():
    return env.servers.user, env.servers.password


def log_in(name, wire):
    """Logs in by hand; the last reply."""
    user, password = (text.encode() for text in credentials())
    if name == "imap":
        return wire.ask("imap", b"b LOGIN " + user + b" " + password + b"\r\n")
    if name == "sieve":
        secret = harness.base64_plain(*credentials())
        return wire.ask("managesieve", b'AUTHENTICATE "PLAIN" "' + secret + b'"\r\n')
    first = wire.ask("pop3", b"USER " + user + b"\r\n")
    return wire.ask("pop3", b"PASS " + password + b"\r\n") if first.startswith(b"+OK") else first


def succeeded(reply):
    return b"OK" in reply.splitlines()[-1][:5]


def connect(listener):
    wire = Wire(gateway.ports[listener])
    wire.greeting(PROTOCOLS[listener.split("_")[0]])
    return wire


class Refused(unittest.TestCase):
    def test_no_log_in_at_any_point(self):
        for name, protocol in PROTOCOLS.items():
            with self.subTest(name), connect(name + "_refuse") as wire:
                self.assertFalse(succeeded(log_in(name, wire)))
                command, begin = WORK[name]
                self.assertTrue(wire.ask(protocol, command).startswith(begin))
                # The leg is up now, and Dovecot would say yes.
                self.assertFalse(succeeded(log_in(name, wire)))
                listed = wire.ask(protocol, CAPABILITY[name], multiline=True).upper()
                self.assertEqual(listed.count(b"STLS" if name == "pop3" else b"STARTTLS"), 1, listed)
                for word in (b"AUTH=", b"USER", b"PLAIN"):
                    self.assertNotIn(word, listed)
                self.assertEqual(b"LOGINDISABLED" in listed, name == "imap")
                client = wire.name[1]
                wire.close()
                # No password has reached Dovecot.
                self.assertTrue(env.servers.wait_for_log(
                    "dovecot", "no auth attempts .*rport={},".format(client)))
        self.assertGreaterEqual(gateway.metrics().sum(
            "starling_attacks_refused_total", listener="imap_refuse", kind="plaintext_auth"), 2)

    def test_upgrade_from_the_leg(self):
        for name, protocol in PROTOCOLS.items():
            with self.subTest(name), connect(name + "_refuse") as wire:
                command, begin = WORK[name]
                self.assertTrue(wire.ask(protocol, command).startswith(begin))
                upgrade = {"imap": b"s STARTTLS\r\n", "pop3": b"STLS\r\n", "sieve": b"STARTTLS\r\n"}
                self.assertTrue(succeeded(wire.ask(protocol, upgrade[name])))
                wire.start_tls(context(env.ca))
                if name == "sieve":
                    self.assertIn(b'"IMPLEMENTATION" "Dovecot', wire.greeting(protocol))
                self.assertTrue(succeeded(log_in(name, wire)))

    def test_octets_behind_the_upgrade(self):
        for name, octets in (("imap", b"s STARTTLS\r\nb NOOP\r\n"), ("pop3", b"STLS\r\nCAPA\r\n"),
                             ("sieve", b"STARTTLS\r\nNOOP\r\n")):
            with self.subTest(name), connect(name + "_refuse") as wire:
                command, begin = WORK[name]
                self.assertTrue(wire.ask(PROTOCOLS[name], command).startswith(begin))
                self.assertEqual(wire.send(octets).rest(), b"")
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_attacks_refused_total", listener=name + "_refuse",
                    kind="plaintext_injection"), 1)


class Allowed(unittest.TestCase):
    def test_by_hand(self):
        after = {"imap": (b"d SELECT INBOX\r\n", b"d OK"), "pop3": (b"STAT\r\n", b"+OK"),
                 "sieve": (b"LISTSCRIPTS\r\n", b"OK")}
        for name, protocol in PROTOCOLS.items():
            with self.subTest(name), connect(name + "_allow") as wire:
                reply = log_in(name, wire)
                self.assertTrue(succeeded(reply), reply)
                self.assertNotIn(b"STARTTLS", reply)
                command, seen = after[name]
                self.assertIn(seen, wire.ask(protocol, command))
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_plaintext_sessions_total", listener=name + "_allow"), 1)

    def test_wrong_password_then_upgrade(self):
        with connect("imap_allow") as wire:
            self.assertTrue(wire.ask("imap", b"b LOGIN nobody wrong\r\n").startswith(b"b NO"))
            self.assertTrue(succeeded(wire.ask("imap", b"s STARTTLS\r\n")))
            wire.start_tls(context(env.ca))
            self.assertTrue(succeeded(log_in("imap", wire)))

    def test_imaplib(self):
        with imaplib.IMAP4("localhost", gateway.ports["imap_allow"], timeout=30) as imap:
            self.assertIn("STARTTLS", imap.capabilities)
            self.assertNotIn("LOGINDISABLED", imap.capabilities)
            imap.login(*credentials())
            self.assertEqual(imap.select("INBOX")[0], "OK")

    def test_imap_sasl_and_literals(self):
        secret = harness.base64_plain(*credentials())
        with connect("imap_allow") as wire:
            self.assertEqual(wire.ask("imap", b"b AUTHENTICATE PLAIN\r\n"), b"+ \r\n")
            self.assertTrue(succeeded(wire.send(secret + b"\r\n").reply("imap", b"b")))
        user, password = (text.encode() for text in credentials())
        with connect("imap_allow") as wire:
            self.assertTrue(wire.ask("imap", b"b LOGIN {%d}\r\n" % len(user)).startswith(b"+"))
            wire.send(user + b" {%d+}\r\n" % len(password) + password + b"\r\n")
            self.assertTrue(succeeded(wire.reply("imap", b"b")))

    def test_poplib(self):
        pop = poplib.POP3("localhost", gateway.ports["pop3_allow"], timeout=30)
        self.assertIn("STLS", pop.capa())
        self.assertIn("USER", pop.capa())
        pop.user(credentials()[0])
        pop.pass_(credentials()[1])
        self.assertGreaterEqual(pop.stat()[0], 0)
        pop.quit()

    def test_curl(self):
        for scheme, listener in (("imap", "imap_allow"), ("pop3", "pop3_allow")):
            for more in ([], ["--ssl-reqd"]):
                with self.subTest(scheme, options=more):
                    code, output = harness.run(
                        ["curl", "-sS", "-v", "--cacert", env.ca, "--user", ":".join(credentials()),
                         *more, "{}://localhost:{}/".format(scheme, gateway.ports[listener])])
                    self.assertEqual(code, 0, output)
                    self.assertEqual("SSL connection using" in output, bool(more), output)


    def test_programs(self):
        for tls in ("none", "starttls"):
            with self.subTest(tls):
                code, output, mails = mail_clients.mbsync(env, gateway.ports["imap_allow"], tls)
                self.assertEqual(code, 0, output)
                self.assertEqual(len(mails), 1, output)
                for name in ("imap", "pop3"):
                    code, output, mail = mail_clients.fetchmail(
                        env, name, gateway.ports[name + "_allow"], tls)
                    self.assertEqual(code, 0, output)
                    self.assertIn("Subject: by msmtp", mail)


class HostileServers(unittest.TestCase):
    """What a server, or who stands between, might say before log-in."""

    def outcome(self, says, command=b"a SELECT INBOX\r\n"):
        """All that a client is told after its greeting; and why the session ended."""
        with fakes.Backend(fakes.says(says)) as backend, env.gateway(
                {"imap": {"protocol": "imap", "tls": "starttls", "policy": "opportunistic",
                          "plaintext_auth": "allow", "backend": "fake"}},
                {"fake": backend.address}) as running:
            with Wire(running.ports["imap"]) as wire:
                wire.greeting("imap")
                told = wire.send(command).rest()
            return told, running.metrics()

    def test_preauth(self):
        told, metrics = self.outcome(b"* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n* 1 EXISTS\r\n")
        self.assertEqual(told, b"* BYE Server broken, try again later\r\n")
        self.assertEqual(metrics.sum("starling_attacks_refused_total", listener="imap", kind="preauth"), 1)

    def test_forged_mailbox(self):
        for command in (b"a SELECT INBOX\r\n", b"a LOGIN u p\r\n"):
            told, metrics = self.outcome(b"* OK hi\r\n* 1 FETCH (FLAGS ())\r\na OK\r\n", command)
            self.assertEqual(told, b"* BYE Server broken, try again later\r\n")
            self.assertEqual(metrics.sum(
                "starling_attacks_refused_total", listener="imap", kind="backend_injection"), 1)

    def test_referral(self):
        told, _ = self.outcome(b"* BYE [REFERRAL imap://evil.example/] go there\r\n")
        self.assertEqual(told, b"* BYE Not available here\r\n")


if __name__ == "__main__":
    unittest.main()
