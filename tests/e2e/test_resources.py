"""Fills each resource of the gateway: new work is refused by name, old work goes on, and all of it
recovers without help. Each test prints how long that took once there was room again."""

import fcntl
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
import unittest

import fakes
import harness
from wire import Wire

env = None

# Far more than what any of these needs to recover: the gateway asks for memory once a second, and
# pauses accepts for a tenth of one.
RECOVERY = 10


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def echoes(client, text=b"x"):
    return client.send(text).exactly(len(text)) == text


def serves(gateway, source="127.0.0.1"):
    """Whether a new client is served."""
    try:
        with Wire(gateway.ports["tcp"], source) as client:
            return echoes(client.start_tls())
    except (OSError, EOFError):
        return False


class Case(unittest.TestCase):
    def assert_recovers(self, what, test):
        began = time.monotonic()
        while not test():
            self.assertLess(time.monotonic() - began, RECOVERY, what)
            time.sleep(0.02)
        print("{}: recovered after {:.2f} s".format(what, time.monotonic() - began))

    def assert_refused(self, gateway, reason):
        """A new client is not served, and the gateway says why."""
        name = "starling_connections_refused_total"
        before = gateway.metrics().sum(name, reason=reason)
        self.assertFalse(serves(gateway))
        gateway.wait_for_metric(lambda count: count > before, name, reason=reason)
        self.assertIsNotNone(gateway.wait_for_line('msg="session ended"', "reason=" + reason))


class Places(Case):
    def test_slots(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, workers=1, limits={"sessions": 4}) as gateway:
            clients = [Wire(gateway.ports["tcp"]) for _ in range(4)]
            for client in clients:
                self.assertTrue(echoes(client.start_tls()))
            self.assert_refused(gateway, "session_limit")
            for client in clients:
                self.assertTrue(echoes(client, b"x" * 50_000))
            clients.pop().close()
            self.assert_recovers("slots", lambda: serves(gateway))
            for client in clients:
                self.assertTrue(echoes(client))
                client.close()
            gateway.assert_idle(self)

    def test_output_blocks(self):
        """Clients that send and never read what comes back."""
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, workers=1, limits={"output_buffers": 64, "bulk_buffers": 0}) as gateway:
            with Wire(gateway.ports["tcp"]) as old:
                self.assertTrue(echoes(old.start_tls()))
                deaf = []
                name = "starling_connections_refused_total"
                while gateway.metrics().sum(name, reason="buffer_limit") == 0:
                    self.assertLess(len(deaf), 100)
                    client = Wire(gateway.ports["tcp"])
                    deaf.append(client)
                    try:
                        client.start_tls()
                        client.socket.settimeout(0.1)
                        while True:
                            client.socket.sendall(b"x" * 1_000_000)
                    except (OSError, EOFError, ssl.SSLError):
                        continue
                self.assert_refused(gateway, "buffer_limit")
                self.assertTrue(echoes(old))
                for client in deaf:
                    client.close()
                self.assert_recovers("output blocks", lambda: serves(gateway))
                self.assertTrue(echoes(old, b"x" * 50_000))

    def test_receive_buffers(self):
        """They are free again with the next turn, so nobody is refused: it is counted, and all
        octets arrive."""
        limits = {"small_buffers": 8, "large_buffers": 8}
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, workers=1, limits=limits) as gateway:
            clients = [Wire(gateway.ports["tcp"]).start_tls() for _ in range(60)]
            for turn in range(200):
                # The gateway finds the octets of all of them in one turn.
                gateway.signal(signal.SIGSTOP)
                for client in clients:
                    client.send(b"x" * 100)
                gateway.signal(signal.SIGCONT)
                for client in clients:
                    self.assertEqual(client.exactly(100), b"x" * 100)
                if gateway.metrics().sum("starling_limit_reached_total", limit="receive_buffers"):
                    break
            else:
                self.fail("60 clients at once do not need more than 8 buffers")
            self.assert_recovers("receive buffers", lambda: serves(gateway))
            for client in clients:
                client.close()
            gateway.assert_idle(self)


