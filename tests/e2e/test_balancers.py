"""Tests listeners that serve clients both through a load balancer and directly, and what health checks
count as: those of load balancers, a real HAProxy's among them, and those of probes.

Not here: PROXY headers that are malformed (test_attacks.py), and whose share a client has
(test_sources.py)."""

import contextlib
import ftplib
import re
import socket
import ssl
import struct
import unittest

import fakes
import ftpserver
import harness
import probers
import proxy_v2
import wire
from ports import reserve_ports
from test_ftp import Explicit
from wire import Wire

BALANCER, STRANGER, PROBE = "127.3.0.1", "127.3.0.2", "127.3.0.3"
SOURCE = ("198.51.100.9", 40009)
CLIENTS = "starling_client_connections_total"
PROBES = "starling_probe_connections_total"
ENDED = "starling_sessions_ended_total"
ATTACKS = "starling_attacks_refused_total"
SIGNALS = "starling_downgrade_signals_total"
FAILURES = "starling_tls_handshake_failures_total"
HEADERS = (proxy_v2.v1(SOURCE), proxy_v2.header(SOURCE))
STARTTLS = ("smtp", "lmtp", "imap", "pop3", "managesieve", "nntp", "acap", "irc", "ftp", "ldap", "http",
            "postgresql", "xmpp-client", "telnet")
# That greet, and note when a client leaves after the offer.
OFFERS = ("imap", "managesieve", "acap", "telnet")
RESET = struct.pack("ii", 1, 0)
# Nobody has limits, so that many connections of one address are no flood.
EVERYBODY = {"from": "127.0.0.0/8", "role": "exempt"}
env = None


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def row(protocol, tls, **keys):
    xmpp = {"xmpp": {"domains": ["mail.example.org"]}} if protocol.startswith("xmpp") else {}
    return {"protocol": protocol, "tls": tls, "backend": "one", **keys, **xmpp}


def listeners(**keys):
    rows = {protocol: row(protocol, "starttls", **keys) for protocol in STARTTLS}
    return rows | {"tcp": row("tcp", "implicit", **keys), "imaps": row("imap", "implicit", **keys)}


def behind(others, start=BALANCER):
    return {"proxy_protocol": {"from": [start], "others": others}}


def gateway(rows, backend=harness.DOWN, sources=(), **more):
    return env.gateway(rows, {"one": backend}, sources=[EVERYBODY, *sources], **more)


def leave(client, by_reset):
    if by_reset:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def look(running, listener, source, first=b"", by_reset=False):
    """A check of a source that sends no more than that."""
    client = Wire(running.ports[listener], source)
    if first:
        client.send(first)
    leave(client, by_reset)


