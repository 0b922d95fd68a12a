"""Servers by name: real Dovecots at several addresses, which a real DNS server (Knot) names. The
test changes the zone while clients come and go, and nothing is reloaded."""

import contextlib
import os
import re
import signal
import subprocess
import time
import unittest

import harness
import mailservers
from dns_server import ZONE, DnsServer, Front, addresses
from ports import reserve_ports
from sick_servers import Load
from wire import Wire

TOP = os.path.dirname(os.path.dirname(harness.HERE))
env = None
real = []
UP = "starling_backend_up"
ENDED = 'msg="session ended"'
# Shorter than the defaults, so that the tests need not wait.
LIMITS = {"connect_try": "500ms", "greeting_try": "2s", "probe_timeout": "2s", "probe_retry": "500ms",
          "probe_retry_max": "1s"}
# No server can be reached there: TEST-NET-1.
ELSEWHERE = "192.0.2.1"


def setUpModule():
    global env
    env = harness.Environment(servers=False)
    for _ in range(2):
        made = mailservers.MailServers()
        unittest.addModuleCleanup(made.stop)
        real.append(made.__enter__())


def imap_of(server):
    return "127.0.0.1:{}".format(real[server].ports["imap"])


def session(port):
    """A log-in by IMAPS."""
    with Wire(port, timeout=30) as client:
        client.start_tls()
        log_in(client)


def log_in(client):
    must(client.greeting("imap"), b"* OK")
    login = "l LOGIN {} {}\r\n".format(real[0].user, real[0].password)
    must(client.ask("imap", login.encode()), b"l OK", b"* ")


def must(said, *begins):
    if not said.startswith(begins):
        raise AssertionError("said {!r}".format(said))


class Case(unittest.TestCase):
    def setUp(self):
        self.port = reserve_ports(["pods"])["pods"]
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def pod(self, number, is_open=True):
        """A Front of one of the real Dovecots, at 127.7.0.`number`."""
        front = Front("127.7.0.{}".format(number), self.port, imap_of(number % len(real)))
        self.addCleanup(front.close)
        if is_open:
            front.open()
        return front

    def dns(self, *records):
        return self.stack.enter_context(DnsServer(env.dir, records))

    def gateway(self, dns, servers=None, resolve=None, backend=None, **more):
        servers = servers or ["pods.{}:{}".format(ZONE, self.port)]
        row = {"servers": servers, "proxy_protocol": "v2", "slow_start": "1s", **(backend or {})}
        more.setdefault("ready", "/healthz")
        return self.stack.enter_context(env.gateway(
            {"imaps": {"protocol": "imap", "tls": "implicit", "backend": "imap"}}, {"imap": row},
            limits=LIMITS, resolve=dns.resolve(**(resolve or {})), **more))

    def load(self, gateway, threads=6):
        return Load(lambda _: session(gateway.ports["imaps"]), threads=threads)

    def wait_until_up(self, gateway, *pods):
        """Exactly these are servers of the backend, and are up."""
        for pod in pods:
            gateway.wait_for_metric(1, UP, server=pod.address, seconds=60)
        gateway.wait_for_metric(len(pods), "starling_resolve_addresses", seconds=60)
        self.assertEqual({dict(labels)["server"] for name, labels in gateway.metrics() if name == UP},
                         {pod.address for pod in pods})

    def wait_for_session(self, gateway, pod):
        after = len(gateway.lines)
        self.assertIsNotNone(
            gateway.wait_for_line(ENDED, "server=" + pod.address, seconds=60, after=after),
            pod.address)


