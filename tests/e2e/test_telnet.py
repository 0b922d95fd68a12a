"""Tests Telnet with a real telnetd: three clients with START_TLS and with implicit TLS, the point of
upgrade, and input from other clients.

The test starts telnetd for each connection, as inetd does. telnetd does not know PROXY headers."""

import os
import re
import socket
import subprocess
import threading
import unittest

import fakes
import harness
import wire
from wire import Wire

env = None
gateway = None
TELNETD = "/usr/sbin/telnetd"
LOGIN = """#!/bin/sh
echo welcome to the telnetd of the test
while read -r line; do echo "answer to $line"; [ "$line" != quit ] || exit 0; done
"""
DEMAND, WILL, FOLLOWS = b"\xff\xfd\x2e", b"\xff\xfb\x2e", b"\xff\xfa\x2e\x01\xff\xf0"
ALERT = b"\x15\x03\x01\0\2\2\x0a"  # unexpected_message, fatal


class Inetd:
    """A context manager: a telnetd for each connection, as inetd makes it."""

    def __init__(self, login):
        self._login = login
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:{}".format(self._socket.getsockname()[1])
        self._children = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._thread.join(10)
        self._socket.close()
        for child in self._children:
            child.terminate()
            child.wait(20)

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self._children.append(subprocess.Popen(
                    [TELNETD, "-h", "-E", self._login], stdin=connection, stdout=connection,
                    stderr=connection))


def setUpModule():
    global env, gateway
    env = harness.Environment(servers=False)
    login = env.write("login", LOGIN)
    os.chmod(login, 0o755)
    inetd = unittest.enterModuleContext(Inetd(login))
    gateway = unittest.enterModuleContext(env.gateway(
        {name: {"protocol": "telnet", "tls": tls, "backend": "telnetd"}
         for name, tls in (("telnet", "starttls"), ("telnets", "implicit"))},
        {"telnetd": {"servers": [inetd.address], "proxy_protocol": "none"}}))


def inside(listener):
    """A connection inside TLS."""
    client = Wire(gateway.ports[listener])
    if listener == "telnet":
        assert client.exactly(3) == DEMAND
        assert client.send(WILL + FOLLOWS).exactly(6) == FOLLOWS
    return client.start_tls(wire.context(env.ca))


def text_until(client, wanted):
    """Reads text up to `wanted` and declines every option; all the text."""
    text = b""
    while wanted not in text:
        octet = client.exactly(1)
        if octet != b"\xff":
            text += octet
            continue
        verb = client.exactly(1)[0]
        if verb == 250:
            while client.exactly(1) != b"\xf0":
                pass
        elif verb >= 251:
            option = client.exactly(1)
            if verb in (251, 253):  # WILL: DONT; DO: WONT
                client.send(bytes([255, 254 if verb == 251 else 252]) + option)
    return text


class Clients(unittest.TestCase):
    def test_by_hand(self):
        for listener in ("telnet", "telnets"):
            with self.subTest(listener), inside(listener) as client:
                text_until(client, b"welcome to the telnetd")
                text_until(client.send(b"one\r\n"), b"answer to one")
                text_until(client.send(b"two\r\n"), b"answer to two")

    def test_s_client(self):
        for listener, options in (("telnet", ["-starttls", "telnet"]), ("telnets", [])):
            with self.subTest(listener):
                # It declines no option, so it shows only the first octets: telnetd's options.
                code, output = harness.run(
                    ["openssl", "s_client", "-connect", "localhost:{}".format(gateway.ports[listener]),
                     "-CAfile", env.ca, "-verify_return_error", "-verify_hostname", "mail.example.org",
                     *options])
                self.assertEqual(code, 0, output)
                self.assertIn("Verify return code: 0 (ok)", output)

    def test_s3270(self):
        """The 3270 emulator, which speaks plain Telnet with other hosts."""
        for listener, prefix in (("telnet", ""), ("telnets", "L:")):
            with self.subTest(listener):
                code, output = harness.run(
                    ["s3270", "-cafile", env.ca],
                    "Connect({}localhost:{})\nWait(20,NVTMode)\nQuery(Tls)\nExpect(welcome,20)\n"
                    "String(\"one\\n\")\nExpect(\"answer to one\",20)\nAscii()\nQuit()\n".format(
                        prefix, gateway.ports[listener]).encode())
                self.assertIn("secure host-verified", output)
                self.assertIn("answer to one", output)


def telnet_gateway(server=harness.DOWN, tls="starttls", **more):
    """A gateway with one listener `in`; by default its backend must not be called."""
    return env.gateway({"in": {"protocol": "telnet", "tls": tls, "backend": "one"}}, {"one": server},
                       **more)


def assert_counted(case, running, kind, reason):
    for name, labels in (("starling_attacks_refused_total", {"kind": kind}),
                         ("starling_sessions_ended_total", {"reason": reason})):
        if kind or "reason" in labels:
            case.assertEqual(running.wait_for_metric(1, name, listener="in", **labels), 1, labels)