class Others(unittest.TestCase):
    """others: direct."""

    def test_both_kinds_of_clients(self):
        for start in ([BALANCER], "balancer"):
            keys = {"proxy_protocol": {"from": start, "others": "direct"}}
            roles = [{"from": BALANCER, "role": "balancer"}] if start == "balancer" else []
            with self.subTest(start), fakes.Backend(fakes.echo) as backend, \
                    gateway({"tcp": row("tcp", "implicit", **keys)}, backend.address, roles) as running:
                with Wire(running.ports["tcp"], STRANGER) as client:
                    client.start_tls()
                    client.send(b"x").exactly(1)
                    self.assertEqual(backend.proxied[-1].source, client.name)
                for header in HEADERS:
                    with Wire(running.ports["tcp"], BALANCER) as client:
                        client.send(header).start_tls()
                        client.send(b"x").exactly(1)
                        self.assertEqual(backend.proxied[-1].source, SOURCE)
                self.assertEqual(running.wait_for_metric(1, CLIENTS, via="direct"), 1)
                self.assertEqual(running.wait_for_metric(2, CLIENTS, via="balancer"), 2)
                # The balancer still has to send one.
                with Wire(running.ports["tcp"], BALANCER) as client:
                    self.assertRaises(OSError, client.start_tls)
                running.wait_for_metric(1, ATTACKS, kind="bad_proxy")

    def test_a_role_stands_for_its_networks(self):
        """Whichever role it is; and without `others` strangers are refused."""
        for role in ("balancer", "trusted", "probe", "exempt"):
            keys = {"proxy_protocol": {"from": [role, "192.0.2.1"]}}
            sources = [{"from": "127.0.0.0/8", "role": "client"}, {"from": BALANCER, "role": role}]
            with self.subTest(role), fakes.Backend(fakes.echo) as backend, env.gateway(
                    {"tcp": row("tcp", "implicit", **keys)}, {"one": backend.address}, sources=sources) as running:
                with Wire(running.ports["tcp"], BALANCER) as client:
                    client.send(proxy_v2.v1(SOURCE)).start_tls()
                    client.send(b"x").exactly(1)
                self.assertEqual(backend.proxied[-1].source, SOURCE)
                with Wire(running.ports["tcp"], STRANGER) as client:
                    client.send(proxy_v2.v1(SOURCE)).rest()
                running.wait_for_metric(1, ATTACKS, kind="untrusted_proxy")

    def test_a_role_that_no_source_has(self):
        path, _, _ = env.configure({"tcp": row("tcp", "implicit", **behind("direct", "balancer"))},
                                   {"one": harness.DOWN})
        code, said = harness.run([harness.BINARY, "-t", "-c", path])
        self.assertNotEqual(code, 0)
        self.assertIn("from names the role balancer, which no row of sources has", said)

    def test_a_forged_header_is_only_bad_input(self):
        with gateway(listeners(**behind("direct"))) as running:
            for name in running.ports:
                for header in HEADERS:
                    with self.subTest(name, header=header[:8]), Wire(running.ports[name], STRANGER) as client:
                        seen = len(running.lines)
                        client.send(header)
                        # What follows a header would be a client's hello or command.
                        client.socket.shutdown(socket.SHUT_WR)
                        client.rest()
                        line = running.wait_for_line("session ended", "listener=" + name + " ", after=seen)
                        self.assertIn("peer={}:{}".format(*client.name), line)
            self.assertEqual(running.wait_for_metric(2 * len(running.ports), CLIENTS, via="direct"),
                             2 * len(running.ports))
            found = running.metrics()
            self.assertEqual(found.sum(CLIENTS, via="balancer"), 0)
            for kind in ("untrusted_proxy", "bad_proxy"):
                self.assertEqual(found.sum(ATTACKS, kind=kind), 0)
            self.assertFalse([line for line in running.lines if SOURCE[0] in line])

    def test_a_forged_header_before_an_upgrade(self):
        """The client that goes on after it is still nobody but itself."""
        recorder = fakes.Recorder(b"220 server\r\n", b"250 ok\r\n")
        with fakes.Backend(recorder) as backend, gateway(
                {"smtp": row("smtp", "starttls", **behind("direct"))}, backend.address) as running, \
                Wire(running.ports["smtp"], STRANGER) as client:
            client.line()
            self.assertEqual(client.send(proxy_v2.v1(SOURCE)).line()[:1], b"5")
            self.assertEqual(client.send(b"STARTTLS\r\n").line()[:4], b"220 ")
            client.start_tls()
            self.assertEqual(client.send(b"EHLO client.example.net\r\n").line()[:3], b"250")
            self.assertEqual(backend.proxied[-1].source, client.name)
        self.assertFalse([line for line in running.lines if SOURCE[0] in line])

    def test_a_forged_header_on_a_data_channel(self):
        with ftpserver.ProFtpd() as server:
            server.put("file", b"octets")
            keys = {"protocol": "ftp", "tls": "starttls", "backend": "ftp", **behind("direct")}
            running = self.enterContext(env.gateway(
                {"ftp": keys}, {"ftp": {"servers": [server.address], "proxy_protocol": "none"}}))
            for header in HEADERS:
                with self.subTest(header[:8]), Explicit(context=wire.context(env.ca)) as client:
                    client.connect("127.0.0.1", running.ports["ftp"], timeout=wire.TIMEOUT,
                                   source_address=(STRANGER, 0))
                    client.login(server.name, server.password)
                    client.prot_p()
                    client.voidcmd("TYPE I")
                    address = ftplib.parse227(client.sendcmd("PASV"))
                    with socket.create_connection(address, wire.TIMEOUT, (STRANGER, 0)) as data:
                        data.sendall(header)
                        client.putcmd("RETR file")
                        with contextlib.suppress(OSError):
                            while data.recv(4096):
                                pass
                    with self.assertRaises((ftplib.error_perm, ftplib.error_temp)):
                        while client.getresp()[:1] != "2":
                            pass
            self.assertEqual(running.metrics().sum(CLIENTS, via="balancer"), 0)


