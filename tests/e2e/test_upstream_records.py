"""Tests where the TLS of scripted servers ends: in the middle of a line, since a server cuts its lines
into records as it likes, or in the middle of a session, without a close_notify.

Not for: which servers the gateway believes (test_upstream_tls.py)."""

import ssl
import unittest

import fakes
from tls_servers import ENDED, Far, Setting, Tls, echo, strict
from wire import Wire, context

setting = None


def setUpModule():
    global setting
    setting = Setting()


LONG = b"x" * 6000
# Of more than a gateway receives at a time, and no line ends where a record does.
GREETINGS = {
    "smtp": b"".join(b"220-%03d %s\r\n" % (i, b"x" * 52) for i in range(100)) + b"220 x\r\n",
    "imap": b"* OK " + LONG + b"\r\n", "pop3": b"+OK " + LONG + b"\r\n",
    "nntp": b"200 " + LONG + b"\r\n"}
GREETINGS["lmtp"] = GREETINGS["smtp"]
# protocol: a command that the gateway passes on to a server in plaintext, and its reply
COMMANDS = {
    "smtp": (b"VRFY a\r\n", b"".join(b"550-%05d %s\r\n" % (i, b"x" * 51) for i in range(700)) +
             b"550 x\r\n"),
    "imap": (b"a LIST x x\r\n", b"a NO " + 7 * LONG + b"\r\n"),
    "pop3": (b"LIST\r\n", b"-ERR " + 7 * LONG + b"\r\n")}
COMMANDS["lmtp"] = COMMANDS["smtp"]
# The same of FTP, inside TLS.
LISTING = (b"STAT x\r\n", b"213-x\r\n" +
           b"".join(b" %05d %s\r\n" % (i, b"x" * 53) for i in range(700)) + b"213 x\r\n")


class Records(unittest.TestCase):
    """A server cuts its lines into records as it likes."""

    def server(self, greeting, reply=None):
        async def speak(tls):
            for octets in (greeting, reply):
                for at in range(0, len(octets or b""), 100):
                    await tls.write(octets[at:at + 100])
                if octets == greeting and reply:
                    await tls.read()
            await echo(tls)
        return fakes.Backend(setting.server(speak))

    def gateway(self, protocol, far, **more):
        return setting.env.gateway({"x": {"protocol": protocol, "tls": "starttls", "backend": "far",
                                  **more}}, {"far": setting.backend(far)})

    def test_greetings_behind_the_upgrade(self):
        for protocol, greeting in GREETINGS.items():
            with self.subTest(protocol), self.server(greeting) as far, \
                    self.gateway(protocol, far) as running:
                with Wire(running.ports["x"]) as client:
                    client.upgrade(protocol)
                    self.assertEqual(client.send(b"ping").exactly(4), b"ping")

    def test_replies_in_plaintext(self):
        for protocol, (command, reply) in COMMANDS.items():
            with self.subTest(protocol), self.server(GREETINGS[protocol], reply) as far, \
                    self.gateway(protocol, far, policy="opportunistic") as running:
                with Wire(running.ports["x"]) as client:
                    client.greeting(protocol)
                    self.assertEqual(client.send(command).exactly(len(reply)), reply)

    def test_replies_inside_tls(self):
        greeting = b"220 " + LONG + b"\r\n"
        command, reply = LISTING
        with self.server(greeting, reply) as far, \
                self.gateway("ftp", far, tls="implicit") as running:
            with Wire(running.ports["x"]).start_tls() as client:
                self.assertEqual(client.exactly(len(greeting)), greeting)
                self.assertEqual(client.send(command).exactly(len(reply)), reply)


class CutOff(unittest.TestCase):
    def test_a_server_that_ends_before_it_has_greeted(self):
        async def half(tls):
            await tls.write(b"* OK half of wh")
        for inside in (half, Tls.flush):
            with self.subTest(inside), fakes.Backend(setting.server(inside)) as far, \
                    setting.gateway(setting.backend(far)) as running:
                with Wire(running.ports["imap"]) as client:
                    client.upgrade("imap")
                    self.assertIn(b"* BYE ", client.rest())
                self.assertIsNotNone(running.wait_for_line(ENDED, "reason=backend_unavailable"))

    def test_a_server_that_ends_without_saying_so(self):
        async def half(tls):
            await tls.write(b"half of what")
        server = setting.server(half)
        with Far(server) as far, setting.gateway(setting.backend(far)) as running:
            with Wire(running.ports["tcp"]) as client:
                client.socket = strict(context()).wrap_socket(
                    client.socket, server_hostname="x.example", suppress_ragged_eofs=False)
                self.assertEqual(client.exactly(12), b"half of what")
                with self.assertRaises((ssl.SSLError, ConnectionResetError)):
                    client.receive()
            self.assertIsNotNone(running.wait_for_line(ENDED, "reason=backend_truncated"))

    def test_a_client_that_ends_without_saying_so(self):
        server = setting.server(echo)
        with Far(server) as far, setting.gateway(setting.backend(far)) as running:
            client = Wire(running.ports["tcp"]).start_tls()
            self.assertEqual(client.send(b"ping").exactly(4), b"ping")
            client.close()
            self.assertIsNotNone(running.wait_for_line(ENDED, "reason=client_truncated"))
            running.assert_idle(self)
        self.assertEqual(len(server.ends), 1)
        self.assertIn(server.ends[0], ("UNEXPECTED_EOF_WHILE_READING", "RESET"))


if __name__ == "__main__":
    unittest.main()
