"""The gateway takes as much of the machine as it was given: workers by the CPU quota of a real
control group, and what `-t` says of it."""

import os
import re
import signal
import unittest

import control_groups
import fakes
import harness
from wire import Wire

env = None
MEMORY = {}  # what each limit takes when it is full, as the latest check says
CPUS = len(os.sched_getaffinity(0))


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def limits_of(output):
    """The table that -t prints: {limit: (value, what bounds it)}; MEMORY beside it."""
    rows = re.findall(r"(?m)^  ([a-z_.]+) +(\S+)  +(.*?)(?:  +(.*?))?$", output.split("\n\n")[0])
    MEMORY.update({name: memory for name, _, _, memory in rows})
    return {name: (value, bound) for name, value, bound, _ in rows}


def check(prefix=(), code=0, **more):
    """What -t prints for a configuration."""
    path, _, _ = env.configure(
        {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "echo"}},
        {"echo": harness.DOWN}, **more)
    found, output = harness.run([*prefix, harness.BINARY, "-t", "-c", path])
    if found != code:
        raise AssertionError(output)
    return output


class Sessions(unittest.TestCase):
    """limits.sessions: auto, by real limits of a process."""

    @staticmethod
    def within(files, *more):
        return ["prlimit", "--nofile=256:{}".format(files), *more]

    def fitted(self, prefix, **more):
        value, bound = limits_of(check(prefix, **more))["sessions"]
        return int(value), bound

    def test_descriptors(self):
        """Those of the hard limit: a table of io_uring is a worker's own, on epoll all workers share."""
        for io, workers, most in (("io_uring", 1, 4000), ("io_uring", 4, 4000), ("epoll", 1, 4000),
                                  ("epoll", 2, 2000)):
            with self.subTest(io, workers=workers):
                sessions, bound = self.fitted(self.within(8000), io=io, workers=workers)
                self.assertEqual(bound, "RLIMIT_NOFILE, 8000")
                self.assertLess(sessions, most)
                self.assertGreater(sessions, most - 400)
        # A check that has nothing to say, and a start.
        self.assertNotIn("RLIMIT_NOFILE: raise", check(self.within(8000), io="epoll"))

    def test_memory(self):
        sessions, bound = self.fitted(["prlimit", "--data={}".format(40 << 20)], workers=1, io="epoll")
        self.assertEqual(bound, "half of RLIMIT_DATA, 20 MiB")
        self.assertEqual(sessions, (20 << 20) // 4096 - 64 - 32 - 64)
        self.assertEqual(MEMORY["sessions"], "20 MiB")

    def test_a_number_still_counts(self):
        limits = limits_of(check(limits={"sessions": 123}, workers=2))
        self.assertEqual(limits["sessions"], ("123", "the configuration"))
        slots = 123 + 64 + 32 + 64
        self.assertEqual(limits["handshakes_in_flight"], (str(slots), "sessions"))
        self.assertEqual(limits["handshake_queue"], (str(slots), "sessions"))
        self.assertEqual(limits["output_buffers"], (str(4 * slots), "sessions"))
        self.assertEqual(MEMORY["sessions"], "3 MiB")
        limits = limits_of(check(limits={"handshakes_in_flight": 5, "handshake_queue": 6, "output_buffers": 7000}))
        for name, value in (("handshakes_in_flight", "5"), ("handshake_queue", "6"), ("output_buffers", "7000")):
            self.assertEqual(limits[name], (value, "the configuration"))
        self.assertEqual(MEMORY["output_buffers"].split()[1], "MiB")

    def serve(self, prefix, **more):
        backend = self.enterContext(fakes.Backend(fakes.echo))
        running = harness.Gateway(*env.configure(
            {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "echo"}},
            {"echo": backend.address}, **more))
        self.addCleanup(running.kill)
        return running.start(prefix=prefix, ready="/healthz")

    def test_the_default_has_more_than_a_thousand(self):
        """As many as it says, of which each can be had; and a reload keeps the number."""
        prefix = self.within(6000)
        for io in ("io_uring", "epoll"):
            sessions = int(limits_of(check(prefix, io=io, workers=1))["sessions"][0])
            self.assertGreater(sessions, 2000)
            with self.subTest(io):
                running = self.serve(prefix, io=io, workers=1)
                places = running.metrics().sum("starling_worker_session_places")
                self.assertEqual(places, sessions)
                clients = []
                self.addCleanup(lambda: [client.close() for client in clients])
                for _ in range(1500):
                    clients.append(Wire(running.ports["tcp"]))
                running.wait_for_metric(1500, "starling_sessions")
                running.signal(signal.SIGHUP)
                self.assertIsNotNone(running.wait_for_line('msg="configuration reloaded"'))
                with Wire(running.ports["tcp"]) as client:
                    client.start_tls()
                    self.assertEqual(client.send(b"x").exactly(1), b"x")
                for client in clients:
                    client.close()
                self.assertEqual(running.stop(), 0)

    def test_fewer_descriptors_than_one_session_needs(self):
        output = check(["prlimit", "--nofile=256:256"], io="io_uring")
        self.assertIn("limits.sessions: 1 and limits.refusals: 64 need a table of", output)