class Checks(unittest.TestCase):
    """Connections that only see whether the gateway is there."""

    def assert_nothing_else(self, running, count):
        """As many probes ended, and nothing says that clients fared badly."""
        running.wait_for_metric(count, ENDED)
        found = running.metrics()
        self.assertEqual(found.sum(PROBES), count)
        self.assertEqual(found.sum(ENDED, reason="probe"), count)
        self.assertEqual(found.sum(CLIENTS), 0)
        for name in (SIGNALS, FAILURES, ATTACKS, "starling_connections_refused_total"):
            self.assertEqual(found.sum(name), 0, name)
        self.assertFalse([line for line in running.lines if "session ended" in line])

    def test_a_balancer_connects_and_leaves(self):
        for others in ("refuse", "direct"):
            with self.subTest(others), gateway(listeners(**behind(others))) as running:
                for name in running.ports:
                    for by_reset in (False, True):
                        look(running, name, BALANCER, by_reset=by_reset)
                running.wait_for_metric(2 * len(running.ports), PROBES, kind="balancer")
                self.assert_nothing_else(running, 2 * len(running.ports))
                self.assertEqual(running.metrics().sum(CLIENTS), 0)

    def test_local(self):
        with gateway(listeners(**behind("refuse"))) as running:
            for name in running.ports:
                for by_reset in (False, True):
                    look(running, name, BALANCER, proxy_v2.local(), by_reset)
            for name in OFFERS:
                with Wire(running.ports[name], BALANCER) as client:
                    client.send(proxy_v2.local()).receive()
            # A reset may come before the gateway has read the header.
            count = 2 * len(running.ports) + len(OFFERS)
            self.assert_nothing_else(running, count)
            self.assertGreaterEqual(running.metrics().sum(PROBES, kind="local"), len(running.ports) + len(OFFERS))
            self.assertEqual(running.metrics().sum(CLIENTS), 0)

    def test_local_that_goes_on(self):
        """A dialogue is no session of a client, either; one that reaches a server is logged."""
        with fakes.Backend(fakes.echo) as backend, gateway(
                listeners(**behind("refuse")), backend.address) as running:
            with Wire(running.ports["smtp"], BALANCER) as client:
                client.send(proxy_v2.local()).line()
                client.send(b"EHLO check.example.org\r\nQUIT\r\n").rest()
            with Wire(running.ports["imap"], BALANCER) as client:
                client.send(proxy_v2.local()).line()
            for octets in (b"\x16\x03\x01\0\5\1\0\0\1\0", b"\x80\x2e\1\3\0"):
                with Wire(running.ports["imaps"], BALANCER) as client:
                    client.send(proxy_v2.local() + octets)
                    client.socket.shutdown(socket.SHUT_WR)
                    client.rest()
            running.wait_for_metric(4, PROBES, kind="local")
            found = running.metrics()
            self.assertEqual((found.sum(SIGNALS), found.sum(FAILURES)), (0, 0))
            self.assertFalse([line for line in running.lines if "session ended" in line])
            with Wire(running.ports["tcp"], BALANCER) as client:
                client.send(proxy_v2.local()).start_tls()
                client.send(b"x").exactly(1)
            running.wait_for_metric(5, PROBES, kind="local")
            self.assertIsNotNone(running.wait_for_line("session ended", "listener=tcp"))
            self.assertEqual(running.metrics().sum(ENDED, reason="probe", listener="tcp"), 0)

    def test_a_header_without_a_client(self):
        """UNKNOWN, or the balancer's own address: a check if nothing follows, else a client."""
        unspecified = proxy_v2.SIGNATURE + struct.pack("!BBH", 0x21, 0, 0)
        headers = (b"PROXY UNKNOWN\r\n", unspecified, proxy_v2.v1((BALANCER, 4000)),
                   proxy_v2.header((BALANCER, 4000)))
        with gateway(listeners(**behind("refuse"))) as running:
            for header in headers:
                look(running, "imap", BALANCER, header)
                look(running, "imaps", BALANCER, header)
            running.wait_for_metric(8, PROBES, kind="balancer")
            self.assert_nothing_else(running, 8)
            for number, header in enumerate(headers, 1):
                with self.subTest(header), Wire(running.ports["imap"], BALANCER) as client:
                    client.send(header).line()
                    client.send(b"a NOOP\r\n").line()
                running.wait_for_metric(number, ENDED, reason="client_left_early")
            self.assertEqual(running.metrics().sum(CLIENTS, via="balancer"), 4)
            self.assertEqual(running.metrics().sum(PROBES), 8)

    def test_probes_that_say_nothing(self):
        """Directly, around a balancer that the listener insists on, and through one."""
        probe = {"from": [PROBE, SOURCE[0]], "role": "probe"}
        for keys in ({}, behind("direct"), behind("refuse")):
            with self.subTest(keys), gateway(listeners(**keys), sources=[probe]) as running:
                for name in running.ports:
                    for by_reset in (False, True):
                        look(running, name, PROBE, by_reset=by_reset)
                count = 2 * len(running.ports)
                if keys:
                    for name in running.ports:
                        look(running, name, BALANCER, proxy_v2.v1(SOURCE))
                    count += len(running.ports)
                else:
                    for name in OFFERS:
                        with Wire(running.ports[name], PROBE) as client:
                            client.receive()
                    count += len(OFFERS)
                running.wait_for_metric(count, PROBES, kind="probe")
                self.assert_nothing_else(running, count)

    def test_a_probe_that_speaks_around_the_balancer(self):
        rows = {"imap": row("imap", "starttls", **behind("refuse"))}
        with gateway(rows, sources=[{"from": PROBE, "role": "probe"}]) as running:
            with Wire(running.ports["imap"], PROBE) as client:
                client.send(b"a NOOP\r\n")
                self.assertEqual(client.rest(), b"")
            running.wait_for_metric(1, ENDED, reason="proxy_header_untrusted")
            self.assertEqual(running.metrics().sum(ATTACKS, kind="untrusted_proxy"), 1)
            self.assertEqual(running.metrics().sum(PROBES), 0)

    def test_clients_are_no_probes(self):
        """What clients leave unsaid is what it was."""
        with gateway({"imap": row("imap", "starttls")}, sources=[{"from": PROBE, "role": "probe"}]) as running:
            with Wire(running.ports["imap"], STRANGER) as client:
                client.line()
            running.wait_for_metric(1, SIGNALS, signal="offer_then_close")
            self.assertIsNotNone(running.wait_for_line("session ended", "reason=client_left_early"))
            # A probe that has spoken is no silent one.
            with Wire(running.ports["imap"], PROBE) as client:
                client.line()
                client.send(b"a CAPABILITY\r\n").line()
            running.wait_for_metric(2, ENDED, reason="client_left_early")
            self.assertEqual(running.metrics().sum(PROBES), 0)
            self.assertEqual(running.metrics().sum(SIGNALS, signal="offer_then_close"), 2)
            self.assertEqual(running.metrics().sum(CLIENTS, via="direct"), 2)

    def test_the_log_has_them_on_request(self):
        rows = {"imap": row("imap", "starttls", **behind("refuse"))}
        with gateway(rows, log={"sessions": "debug"}) as running:
            look(running, "imap", BALANCER, proxy_v2.local())
            self.assertIsNotNone(running.wait_for_line("session ended", "reason=probe", "peer=" + BALANCER))

    def test_silence_and_half_a_header_are_none(self):
        rows = {"imap": row("imap", "starttls", **behind("refuse"), limits={"proxy_header": "500ms"})}
        with gateway(rows) as running:
            with Wire(running.ports["imap"], BALANCER) as client:
                client.rest()
            running.wait_for_metric(1, ENDED, reason="proxy_header_deadline")
            look(running, "imap", BALANCER, proxy_v2.v1(SOURCE)[:20])
            running.wait_for_metric(1, ENDED, reason="proxy_header_bad")
            self.assertEqual(running.metrics().sum(PROBES), 0)


