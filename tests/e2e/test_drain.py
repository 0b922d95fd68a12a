"""Drain and take-over: TERM under load loses nothing, and a second process on
the same ports takes over without one connection lost or reset."""

import signal
import socket
import threading
import unittest

import fakes
import harness
import wire
from harness import Gateway
from wire import Wire

env = None


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def refused(port):
    """Whether nobody listens any more."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return False
    except ConnectionRefusedError:
        return True


class Drain(unittest.TestCase):
    def test_under_load_nothing_is_lost(self):
        """32 sessions in the middle of their work go on to their own end."""
        rounds, size = 60, 20_000
        half = threading.Barrier(33)
        results = []

        def work(port, number):
            with Wire(port) as client:
                client.start_tls()
                for turn in range(rounds):
                    if turn == rounds // 2:
                        half.wait(60)
                    data = bytes([number]) * size
                    if client.send(data).exactly(size) != data:
                        return
                results.append(number)

        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, limits={"drain": "120s"}) as gateway:
            threads = [threading.Thread(target=work, args=(gateway.ports["tcp"], n), daemon=True)
                       for n in range(32)]
            for thread in threads:
                thread.start()
            half.wait(60)
            gateway.signal()
            for thread in threads:
                thread.join(90)
            self.assertEqual(sorted(results), list(range(32)))
            self.assertEqual(gateway.wait(), 0)

    def test_negotiating_sessions_are_told(self):
        goodbye = {"smtp": b"421 ", "lmtp": b"421 ", "imap": b"* BYE", "pop3": b"-ERR",
                   "managesieve": b"BYE"}
        for protocol, words in goodbye.items():
            with self.subTest(protocol), env.gateway(
                    {"in": {"protocol": protocol, "tls": "starttls", "policy": "require",
                            "backend": "one"}}, {"one": harness.DOWN}) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    client.greeting(protocol)
                    gateway.signal()
                    said = client.rest()
                    self.assertTrue(said.startswith(words), said)
                self.assertEqual(gateway.wait(), 0)

    def test_deadline_ends_the_rest_by_close_notify(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address) as gateway:
            with Wire(gateway.ports["tcp"]) as client:
                client.start_tls().send(b"x").exactly(1)
                gateway.signal()
                self.assertEqual(client.receive(), b"")  # not a truncation: ssl would raise
            self.assertIsNotNone(gateway.wait_for_line("session ended", "drain_deadline"))
            self.assertEqual(gateway.wait(), 0)

    def test_delay_is_not_ready_and_still_accepts(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, limits={"drain_delay": "2s"}) as gateway:
            gateway.signal()
            while gateway.get("/readyz")[0] == 200:
                self.assertIsNone(gateway.process.poll())
            self.assertEqual(gateway.get("/readyz")[0], 503)
            self.assertEqual(gateway.get("/healthz")[0], 200)
            with Wire(gateway.ports["tcp"]) as client:
                self.assertEqual(client.start_tls().send(b"x").exactly(1), b"x")
            self.assertEqual(gateway.wait(), 0)
            self.assertTrue(refused(gateway.ports["tcp"]))

    def test_second_signal_stops_at_once(self):
        with fakes.Backend(fakes.echo) as backend:
            running = Gateway(*env.configure(
                {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "echo"}},
                {"echo": backend.address}, limits={"drain": "300s"}))
            running.start()
            try:
                with Wire(running.ports["tcp"]) as client:
                    client.start_tls().send(b"x").exactly(1)
                    running.signal()
                    while not refused(running.ports["tcp"]):
                        self.assertIsNone(running.process.poll())
                    running.signal(signal.SIGINT)
                    running.wait()
            finally:
                running.kill()


class Callers:
    """A connect loop of 16 clients, each from an address of its own: most ask for
    a greeting and leave, some shake hands and echo."""

    def __init__(self, ports):
        self.done = 0
        self.lost = []
        self._ports = ports
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._context = wire.context()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(16)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, number):
        call = self._echo if number % 4 == 0 else self._greeting
        while not self._stop.is_set():
            try:
                call("127.7.0.{}".format(number + 1))
            except (OSError, EOFError, AssertionError) as problem:
                self.lost.append(repr(problem))
            with self._lock:
                self.done += 1

    def _greeting(self, source):
        with Wire(self._ports["smtp"], source) as client:
            greeting = client.greeting("smtp")
            # A gateway that has begun to drain may say goodbye by itself; that
            # client is not lost, it was told.
            if greeting.startswith(b"421"):
                return
            bye = client.ask("smtp", b"QUIT\r\n")
            if not (greeting.startswith(b"220") and bye.startswith((b"221", b"421"))):
                raise AssertionError((greeting, bye))

    def _echo(self, source):
        with Wire(self._ports["tcp"], source) as client:
            client.start_tls(self._context)
            if client.send(b"x").exactly(1) != b"x":
                raise AssertionError("not echoed")


class TakeOver(unittest.TestCase):
    def test_twenty_both_directions_nothing_lost(self):
        listeners = {
            "smtp": {"protocol": "smtp", "tls": "starttls", "policy": "require", "backend": "echo"},
            "tcp": {"protocol": "tcp", "tls": "implicit", "backend": "echo"},
        }
        ports = harness.reserve_ports(list(listeners))
        with fakes.Backend(fakes.echo) as backend:
            def start(workers):
                return Gateway(*env.configure(
                    listeners, {"echo": backend.address}, ports=ports, workers=workers,
                    limits={"drain": "30s"})).start()

            old = start(1)
            try:
                with Callers(ports) as callers:
                    for turn in range(20):
                        new = start((3, 1, 2, 2)[turn % 4])
                        before = callers.done
                        old.signal()
                        code = old.wait(60)
                        old.kill()
                        old = new
                        self.assertEqual(code, 0)
                        # The successor alone serves some before the next turn.
                        while callers.done < before + 50 and not callers.lost:
                            callers._stop.wait(0.01)
                        self.assertEqual(callers.lost, [], "take-over {}".format(turn + 1))
                self.assertEqual(callers.lost, [])
                self.assertGreater(callers.done, 1000)
                self.assertEqual(old.stop(60), 0)
            finally:
                old.kill()


if __name__ == "__main__":
    unittest.main()
