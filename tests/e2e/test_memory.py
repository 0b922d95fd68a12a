"""Tests memory: what the kernel and the gateway hold for peers that take nothing, what happens to
such peers when memory runs short, and what does not fit into the limits of the process."""

import contextlib
import re
import resource
import socket
import ssl
import subprocess
import threading
import unittest

import control_groups
import fakes
import harness
import wire
from wire import Wire

env = None
EXEMPT = [{"from": ["0.0.0.0/0"], "role": "exempt"}]


def setUpModule():
    global env
    env = harness.Environment(servers=False)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def pours(_, writer):
    """Sends without end."""
    while True:
        writer.write(bytes(65536))
        await writer.drain()


async def pours_or_echoes(reader, writer):
    """As the client's first octet says."""
    first = await reader.readexactly(1)
    await (pours if first == b"p" else fakes.echo)(reader, writer)


async def takes_nothing(reader, writer):
    """Reads no octet."""
    writer.transport.pause_reading()
    await fakes.asyncio.Event().wait()


def connected(port, count):
    """So many TLS sessions that nobody reads."""
    context = wire.context()
    return [context.wrap_socket(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]


def fill(clients):
    """Writes into each client until nothing goes any more."""
    for client in clients:
        client.setblocking(False)
    idle = 0
    while idle < 10:
        idle += 1
        for client in clients:
            with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
                while client.send(bytes(65536)):
                    idle = 0
        threading.Event().wait(0.05)


def kernel_memory(*ports):
    """Octets that the kernel holds for the sockets that the gateway has on these ports: those of
    its listeners, and those to servers."""
    listener, server = ports
    listed = subprocess.run(
        ["ss", "-tmnH", "sport = {} or dport = {}".format(listener, server)],
        capture_output=True, text=True, check=True).stdout
    return sum(int(n) for n in re.findall(r"\b(?:r|f|w)(\d+)", listed))


def settled(read):
    """What `read` gives once it grows no more."""
    before, same = read(), 0
    while same < 8:
        threading.Event().wait(0.1)
        now = read()
        same = same + 1 if now <= before else 0
        before = max(now, before)
    return before


class KernelBuffers(unittest.TestCase):
    COUNT = 20

    def held(self, handler, writes, **limits):
        """KiB of a session that nobody reads."""
        with fakes.Backend(handler) as backend, env.tcp(
                backend.address, {"sources": EXEMPT}, limits=limits, workers=1) as gateway:
            clients = connected(gateway.ports["tcp"], self.COUNT)
            if writes:
                fill(clients)
            held = settled(lambda: kernel_memory(gateway.ports["tcp"], backend.port))
            for client in clients:
                client.close()
            return held / self.COUNT / 1024

    def test_a_client_that_never_reads(self):
        self.assertGreater(self.held(pours, False, unsent=0, server_unsent=0), 1024)
        self.assertLess(self.held(pours, False), 768)

    def test_a_server_that_never_reads(self):
        """What the client's kernel may send ahead comes on top, unless it is limited, too."""
        unlimited = self.held(takes_nothing, True, unsent=0, server_unsent=0)
        self.assertGreater(unlimited, 1024)
        self.assertLess(self.held(takes_nothing, True, receive_buffer="64KiB"), 768)

    def test_ceilings(self):
        """The sizes are those of the sockets on both sides. The kernel doubles them."""
        def sizes(gateway, backend):
            listed = subprocess.run(
                ["ss", "-tmnH", "state", "established",
                 "( sport = {} or dport = {} )".format(gateway.ports["tcp"], backend.port)],
                capture_output=True, text=True, check=True).stdout
            return sorted(re.findall(r"rb(\d+),t\d+,tb(\d+)", listed))
        ceilings = {"send_buffer": 50_000, "receive_buffer": 60_000,
                    "server_send_buffer": 70_000, "server_receive_buffer": 80_000}
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, limits=ceilings, workers=1) as gateway:
            with Wire(gateway.ports["tcp"]) as client:
                client.start_tls()
                client.send(b"x").exactly(1)
                # The gateway's probes have sockets of their own.
                self.assertLessEqual({("120000", "100000"), ("160000", "140000")},
                                     set(sizes(gateway, backend)))
            # A listener's own come with a reload, also back to what the kernel chooses.
            with open(gateway.config, encoding="utf-8") as f:
                text = f.read()
            for own, wanted in ((1_234_000, "2468000"), (0, None)):
                with open(gateway.config, "w", encoding="utf-8") as f:
                    f.write(text.replace('"send_buffer": 50000', '"send_buffer": {}'.format(own)))
                before = gateway.metrics().sum("starling_config_generation")
                gateway.signal(harness.starling.signal.SIGHUP)
                gateway.wait_for_metric(before + 1, "starling_config_generation")
                with Wire(gateway.ports["tcp"]) as client:
                    client.start_tls()
                    client.send(b"x").exactly(1)
                    found = dict(sizes(gateway, backend))["120000"]
                    if wanted:
                        self.assertEqual(found, wanted)
                    else:
                        self.assertNotIn(found, ("100000", "2468000"))


