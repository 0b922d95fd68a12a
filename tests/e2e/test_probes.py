"""Tests deploy/PROBES.md as it is printed: blackbox_exporter, HAProxy's health checks and the
Monitoring Plugins report each protocol as healthy, and as failed when it is. Also tests what
probes do to the gateway's metrics."""

import unittest
from concurrent import futures

import ircservers
import database
import directory
import fakes
import ftpserver
import harness
import newsserver
import probers
import xmppservers
from wire import Wire

env = None
gateway = None  # before servers that work
down = None     # before none
database_server = None
DOMAIN = "mail.example.org"
# usual port: (protocol, TLS, backend, more keys)
LISTENERS = {
    25: ("smtp", "starttls", "postfix", {"policy": "opportunistic", "plaintext_backend": "postfix-plain"}),
    10025: ("smtp", "starttls", "submission", {"proxy_protocol": {"from": ["127.0.0.1"]}}),
    587: ("smtp", "starttls", "submission", {}), 465: ("smtp", "implicit", "submission", {}),
    24: ("lmtp", "starttls", "lmtp", {}),
    143: ("imap", "starttls", "imap", {}), 993: ("imap", "implicit", "imap", {}),
    1143: ("imap", "starttls", "imap", {"accept_bare_lf": True}),
    110: ("pop3", "starttls", "pop3", {}), 995: ("pop3", "implicit", "pop3", {}),
    4190: ("managesieve", "starttls", "sieve", {}),
    119: ("nntp", "starttls", "nnrpd", {}), 563: ("nntp", "implicit", "nnrpd", {}),
    674: ("acap", "starttls", "acap", {}),
    6667: ("irc", "starttls", "inspircd", {}), 6697: ("irc", "implicit", "inspircd", {}),
    389: ("ldap", "starttls", "slapd", {}), 636: ("ldap", "implicit", "slapd", {}),
    21: ("ftp", "starttls", "proftpd", {}), 990: ("ftp", "implicit", "proftpd", {}),
    80: ("http", "starttls", "web", {}), 443: ("http", "implicit", "web", {}),
    5432: ("postgresql", "starttls", "postgresql", {}),
    5222: ("xmpp-client", "starttls", "prosody", {}), 5223: ("xmpp-client", "implicit", "prosody", {}),
    23: ("telnet", "starttls", "telnet", {}), 992: ("telnet", "implicit", "telnet", {}),
}
# Listeners with the other policy; they use the probes of the usual ports.
OPEN = {port: {**LISTENERS[port][3], "policy": "opportunistic"} for port in (587, 24, 143, 1143, 110, 4190)}
# Their words are the gateway's own, so they succeed whatever is behind it.
OF_THE_GATEWAY = {
    "http_upgrade_required", "tls_connect", "smtp", "submission", "behind_proxy", "behind_proxy_v1", "lmtp", "imap", "pop3", "managesieve", "nntp",
    "irc", "ftp", "ldap", "postgresql", "xmpp", "telnet", "http", "hello",
    "check_smtp 25", "check_smtp 25 -S -D 14", "check_smtp 587", "check_smtp 24 -L", "check_imap 143", "check_pop 110",
    "check_nntp 119", "check_ftp 21", "check_jabber 5222", "check_jabber 5223 -S", "check_tcp 4190 -e STARTTLS -q LOGOUT",
    "check_tcp 674 -e STARTTLS", "check_http 80 -e 426", "check_http 443 -S -C 14", "check_tcp 992 -S -D 14"}
INSPIRCD = '<module name="conn_waitpong">\n<waitpong sendsnotice="no" killonbadreply="yes">\n'


