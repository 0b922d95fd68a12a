"""Tests NNTP with INN: readers with nnrpd and with innd, posting, transit, common clients; which
commands the gateway carries over the upgrade, and what no client gets before it."""

import email.utils
import os
import time
import unittest
import warnings

import fakes
import harness
import newsserver
import tls_material as tm
import wire
from wire import Wire

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        import nntplib
    except ImportError:  # gone from Python 3.13
        nntplib = None

env = None
news = None     # innd takes the gateway for a peer, as one before transit must
guarded = None  # innd's peers are elsewhere: the gateway's clients are readers
gateway = None

LISTENERS = {
    "read": ("starttls", "nnrpd"), "reads": ("implicit", "nnrpd"),
    "switch": ("starttls", "innd"), "switches": ("implicit", "innd"),
    "guard": ("starttls", "guarded"),
}


def setUpModule():
    global env, news, guarded, gateway
    env = harness.Environment(servers=False)
    news = unittest.enterModuleContext(newsserver.NewsServer())
    guarded = unittest.enterModuleContext(newsserver.NewsServer(peers="192.0.2.1"))
    servers = {"nnrpd": news.ports["nnrpd"], "innd": news.ports["innd"],
               "guarded": guarded.ports["innd"]}
    gateway = unittest.enterModuleContext(env.gateway(
        {name: {"protocol": "nntp", "tls": tls, "backend": backend}
         for name, (tls, backend) in LISTENERS.items()},
        {name: {"servers": ["127.0.0.1:{}".format(port)]} for name, port in servers.items()},
        ready="/readyz"))
    wait_for_probe("read", b"READER")


def wait_for_probe(listener, wanted):
    """Until the gateway knows what the backend is; before it says MODE-READER."""
    end = time.monotonic() + 20
    while wanted not in capabilities_of(listener):
        if time.monotonic() > end:
            raise AssertionError("{} does not say {!r}".format(listener, wanted))


def capabilities_of(listener):
    with Wire(gateway.ports[listener]) as client:
        client.greeting("nntp")
        return client.ask("nntp", b"CAPABILITIES\r\n").split(b"\r\n")


def article(name):
    return (b"Path: client.example.net!not-for-mail\r\nFrom: sender@example.net\r\n"
            b"Newsgroups: example.test\r\nSubject: %s\r\nMessage-ID: <%s@example.net>\r\n"
            b"Date: %s\r\n\r\nhello\r\n.\r\n" % (name, name, email.utils.formatdate().encode()))


def login(client):
    for command, code in ((b"AUTHINFO USER demo\r\n", b"381"),
                          (b"AUTHINFO PASS correct-horse\r\n", b"281")):
        reply = client.ask("nntp", command)
        if not reply.startswith(code):
            raise AssertionError(reply)