class Descriptors(Case):
    def test_none_left(self):
        """On io_uring, sessions need none of the process' descriptors; on epoll, those that are there
        go on. A reload needs some; health answers take the one of an idle client."""
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address) as gateway:
            with Wire(gateway.ports["tcp"]) as old:
                self.assertTrue(echoes(old.start_tls()))
                pid = gateway.process.pid
                before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
                used = {int(name) for name in os.listdir("/proc/{}/fd".format(pid))}
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(used) + 1, before[1]))
                # What is still free below the limit goes to idle clients of the metrics port.
                host, port = gateway.metrics_address.split(":")
                idle = []
                self.addCleanup(lambda: [client.close() for client in idle])
                for _ in range(RECOVERY):
                    idle += [socket.create_connection((host, int(port))) for _ in range(40)]
                    gateway.signal(signal.SIGHUP)
                    if gateway.wait_for_line("reload rejected", "Too many open files", seconds=1):
                        break
                else:
                    self.fail("no reload lacked a descriptor")
                self.assertEqual(gateway.get("/readyz"), (200, "ok\n"))
                self.assertTrue(echoes(old))
                if harness.IO != "epoll":
                    self.assertTrue(serves(gateway))
                resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
                name = "starling_config_reloads_total"
                done = gateway.metrics().sum(name, result="success")
                gateway.signal(signal.SIGHUP)
                self.assert_recovers("descriptors", lambda: gateway.metrics().sum(
                    name, result="success") > done)
                self.assertTrue(echoes(old))
                self.assertTrue(serves(gateway))


class Logs(Case):
    def fill(self, gateway):
        """Sessions until lines are lost; each is served."""
        for _ in range(3_000):
            self.assertTrue(serves(gateway))
            if gateway.metrics().sum("starling_log_lines_lost_total"):
                return
        self.fail("no line was lost")

    def test_a_full_disk(self):
        folder = os.path.join(env.dir, "disk")
        os.mkdir(folder)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "starling-log", folder], check=True)
        self.addCleanup(subprocess.run, ["umount", folder], check=True)
        path = os.path.join(folder, "log")
        with open(path, "ab") as log, fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, stdout=log) as gateway, Wire(gateway.ports["tcp"]) as old:
            self.assertTrue(echoes(old.start_tls()))
            self.fill(gateway)
            self.assertTrue(echoes(old))
            os.truncate(path, 0)
            gateway.signal(signal.SIGUSR1)
            with open(path, encoding="utf-8") as written:
                text = ""

                def resumed():
                    nonlocal text
                    text += written.read()
                    return "nothing to reopen" in text
                self.assert_recovers("disk of the log", resumed)
            self.assertTrue(echoes(old))

    def test_a_reader_that_stops(self):
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(reader, False)
        try:
            with fakes.Backend(fakes.echo) as backend, env.tcp(
                    backend.address, stdout=writer, workers=1,
                    limits={"log_records": 64}) as gateway, Wire(gateway.ports["tcp"]) as old:
                self.assertTrue(echoes(old.start_tls()))
                self.fill(gateway)
                self.assertTrue(echoes(old))
                text = b""

                def resumed():
                    nonlocal text
                    try:
                        text += os.read(reader, 1 << 20)
                    except BlockingIOError:
                        gateway.signal(signal.SIGUSR1)
                    return b"nothing to reopen" in text
                self.assert_recovers("reader of the log", resumed)
                self.assertTrue(all(line.startswith((b"time=", b"warning:"))
                                    for line in text.splitlines()), text[:2000])
                self.assertTrue(echoes(old))
        finally:
            os.close(writer)
            os.close(reader)