class RealBalancer(unittest.TestCase):
    """HAProxy before the gateway: clients come through it and around it, and it checks."""

    def haproxy(self, running, ports, name, options, server):
        return ("frontend f_{0}\n bind 127.0.0.1:{1}\n default_backend {0}\n"
                "backend {0}\n {2}\n server s 127.0.0.1:{3} source {4} inter 300ms " + server + "\n").format(
                    name, ports[name], options, running.ports["smtp"], BALANCER)

    def test_it(self):
        kinds = {  # name: (options, server's keywords, kind)
            "plain": ("", "check send-proxy-v2", "local"),
            # For a port of its own it sends no header.
            "bare": ("", "check port {3} send-proxy-v2", "balancer"),
            "v2": ("", "check send-proxy-v2 check-send-proxy", "local"),
            "v1": ("", "check send-proxy check-send-proxy", "balancer"),
            "smtp": ("option smtpchk EHLO check.example.org", "check send-proxy-v2 check-send-proxy", "local"),
        }
        for name, (options, server, kind) in kinds.items():
            ports = reserve_ports([name])
            with self.subTest(name), fakes.Backend(fakes.echo) as backend, \
                    gateway({"smtp": row("smtp", "starttls", **behind("direct"))}, backend.address) as running, \
                    probers.Haproxy({name: self.haproxy(running, ports, name, options, server)}) as haproxy:
                states = haproxy.states()
                self.assertTrue(states[name][0], states)
                # A bare check is mostly reset before the gateway can accept it.
                running.wait_for_metric(lambda n: name == "bare" or n >= 3, PROBES, kind=kind)
                with Wire(ports[name], STRANGER) as through, Wire(running.ports["smtp"], STRANGER) as around:
                    for client in (through, around):
                        self.assertEqual(client.line()[:4], b"220 ")
                        client.send(b"QUIT\r\n").rest()
                    for client in (through, around):
                        self.assertIsNotNone(running.wait_for_line(
                            "session ended", "peer={}:{}".format(*client.name)))
                found = running.metrics()
                self.assertEqual((found.sum(CLIENTS, via="balancer"), found.sum(CLIENTS, via="direct")), (1, 1))
                self.assertEqual(found.sum(PROBES), found.sum(PROBES, kind=kind))
                for metric in (SIGNALS, FAILURES, ATTACKS):
                    self.assertEqual(found.sum(metric), 0, metric)
                peers = set(re.findall(r"peer=([\d.]+):", "\n".join(running.lines)))
                self.assertEqual(peers, {STRANGER})


if __name__ == "__main__":
    unittest.main()
