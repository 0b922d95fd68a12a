"""Tests signals: which of them drain or reload, and that no other one ends the gateway."""

import os
import resource
import signal
import unittest

import fakes
import harness
from wire import Wire

env = None

# The gateway ignores them. PIPE and XFSZ come from the kernel too.
IGNORED = ["USR2", "ALRM", "VTALRM", "PROF", "IO", "PWR", "STKFLT", "XFSZ", "XCPU", "PIPE", "CHLD",
           "URG", "WINCH", "CONT"]


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def echoes(client, text=b"x"):
    return client.send(text).exactly(len(text)) == text


class Signals(unittest.TestCase):
    def test_none_of_these_ends_it(self):
        """Twice each: a session goes on, and a new client is served."""
        numbers = [getattr(signal, "SIG" + name) for name in IGNORED]
        numbers += range(signal.SIGRTMIN, signal.SIGRTMAX + 1)
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address) as gateway:
            with Wire(gateway.ports["tcp"]) as client:
                client.start_tls()
                for number in numbers:
                    for _ in range(2):
                        os.kill(gateway.process.pid, number)
                    with self.subTest(number):
                        self.assertTrue(echoes(client))
                        with Wire(gateway.ports["tcp"]) as other:
                            self.assertTrue(echoes(other.start_tls()))
            self.assertEqual(gateway.get("/readyz")[0], 200)

    def test_usr1_says_that_there_is_no_file(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address) as gateway:
            gateway.signal(signal.SIGUSR1)
            self.assertIsNotNone(gateway.wait_for_line(
                'msg="nothing to reopen: the log goes to standard output"'), gateway.lines)
            with Wire(gateway.ports["tcp"]) as client:
                self.assertTrue(echoes(client.start_tls()))

    def test_quit_drains(self):
        """However often it comes: only TERM or INT ends sessions at once."""
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, limits={"drain": "120s"}) as gateway:
            with Wire(gateway.ports["tcp"]) as client:
                client.start_tls()
                gateway.signal(signal.SIGQUIT)
                self.assertIsNotNone(gateway.wait_for_line('msg="closing address"'), gateway.lines)
                for _ in range(3):
                    gateway.signal(signal.SIGQUIT)
                    self.assertTrue(echoes(client, b"x" * 100_000))
                # The gateway reads signals in the order of their numbers, all at once; this line
                # says that it has read the last QUIT.
                gateway.signal(signal.SIGHUP)
                self.assertIsNotNone(gateway.wait_for_line('msg="reload ignored while draining"'))
                self.assertTrue(echoes(client))
            self.assertEqual(gateway.wait(), 0)

    def test_term_during_a_drain_ends_it(self):
        for first, second in ((signal.SIGQUIT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)):
            with self.subTest(first), fakes.Backend(fakes.echo) as backend, env.tcp(
                    backend.address, limits={"drain": "120s"}) as gateway:
                with Wire(gateway.ports["tcp"]) as client:
                    client.start_tls()
                    gateway.signal(first)
                    self.assertIsNotNone(gateway.wait_for_line('msg=draining'), gateway.lines)
                    gateway.signal(second)
                    self.assertEqual(gateway.wait(), 0)


class FileSize(unittest.TestCase):
    def test_a_log_file_at_its_limit(self):
        """The kernel sends XFSZ with each write. Sessions go on, lines are counted as lost; and
        with room again the log goes on, on a line of its own."""
        path = os.path.join(env.dir, "log")
        with open(path, "ab") as log, fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, stdout=log) as gateway:
            pid = gateway.process.pid
            before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (os.path.getsize(path) + 50, before[1]))
            for _ in range(3):
                with Wire(gateway.ports["tcp"]) as client:
                    self.assertTrue(echoes(client.start_tls()))
            gateway.wait_for_metric(lambda lost: lost >= 3, "starling_log_lines_lost_total")
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
            gateway.signal(signal.SIGUSR1)
            with Wire(gateway.ports["tcp"]) as client:
                self.assertTrue(echoes(client.start_tls()))
            gateway.wait_for_metric(4, "starling_sessions_ended_total")
        with open(path, encoding="utf-8") as log:
            lines = log.read().splitlines()
        self.assertTrue(all(line.startswith(("time=", "warning:")) for line in lines), lines)
        self.assertEqual([line.count("time=") for line in lines if "nothing to reopen" in line], [1])


if __name__ == "__main__":
    unittest.main()