class ChangingZones(Case):
    def test_growing_and_shrinking(self):
        first, second, third = (self.pod(n) for n in (1, 2, 3))
        dns = self.dns(*addresses("pods", first.host))
        gateway = self.gateway(dns, ready="/readyz?backends=any")
        self.wait_until_up(gateway, first)
        with self.load(gateway) as load, Wire(gateway.ports["imaps"], timeout=60) as stays:
            log_in(stays.start_tls())
            load.wait_for(10)
            dns.set(*addresses("pods", first.host, second.host, third.host))
            self.wait_until_up(gateway, first, second, third)
            for pod in (second, third):
                self.wait_for_session(gateway, pod)
            dns.set(*addresses("pods", second.host, third.host))
            self.wait_until_up(gateway, second, third)
            load.wait_for(20)  # those that had chosen before are over
            before = first.accepted
            load.wait_for(30)
            self.assertEqual(first.accepted, before, "neither sessions nor probes")
            must(stays.ask("imap", b"n NOOP\r\n"), b"n OK", b"* ")
            metrics = gateway.metrics()
            self.assertEqual(metrics.sum("starling_backend_sessions", server=first.address), 1)
            self.assertTrue(metrics.has("starling_backend_connect_failures_total",
                                        server=first.address), "counters stay")
            first.close()  # the pod is deleted; nobody needs it any more
            load.wait_for(20)
        self.assertEqual(load.failures, [], load.figures())
        gateway.wait_for_metric(0, "starling_backend_sessions")
        self.assertFalse(gateway.metrics().has("starling_backend_sessions", server=first.address))
        self.assertEqual(gateway.metrics().sum("starling_config_generation"), 1)
        joined = gateway.wait_for_line('msg="servers changed"', "backend=imap", third.address)
        self.assertIsNotNone(joined)
        gateway.assert_idle(self)

    def test_moving(self):
        """Addresses are replaced, and the old ones are dead at once, as in a rolling update."""
        pods = [self.pod(n) for n in (1, 2)]
        dns = self.dns(*addresses("pods", *(pod.host for pod in pods)))
        gateway = self.gateway(dns)
        self.wait_until_up(gateway, *pods)
        with self.load(gateway) as load:
            for number in range(3, 9):
                load.wait_for(5)
                pods.append(self.pod(number))
                gone = pods.pop(0)
                gone.close()
                dns.set(*addresses("pods", *(pod.host for pod in pods)))
                self.wait_until_up(gateway, *pods)
            load.wait_for(20)
        self.assertEqual(load.failures, [], load.figures())

    def test_one_of_them_is_dead(self):
        """DNS goes on naming a server that is down: no client notices."""
        well, dead = self.pod(1), self.pod(2)
        dns = self.dns(*addresses("pods", well.host, dead.host))
        gateway = self.gateway(dns)
        self.wait_until_up(gateway, well, dead)
        with self.load(gateway) as load:
            load.wait_for(10)
            dead.close()
            gateway.wait_for_metric(0, UP, server=dead.address, seconds=60)
            load.wait_for(30)
            dead.open()
            gateway.wait_for_metric(1, UP, server=dead.address, seconds=60)
            load.wait_for(10)
        self.assertEqual(load.failures, [], load.figures())

    def test_an_address_comes_back(self):
        pods = [self.pod(n) for n in (1, 2)]
        both = addresses("pods", *(pod.host for pod in pods))
        dns = self.dns(*both)
        gateway = self.gateway(dns)
        self.wait_until_up(gateway, *pods)
        failures = "starling_backend_connect_failures_total"
        pods[0].close()
        for _ in range(4):
            session(gateway.ports["imaps"])
        gateway.wait_for_metric(0, UP, server=pods[0].address, seconds=60)
        dns.set(both[1])
        self.wait_until_up(gateway, pods[1])
        counted = gateway.metrics().sum(failures, server=pods[0].address)
        pods[0].open()
        dns.set(*both)
        self.wait_until_up(gateway, *pods)
        self.assertGreaterEqual(gateway.metrics().sum(failures, server=pods[0].address), counted)


