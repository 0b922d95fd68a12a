"""Tests the shares of sources and deny lists: one address that takes all it can, and others that are
served meanwhile.

Clients come from several addresses of 127.0.0.0/8, which the tests make ordinary clients; behind a
load balancer they come from anywhere."""

import contextlib
import re
import signal
import socket
import ssl
import struct
import time
import unittest

import fakes
import harness
import proxy_v2
from wire import Wire

NOISY, QUIET, THIRD = "127.0.0.66", "127.0.0.2", "127.0.0.3"
REFUSED = "starling_connections_refused_total"
ENDED = "starling_sessions_ended_total"
env = None


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def everyone(**row):
    return [{"from": ["127.0.0.0/8"], "role": "client", **row}]


def listeners(**keys):
    return {"mx": {"protocol": "smtp", "tls": "starttls", "backend": "one", **keys},
            "imaps": {"protocol": "imap", "tls": "implicit", "backend": "one", **keys}}


def gateway(sources, **more):
    more.setdefault("workers", 1)
    return env.gateway(more.pop("listeners", listeners()), {"one": harness.DOWN},
                       sources=sources, **more)


def greeted(port, source, header=b""):
    """What a client of that source is told first; nothing if it is cut off."""
    with Wire(port, source) as client:
        try:
            return client.send(header).line()
        except (EOFError, ConnectionResetError, BrokenPipeError):
            return b""


def handshakes(port, source):
    """Whether a client of that source gets TLS."""
    with Wire(port, source) as client:
        try:
            client.start_tls()
            return True
        except (ssl.SSLError, OSError):
            return False


class Sessions(unittest.TestCase):
    """Silent connections of one address, on the port of another protocol than the others use."""

    def hold(self, stack, port, count):
        for _ in range(count):
            client = stack.enter_context(Wire(port, NOISY))
            client.socket.setblocking(False)

    def test_one_address_does_not_take_the_table(self):
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(gateway(everyone(), limits={"sessions": 100}))
            self.hold(stack, running.ports["imaps"], 200)
            running.wait_for_metric(125, REFUSED, reason="source_sessions")
            for source in (QUIET, THIRD):
                self.assertEqual(greeted(running.ports["mx"], source)[:4], b"220 ")
                self.assertTrue(handshakes(running.ports["imaps"], source))
            self.assertEqual(running.metrics().sum(REFUSED, reason="session_limit"), 0)
            # Those that were told why have gone.
            running.wait_for_metric(75, "starling_sessions", phase="handshake")
            running.wait_for_metric(75, "starling_sessions")

    def test_what_is_held_is_given_back_over_a_reload(self):
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(gateway(everyone(sessions=3)))
            port = running.ports["mx"]
            for _ in range(3):
                held = contextlib.ExitStack()
                clients = [held.enter_context(Wire(port, NOISY)) for _ in range(3)]
                for client in clients:
                    self.assertTrue(client.line().startswith(b"220 "))
                self.assertEqual(greeted(port, NOISY)[:4], b"421 ")
                # Wider sources fall into other cells; sessions keep those that they have.
                with open(running.config, encoding="utf-8") as f:
                    text = f.read()
                bits = re.search(r'"source_ipv4_bits": (\d+)', text)
                changed = (text.replace(bits.group(0), '"source_ipv4_bits": %d' % (int(bits.group(1)) - 1))
                           if bits else text.replace('limits: {', 'limits: {"source_ipv4_bits": 31, '))
                with open(running.config, "w", encoding="utf-8") as f:
                    f.write(changed)
                before = running.metrics().sum("starling_config_reloads_total")
                running.signal(signal.SIGHUP)
                running.wait_for_metric(lambda n: n > before, "starling_config_reloads_total")
                held.close()
                running.wait_for_metric(0, "starling_sessions")
            running.assert_idle(self)

    def test_a_source_over_its_share_is_told_so_a_few_times(self):
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(gateway(everyone(sessions=1)))
            port = running.ports["mx"]
            first = stack.enter_context(Wire(port, NOISY))
            self.assertEqual(first.line()[:4], b"220 ")
            told = [greeted(port, NOISY) for _ in range(60)]
            self.assertEqual(told[0][:4], b"421 ")
            self.assertIn(b"", told)
            self.assertEqual(running.wait_for_metric(60, REFUSED, reason="source_sessions"), 60)
            self.assertEqual(greeted(port, QUIET)[:4], b"220 ")
            # A client that expects TLS gets an alert; and the session that is there goes on.
            self.assertFalse(handshakes(running.ports["imaps"], NOISY))
            self.assertTrue(first.ask("smtp", b"NOOP\r\n").startswith(b"250"))