async def web(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
    await writer.drain()


async def acap(reader, writer):
    writer.write(b'* ACAP (IMPLEMENTATION "test")\r\n')
    await reader.readline()


async def wrong_words(reader, writer):
    """Nobody's greeting, and nobody's answer."""
    writer.write(b"NO\r\n")
    while await reader.readline():
        writer.write(b"NO\r\n")


def row(protocol, tls, backend, keys):
    xmpp = {"xmpp": {"domains": [DOMAIN]}} if protocol.startswith("xmpp") else {}
    return {"protocol": protocol, "tls": tls, "backend": backend, **keys, **xmpp}


def no_header(address):
    return {"servers": [address], "proxy_protocol": "none"}


def setUpModule():
    global env, gateway, down, database_server
    enter = unittest.enterModuleContext
    env = harness.Environment()
    database_server = enter(database.Database())
    backends = {name: "127.0.0.1:{}".format(env.servers.ports[port])
                for name, port in harness.BACKENDS.items()}
    backends |= {
        "nnrpd": no_header("127.0.0.1:{}".format(enter(newsserver.NewsServer()).ports["nnrpd"])),
        "acap": enter(fakes.Backend(acap)).address, "web": enter(fakes.Backend(web)).address,
        "telnet": enter(fakes.Backend(wrong_words)).address,
        "inspircd": enter(ircservers.Inspircd(INSPIRCD)).address,
        "slapd": enter(directory.Directory()).address,
        "proftpd": no_header(enter(ftpserver.ProFtpd()).address),
        "postgresql": no_header(database_server.address),
        "prosody": no_header(enter(xmppservers.Prosody(DOMAIN)).backend("c2s")),
    }
    listeners = {str(port): row(*keys) for port, keys in LISTENERS.items()}
    listeners |= {"open-{}".format(port): row(*LISTENERS[port][:3], keys) for port, keys in OPEN.items()}
    gateway = enter(env.gateway(listeners, backends, ready="/readyz"))
    down = enter(env.gateway(listeners, {name: no_header(harness.DOWN) for name in backends}))


def usual(running):
    return {port: running.ports[str(port)] for port in LISTENERS}


def opened():
    """The ports of those with the other policy."""
    return {port: gateway.ports["open-{}".format(port)] for port in OPEN}


class Probes(unittest.TestCase):
    @staticmethod
    def together(calls):
        """What each call returns. Several run at a time, since many of them wait for a time-out."""
        with futures.ThreadPoolExecutor(12) as pool:
            pending = {name: pool.submit(*call) for name, call in calls.items()}
            return {name: call.result() for name, call in pending.items()}

    def blackbox(self, ports):
        """{probe: (whether it succeeded, what it said)}"""
        page = probers.Page(ports, env.ca)
        with probers.Blackbox(page.blocks("yaml")) as exporter:
            return self.together({
                (module, port): (exporter.probe, module, scheme, ports[port])
                for module, scheme, port in page.targets() if port in ports})

    def haproxy(self, ports):
        with probers.Haproxy(probers.Page(ports, env.ca).checks()) as haproxy:
            return haproxy.states()

    def plugins(self, ports):
        lines = probers.Page(ports, env.ca).plugins(database_server)
        return self.together({key: (probers.plugin, line, env.ca) for key, line in lines.items()})

    def succeed(self, found):
        self.assertTrue(found)
        for name, (well, said) in found.items():
            with self.subTest(name):
                self.assertTrue(well, said)

    def fail_without_servers(self, found):
        self.assertTrue(found)
        for name, (well, said) in found.items():
            alone = name in OF_THE_GATEWAY or name[0] in OF_THE_GATEWAY
            with self.subTest(name, alone=alone):
                self.assertEqual(well, alone, said)

    def fail(self, found):
        self.assertTrue(found)
        for name, (well, said) in found.items():
            with self.subTest(name):
                self.assertFalse(well, said)

    def test_each_finds_it_well(self):
        for tool in (self.blackbox, self.haproxy, self.plugins):
            with self.subTest(tool.__name__):
                self.succeed(tool(usual(gateway)))

    def test_with_the_other_policy(self):
        for tool in (self.blackbox, self.haproxy, self.plugins):
            with self.subTest(tool.__name__):
                self.succeed(tool(opened()))

    def test_without_servers(self):
        for tool in (self.blackbox, self.haproxy, self.plugins):
            with self.subTest(tool.__name__):
                self.fail_without_servers(tool(usual(down)))

    def test_with_the_wrong_words(self):
        with fakes.Backend(wrong_words, proxy=False) as other:
            for tool in (self.blackbox, self.haproxy, self.plugins):
                with self.subTest(tool.__name__):
                    self.fail(tool({port: other.port for port in LISTENERS}))

def say(*lines, greeted=True):
    """A probe that does no more than that."""
    def probe(port):
        with Wire(port) as client:
            if greeted:
                client.until(b"\n")
            for line in lines:
                client.send(line).receive()
    return probe


class Metrics(unittest.TestCase):
    """The page's last table."""

    OFFER = ("starling_downgrade_signals_total", {"signal": "offer_then_close"})
    OCTET = ("starling_attacks_refused_total", {"kind": "bad_octet"})
    LOG_IN = ("starling_attacks_refused_total", {"kind": "plaintext_auth"})
    FAILED = ("starling_tls_handshake_failures_total", {})
    UPGRADE = ("starling_starttls_upgrades_total", {})
    OFFERED = ("starling_starttls_offered_total", {})
    WATCHED = (OFFER, OCTET, LOG_IN, FAILED, UPGRADE, OFFERED)
    ANONYMOUS = bytes.fromhex("300c020101600702010304008000")
    START_UP = database.start_up("probe")

    def moved(self, port, probe, wanted):
        """Runs a probe on a listener; which of those watched it moves, once the session has ended."""
        listener = str(port)
        ended = "starling_sessions_ended_total"
        before = gateway.metrics()
        probe(gateway.ports[listener])
        gateway.wait_for_metric(lambda v: v > before.sum(ended, listener=listener), ended, listener=listener)
        now = gateway.metrics()
        moved = {(name, *labels.values()) for name, labels in self.WATCHED
                 if now.sum(name, listener=listener, **labels) > before.sum(name, listener=listener, **labels)}
        self.assertEqual(moved, {(name, *labels.values()) for name, labels in wanted}, listener)

    def test_connect_and_close(self):
        for port in (143, 4190, 674):
            self.moved(port, say(), (self.OFFER, self.OFFERED))
        self.moved(23, lambda port: Wire(port).exactly(3), (self.OFFER, self.OFFERED))
        for port in (25, 587, 24, 110, 119, 21):
            self.moved(port, say(), ())
        for port in (6667, 389, 80, 5432, 5222, 993, 636):
            self.moved(port, say(greeted=False), ())

    def test_goodbye(self):
        self.moved(25, say(b"EHLO probe\r\n", b"QUIT\r\n"), (self.OFFERED,))

    def test_line_feed_alone(self):
        for port, line in ((25, b"QUIT\n"), (110, b"QUIT\n"), (119, b"QUIT\n"), (21, b"QUIT\n")):
            self.moved(port, say(line), (self.OCTET,))
        self.moved(143, say(b"a1 LOGOUT\n"), (self.OCTET, self.OFFERED))
        self.moved(1143, say(b"a1 LOGOUT\n"), (self.OFFERED,))

    def test_checks_in_plaintext(self):
        self.moved(389, say(self.ANONYMOUS, greeted=False), (self.OFFER, self.OFFERED))
        self.moved(389, say(directory.message(directory.extended(directory.START_TLS)), greeted=False), (self.UPGRADE,))
        self.moved(5432, say(self.START_UP, greeted=False), (self.LOG_IN,))
        self.moved(5432, say(bytes.fromhex("0000000804d2162f"), greeted=False), (self.UPGRADE,))
        self.moved(5222, say(xmppservers.header(DOMAIN), greeted=False), (self.OFFER, self.OFFERED))

    def test_haproxys_plaintext_checks_fail(self):
        """The page says so, and that one of them is a failed handshake."""
        checks = {"ldap": "option ldap-check\n server s 127.0.0.1:{} check".format(gateway.ports["389"]),
                  "pg": "option pgsql-check user probe\n server s 127.0.0.1:{} check".format(gateway.ports["5432"])}
        with probers.Haproxy({n: "backend {}\n {}\n".format(n, text) for n, text in checks.items()}) as haproxy:
            states = haproxy.states()
        self.assertEqual({name: well for name, (well, _) in states.items()}, {"ldap": False, "pg": False})
        self.assertIn("13", states["ldap"][1])
        hello = "backend hello\n option ssl-hello-chk\n server s 127.0.0.1:{} check inter 1h\n"

        def probe(port):
            with probers.Haproxy({"hello": hello.format(port)}) as haproxy:
                self.assertTrue(haproxy.states()["hello"][0])
        self.moved(993, probe, (self.FAILED,))


if __name__ == "__main__":
    unittest.main()