class Trouble(Case):
    def test_dns_falls_silent_and_dies(self):
        pods = [self.pod(n) for n in (1, 2)]
        dns = self.dns(*addresses("pods", *(pod.host for pod in pods)))
        gateway = self.gateway(dns, resolve={"hold": "0s"})
        self.wait_until_up(gateway, *pods)
        lookups = "starling_resolve_lookups_total"
        with self.load(gateway) as load:
            # Of a dead server's host, the kernel may or may not hear that nobody listens.
            for results, fall_ill, recover in ((["timeout"], dns.pause, dns.go_on),
                                               (["timeout", "failure"], dns.stop, dns.start)):
                with self.subTest(results):
                    lines = len(gateway.lines)

                    def failed(results=results):
                        metrics = gateway.metrics()
                        return sum(metrics.sum(lookups, result=result) for result in results)

                    before = failed()
                    fall_ill()
                    end = time.monotonic() + 60
                    while failed() < before + 2:
                        self.assertLess(time.monotonic(), end)
                        time.sleep(0.05)
                    said = gateway.wait_for_line("does not resolve", "kept=2", after=lines)
                    self.assertIsNotNone(said, "once, and what stays in use")
                    self.wait_until_up(gateway, *pods)
                    load.wait_for(10)
                    recover()
                    self.assertIsNotNone(
                        gateway.wait_for_line("name resolves again", seconds=60, after=lines))
                    told = [line for line in gateway.lines[lines:] if "does not resolve" in line]
                    self.assertEqual(len(told), 1, told)
        self.assertEqual(load.failures, [], load.figures())

    def test_no_such_name_at_the_start(self):
        pod = self.pod(1)
        dns = self.dns()
        gateway = self.gateway(dns)
        self.assertIsNotNone(gateway.wait_for_line("name does not resolve", "NXDOMAIN", "kept=0"))
        self.assertEqual(gateway.get("/readyz?backends=any")[0], 503)
        self.assertEqual(gateway.get("/readyz")[0], 200)
        with Wire(gateway.ports["imaps"]) as client:
            self.assertIn(b"BYE", client.start_tls().line(), "as of a backend that is down")
        dns.set(*addresses("pods", pod.host))
        self.wait_until_up(gateway, pod)
        session(gateway.ports["imaps"])
        self.assertEqual(gateway.get("/readyz?backends=any")[0], 200)

    def test_dns_is_silent_at_the_start(self):
        pod = self.pod(1)
        dns = self.dns(*addresses("pods", pod.host))
        dns.pause()
        gateway = self.gateway(dns)
        self.assertIsNotNone(gateway.wait_for_line("name does not resolve", "kept=0", seconds=30))
        dns.go_on()
        self.wait_until_up(gateway, pod)
        session(gateway.ports["imaps"])

    def test_a_name_without_addresses(self):
        """What it had holds for a while, and then other servers alone are left."""
        pod, other = self.pod(1), self.pod(2)
        dns = self.dns(*addresses("pods", pod.host))
        gateway = self.gateway(dns, servers=["pods.{}:{}".format(ZONE, self.port),
                                             {"address": other.address, "priority": 1}],
                               resolve={"hold": "3s"})
        gateway.wait_for_metric(2, UP)
        for records in ((), ("pods TXT nothing",)):
            with self.subTest(records=records):
                lines = len(gateway.lines)
                with self.load(gateway) as load:
                    dns.set(*records)
                    self.assertIsNotNone(gateway.wait_for_line("does not resolve", "kept=1",
                                                               after=lines))
                    gateway.wait_for_metric(1, "starling_resolve_addresses", seconds=60)
                    self.wait_for_session(gateway, other)
                    dns.set(*addresses("pods", pod.host))
                    gateway.wait_for_metric(2, "starling_resolve_addresses", seconds=60)
                    self.wait_for_session(gateway, pod)
                self.assertEqual(load.failures, [], load.figures())


