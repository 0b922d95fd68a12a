"""Tests what the gateway runs on: io_uring where it may, epoll where it may not, and what it says of that."""

import contextlib
import glob
import os
import shutil
import sys
import unittest

import fakes
import harness
from wire import Wire

env = None
SYSCTL = "/proc/sys/kernel/io_uring_disabled"
FALLBACK = "io_uring cannot be had; running on epoll"
LISTENERS = {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "echo"}}


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def without(*rules):
    """The words before a command that keep these system calls from it."""
    return [sys.executable, os.path.join(harness.HERE, "forbid.py"), *rules, "--"]


def serves(gateway):
    with Wire(gateway.ports["tcp"]) as client:
        client.start_tls().send(b"x" * 100_000)
        return client.exactly(100_000) == b"x" * 100_000


class Case(unittest.TestCase):
    @contextlib.contextmanager
    def started(self, prefix=(), **more):
        with fakes.Backend(fakes.echo) as backend:
            gateway = harness.Gateway(*env.configure(LISTENERS, {"echo": backend.address}, **more))
            gateway.start(ready="/healthz", prefix=prefix)
            try:
                yield gateway
                self.assertEqual(gateway.stop(), 0)
            finally:
                gateway.kill()

    def assert_runs_on(self, gateway, ring, reason):
        self.assertTrue(serves(gateway))
        metrics = gateway.metrics()
        self.assertEqual(metrics.sum("starling_io_ring_info"), 1)
        self.assertEqual(metrics.sum("starling_io_ring_info", ring=ring, reason=reason), 1)
        self.assertIsNotNone(gateway.wait_for_line("gateway ready", "ring=" + ring))
        gateway.assert_idle(self)

    def assert_said(self, gateway, *parts):
        """One line says why, and what to do."""
        self.assertIsNotNone(gateway.wait_for_line("level=warning", FALLBACK, "cost=", *parts))
        self.assertEqual(sum(FALLBACK in line for line in gateway.lines), 1)

    def checked(self, option, *arguments, prefix=(), **more):
        config, _, _ = env.configure(LISTENERS, {"echo": harness.DOWN}, io=option, **more)
        return harness.run([*prefix, harness.BINARY, "-c", config, *arguments])


class Choice(Case):
    def test_io_uring_where_it_is_allowed(self):
        for option, reason in (("auto", "available"), ("io_uring", "configured")):
            with self.subTest(option), self.started(io=option) as gateway:
                self.assert_runs_on(gateway, "io_uring", reason)
                self.assertNotIn(FALLBACK, "\n".join(gateway.lines))

    def test_epoll_where_it_is_configured(self):
        """The filter ends a process that even tries io_uring."""
        with self.started(without("io_uring_setup=kill"), io="epoll") as gateway:
            self.assert_runs_on(gateway, "epoll", "configured")
            self.assertNotIn(FALLBACK, "\n".join(gateway.lines))

    def test_epoll_where_a_filter_forbids_io_uring(self):
        """The errors of Docker and containerd, of Podman and CRI-O, and of sandboxes."""
        for error in ("EPERM", "EACCES", "ENOSYS", "EOPNOTSUPP"):
            with self.subTest(error), self.started(without("io_uring_setup=" + error), io="auto") as gateway:
                self.assert_runs_on(gateway, "epoll", "seccomp")
                self.assert_said(gateway, "reason=seccomp", "io_uring_setup: ", "--security-opt seccomp=FILE")

    def test_epoll_where_a_real_ring_gets_no_memory(self):
        """The small ring by which the gateway tries io_uring still fits."""
        with self.started(without("io_uring_setup=ENOMEM>16"), io="auto") as gateway:
            self.assert_runs_on(gateway, "epoll", "memory_limit")
            self.assert_said(gateway, "reason=memory_limit", "RLIMIT_MEMLOCK")

    def test_epoll_where_the_sysctl_forbids_io_uring(self):
        """With 1, root may use io_uring, and the user that the gateway becomes may not. On a machine
        where the tests cannot set the sysctl, nothing can be seen here."""
        if not os.access(SYSCTL, os.W_OK):
            return
        for key in glob.glob(os.path.join(env.dir, "*.key")):
            shutil.chown(key, "nobody")
        with open(SYSCTL, encoding="ascii") as f:
            before = f.read()
        with contextlib.ExitStack() as stack:
            try:
                with open(SYSCTL, "w", encoding="ascii") as f:
                    f.write("1")
                gateway = stack.enter_context(self.started(io="auto", user="nobody"))
            finally:
                with open(SYSCTL, "w", encoding="ascii") as f:
                    f.write(before)
            self.assert_runs_on(gateway, "epoll", "sysctl")
            self.assert_said(gateway, "reason=sysctl", "sysctl -w kernel.io_uring_disabled=0")

    def test_an_older_kernel_waits_in_milliseconds(self):
        with self.started(without("io_uring_setup=EPERM", "epoll_pwait2=ENOSYS"), io="auto") as gateway:
            self.assert_runs_on(gateway, "epoll", "seccomp")


class Told(Case):
    def test_the_check_and_the_version_say_which_ring_it_would_be(self):
        cases = (
            ("auto", (), "ring: io_uring with features "),
            ("io_uring", (), "ring: io_uring with features "),
            ("epoll", (), "ring: epoll, as configured"),
            ("auto", without("io_uring_setup=EPERM"), "ring: epoll (seccomp): io_uring is not available: io_uring_setup: "))
        for option, prefix, said in cases:
            with self.subTest(said):
                code, output = self.checked(option, "-t", prefix=prefix)  # runs: /usr/bin/python3
                self.assertEqual(code, 0, output)
                self.assertIn("\n" + said, output)
                self.assertNotIn("warning", output)
                if option == "auto":
                    self.assertIn("\n" + said, harness.run([*prefix, harness.BINARY, "-V"])[1])  # runs: /usr/bin/python3

    def test_without_io_uring_it_does_not_start_where_it_must_have_it(self):
        forbidden = without("io_uring_setup=EPERM")
        said = "io_uring is not available: io_uring_setup: Operation not permitted; a seccomp filter"
        code, output = self.checked("io_uring", prefix=forbidden)
        self.assertEqual(code, 4, output)
        self.assertIn("starling: " + said, output)
        code, output = self.checked("io_uring", "-t", prefix=forbidden)
        self.assertEqual(code, 0, output)
        self.assertIn("warning: " + said, output)


class OpenFiles(Case):
    def test_the_limit_is_raised_as_far_as_it_may_be(self):
        with self.started(["prlimit", "--nofile=1024:20000"], io="epoll", workers=2) as gateway:
            self.assert_runs_on(gateway, "epoll", "configured")

    def test_too_low_a_limit_is_explained(self):
        words = "limits.sessions: 1000 and limits.refusals: 64 of 2 workers on epoll need about "
        few = ["prlimit", "--nofile=1024:1024"]
        wanted = {"workers": 2, "limits": {"sessions": 1000}}
        code, output = self.checked("epoll", prefix=few, **wanted)
        self.assertEqual(code, 4, output)
        self.assertIn("starling: " + words, output)
        self.assertIn("warning: " + words, self.checked("epoll", "-t", prefix=few, **wanted)[1])


if __name__ == "__main__":
    unittest.main()
