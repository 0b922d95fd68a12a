"""Tests drain and take-over: TERM under load loses nothing, and a second process on the same ports
takes over without losing or resetting a connection."""

import signal
import socket
import threading
import time
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
                   "managesieve": b"BYE", "nntp": b"400 ", "acap": b"* BYE",
                   "irc": b"ERROR :"}
        for protocol, words in goodbye.items():
            with self.subTest(protocol), env.gateway(
                    {"in": {"protocol": protocol, "tls": "starttls", "policy": "require",
                            "backend": "one"}}, {"one": harness.DOWN}) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    if client.greeting(protocol) == b"":
                        client.ask(protocol, wire.UPGRADE[protocol][0])
                    gateway.signal()
                    said = client.rest()
                    self.assertTrue(said.startswith(words), said)
                self.assertEqual(gateway.wait(), 0)

    def test_plaintext_legs_are_told(self):
        """With a server behind that has answered: policy opportunistic."""
        # protocol: the server's greeting, a command for it, its answer, the goodbye
        rows = {
            "smtp": (b"220 b\r\n", b"MAIL FROM:<a@example.net>\r\n", b"250 b\r\n", b"421 "),
            "imap": (b"* OK b\r\n", b"a SELECT INBOX\r\n", b"a BAD b\r\n", b"* BYE"),
            "pop3": (b"+OK b\r\n", b"STAT\r\n", b"-ERR b\r\n", b"-ERR"),
            "managesieve": (b'"SIEVE" ""\r\nOK "b"\r\n', b"LISTSCRIPTS\r\n", b'NO "b"\r\n', b"BYE"),
        }
        for protocol, (greeting, command, answer, goodbye) in rows.items():
            async def serve(reader, writer, greeting=greeting, answer=answer):
                writer.write(greeting)
                while await reader.readline():
                    writer.write(answer)

            with self.subTest(protocol), fakes.Backend(serve) as backend, env.gateway(
                    {"in": {"protocol": protocol, "tls": "starttls", "policy": "opportunistic",
                            "backend": "one"}}, {"one": backend.address}) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    client.greeting(protocol)
                    if protocol == "smtp":
                        client.ask(protocol, wire.HELLO["smtp"])
                    self.assertEqual(client.ask(protocol, command), answer)
                    gateway.signal()
                    said = client.rest()
                    self.assertTrue(said.startswith(goodbye), said)
                    self.assertEqual(said.count(b"\r\n"), 1, said)
                self.assertIsNotNone(gateway.wait_for_line("session ended", "drain_deadline"))
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
                backend.address, limits={"drain_delay": "2s", "drain": "3s"}) as gateway:
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


def callers(ports):
    """A connect loop of 16 clients, each from an address of its own: most ask for
    a greeting and leave, some shake hands and echo."""
    settings = wire.context()

    def greeting(source):
        with Wire(ports["smtp"], source) as client:
            first = client.greeting("smtp")
            # A gateway that has begun to drain may say goodbye by itself; that
            # client is not lost, it was told.
            if first.startswith(b"421"):
                return
            bye = client.ask("smtp", b"QUIT\r\n")
            if not (first.startswith(b"220") and bye.startswith((b"221", b"421"))):
                raise AssertionError((first, bye))

    def echo(source):
        with Wire(ports["tcp"], source) as client:
            client.start_tls(settings)
            if client.send(b"x").exactly(1) != b"x":
                raise AssertionError("not echoed")

    return wire.Loop(
        lambda n: (echo if n % 4 == 0 else greeting)("127.7.0.{}".format(n + 1)), 16)


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
                with callers(ports) as loop:
                    for turn in range(20):
                        new = start((3, 1, 2, 2)[turn % 4])
                        before = loop.done
                        old.signal()
                        code = old.wait(60)
                        old.kill()
                        old = new
                        self.assertEqual(code, 0)
                        # The successor alone serves some before the next turn.
                        while loop.done < before + 50 and not loop.failures:
                            time.sleep(0.01)
                        self.assertEqual(loop.failures, [], "take-over {}".format(turn + 1))
                self.assertEqual(loop.failures, [])
                self.assertGreater(loop.done, 1000)
                self.assertEqual(old.stop(60), 0)
            finally:
                old.kill()


if __name__ == "__main__":
    unittest.main()