class Clients(unittest.TestCase):
    def test_s_client(self):
        # Behind MODE READER nothing may be pipelined: innd hands the connection over.
        reads, transit = b"MODE READER\nDATE\nQUIT\n", b"CAPABILITIES\nQUIT\n"
        for listener, typed, seen, more in (
                ("read", reads, r"(?m)^111 \d{14}", ["-starttls", "nntp"]),
                ("switch", transit, r"(?m)^MODE-READER", ["-starttls", "nntp"]),
                ("reads", reads, r"(?m)^111 \d{14}", []),
                ("reads", reads, "ALPN protocol: nntp", ["-alpn", "nntp"])):
            with self.subTest(listener, more=more):
                code, output = harness.run(
                    ["openssl", "s_client", "-connect", "localhost:{}".format(gateway.ports[listener]),
                     "-servername", "mail.example.org", "-CAfile", env.ca, "-verify_return_error",
                     "-verify_hostname", "mail.example.org", "-crlf", "-ign_eof", *more],
                    typed)
                self.assertEqual(code, 0, output)
                self.assertIn("Verify return code: 0 (ok)", output)
                self.assertRegex(output, seen)
                self.assertRegex(output, r"(?m)^205 ")

    def test_gnutls_cli(self):
        for listener in ("read", "guard", "switch"):
            with self.subTest(listener):
                code, output = harness.converse(
                    ["gnutls-cli", "--starttls-proto", "nntp", "--x509cafile", env.ca, "--crlf",
                     "--port", str(gateway.ports[listener]), "--verify-hostname", "mail.example.org",
                     "localhost"], b"QUIT\n")
                self.assertEqual(code, 0, output)
                self.assertIn("Handshake was completed", output)
                self.assertRegex(output, r"(?m)^205 ")

    @unittest.skipIf(nntplib is None, "this Python has no nntplib")
    def test_nntplib(self):
        context = wire.context(env.ca)
        for listener in ("read", "switch", "guard", "reads"):
            with self.subTest(listener):
                if listener == "reads":
                    client = nntplib.NNTP_SSL(
                        "localhost", gateway.ports[listener], ssl_context=context, readermode=True)
                else:
                    client = nntplib.NNTP("localhost", gateway.ports[listener], readermode=True)
                    client.starttls(context)
                with client:
                    self.assertIn("READER", client.getcapabilities())
                    client.login(news.user, news.password)
                    name = "by-nntplib-" + listener
                    self.assertTrue(client.post(article(name.encode()).rpartition(b".\r\n")[0])
                                    .startswith("240"))
                    server = guarded if listener == "guard" else news
                    with Wire(server.ports["nnrpd"]) as direct:
                        direct.greeting("nntp")
                        login(direct)
                        self.assertTrue(direct.ask("nntp", b"ARTICLE <%s@example.net>\r\n" % name.encode())
                                        .startswith(b"220 "))

    def test_tin(self):
        """NNTPS only; it says whether there is anything unread."""
        home = env.dir + "/tin"
        os.makedirs(home + "/.tin")
        for name, text in ((".newsrc", "example.test: \n"),
                           (".tin/tinrc", "tls_ca_cert_file={}\n".format(env.ca)),
                           (".newsauth", "localhost {0.password} {0.user}\n".format(news))):
            os.chmod(env.write("tin/" + name, text), 0o600)
        with Wire(news.ports["nnrpd"]) as direct:
            direct.greeting("nntp")
            login(direct)
            self.assertTrue(direct.ask("nntp", b"POST\r\n").startswith(b"340"))
            self.assertTrue(direct.ask("nntp", article(b"for-tin")).startswith(b"240"))
        code, output = harness.run(
            ["env", "HOME=" + home, "TERM=vt100", "tin", "-r", "-T", "-A", "-n", "-q", "-Z", "-v",
             "-f", home + "/.newsrc", "-g", "localhost", "-p", str(gateway.ports["reads"])])
        self.assertEqual(code, 2, output)
        self.assertIn("Authorized for user: demo", output)
        self.assertRegex(output, r"\d+ unread .* in example\.test")

    def test_perl(self):
        script = (
            "use Net::NNTP; my ($port, $ca, $tls) = @ARGV;"
            "my %tls = (SSL_ca_file => $ca, SSL_verifycn_name => 'mail.example.org');"
            "my $n = Net::NNTP->new(Host => 'localhost', Port => $port, Reader => 1, Timeout => 30,"
            " SSL => $tls eq 'implicit', %tls) or die \"no connection: $@\";"
            "if ($tls eq 'starttls') { $n->starttls(%tls) or die 'no TLS: ' . $n->message; }"
            "$n->authinfo('demo', 'correct-horse') or die 'no log-in: ' . $n->message;"
            "my @g = $n->group('example.test') or die 'no group: ' . $n->message;"
            "print ref($n), ' ', $g[3]; $n->quit;")
        for listener in ("read", "switch", "reads"):
            with self.subTest(listener):
                code, output = harness.run(["perl", "-e", script, str(gateway.ports[listener]), env.ca,
                                            LISTENERS[listener][0]])
                self.assertEqual(code, 0, output)
                self.assertIn("example.test", output)


