"""Which server gets a session: weights, least sessions, the client's address, priorities, drains and
places; and from which address the gateway connects."""

import collections
import contextlib
import itertools
import signal
import socket
import unittest

import fakes
import harness
import proxy_v2
import wire
from sick_servers import in_a_small_network
from wire import Wire

env = None
IP_BIND_ADDRESS_NO_PORT = 24


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def names_itself(name):
    return fakes.says(name + b"\n", fakes.echo)


async def closes_at_once(reader, writer):
    """What a check gets from a server that wants no check among its sessions."""
    writer.write(b"\n")


class Servers(contextlib.ExitStack):
    """`count` servers that say their names, and a gateway before them. `more`: keys of each."""

    def __init__(self, count, more=None, limits=None, **backend):
        super().__init__()
        self.backends = [
            self.enter_context(fakes.Backend(names_itself(b"s%d" % i), checked=closes_at_once))
            for i in range(count)]
        self.keys = more or [{}] * count
        self.backend = backend
        self.gateway = self.enter_context(env.gateway(
            {"in": self.listener()}, {"some": self.section()}, limits=limits or {}))
        self.gateway.wait_for_metric(count, "starling_backend_up")

    @staticmethod
    def listener():
        return {"protocol": "tcp", "tls": "implicit", "backend": "some"}

    def section(self):
        return {"servers": [{"address": b.address, **k} for b, k in zip(self.backends, self.keys)],
                "proxy_protocol": "v2", **self.backend}

    def session(self, source="127.0.0.1"):
        """An open session; `server` names where it is."""
        client = self.enter_context(Wire(self.gateway.ports["in"], source=source))
        client.server = client.start_tls().line().strip().decode()
        return client

    def shares(self, count, sources=None):
        """How many of so many sessions, one after the other, each server gets."""
        shares = collections.Counter()
        for i in range(count):
            client = self.session(sources[i % len(sources)] if sources else "127.0.0.1")
            shares[client.server] += 1
            client.close()
        return shares


class BehindALoadBalancer(Servers):
    @staticmethod
    def listener():
        return {**Servers.listener(), "proxy_protocol": {"from": ["127.0.0.1/32"]}}

    def home(self, source):
        """The server that a client gets whose address the load balancer writes so."""
        destination = "::1" if ":" in source else "192.0.2.1"
        with Wire(self.gateway.ports["in"]) as client:
            client.send(proxy_v2.header((source, 4711), (destination, 25), tls=False))
            return client.start_tls().line()


