"""One attack on one protocol, as a cell of the matrix (test_attack_matrix.py): the client's
conversation with the gateway, the server behind it, and comparisons with what both should see.

Not for: the attacks themselves (attack_rows.py)."""

import contextlib
import re
import socket
import time

import wire
from protocol_profiles import PROFILES, Read
from wire import Wire

ONE_LINE = re.compile(rb"\A[^\r\n]*\r\n\Z")


class Cell:
    """One attack on one protocol. What a row's function returns is printed in the table."""

    def __init__(self, case, gateway, protocol, backend, recorder):
        self.case = case
        self.gateway = gateway
        self.protocol = protocol
        self.profile = PROFILES[protocol]
        self.backend = backend
        self.recorder = recorder
        self.tls = wire.context(case.env.ca)

    @contextlib.contextmanager
    def session(self, kind="in", opening=True):
        """A client that has read the greeting and said the opening."""
        with Wire(self.gateway.ports["{}-{}".format(kind, self.protocol)]) as client:
            self.read_until(client, self.profile.greeting_end)
            if opening and self.profile.opening:
                self.read_until(client.send(self.profile.opening), self.profile.opening_end)
            yield client

    @staticmethod
    def read_until(client, end):
        said = b""
        while not said.endswith(end):
            said += client.exactly(1)
        if end.endswith(b'"'):  # a line that goes on
            said += client.line()
        return said

    def compare(self, said, wanted):
        """`wanted`: as in Answer."""
        if isinstance(wanted, Read):
            self.case.assertEqual(wanted.reader(said), wanted.text, said)
        elif wanted:
            self.case.assertTrue(said.startswith(wanted), said)
        else:
            self.case.assertEqual(said, b"")

    def upgrade(self, client):
        client.send(self.profile.upgrade)
        said = self.read_until(client, self.profile.go_ahead_end)
        self.case.assertTrue(said.startswith(self.profile.go_ahead), said)

    @contextlib.contextmanager
    def counted(self, kind="", reason="", listener="in"):
        """What the block does moves these by one."""
        names = [("starling_attacks_refused_total", {"kind": kind})] if kind else []
        names += [("starling_sessions_ended_total", {"reason": reason})] if reason else []
        before = self.gateway.metrics()
        listener = "{}-{}".format(listener, self.protocol)
        yield
        for name, labels in names:
            wanted = before.sum(name, listener=listener, **labels) + 1
            self.gateway.wait_for_metric(wanted, name, listener=listener, **labels)

    @contextlib.contextmanager
    def untouched(self, kind):
        """The block begins no TLS, and brings neither a connection nor an octet to the server."""
        def seen():
            return (self.gateway.metrics().sum("starling_tls_handshakes_total", listener=listener),
                    len(self.backend.proxied), self.recorder.octets)

        listener = "{}-{}".format(kind, self.protocol)
        before = seen()
        yield
        self.case.assertEqual(seen(), before)

    def until(self, holds):
        """Waits for what the server's thread sees."""
        end = time.monotonic() + wire.TIMEOUT
        while not holds():
            self.case.assertLess(time.monotonic(), end, "it did not come to be")
            time.sleep(0.005)

    def tell(self, answer, opening=True):
        """Sends an attacker's octets and the end of data. Returns the outcome."""
        for kind in ("in",) if answer.require_only else self.profile.listeners:
            for octets in (answer.octets, *answer.also):
                self.tell_one(answer, octets, kind, opening)
        if not answer.reason:  # the session goes on, and TLS may begin
            with self.session(opening=opening) as client:
                client.send(answer.octets + self.profile.upgrade).until(self.profile.go_ahead)
        return answer

    def tell_one(self, answer, octets, kind, opening):
        # Inside `untouched`, `counted` waits for the end of the session.
        with self.untouched(kind), self.counted(answer.kind, answer.reason, kind), \
                self.session(kind, opening) as client:
            client.send(octets)
            with contextlib.suppress(OSError):  # the gateway may have closed already
                client.socket.shutdown(socket.SHUT_WR)
            said = client.rest()
        self.compare(said, answer.said)
        self.case.assertFalse(said.startswith(self.profile.go_ahead), said)
        if answer.reason and self.profile.in_lines:
            self.case.assertRegex(said, ONE_LINE)

    def refused(self, said, go_ahead):
        """The gateway said nothing, or (if `go_ahead`) the go-ahead and behind it no more than an
        alert."""
        _, found, rest = said.partition(self.profile.go_ahead)
        if found:
            self.case.assertTrue(go_ahead and said.startswith(self.profile.go_ahead), said)
            if not self.profile.go_ahead.endswith(self.profile.go_ahead_end):
                rest = rest.partition(self.profile.go_ahead_end)[2]
            self.case.assertRegex(rest, re.compile(rb"\A(\x15\x03.\0\x02..)?\Z", re.DOTALL))
        else:
            self.case.assertEqual(said, b"")