class Injection(unittest.TestCase):
    # what: writes of the client; whether the go-ahead is read before the last
    ROWS = {
        "one segment": ([WILL + FOLLOWS + b"injected\r\n"], False),
        "one octet more": ([WILL + FOLLOWS + b"\x16"], False),
        "two segments": ([WILL, FOLLOWS, b"injected\r\n"], False),
        "after the reply": ([WILL + FOLLOWS, b"injected\r\n"], True),
        "an SSLv2 hello after the reply": ([WILL + FOLLOWS, b"\x80\x2e\x01\x03\x01" + b"x" * 43], True),
    }

    def test_each(self):
        for what, (writes, wait) in self.ROWS.items():
            with self.subTest(what), fakes.Backend(fakes.echo) as backend, \
                    telnet_gateway(backend.address) as running:
                with Wire(running.ports["in"]) as client:
                    self.assertEqual(client.exactly(3), DEMAND)
                    for octets in writes[:-1]:
                        client.send(octets)
                    said = client.exactly(6) if wait else b""
                    said += client.send(writes[-1]).rest()
                if len(writes) == 1:
                    self.assertEqual(said, b"")
                self.assertIn(said.removeprefix(FOLLOWS)[:1], (b"", b"\x15"))
                self.assertLessEqual(len(said.removeprefix(FOLLOWS)), 7)
                assert_counted(self, running, "plaintext_injection", "plaintext_injection")
                self.assertEqual(running.metrics().sum("starling_tls_handshakes_total"), 0)
                self.assertEqual(backend.proxied, [])

    def test_split_options_are_fine(self):
        with fakes.Backend(fakes.echo) as backend, telnet_gateway(backend.address) as running:
            with Wire(running.ports["in"]) as client:
                self.assertEqual(client.exactly(3), DEMAND)
                for octet in b"\xff\xfb\x18" + WILL + b"\xff\xfd\x03" + FOLLOWS:
                    client.send(bytes([octet]))
                self.assertEqual(client.exactly(6), FOLLOWS)
                self.assertEqual(client.start_tls(wire.context(env.ca)).send(b"x").exactly(1), b"x")
            running.assert_idle(self)
            self.assertEqual(running.metrics().sum("starling_attacks_refused_total"), 0)


class Attacks(unittest.TestCase):
    # what: (octets, kind, reason, what is said)
    ROWS = {
        "TLS on a plain port": (bytes.fromhex("160301002e0100002a0303") + b"\0" * 64,
                                "tls_on_plain_port", "tls_on_plain_port", ALERT),
        "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "cross_protocol", "cross_protocol", None),
        "who will not": (b"\xff\xfc\x2e", "", "tls_required", None),
        "a storm of options": (b"\xff\xfb\x18\xff\xfd\x18" * 40, "", "too_many_errors", None),
        "text without end": (b"x" * 5000, "", "too_many_errors", None),
        "a subnegotiation without end": (b"\xff\xfa\x18" + b"\xff\xff" * 2500, "", "too_many_errors", None),
        "a broken one": (b"\xff\xfa\x18\xff\xfb", "bad_octet", "bad_octet", None),
    }
    LINE = re.compile(rb"\A\r\n[ -~]+\r\n\Z")

    def test_each(self):
        for what, (octets, kind, reason, wanted) in self.ROWS.items():
            with self.subTest(what), telnet_gateway() as running, Wire(running.ports["in"]) as client:
                self.assertEqual(client.exactly(3), DEMAND)
                said = client.send(octets).rest()
                if wanted is None:
                    self.assertRegex(said, self.LINE)
                else:
                    self.assertEqual(said, wanted)
                assert_counted(self, running, kind, reason)

    def test_nobody_logs_in_in_plaintext(self):
        """What a user types before TLS reaches neither a server nor the log."""
        with fakes.Backend(fakes.echo) as backend, \
                telnet_gateway(backend.address, limits={"patience": "300ms"}) as running:
            with Wire(running.ports["in"]) as client:
                self.assertEqual(client.exactly(3), DEMAND)
                self.assertEqual(client.send(b"root\r\nsecret\r\n").rest(),
                                 b"\r\nTLS is required here (the option START_TLS)\r\n")
            assert_counted(self, running, "", "tls_required")
            self.assertEqual(running.metrics().sum(
                "starling_downgrade_signals_total", signal="not_taken"), 1)
            self.assertEqual(backend.proxied, [])
            self.assertNotIn("secret", "\n".join(running.lines))

    def test_a_second_upgrade_is_declined(self):
        for listener in ("telnet", "telnets"):
            with self.subTest(listener), inside(listener) as client:
                client.send(WILL)
                octets = b""
                while b"\xff\xfe\x2e" not in octets:  # DONT
                    octets += client.exactly(1)
                self.assertNotIn(FOLLOWS, octets)

    def test_plaintext_on_the_tls_port(self):
        with telnet_gateway(tls="implicit") as running, Wire(running.ports["in"]) as client:
            self.assertEqual(client.send(b"root\r\n").rest(),
                             b"\r\nTLS is spoken here from the first octet\r\n")
            assert_counted(self, running, "plain_on_tls_port", "plain_on_tls_port")


class Goodbyes(unittest.TestCase):
    def test_drain(self):
        with telnet_gateway() as running, Wire(running.ports["in"]) as client:
            self.assertEqual(client.exactly(3), DEMAND)
            running.signal()
            self.assertEqual(client.rest(), b"\r\nServer shutting down\r\n")
            self.assertEqual(running.wait(), 0)

    def test_full_table(self):
        with telnet_gateway(workers=1, limits={"sessions": 1}) as running:
            with Wire(running.ports["in"]) as first, Wire(running.ports["in"]) as late:
                self.assertEqual(first.exactly(3), DEMAND)
                self.assertEqual(late.rest(), b"\r\nToo many connections, try again later\r\n")

    def test_server_down(self):
        with telnet_gateway() as running, Wire(running.ports["in"]) as client:
            self.assertEqual(client.exactly(3), DEMAND)
            self.assertEqual(client.send(WILL + FOLLOWS).exactly(6), FOLLOWS)
            client.start_tls(wire.context(env.ca))
            self.assertEqual(client.rest(), b"\r\nServer not available, try again later\r\n")


if __name__ == "__main__":
    unittest.main()