class ModeReader(unittest.TestCase):
    def test_offer_before_tls(self):
        for listener, wanted in (("read", b"READER"), ("switch", b"MODE-READER"),
                                 ("guard", b"READER")):
            with self.subTest(listener):
                wait_for_probe(listener, wanted)
                said = capabilities_of(listener)
                self.assertEqual(said, [b"101 Capability list follows", b"VERSION 2",
                                        b"IMPLEMENTATION Starling", wanted, b"STARTTLS", b".", b""])

    def test_its_effect_outlives_the_upgrade(self):
        for asked, code in ((True, b"480 "), (False, b"215 ")):
            with self.subTest(asked=asked), Wire(gateway.ports["switch"]) as client:
                client.greeting("nntp")
                if asked:
                    self.assertTrue(client.ask("nntp", b"MODE READER\r\n").startswith(b"200 "))
                    self.assertIn(b"\r\nREADER\r\n", client.ask("nntp", b"CAPABILITIES\r\n"))
                self.assertTrue(client.ask("nntp", b"STARTTLS\r\n").startswith(b"382 "))
                client.start_tls()
                # innd lists groups to its peers, nnrpd to nobody without a log-in.
                self.assertTrue(client.ask("nntp", b"LIST ACTIVE\r\n").startswith(code))
                inside = client.ask("nntp", b"CAPABILITIES\r\n")
                self.assertEqual(b"\r\nREADER\r\n" in inside, asked, inside)

    def test_a_refusal_is_passed_on(self):
        async def transit_only(reader, writer):
            writer.write(b"200 transit\r\n")
            while line := await reader.readline():
                writer.write(b"502 no readers here\r\n" if line == b"MODE READER\r\n" else b"500 x\r\n")

        async def leaves(reader, writer):
            writer.write(b"200 x\r\n")
            await reader.readline()

        for handler, mode, said, reason in (
                (transit_only, True, b"502 no readers here\r\n", "backend_refused"),
                (fakes.says(b"400 full\r\n"), False, b"400 full\r\n", "backend_refused"),
                (leaves, True,
                 b"400 Server not available, try again later\r\n", "backend_protocol")):
            with self.subTest(said), fakes.Backend(handler, proxy=False) as backend, env.gateway(
                    {"in": {"protocol": "nntp", "tls": "starttls", "backend": "b"}},
                    {"b": {"servers": [backend.address]}}) as one:
                with Wire(one.ports["in"]) as client:
                    client.greeting("nntp")
                    if mode:
                        client.ask("nntp", b"MODE READER\r\n")
                    client.ask("nntp", b"STARTTLS\r\n")
                    client.start_tls()
                    self.assertEqual(client.rest(), said)
                self.assertEqual(one.wait_for_metric(
                    1, "starling_sessions_ended_total", reason=reason), 1)


class Transit(unittest.TestCase):
    def assert_stored(self, name):
        with Wire(news.ports["nnrpd"]) as client:
            client.greeting("nntp")
            login(client)
            reply = client.ask("nntp", b"ARTICLE <%s@example.net>\r\n" % name)
            self.assertTrue(reply.startswith(b"220 "), reply)
            self.assertIn(b"\r\nhello\r\n", reply)

    def test_ihave_and_streaming(self):
        """A peer that shows its certificate, which is the recipe for transit."""
        peers = tm.Authority("Peers' authority")
        ca = env.write("peers.pem", peers.cert)
        certificate = peers.issue(client="peer.example.net").save(env.dir, "peer")
        listener = {"protocol": "nntp", "tls": "starttls", "backend": "innd",
                    "tls_options": {"client_certificate": {"mode": "require", "ca": ca}}}
        with env.gateway({"transit": listener},
                         {"innd": {"servers": ["127.0.0.1:{}".format(news.ports["innd"])]}}) as one:
            tls = wire.context(env.ca)
            tls.load_cert_chain(certificate["cert"], certificate["key"])
            with Wire(one.ports["transit"]) as client:
                client.upgrade("nntp", tls)
                self.assertTrue(client.ask("nntp", b"IHAVE <offered@example.net>\r\n").startswith(b"335"))
                self.assertTrue(client.ask("nntp", article(b"offered")).startswith(b"235"))
                self.assertTrue(client.ask("nntp", b"MODE STREAM\r\n").startswith(b"203"))
                self.assertTrue(client.ask("nntp", b"CHECK <s0@example.net>\r\n").startswith(b"238"))
                names = [b"s%d" % n for n in range(50)]
                client.send(b"".join(
                    b"TAKETHIS <%s@example.net>\r\n%s" % (name, article(name)) for name in names))
                for name in names:
                    self.assertEqual(client.line(), b"239 <%s@example.net>\r\n" % name)
            with Wire(one.ports["transit"]) as stranger:
                stranger.greeting("nntp")
                stranger.ask("nntp", b"STARTTLS\r\n")
                with self.assertRaises((OSError, EOFError)):
                    stranger.start_tls()
                    stranger.ask("nntp", b"IHAVE <stranger@example.net>\r\n")
        for name in (b"offered", b"s0", b"s49"):
            self.assert_stored(name)

    def test_nothing_before_tls(self):
        with Wire(gateway.ports["switch"]) as client:
            client.greeting("nntp")
            for command in (b"IHAVE <p@example.net>", b"MODE STREAM", b"CHECK <p@example.net>", b"POST",
                            b"TAKETHIS <p@example.net>\r\n" + article(b"p").rstrip(b"\r\n")):
                with self.subTest(command[:10]):
                    self.assertEqual(client.ask("nntp", command + b"\r\n"), b"483 Use STARTTLS first\r\n")
        with Wire(news.ports["nnrpd"]) as direct:
            direct.greeting("nntp")
            login(direct)
            self.assertTrue(direct.ask("nntp", b"STAT <p@example.net>\r\n").startswith(b"430"))