class Balancing(unittest.TestCase):
    def test_round_robin_by_weight(self):
        with Servers(3, [{"weight": 1}, {"weight": 2}, {"weight": 3}]) as servers:
            shares = servers.shares(60)
            for name, wanted in (("s0", 10), ("s1", 20), ("s2", 30)):
                # Each worker goes round by itself.
                self.assertAlmostEqual(shares[name], wanted, delta=8)

    def test_least_sessions(self):
        with Servers(2, balance="least_sessions") as servers:
            held = [servers.session() for _ in range(4)]
            self.assertEqual(collections.Counter(c.server for c in held), {"s0": 2, "s1": 2})
            for client in held:
                if client.server == "s0":
                    client.close()
            server = servers.backends[0].address
            servers.gateway.wait_for_metric(0, "starling_backend_sessions", server=server)
            self.assertEqual([servers.session().server for _ in range(2)], ["s0", "s0"])

    def test_source_hash(self):
        sources = ["127.0.1.{}".format(i) for i in range(1, 21)]
        with Servers(3, balance="source_hash") as servers:
            homes = {s: servers.session(s).server for s in sources}
            self.assertEqual(set(homes.values()), {"s0", "s1", "s2"})
            for source in sources:
                self.assertEqual(servers.session(source).server, homes[source])
            # Without its second server, only that one's clients go elsewhere.
            servers.keys = [{}, {"state": "drain"}, {}]
            path, _, _ = env.configure({"in": servers.listener()}, {"some": servers.section()},
                                       ports=servers.gateway.ports)
            replace(servers.gateway, path)
            for source in sources:
                now = servers.session(source).server
                if homes[source] == "s1":
                    self.assertNotEqual(now, "s1")
                else:
                    self.assertEqual(now, homes[source])

    def test_source_hash_of_ipv4_in_either_form(self):
        """A load balancer may write an IPv4 address as an IPv6 address."""
        with BehindALoadBalancer(3, balance="source_hash") as servers:
            plain = ["198.51.100.{}".format(i) for i in range(1, 21)]
            homes = [servers.home(source) for source in plain]
            self.assertEqual(set(homes), {b"s0\n", b"s1\n", b"s2\n"})
            self.assertEqual([servers.home("::ffff:" + source) for source in plain], homes)
            # Whoever has one address of a /64 has all of them.
            ipv6 = [servers.home("2001:db8::{:x}".format(i)) for i in range(1, 21)]
            self.assertEqual(len(set(ipv6)), 1)

    def test_priority(self):
        with Servers(3, [{"priority": 5}, {}, {"priority": 5}]) as servers:
            self.assertEqual(servers.shares(6), {"s1": 6})
            servers.backends[1].stop()
            self.assertEqual(set(servers.shares(8)), {"s0", "s2"})

    def test_drain_keeps_sessions(self):
        with Servers(2) as servers:
            held = {c.server: c for c in (servers.session() for _ in range(8))}
            self.assertEqual(set(held), {"s0", "s1"})
            servers.keys = [{"state": "drain"}, {}]
            path, _, _ = env.configure({"in": servers.listener()}, {"some": servers.section()},
                                       ports=servers.gateway.ports)
            replace(servers.gateway, path)
            self.assertEqual(servers.shares(8), {"s1": 8})
            self.assertEqual(held["s0"].send(b"x").exactly(1), b"x")


class Places(unittest.TestCase):
    def test_a_session_waits_for_a_place(self):
        with Servers(1, [{"max_sessions": 2}], limits={"connect": "30s"}) as servers:
            held = [servers.session() for _ in range(2)]
            late = servers.enter_context(Wire(servers.gateway.ports["in"])).start_tls()
            servers.gateway.wait_for_metric(1, "starling_backend_queue_sessions")
            self.assertEqual(len(servers.backends[0].proxied), 2)
            held[0].close()
            self.assertEqual(late.line(), b"s0\n")
            metrics = servers.gateway.metrics()
            self.assertEqual(metrics.sum("starling_backend_queue_sessions"), 0)
            self.assertEqual(
                metrics.sum("starling_limit_reached_total", limit="server_sessions"), 1)

    def test_the_wait_and_the_queue_have_limits(self):
        with Servers(1, [{"max_sessions": 1}], limits={"connect": "2s"}, queue=1) as servers:
            servers.session()
            waits = servers.enter_context(Wire(servers.gateway.ports["in"])).start_tls()
            servers.gateway.wait_for_metric(1, "starling_backend_queue_sessions")
            with Wire(servers.gateway.ports["in"]) as over:
                self.assertEqual(over.start_tls().rest(), b"")
            self.assertEqual(servers.gateway.metrics().sum(
                "starling_limit_reached_total", limit="backend_queue"), 1)
            self.assertEqual(waits.rest(), b"")
            ended = "starling_sessions_ended_total"
            servers.gateway.wait_for_metric(1, ended, reason="connect_deadline")
            servers.gateway.wait_for_metric(1, ended, reason="backend_unavailable")
            servers.gateway.wait_for_metric(0, "starling_backend_queue_sessions")

    def test_places_outlive_a_reload(self):
        with Servers(1, [{"max_sessions": 1}], limits={"connect": "30s"}) as servers:
            held = servers.session()
            servers.gateway.signal(signal.SIGHUP)
            self.assertIsNotNone(servers.gateway.wait_for_line("configuration reloaded"))
            late = servers.enter_context(Wire(servers.gateway.ports["in"])).start_tls()
            servers.gateway.wait_for_metric(1, "starling_backend_queue_sessions")
            held.close()
            self.assertEqual(late.line(), b"s0\n")