class SlowReaders(unittest.TestCase):
    def ended(self, handler, writes, reason):
        with fakes.Backend(handler) as backend, env.tcp(
                backend.address, {"sources": EXEMPT, "limits": {"slow_reader": "2s"}},
                workers=1) as gateway:
            clients = connected(gateway.ports["tcp"], 3)
            if writes:
                fill(clients)
            self.assertEqual(gateway.wait_for_metric(
                3, "starling_sessions_ended_total", reason=reason), 3)
            self.assertIsNotNone(gateway.wait_for_line("session ended", "reason=" + reason))
            for client in clients:
                client.close()
            gateway.assert_idle(self)

    def test_a_client_that_takes_nothing(self):
        self.ended(pours, False, "client_stalled")

    def test_a_server_that_takes_nothing(self):
        self.ended(takes_nothing, True, "backend_stalled")

    def test_an_idle_session_is_not_one(self):
        """Nothing waits for it. The one that takes nothing shows that the time is over."""
        async def pours_when_told(reader, writer):
            await reader.readexactly(1)
            await pours(reader, writer)
        with fakes.Backend(pours_when_told) as backend, env.tcp(
                backend.address, {"limits": {"slow_reader": "1s"}}, workers=1) as gateway:
            idle, stuck, later = connected(gateway.ports["tcp"], 3)
            for number, client in ((1, stuck), (2, later)):
                client.send(b"x")
                gateway.wait_for_metric(number, "starling_sessions_ended_total",
                                        reason="client_stalled")
            idle.send(b"x")
            self.assertEqual(idle.recv(1), b"\0")
            for client in (idle, stuck, later):
                client.close()


class SmallStashes(unittest.TestCase):
    def dribble(self, count, limits, listener, octets):
        """Sessions that have each sent the beginning of something. Nobody is refused, and a
        client that comes then is served."""
        with fakes.Backend(fakes.says(b"220 ready\r\n")) as backend, env.gateway(
                {"in": {"protocol": "smtp", "policy": "require", "backend": "one",
                        "sources": EXEMPT, **listener}},
                {"one": backend.address}, workers=1, limits=limits) as gateway:
            clients = []
            for _ in range(count):
                client = socket.create_connection(("127.0.0.1", gateway.ports["in"]))
                client.sendall(octets)
                clients.append(client)
            gateway.wait_for_metric(count, "starling_worker_buffers_out", seconds=60)
            with Wire(gateway.ports["in"]) as good:
                if listener["tls"] == "starttls":
                    good.greeting("smtp")
                    self.assertTrue(good.ask("smtp", b"NOOP\r\n").startswith(b"250"))
                else:
                    good.start_tls()
            metrics = gateway.metrics()
            self.assertEqual(metrics.sum("starling_connections_refused_total"), 0)
            self.assertLess(metrics.sum("starling_worker_queued_bytes") / count, 600)
            for client in clients:
                client.close()
            gateway.assert_idle(self)

    def test_thousands_with_one_octet(self):
        self.dribble(3848, {"sessions": 6000}, {"tls": "starttls"}, b"E")

    def test_they_take_no_output_buffer(self):
        for tls, octets in (("starttls", b"EHLO client"), ("implicit", b"\x16\x03\x01")):
            with self.subTest(tls):
                self.dribble(200, {"sessions": 300, "output_buffers": 16}, {"tls": tls}, octets)

    def test_a_line_that_grows_arrives_whole(self):
        """Through all sizes of blocks, in the smallest pieces and in larger ones."""
        for piece in (1, 97, 700):
            with self.subTest(piece=piece), fakes.Backend(fakes.echo) as backend, env.gateway(
                    {"in": {"protocol": "smtp", "tls": "starttls", "policy": "require",
                            "backend": "one", "limits": {"max_line": "2KiB"}}},
                    {"one": backend.address}, workers=1) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    client.greeting("smtp")
                    line = b"NOOP " + b"x" * 2_000 + b"\r\n"
                    for begin in range(0, len(line), piece):
                        client.send(line[begin:begin + piece])
                    self.assertTrue(client.line().startswith(b"250"))
                    self.assertTrue(client.ask("smtp", b"NOOP\r\n").startswith(b"250"))
                gateway.assert_idle(self)