class Lies(Case):
    def refused(self, gateway, reason):
        return gateway.metrics().sum("starling_resolve_refused_addresses_total", reason=reason)

    def test_addresses_elsewhere(self):
        """The clients' passwords go nowhere but where the file allows it."""
        pod = self.pod(1)
        dns = self.dns(*addresses("pods", ELSEWHERE, "10.0.0.1", pod.host, "0.0.0.0", "224.0.0.1",
                                  "255.255.255.255", "::ffff:127.7.0.9", "2001:db8::1", "fe80::1"))
        gateway = self.gateway(dns, backend={"allow_plaintext_network": ["10.1.0.0/16"]})
        self.wait_until_up(gateway, pod)
        self.assertGreaterEqual(self.refused(gateway, "network"), 3)
        self.assertGreaterEqual(self.refused(gateway, "unusable"), 5)
        said = gateway.wait_for_line("address not used", "backend=imap", "reason=", "refused=8")
        self.assertIsNotNone(said)
        with self.load(gateway) as load:
            load.wait_for(10)
            lines = len(gateway.lines)
            dns.set(*addresses("pods", ELSEWHERE))
            gateway.wait_for_metric(0, "starling_resolve_addresses", seconds=60)
            load.forgive()
        with Wire(gateway.ports["imaps"]) as client:
            self.assertIn(b"BYE", client.start_tls().line())
        self.assertFalse(gateway.metrics().has(UP, server="{}:{}".format(ELSEWHERE, self.port)))
        self.assertFalse([line for line in gateway.lines[lines:]
                          if "server=" + ELSEWHERE in line])
        told = [line for line in gateway.lines if "address not used" in line]
        self.assertEqual(len(told), 1, "once a minute at most")

    def test_a_thousand_records(self):
        """They come by TCP. The lowest 64 are used, and the same ones each time."""
        pods = [self.pod(n) for n in (1, 2)]
        many = ["127.8.{}.{}".format(n // 250, n % 250 + 1) for n in range(998)]
        dns = self.dns(*addresses("pods", *(pod.host for pod in pods), *many))
        gateway = self.gateway(dns)
        gateway.wait_for_metric(64, "starling_resolve_addresses", seconds=60)
        gateway.wait_for_metric(2, UP, seconds=60)  # nobody listens at the others
        self.assertEqual(self.refused(gateway, "no_room") % 936, 0)
        answers = gateway.metrics().sum("starling_resolve_lookups_total", result="answer")
        gateway.wait_for_metric(lambda v: v >= answers + 3, "starling_resolve_lookups_total",
                                result="answer", seconds=60)
        self.assertEqual(len([line for line in gateway.lines if "servers changed" in line]), 1)
        with self.load(gateway) as load:
            load.wait_for(30)
        self.assertEqual(load.failures, [], load.figures())
        dns.set(*addresses("pods", *(pod.host for pod in pods)))
        self.wait_until_up(gateway, *pods)

    def test_circles_of_aliases(self):
        pod = self.pod(1)
        dns = self.dns(*addresses("pods", pod.host))
        gateway = self.gateway(dns)
        self.wait_until_up(gateway, pod)
        with self.load(gateway, threads=2) as load:
            dns.set("pods CNAME other", "other CNAME pods")
            self.assertIsNotNone(gateway.wait_for_line("does not resolve", "kept=1", seconds=60))
            load.wait_for(10)
            dns.set("pods CNAME other", "other CNAME third", *addresses("third", pod.host))
            self.assertIsNotNone(gateway.wait_for_line("resolves again", seconds=60))
            load.wait_for(5)
        self.assertEqual(load.failures, [], load.figures())


class Srv(Case):
    def test_priorities_ports_and_weights(self):
        main, rare = imap_of(0), imap_of(1)
        backup = self.pod(3)
        records = ["_imap._tcp SRV 10 9 {} a".format(main.split(":")[1]),
                   "_imap._tcp SRV 10 1 {} a".format(rare.split(":")[1]),
                   "_imap._tcp SRV 20 1 {} b".format(self.port),
                   *addresses("a", "127.0.0.1"), *addresses("b", backup.host)]
        dns = self.dns(*records)
        gateway = self.gateway(dns, servers=["srv:_imap._tcp." + ZONE])
        gateway.wait_for_metric(3, UP, seconds=60)
        lines = len(gateway.lines)
        with self.load(gateway, threads=2) as load:
            load.wait_for(60)
        self.assertEqual(load.failures, [], load.figures())
        ended = [line for line in gateway.lines[lines:] if ENDED in line]
        shares = {server: sum("server=" + server + " " in line + " " for line in ended)
                  for server in (main, rare, backup.address)}
        self.assertEqual(shares[backup.address], 0, shares)
        self.assertGreater(shares[main], 4 * shares[rare], shares)
        self.assertGreater(shares[rare], 0, shares)
        with self.load(gateway, threads=2) as load:
            dns.set(*records[2:])
            gateway.wait_for_metric(1, "starling_resolve_addresses", seconds=60)
            self.wait_for_session(gateway, backup)
            dns.set("_imap._tcp SRV 0 0 0 .")  # "there is no such service" holds for a while
            self.assertIsNotNone(gateway.wait_for_line("does not resolve", "kept=1", seconds=60))
            load.wait_for(5)
        self.assertEqual(load.failures, [], load.figures())


class Configurations(Case):
    def test_a_reload_does_not_wait_for_dns(self):
        pods = [self.pod(n) for n in (1, 2)]
        dns = self.dns(*addresses("pods", *(pod.host for pod in pods)))
        gateway = self.gateway(dns)
        self.wait_until_up(gateway, *pods)
        with open(gateway.config, encoding="utf-8") as f:
            text = f.read()
        dns.pause()
        with self.load(gateway) as load:
            load.wait_for(10)
            for number, (old, new) in enumerate((
                    ('"slow_start": "1s"', '"slow_start": "2s"'),
                    ("pods." + ZONE, "others." + ZONE),  # a name that nobody answers for now
                    ("others." + ZONE, "pods." + ZONE))):
                lines = len(gateway.lines)
                text = text.replace(old, new)
                env.write(os.path.basename(gateway.config), text)
                gateway.signal(signal.SIGHUP)
                self.assertIsNotNone(gateway.wait_for_line("configuration reloaded", after=lines))
                gateway.wait_for_metric(number + 2, "starling_config_generation")
                session(gateway.ports["imaps"])
                load.wait_for(5)
            dns.go_on()
            load.wait_for(10)
        self.assertEqual(load.failures, [], load.figures())
        self.wait_until_up(gateway, *pods)

    def test_addresses_become_a_name(self):
        pods = [self.pod(n) for n in (1, 2)]
        dns = self.dns(*addresses("pods", pods[1].host))
        gateway = self.gateway(dns, servers=[pods[0].address])
        with open(gateway.config, encoding="utf-8") as f:
            literal = f.read()
        named = literal.replace(pods[0].address, "pods.{}:{}".format(ZONE, self.port))
        with self.load(gateway) as load:
            for text, pod in ((named, pods[1]), (literal, pods[0]), (named, pods[1])):
                env.write(os.path.basename(gateway.config), text)
                gateway.signal(signal.SIGHUP)
                self.wait_for_session(gateway, pod)
                load.wait_for(10)
        self.assertEqual(load.failures, [], load.figures())

    def test_the_check_says_what_names_resolve_to(self):
        pod = self.pod(1, is_open=False)
        dns = self.dns(*addresses("pods", pod.host, ELSEWHERE))
        config, _, _ = env.configure(
            {"imaps": {"protocol": "imap", "tls": "implicit", "backend": "imap"}},
            {"imap": {"servers": ["pods.{}:{}".format(ZONE, self.port), "none.{}:1".format(ZONE)],
                      "proxy_protocol": "v2"}}, resolve=dns.resolve())
        done = subprocess.run([harness.BINARY, "-t", "-c", config], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"pods\.{}:\d+ +{} ".format(ZONE, pod.address))
        self.assertRegex(done.stdout, r"none\.{}:1 +none now".format(ZONE))
        self.assertRegex(done.stdout, r"warning: none\.{}:1 does not resolve now: .*NXDOMAIN".format(ZONE))
        self.assertRegex(done.stdout, "warning: backend imap does not use {}:".format(ELSEWHERE))

    def test_search_domains(self):
        pod = self.pod(1)
        dns = self.dns(*addresses("pods.ns.svc", pod.host))
        conf = env.write("resolv.conf", "search other.test svc.{}\noptions ndots:5\n".format(ZONE))
        gateway = self.gateway(dns, servers=["pods.ns:{}".format(self.port)],
                               resolve={"resolv_conf": conf})
        self.wait_until_up(gateway, pod)
        session(gateway.ports["imaps"])


class Recipe(Case):
    """The recipe for Kubernetes, with the names as a cluster's DNS has them, and resolv.conf as a pod
    has it."""

    def test_as_printed(self):
        with open(os.path.join(TOP, "deploy", "RECIPES.md"), encoding="utf-8") as f:
            section = f.read().split("\n## Servers by name, and in Kubernetes\n")[1].split("\n## ")[0]
        manifest, backends = re.findall(r"```yaml\n(.*?)```", section, re.S)
        imap_port, lmtp_port = (real[0].ports[name] for name in ("imap", "lmtp"))
        for printed, port in (("10143", imap_port), ("10024", lmtp_port)):
            self.assertIn("port: " + printed, manifest)
            backends = backends.replace(":" + printed, ":{}".format(port))
        # A real cluster's pods have addresses of its network. Here they are on loopback, which needs
        # no leave, so the rest of the line is as it is printed.
        service = "dovecot.mail.svc"
        dns = self.stack.enter_context(DnsServer(env.dir, zone="cluster.local", records=[
            *addresses(service, "127.0.0.1"),
            "_imap._tcp.{} SRV 0 100 {} pod.{}".format(service, imap_port, service),
            "_lmtp._tcp.{} SRV 0 100 {} pod.{}".format(service, lmtp_port, service),
            *addresses("pod." + service, "127.0.0.1")]))
        conf = env.write("pod.resolv.conf", "search mail.svc.cluster.local svc.cluster.local "
                                            "cluster.local\noptions ndots:5\n")
        config, metrics, ports = env.configure(
            {"imaps": {"protocol": "imap", "tls": "implicit", "backend": "imap"},
             "lmtps": {"protocol": "lmtp", "tls": "implicit", "backend": "lmtp"}},
            {"imap": "127.0.0.1:1", "lmtp": "127.0.0.1:1"}, limits=LIMITS,
            resolve=dns.resolve(resolv_conf=conf))
        with open(config, encoding="utf-8") as f:
            text = f.read()
        head, rest = text.split("backends:\n")
        text = head + backends + rest[rest.index("metrics:"):]
        env.write(os.path.basename(config), text)
        gateway = harness.Gateway(config, metrics, ports)
        gateway.start(ready="/readyz?backends=any")
        self.addCleanup(gateway.kill)
        session(gateway.ports["imaps"])
        with Wire(gateway.ports["lmtps"]) as client:
            must(client.start_tls().greeting("lmtp"), b"220")
            must(client.ask("lmtp", b"LHLO client.example.net\r\n"), b"250")
        self.assertEqual(gateway.metrics().sum("starling_resolve_addresses"), 2)
        self.assertEqual(gateway.stop(), 0)


if __name__ == "__main__":
    unittest.main()