class Refused(unittest.TestCase):
    def test_log_in_in_plaintext(self):
        labels = {"listener": "read", "protocol": "nntp"}
        before = gateway.metrics()
        with Wire(gateway.ports["read"]) as client:
            client.greeting("nntp")
            client.ask("nntp", b"CAPABILITIES\r\n")
            for command in (b"AUTHINFO USER demo\r\n", b"AUTHINFO PASS correct-horse\r\n",
                            b"AUTHINFO SASL PLAIN " + harness.base64_plain("demo", "x") + b"\r\n"):
                self.assertEqual(client.ask("nntp", command), b"483 Use STARTTLS first\r\n")
            self.assertEqual(client.ask("nntp", b"XXXXXXXX\r\n"), b"500 Unknown command\r\n")
        for name, more, count in (
                ("starling_attacks_refused_total", {"kind": "plaintext_auth"}, 3),
                ("starling_downgrade_signals_total", {"signal": "not_taken"}, 1),
                ("starling_downgrade_signals_total", {"signal": "mangled_command"}, 1)):
            wanted = before.sum(name, **labels, **more) + count
            self.assertEqual(gateway.wait_for_metric(wanted, name, **labels, **more), wanted)
        self.assertNotIn("correct-horse", "\n".join(gateway.lines))

    def test_upgrade_again(self):
        for listener in ("read", "switch", "guard"):
            with self.subTest(listener), Wire(gateway.ports[listener]) as client:
                client.upgrade("nntp")
                reply = client.ask("nntp", b"STARTTLS\r\n")
                self.assertTrue(reply.startswith(b"401 " if listener == "switch" else b"580 "), reply)

    def test_strangers_neither_read_nor_feed(self):
        for listener in ("read", "reads", "guard"):
            with self.subTest(listener), Wire(gateway.ports[listener]) as client:
                if LISTENERS[listener][0] == "starttls":
                    client.upgrade("nntp")
                else:
                    client.start_tls().greeting("nntp")
                for command in (b"LIST ACTIVE", b"GROUP example.test", b"POST", b"IHAVE <x@example.net>"):
                    reply = client.ask("nntp", command + b"\r\n")
                    self.assertTrue(reply.startswith((b"480 ", b"500 ", b"502 ")), reply)


class Recipe(unittest.TestCase):
    """What deploy/RECIPES.md says of INN, without the gateway."""

    def ask(self, port, *commands):
        with Wire(port) as client:
            client.greeting("nntp")
            return [client.ask("nntp", command + b"\r\n") for command in commands][-1]

    def test_innd_trusts_a_peer_by_its_address(self):
        offer = b"IHAVE <recipe@example.net>"
        self.assertTrue(self.ask(news.ports["innd"], offer).startswith(b"335"))
        self.assertTrue(self.ask(guarded.ports["innd"], offer).startswith((b"480", b"500", b"502")))

    def test_nobody_reads_without_log_in(self):
        for server in (news, guarded):
            for name in ("innd", "nnrpd"):
                with self.subTest(name):
                    self.assertTrue(self.ask(server.ports[name], b"MODE READER", b"GROUP example.test")
                                    .startswith(b"480"))
                    self.assertTrue(self.ask(server.ports[name], b"MODE READER", b"AUTHINFO USER demo",
                                             b"AUTHINFO PASS wrong").startswith(b"481"))
                    self.assertTrue(self.ask(server.ports[name], b"MODE READER", b"AUTHINFO USER demo",
                                             b"AUTHINFO PASS correct-horse", b"GROUP example.test")
                                    .startswith(b"211"))

    def test_a_default_user_is_everybody(self):
        """As Debian's readers.conf has it for the loopback address."""
        with newsserver.NewsServer(default="<localhost>") as trusting:
            for command, code in ((b"GROUP example.test", b"211"), (b"POST", b"340")):
                self.assertTrue(self.ask(trusting.ports["nnrpd"], command).startswith(code))

    def test_nnrpd_without_a_certificate_refuses_starttls(self):
        self.assertTrue(self.ask(news.ports["nnrpd"], b"STARTTLS").startswith(b"580"))

    def test_no_header(self):
        """INN knows no PROXY header: it takes one for a command, and says so."""
        self.assertTrue(self.ask(news.ports["nnrpd"], b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2")
                        .startswith(b"500"))


if __name__ == "__main__":
    unittest.main()