class Pressure(unittest.TestCase):
    """With a limit of its own for queued octets; the others take the same way."""
    def test_those_that_take_nothing_end_and_others_go_on(self):
        with fakes.Backend(pours_or_echoes) as backend, env.tcp(
                backend.address, {"sources": EXEMPT}, workers=1,
                limits={"queued_bytes": "3MiB", "memory_refusal": 0}) as gateway:
            good, *stuck = connected(gateway.ports["tcp"], 101)
            good.sendall(b"e")
            for client in stuck:
                client.sendall(b"p")
            gateway.wait_for_metric(lambda ended: ended > 0, "starling_sessions_ended_total",
                                    seconds=60, reason="memory_pressure")
            self.assertIsNotNone(gateway.wait_for_line(
                "memory is short; ending sessions whose peer takes nothing", "what=queued"))
            self.assertIsNotNone(gateway.wait_for_line("memory suffices again", seconds=60))
            self.assertIsNotNone(gateway.wait_for_line("session ended", "reason=memory_pressure"))
            # No more than had to: each of the 100 has at least 34 KiB, and about 15 are enough.
            self.assertLess(gateway.metrics().sum(
                "starling_sessions_ended_total", reason="memory_pressure"), 40)
            good.sendall(b"still there")
            self.assertEqual(good.recv(100), b"still there")
            for client in (good, *stuck):
                client.close()
            gateway.assert_idle(self)

    def test_new_clients_are_refused_and_served_again(self):
        with fakes.Backend(pours_or_echoes) as backend, env.gateway(
                {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "one"},
                 "in": {"protocol": "smtp", "tls": "starttls", "policy": "require",
                        "backend": "one"}},
                {"one": backend.address}, workers=1,
                limits={"queued_bytes": "256KiB", "memory_relief": 0}) as gateway:
            stuck = connected(gateway.ports["tcp"], 20)
            for client in stuck:
                client.sendall(b"p")
            self.assertIsNotNone(gateway.wait_for_line("memory is short; refusing new clients"))
            with Wire(gateway.ports["in"]) as client:
                self.assertTrue(client.rest().startswith(b"421 "))
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_connections_refused_total", reason="memory_limit"), 1)
            self.assertEqual(gateway.metrics().sum("starling_memory_limit_bytes", what="queued"),
                             256 * 1024)
            for client in stuck:
                client.close()
            self.assertIsNotNone(gateway.wait_for_line("memory suffices again"))
            with Wire(gateway.ports["in"]) as client:
                client.greeting("smtp")