class Memory(Case):
    def deny(self, which, most):
        """A limit below what the gateway has: nothing more can be mapped. `most`: clients that the
        rest of what it has is enough for, at most."""
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, workers=1) as gateway, Wire(gateway.ports["tcp"]) as old:
            self.assertTrue(echoes(old.start_tls()))
            self.assertEqual(gateway.get("/metrics")[0], 200)
            pid = gateway.process.pid
            before = resource.prlimit(pid, which)
            resource.prlimit(pid, which, (1, before[1]))
            # The C library still has a little of what it mapped before.
            others = []
            self.addCleanup(lambda: [other.close() for other in others])
            while not gateway.wait_for_line("refusing new clients", seconds=0):
                if len(others) == most:
                    break
                others.append(Wire(gateway.ports["tcp"]))
                try:
                    others[-1].start_tls()
                except (OSError, EOFError):
                    continue
            if most == 500:
                self.assertFalse(serves(gateway))
                self.assertIsNotNone(gateway.wait_for_line(
                    'msg="session ended"', "reason=memory_limit"))
            gateway.signal(signal.SIGHUP)
            self.assertIsNotNone(gateway.wait_for_line(
                "reload rejected", 'error="the system denies memory"'), gateway.lines)
            self.assertIn(gateway.get("/metrics")[0], (200, 503))
            for page in ("/healthz", "/readyz"):
                self.assertEqual(gateway.get(page), (200, "ok\n"))
            self.assertTrue(echoes(old))
            for other in others:
                other.close()
            resource.prlimit(pid, which, before)
            self.assert_recovers("memory", lambda: serves(gateway))
            gateway.signal(signal.SIGHUP)
            self.assertIsNotNone(gateway.wait_for_line('msg="configuration reloaded"'))
            self.assertEqual(gateway.get("/metrics")[0], 200)
            self.assertTrue(echoes(old, b"x" * 50_000))

    def test_data(self):
        self.deny(resource.RLIMIT_DATA, 500)

    def test_address_space(self):
        """The C library has reserved address space for each thread, which is enough for these."""
        self.deny(resource.RLIMIT_AS, 50)

    def test_no_thread_at_the_start(self):
        """Stacks are larger than what may be mapped: exit code 5, and a sentence."""
        config, _, _ = env.configure(
            {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "echo"}},
            {"echo": harness.DOWN})
        code, output = harness.run(["prlimit", "--stack=6442450944", "--as=4294967296",
                                    harness.BINARY, "-c", config])
        self.assertEqual(code, 5, output)
        self.assertRegex(output, r"starling: cannot start a thread: .*; raise the limit of tasks")


class Ports(Case):
    def test_towards_one_server(self):
        """In a network of its own, where a host has 16 ports."""
        code, output = harness.run(
            ["unshare", "--net", "sh", "-c",
             'ip link set lo up && exec "$@"', "sh", sys.executable, os.path.abspath(__file__),
             "Ports.in_a_small_network"], timeout=120)
        print(output)
        self.assertEqual(code, 0)

    def in_a_small_network(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, limits={"connect": "2s"}) as gateway:
            with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as f:
                f.write("60000 60015")
            # Each client has an address of its own, and so 16 ports.
            clients = []
            while not gateway.wait_for_line("no local port left towards the server", seconds=0):
                self.assertLess(len(clients), 20)
                client = Wire(gateway.ports["tcp"], "127.0.1.{}".format(len(clients)))
                clients.append(client)
                client.start_tls()
                try:
                    self.assertTrue(echoes(client))
                except (OSError, EOFError):
                    clients.pop().close()
                    break
            self.assertIsNotNone(gateway.wait_for_line("no local port left towards the server"))
            self.assertGreater(len(clients), 8)
            for client in clients:
                self.assertTrue(echoes(client, b"x" * 50_000))
            for _ in range(4):
                clients.pop().close()
            self.assert_recovers("ports", lambda: serves(gateway, "127.0.2.1"))
            for client in clients:
                self.assertTrue(echoes(client))
                client.close()


if __name__ == "__main__":
    unittest.main()
