"""Tests that nobody keeps the places of a server (max_sessions) from others: one address has a part of
them, and an idle plaintext leg gives its place up to a client that waits.

Clients come from addresses of 127.0.0.0/8, which count as ordinary clients here."""

import contextlib
import unittest

import fakes
import full_table
from full_table import NOISY, many, quiet
from wire import Wire

ENDED = "starling_sessions_ended_total"
QUEUED = "starling_backend_queue_sessions"


def setUpModule():
    full_table.set_up()


class Case(unittest.TestCase):
    @contextlib.contextmanager
    def gateway(self, places, workers=2, **limits):
        listener = {"protocol": "smtp", "tls": "starttls", "policy": "opportunistic", "backend": "mail"}
        with fakes.Backend(full_table.mail) as mails, full_table.env.gateway(
                {"mx": listener},
                {"mail": {"servers": [{"address": mails.address, "max_sessions": places}], "queue": 50,
                          "proxy_protocol": "v2"}},
                sources=[{"from": ["127.0.0.0/8"], "role": "client", "sessions": 1000}],
                limits=limits, workers=workers) as running:
            yield running

    def relay(self, stack, running, source):
        """A session with TLS that has its place, since the server has answered it."""
        client = stack.enter_context(Wire(running.ports["mx"], source))
        client.upgrade("smtp")
        self.assertTrue(client.ask("smtp", b"EHLO relay\r\n").startswith(b"250"))
        return client

    def leg(self, stack, running, source):
        """A session in plaintext that the server has answered, and that says no more."""
        client = stack.enter_context(Wire(running.ports["mx"], source))
        client.greeting("smtp")
        client.ask("smtp", b"EHLO leg\r\n")
        self.assertTrue(client.ask("smtp", b"MAIL FROM:<a@b.example>\r\n").startswith(b"250"))
        return client

    def goes_on(self, client):
        self.assertTrue(client.ask("smtp", b"NOOP\r\n").startswith(b"250"))


class OneAddress(Case):
    def test_it_leaves_places_to_others(self):
        with contextlib.ExitStack() as stack, self.gateway(20) as running:
            held = [self.relay(stack, running, NOISY) for _ in range(15)]
            more = stack.enter_context(Wire(running.ports["mx"], NOISY))
            more.upgrade("smtp")
            running.wait_for_metric(1, QUEUED)
            for number in range(4):
                held.append(self.relay(stack, running, quiet(number)))
            self.assertEqual(running.metrics().sum(QUEUED), 1)
            for client in held:
                self.goes_on(client)
            self.assertEqual(running.metrics().sum(ENDED), 0)


class Idle(Case):
    def test_legs_of_many_addresses_give_way(self):
        """Once nothing has moved on them for a while. Before that the client waits."""
        with contextlib.ExitStack() as stack, self.gateway(8, workers=1, connect="60s") as running:
            legs = [self.leg(stack, running, source) for source in many(8)]
            for number in range(2):
                self.relay(stack, running, quiet(number))
            self.assertEqual(running.wait_for_metric(2, ENDED, reason="crowded_out"), 2)
            for gone in legs[:2]:
                self.assertRegex(gone.rest(), b"^421 ")
            self.goes_on(legs[7])

    def test_legs_of_a_crowd_give_way_at_once(self):
        with contextlib.ExitStack() as stack, self.gateway(20, workers=1, connect="3s") as running:
            for _ in range(14):
                self.leg(stack, running, NOISY)
            held = [self.relay(stack, running, source) for source in many(6)]
            for number in range(3):
                held.append(self.relay(stack, running, quiet(number)))
            self.assertEqual(running.wait_for_metric(3, ENDED, reason="crowded_out"), 3)
            for client in held:
                self.goes_on(client)

    def test_established_sessions_stay(self):
        with contextlib.ExitStack() as stack, self.gateway(8, workers=1, connect="7s") as running:
            held = [self.relay(stack, running, source) for source in many(8)]
            with Wire(running.ports["mx"], quiet(1)) as late:
                late.upgrade("smtp")
                self.assertRegex(late.rest(), b"^(421 |$)")
            for client in held:
                self.goes_on(client)
            self.assertEqual(running.metrics().sum(ENDED, reason="crowded_out"), 0)


if __name__ == "__main__":
    unittest.main()