class Source(unittest.TestCase):
    def test_connects_from_the_addresses_in_turn(self):
        seen = []

        async def who(reader, writer):
            seen.append(writer.get_extra_info("peername")[0])
            await fakes.echo(reader, writer)

        with fakes.Backend(who, proxy=False) as server, env.gateway(
                {"in": {"protocol": "tcp", "tls": "implicit", "backend": "one"}},
                {"one": {"servers": [server.address], "source": ["127.0.0.8", "127.0.0.9"]}}) as gateway:
            for _ in range(8):
                with Wire(gateway.ports["in"]) as client:
                    self.assertEqual(client.start_tls().send(b"x").exactly(1), b"x")
        self.assertLessEqual({"127.0.0.8", "127.0.0.9"}, set(seen))

    def test_all_ports_in_use(self):
        """Who comes then is told that the service is not available. The other sessions go on."""
        def play():
            with fakes.Backend(fakes.echo) as server, env.gateway(
                    {"in": {"protocol": "tcp", "tls": "implicit", "backend": "one"}},
                    {"one": server.address}) as gateway, contextlib.ExitStack() as stack:
                def client(number):
                    """The kernel gives it a port that others have, too."""
                    one = stack.enter_context(socket.socket())
                    one.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                    one.settimeout(wire.TIMEOUT)
                    one.bind(("127.0.{}.{}".format(1 + number // 200, 1 + number % 200), 0))
                    one.connect(("127.0.0.1", gateway.ports["in"]))
                    return stack.enter_context(wire.context().wrap_socket(one))

                def served(one):
                    one.sendall(b"x")
                    return one.recv(1) == b"x"

                come = map(client, range(1000))
                held = [one for one in itertools.islice(come, 30) if served(one)]
                self.assertIn(len(held), range(5, 11))
                self.assertIsNotNone(gateway.wait_for_line(
                    "no local port left towards the server", "server=" + server.address))
                self.assertGreater(gateway.metrics().sum(
                    "starling_backend_connect_failures_total", reason="no_port"), 0)
                for one in held:
                    self.assertTrue(served(one))
                    one.close()
                self.assertTrue(any(map(served, come)), "nobody is served afterwards")

        in_a_small_network(play)

    def test_no_port_left(self):
        """An address that is not this machine's has no ports at all."""
        with fakes.Backend(fakes.echo) as server, env.gateway(
                {"in": {"protocol": "tcp", "tls": "implicit", "backend": "one"}},
                {"one": {"servers": [server.address], "proxy_protocol": "v2",
                         "source": ["192.0.2.77"]}}) as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(client.start_tls().rest(), b"")
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_backend_connect_failures_total", reason="no_port"), 1)
            self.assertIsNotNone(gateway.wait_for_line(
                "no local port left towards the server", "server=" + server.address))
            self.assertEqual(gateway.metrics().sum("starling_backend_up"), 1,
                             "the server is not to blame")


def replace(gateway, path):
    """The gateway reloads, with the configuration in `path`."""
    with open(path, encoding="utf-8") as new:
        text = new.read()
    # Its own metrics' address stays.
    with open(gateway.config, encoding="utf-8") as old:
        metrics = [line for line in old if line.startswith("metrics:")]
    lines = [metrics[0] if line.startswith("metrics:") else line
             for line in text.splitlines(keepends=True)]
    with open(gateway.config, "w", encoding="utf-8") as f:
        f.writelines(lines)
    before = len(gateway.lines)
    gateway.signal(signal.SIGHUP)
    if gateway.wait_for_line("configuration reloaded", after=before) is None:
        raise AssertionError("no reload\n" + "\n".join(gateway.lines[-5:]))