class Bursts(unittest.TestCase):
    """More peers that take nothing, all at once, than there is memory for."""

    READERS = 1_000  # their blocks take 34 MiB, and as idle sessions they take 20 MiB with the rest
    LIMIT = 40 << 20

    def burst(self, workers, prefix=(), **limits):
        """A gateway amid the burst, and a client from another address that began before it."""
        backend = self.enterContext(fakes.Backend(pours_or_echoes))
        listener = {"protocol": "tcp", "tls": "implicit", "backend": "echo"}
        gateway = harness.Gateway(*env.configure(
            {"tcp": listener}, {"echo": backend.address}, workers=workers,
            limits={"sessions": 2_000, **limits},
            sources=[{"from": ["127.0.0.0/8"], "role": "client", "connections_per_second": 0,
                      "handshakes_per_second": 0}]))
        self.addCleanup(gateway.kill)
        gateway.start(prefix=prefix, ready="/healthz")
        good = Wire(gateway.ports["tcp"], source="127.0.0.9")
        self.addCleanup(good.close)
        good.start_tls()
        good.send(b"e")
        stuck = connected(gateway.ports["tcp"], self.READERS)
        for client in stuck:
            self.addCleanup(client.close)
        for client in stuck:
            client.sendall(b"p")
        return gateway, good, stuck

    def assert_outlived(self, gateway, good, stuck):
        ended = 0
        while ended == 0:  # until the burst has used what there is
            good.send(b"still there")
            self.assertEqual(good.exactly(11), b"still there")
            ended = gateway.metrics().sum("starling_sessions_ended_total",
                                          reason="memory_pressure")
        settled(lambda: gateway.metrics().sum("starling_worker_queued_bytes"))
        for _ in range(50):
            good.send(b"still there")
            self.assertEqual(good.exactly(11), b"still there")
        for client in (good, *stuck):
            client.close()
        gateway.assert_idle(self)
        self.assertEqual(gateway.stop(), 0)

    def test_a_control_group(self):
        group = self.enterContext(control_groups.memory_group(self))
        group.limit(self.LIMIT)
        for workers in (1, 4):
            with self.subTest(workers=workers):
                gateway, good, stuck = self.burst(workers, group.prefix())
                self.assert_outlived(gateway, good, stuck)
                # Less than at which the gateway would have noticed by its looks alone.
                self.assertLess(group.most_used(), self.LIMIT * 85 // 100)
                code, text = harness.run(  # runs: sh
                    [*group.prefix(), harness.BINARY, "-t", "-c", gateway.config])
                self.assertEqual(code, 0, text)
                self.assertRegex(text, r"queued_bytes +{} +cgroup".format(self.LIMIT // 4))

    def test_relays_that_wait_go_on(self):
        """Nobody ends where that is switched off: what waits is taken at last, and all goes on."""
        gateway, good, stuck = self.burst(1, queued_bytes="4MiB", memory_relief=0,
                                          memory_refusal=0)
        gateway.wait_for_metric(lambda held: held > 0, "starling_limit_reached_total",
                                limit="queued_bytes")
        for client in stuck:
            client.close()
        for _ in range(50):
            good.send(b"still there")
            self.assertEqual(good.exactly(11), b"still there")
        good.close()
        gateway.assert_idle(self)


class Fitting(unittest.TestCase):
    def test_open_files(self):
        """The check says it, and the start says the same."""
        config, _, _ = env.configure(
            {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "one"}},
            {"one": harness.DOWN}, io="io_uring", limits={"sessions": 6000})
        words = ("limits.sessions: 6000 and limits.refusals: 64 need a table of 12441 descriptors in "
                 "each worker, and the limit of open files (RLIMIT_NOFILE) is 1024: raise it (ulimit "
                 "-n, LimitNOFILE=) or lower limits.sessions")
        few = ["prlimit", "--nofile=1024:1024", harness.BINARY, "-c", config]
        code, said = harness.run([*few, "-t"])
        self.assertEqual(code, 0)
        self.assertIn("warning: " + words, said)
        code, said = harness.run(few)
        self.assertNotEqual(code, 0)
        self.assertIn("starling: " + words, said)
        code, said = harness.run(["prlimit", "--nofile=16000:16000", *few[2:], "-t"])
        self.assertNotIn("RLIMIT_NOFILE", said)

    def test_blocks(self):
        config, _, _ = env.configure(
            {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "one"}},
            {"one": harness.DOWN}, limits={"sessions": 1000, "output_buffers": 100})
        self.assertIn("warning: limits.output_buffers: 100 are fewer than limits.sessions: 1000",
                      harness.run([harness.BINARY, "-c", config, "-t"])[1])

    def test_ports_towards_servers(self):
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
            first, last = map(int, f.read().split())
        ports = last - first + 1
        tcp = harness.DOWN
        for servers, more, sessions, most in (
                ([tcp], {}, ports, None), ([tcp], {}, ports + 1, ports),
                ([tcp], {"source": ["127.0.0.2", "127.0.0.3"]}, ports + 1, None),
                ([tcp], {"source": ["127.0.0.2", "127.0.0.3"]}, 2 * ports + 1, 2 * ports),
                ([tcp, "127.0.0.9:9"], {}, ports + 1, None),
                (["unix:/run/some.sock"], {}, ports + 1, None)):
            with self.subTest(servers=servers, sessions=sessions, **more):
                config, _, _ = env.configure(
                    {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "one"}},
                    {"one": {"servers": servers, **more}}, workers=1,
                    limits={"sessions": sessions})
                said = harness.run([harness.BINARY, "-c", config, "-t"])[1]
                words = ("warning: limits.sessions: {} of 1 workers are more than the {} connections "
                         "that backend one can have: ").format(sessions, most)
                if most:
                    self.assertIn(words, said)
                else:
                    self.assertNotIn("connections that backend", said)


if __name__ == "__main__":
    unittest.main()