class Rates(unittest.TestCase):
    def test_connections(self):
        with gateway(everyone(connections_per_second=1, connections_burst=4)) as running:
            port = running.ports["mx"]
            told = [greeted(port, NOISY)[:4] for _ in range(40)]
            self.assertEqual(told[:4], [b"220 "] * 4)
            self.assertIn(b"421 ", told)
            self.assertGreater(running.metrics().sum(REFUSED, reason="source_connections"), 20)
            self.assertEqual([greeted(port, QUIET)[:4] for _ in range(4)], [b"220 "] * 4)

    def test_handshakes(self):
        with gateway(everyone(handshakes_per_second=1, handshakes_burst=3)) as running:
            port = running.ports["imaps"]
            done = [handshakes(port, NOISY) for _ in range(20)]
            self.assertEqual(done[:3], [True] * 3)
            self.assertIn(False, done)
            self.assertGreater(running.metrics().sum(ENDED, reason="source_handshakes"), 5)
            self.assertTrue(handshakes(port, QUIET))
            # By STARTTLS too, where the dialogue before goes on as ever.
            with Wire(running.ports["mx"], NOISY) as client:
                with self.assertRaises((ssl.SSLError, OSError)):
                    for _ in range(20):
                        with Wire(running.ports["mx"], NOISY) as client:
                            client.upgrade("smtp")

    def test_failures(self):
        """Of each kind, until the source gets no connection any more."""
        kinds = {"imaps": b"\x16\x03\x01\x00\x05nonse", "mx": b"GET / HTTP/1.1\r\n\r\n"}
        for listener, octets in kinds.items():
            with self.subTest(listener), gateway(everyone(failures_per_minute=5)) as running:
                port = running.ports[listener]
                for number in range(1, 6):
                    with Wire(port, NOISY) as client:
                        client.send(octets).rest()
                    running.wait_for_metric(number, ENDED)
                self.assertEqual(greeted(running.ports["mx"], NOISY)[:4], b"421 ")
                self.assertGreaterEqual(running.metrics().sum(REFUSED, reason="source_failures"), 1)
                self.assertEqual(greeted(running.ports["mx"], QUIET)[:4], b"220 ")

    def test_who_only_looks_whether_the_port_is_open_does_not_fail(self):
        with gateway(everyone(failures_per_minute=5)) as running:
            for number in range(1, 31):
                Wire(running.ports["imaps"], NOISY).close()
                running.wait_for_metric(number, ENDED)
            self.assertTrue(handshakes(running.ports["imaps"], NOISY))


