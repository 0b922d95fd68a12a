"""Tests the metrics port in a crowd: what idle clients, slow readers and scrapes do to answers about
the gateway's health."""

import socket
import unittest
import urllib.request

import fakes
import harness

env = None

PATIENCE = 4  # seconds; usual probes give up after one to five


def setUpModule():
    global env
    env = harness.Environment(servers=False)


class Crowd(unittest.TestCase):
    """The gateway gives each connection five seconds. A probe that gives up earlier finds out
    whether its answer waits until the crowd's time is over."""

    def setUp(self):
        backend = fakes.Backend(fakes.echo)
        self.enterContext(backend)
        self.gateway = self.enterContext(env.tcp(backend.address))
        host, port = self.gateway.metrics_address.split(":")
        self.address = (host, int(port))
        self.clients = []
        self.addCleanup(lambda: [client.close() for client in self.clients])

    def connect(self, said=b"", room=None):
        client = socket.socket()
        if room is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        client.connect(self.address)
        self.clients.append(client)
        if said:
            client.sendall(said)
        return client

    def ask(self, page):
        with urllib.request.urlopen(
                "http://" + self.gateway.metrics_address + page, timeout=PATIENCE) as reply:
            return reply.status, reply.read()

    def assert_healthy(self):
        for page in ("/readyz", "/healthz"):
            self.assertEqual(self.ask(page), (200, b"ok\n"))

    def test_silent_clients(self):
        for _ in range(200):
            self.connect()
        self.assert_healthy()
        self.assertEqual(self.ask("/metrics")[0], 200)

    def test_halves_of_requests(self):
        for _ in range(200):
            self.connect(b"GET /readyz HTTP/1.1\r\nHost: local")
        self.assert_healthy()

    def test_readers_that_never_read(self):
        for _ in range(200):
            self.connect(b"GET /metrics HTTP/1.1\r\n\r\n", room=1024)
        self.assert_healthy()
        self.assertEqual(self.ask("/metrics")[0], 200)

    def test_one_octet_at_a_time(self):
        """While others hold what places there are, a slow client is served like a quick one."""
        for _ in range(20):
            self.connect()
        slow = self.connect()
        for octet in b"GET /readyz HTTP/1.1\r\n\r\n":
            slow.sendall(bytes([octet]))
            self.assertEqual(self.ask("/healthz"), (200, b"ok\n"))
        self.assertTrue(slow.recv(4096).startswith(b"HTTP/1.1 200 "))

    def test_the_crowd_goes(self):
        for _ in range(200):
            self.connect()
        for client in self.clients:
            client.settimeout(15)
            try:
                while client.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        self.assert_healthy()


if __name__ == "__main__":
    unittest.main()
