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
CPUS = len(os.sched_getaffinity(0))


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def limits_of(output):
    """The table that -t prints: {limit: (value, the rest of its line)}."""
    rows = re.findall(r"(?m)^  ([a-z_.]+) +(\S+)  +(.*?) *$", output.split("\n\n")[0])
    return {name: (value, rest) for name, value, rest in rows}


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

    def check(self, prefix=(), **more):
        path, _, _ = env.configure(
            {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "echo"}},
            {"echo": harness.DOWN}, **more)
        code, output = harness.run([*prefix, harness.BINARY, "-t", "-c", path])
        self.assertEqual(code, 0, output)
        return limits_of(output)

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