class Roles(unittest.TestCase):
    LIMITED = {"from": ["0.0.0.0/0", "::/0"], "sessions": 2}

    def behind(self, stack, running, client):
        """A client behind the load balancer; what it is told."""
        wire = stack.enter_context(Wire(running.ports["mx"], NOISY))
        return wire.send(proxy_v2.header((client, 4000), ("::1" if ":" in client else "192.0.2.1", 25)))

    def check_behind(self, running):
        with contextlib.ExitStack() as stack:
            for first, second, other in (("203.0.113.9", "203.0.113.9", "203.0.113.10"),
                                         ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1")):
                for client in (first, second, other):
                    self.assertEqual(self.behind(stack, running, client).line()[:4], b"220 ", client)
                self.assertEqual(self.behind(stack, running, first).line()[:4], b"421 ", first)
                self.assertEqual(self.behind(stack, running, other).line()[:4], b"220 ", other)
            # A header of a Unix client, or of the balancer itself, counts for nobody.
            for _ in range(5):
                wire = stack.enter_context(Wire(running.ports["mx"], NOISY))
                self.assertEqual(wire.send(proxy_v2.local()).line()[:4], b"220 ")
        self.assertEqual(running.wait_for_metric(0, "starling_sessions"), 0)

    def test_behind_a_load_balancer_the_client_counts(self):
        sources = [self.LIMITED, {"from": NOISY, "role": "balancer"}]
        with gateway(sources) as running:
            self.check_behind(running)
            # Others on the same port speak for themselves.
            self.assertEqual(greeted(running.ports["mx"], QUIET)[:4], b"220 ")

    def test_proxy_protocol_names_a_balancer_too(self):
        rows = listeners(proxy_protocol={"from": [NOISY]})
        with gateway([self.LIMITED], listeners=rows) as running:
            self.check_behind(running)
            self.assertEqual(greeted(running.ports["mx"], QUIET), b"")
            self.assertEqual(running.metrics().sum(
                "starling_attacks_refused_total", kind="untrusted_proxy"), 1)

    def test_those_without_limits(self):
        everybody = everyone(sessions=1)
        for role in ("exempt", "trusted", "probe"):
            with self.subTest(role), contextlib.ExitStack() as stack:
                running = stack.enter_context(gateway(everybody + [{"from": NOISY, "role": role}]))
                for _ in range(5):
                    client = stack.enter_context(Wire(running.ports["mx"], NOISY))
                    self.assertEqual(client.line()[:4], b"220 ")
        # Of loopback nobody has said anything.
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(gateway([{"from": "0.0.0.0/0", "sessions": 1}]))
            for _ in range(5):
                client = stack.enter_context(Wire(running.ports["mx"], NOISY))
                self.assertEqual(client.line()[:4], b"220 ")

    def test_a_probe_leaves_no_line(self):
        with gateway([{"from": NOISY, "role": "probe"}]) as running:
            greeted(running.ports["mx"], NOISY)
            greeted(running.ports["mx"], QUIET)
            self.assertIsNotNone(running.wait_for_line("session ended", "peer=" + QUIET))
            running.wait_for_metric(2, ENDED)
            self.assertFalse([line for line in running.lines if "peer=" + NOISY in line])

    def test_a_listener_counts_its_own(self):
        rows = listeners()
        rows["imaps"]["sources"] = [{"from": "127.0.0.0/8", "sessions": 1}]
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(gateway(everyone(sessions=2), listeners=rows))
            for _ in range(2):
                client = stack.enter_context(Wire(running.ports["mx"], NOISY))
                self.assertEqual(client.line()[:4], b"220 ")
            self.assertEqual(greeted(running.ports["mx"], NOISY)[:4], b"421 ")
            stack.enter_context(Wire(running.ports["imaps"], NOISY))
            running.wait_for_metric(1, "starling_sessions", listener="imaps")
            self.assertFalse(handshakes(running.ports["imaps"], NOISY))
            self.assertTrue(handshakes(running.ports["imaps"], QUIET))


class Log(unittest.TestCase):
    def test_refusals_do_not_flood_it(self):
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(gateway(everyone(sessions=1)))
            port = running.ports["mx"]
            first = stack.enter_context(Wire(port, NOISY))
            first.line()
            for _ in range(300):
                greeted(port, NOISY)
            running.wait_for_metric(300, REFUSED, reason="source_sessions")
            began = time.monotonic()
            first.close()
            running.stop()
            took = time.monotonic() - began
            lines = [line for line in running.lines if "reason=source_sessions" in line]
            report = running.wait_for_line("clients refused")
            numbers = dict(re.findall(r'(\w+)=(\d+)', report))
            self.assertEqual(int(numbers["refused"]), 300)
            self.assertEqual(int(numbers["left_out"]), 300 - len(lines), report)
            self.assertIn('heaviest="{} (300)"'.format(NOISY), report)
            self.assertLess(len(lines), 100, took)

    def test_clients_that_say_nothing_do_not_flood_it(self):
        for reason, linger in (("client_left_early", 0), ("client_reset", 1)):
            with self.subTest(reason), gateway(everyone(role="exempt")) as running:
                for _ in range(300):
                    with Wire(running.ports["imaps"], NOISY) as client:
                        client.socket.setsockopt(
                            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", linger, 0))
                running.wait_for_metric(300, ENDED, reason=reason)
                running.stop()
                lines = [line for line in running.lines if "session ended" in line]
                self.assertLess(len(lines), 150)
                report = running.wait_for_line("clients refused")
                numbers = dict(re.findall(r'(\w+)=(\d+)', report))
                self.assertEqual(int(numbers["left_out"]), 300 - len(lines), report)
                self.assertIn('heaviest="{} ({})"'.format(NOISY, 300 - len(lines)), report)


class Deny(unittest.TestCase):
    def denied(self, running, source, listener="mx"):
        return greeted(running.ports[listener], source) == b""

    def test_networks_of_the_configuration(self):
        sources = everyone() + [{"from": THIRD, "role": "exempt"}]
        with gateway(sources, deny=["127.0.0.64/30", THIRD]) as running:
            self.assertTrue(self.denied(running, NOISY))
            self.assertFalse(self.denied(running, QUIET))
            self.assertFalse(self.denied(running, THIRD))
            self.assertEqual(running.metrics().sum(REFUSED, reason="denied"), 1)
            self.assertEqual(running.metrics().sum("starling_connections_accepted_total"), 2)

    def test_a_listener_denies_more(self):
        rows = listeners()
        rows["mx"]["deny"] = [NOISY]
        with gateway(everyone(), listeners=rows) as running:
            self.assertTrue(self.denied(running, NOISY))
            self.assertTrue(handshakes(running.ports["imaps"], NOISY))

    def test_behind_a_load_balancer_the_client_is_denied(self):
        sources = [{"from": NOISY, "role": "balancer"}]
        with gateway(sources, deny=["203.0.113.9", NOISY]) as running:
            for client, told in (("203.0.113.9", b""), ("203.0.113.10", b"220 ")):
                header = proxy_v2.header((client, 4000), ("192.0.2.1", 25))
                self.assertEqual(greeted(running.ports["mx"], NOISY, header)[:4], told)

    def changed(self, running, path, text):
        seen = len(running.lines)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return seen

    def test_a_changed_file_counts_at_once(self):
        for what in ("end", "keep"):
            path = env.write("deny-" + what, "# nobody yet\n")
            with self.subTest(what), gateway(everyone(), deny=[path],
                                             deny_established=what) as running:
                with Wire(running.ports["mx"], NOISY) as old, Wire(running.ports["mx"], QUIET) as other:
                    old.line(), other.line()
                    seen = self.changed(running, path, "127.0.0.66 # seen at the door\n")
                    self.assertIsNotNone(running.wait_for_line("deny lists changed", "networks=1", after=seen))
                    self.assertTrue(self.denied(running, NOISY))
                    if what == "end":
                        self.assertEqual(old.rest(), b"")
                        running.wait_for_metric(1, ENDED, reason="denied")
                    else:
                        self.assertTrue(old.ask("smtp", b"NOOP\r\n").startswith(b"250"))
                    self.assertTrue(other.ask("smtp", b"NOOP\r\n").startswith(b"250"))
                    # A file that nobody can read changes nothing.
                    seen = self.changed(running, path, "127.0.0.2\n127.0.0.300\n")
                    self.assertIsNotNone(running.wait_for_line(
                        "deny lists rejected", path + ": line 2: not an IP address", after=seen))
                    self.assertFalse(self.denied(running, QUIET))
                    self.assertTrue(self.denied(running, NOISY))
                    seen = self.changed(running, path, "")
                    self.assertIsNotNone(running.wait_for_line("deny lists changed", "networks=0", after=seen))
                    self.assertFalse(self.denied(running, NOISY))

    def test_a_bad_file_at_the_start(self):
        path = env.write("deny-bad", "127.0.0.1\n\nexample.org\n")
        config, _, _ = env.configure(listeners(), {"one": harness.DOWN}, deny=[path])
        code, output = harness.run([harness.BINARY, "-t", "-c", config])
        self.assertNotEqual(code, 0)
        self.assertIn("error: {}: line 3: not an IP address".format(path), output)

    def test_a_reload_takes_other_lists(self):
        with gateway(everyone(), deny=[NOISY]) as running:
            self.assertTrue(self.denied(running, NOISY))
            with open(running.config, encoding="utf-8") as f:
                text = f.read()
            with open(running.config, "w", encoding="utf-8") as f:
                f.write(text.replace(NOISY, QUIET))
            running.signal(signal.SIGHUP)
            running.wait_for_metric(1, "starling_config_reloads_total", result="success")
            # The workers change over one by one.
            running.wait_for_metric(1, "starling_config_generations_alive")
            self.assertFalse(self.denied(running, NOISY))
            self.assertTrue(self.denied(running, QUIET))


if __name__ == "__main__":
    unittest.main()