class Cpus(unittest.TestCase):
    def start(self, backend, prefix, **more):
        listener = {"protocol": "tcp", "tls": "implicit", "backend": "echo"}
        running = harness.Gateway(*env.configure(
            {"tcp": listener}, {"echo": backend.address}, **more))
        self.addCleanup(running.kill)
        return running.start(prefix=prefix, ready="/healthz")

    def pinned(self, gateway):
        """How many threads of the gateway stay on one CPU of several."""
        number = 0
        tasks = "/proc/{}/task".format(gateway.process.pid)
        for task in os.listdir(tasks):
            number += CPUS > 1 and len(os.sched_getaffinity(int(task))) == 1
        return number

    @staticmethod
    def check(prefix=(), **more):
        return limits_of(check(prefix, **more))

    def test_the_affinity_mask_counts_and_workers_are_pinned(self):
        cpu = str(min(os.sched_getaffinity(0)))
        limits = self.check(["taskset", "-c", cpu])
        self.assertEqual(limits["workers"], ("1", "affinity mask, 1 CPU"))
        self.assertEqual(limits["pin_workers"][0], "true")
        limits = self.check(workers=3, pin_workers=False)
        self.assertEqual(limits["workers"], ("3", "the configuration"))
        self.assertEqual(limits["pin_workers"], ("false", "the configuration"))
        with control_groups.cpu_group(self) as group, fakes.Backend(fakes.echo) as backend:
            gateway = self.start(backend, group.prefix())
            self.assertIsNotNone(
                gateway.wait_for_line('msg="gateway ready"', " workers={} ".format(CPUS)))
            self.assertEqual(self.pinned(gateway), CPUS if CPUS > 1 else 0)
            self.assertEqual(gateway.stop(), 0)

    def test_a_quota_around_the_own_group_counts(self):
        with control_groups.cpu_group(self) as group:
            for quota, workers in ((0.5, 1), (CPUS - 0.5, CPUS)):
                group.limit(quota)
                limits = self.check(group.prefix())
                self.assertEqual(limits["workers"][0], str(workers), limits)
                self.assertIn("CPU quota, {:g} ({}".format(quota, group.outer), limits["workers"][1])
                self.assertEqual(limits["pin_workers"], ("false", "a CPU quota"))
            self.assertEqual(self.check(group.prefix(), pin_workers=True)["pin_workers"],
                             ("true", "the configuration"))

    def test_a_reload_keeps_the_number_when_the_quota_changes(self):
        with control_groups.cpu_group(self) as group, fakes.Backend(fakes.echo) as backend:
            group.limit(0.5)
            gateway = self.start(backend, group.prefix())
            self.assertIsNotNone(gateway.wait_for_line('msg="gateway ready"', " workers=1 "))
            self.assertEqual(self.pinned(gateway), 0)
            group.limit(None)
            gateway.signal(signal.SIGHUP)
            self.assertIsNotNone(gateway.wait_for_line('msg="configuration reloaded"'))
            with Wire(gateway.ports["tcp"]) as client:
                client.start_tls()
                self.assertEqual(client.send(b"x").exactly(1), b"x")
            self.assertEqual(gateway.stop(), 0)


if __name__ == "__main__":
    unittest.main()
