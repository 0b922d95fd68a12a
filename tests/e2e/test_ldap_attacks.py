"""Tests attacks that LDAP alone knows, each with the answer, the reason of the end and the counter;
and how the gateway ends a session, by a notice of disconnection.

Not for: attacks that every protocol knows (test_attack_matrix.py)."""

import unittest

import directory
import fakes
import harness
import wire
from directory import ask, ber, code, extended, message, notices, search
from wire import Wire

env = None
START_TLS = message(extended(directory.START_TLS))
SUCCESS = bytes.fromhex("300c02010178070a010004000400")
PROTOCOL_ERROR, CRITICAL_EXTENSION, CONFIDENTIALITY_REQUIRED, UNAVAILABLE = 2, 12, 13, 52


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def ldap_gateway(server=harness.DOWN, tls="starttls", **more):
    """A gateway with one listener `in`; by default its backend must not be called."""
    return env.gateway({"in": {"protocol": "ldap", "tls": tls, "backend": "one"}}, {"one": server},
                       **more)


class WrongOctets(unittest.TestCase):
    ROWS = {
        "indefinite length": b"\x30\x80" + START_TLS[2:] + b"\0\0",
        "length of five octets": b"\x30\x85\0\0\0\0\x1d" + START_TLS[2:],
        "an id beyond 2^31-1": message(extended(directory.START_TLS), 1 << 31),
    }

    def test_each(self):
        with ldap_gateway() as gateway:
            for what, octets in self.ROWS.items():
                with self.subTest(what), Wire(gateway.ports["in"]) as client:
                    before = gateway.metrics()
                    self.assertEqual(notices(client.send(octets).rest()), [PROTOCOL_ERROR])
                    for name, labels in (
                            ("starling_attacks_refused_total", {"kind": "bad_octet"}),
                            ("starling_sessions_ended_total", {"reason": "bad_octet"})):
                        value = before.sum(name, **labels) + 1
                        self.assertEqual(gateway.wait_for_metric(value, name, **labels), value)

    def test_lengths_in_the_long_form_are_fine(self):
        request = ber(0x30, ber(2, b"\1", True) + ber(0x77, ber(
            0x80, directory.START_TLS.encode(), True), True) + ber(0xA0, b""), True)
        with ldap_gateway() as gateway, Wire(gateway.ports["in"]) as client:
            self.assertEqual(client.send(request).exactly(len(SUCCESS)), SUCCESS)

    def test_ids(self):
        with ldap_gateway() as gateway:
            for number, answer in ((178, "300d020200b278070a010004000400"),
                                   ((1 << 31) - 1, "300f02047fffffff78070a010004000400")):
                answer = bytes.fromhex(answer)
                with self.subTest(number), Wire(gateway.ports["in"]) as client:
                    client.send(message(extended(directory.START_TLS), number))
                    self.assertEqual(client.exactly(len(answer)), answer)

    def test_too_many_requests(self):
        with ldap_gateway() as gateway, Wire(gateway.ports["in"]) as client:
            client.send(message(ber(0x50, b"\1")) * 65)
            self.assertEqual(notices(client.rest()), [CONFIDENTIALITY_REQUIRED])
            self.assertEqual(gateway.wait_for_metric(
                1, "starling_sessions_ended_total", reason="too_many_errors"), 1)

    def test_unbind_and_signals(self):
        with ldap_gateway() as gateway:
            with Wire(gateway.ports["in"]) as client:
                self.assertEqual(client.send(message(directory.unbind())).rest(), b"")
            with Wire(gateway.ports["in"]) as client:  # asked, was told of StartTLS, left
                self.assertEqual(code(ask(client, search("", "x"))), CONFIDENTIALITY_REQUIRED)
            with Wire(gateway.ports["in"]) as client:
                damaged = directory.START_TLS.replace("037", "0X7")
                self.assertEqual(code(ask(client, extended(damaged))), CONFIDENTIALITY_REQUIRED)
            for name, labels, value in (
                    ("starling_sessions_ended_total", {"reason": "goodbye"}, 1),
                    ("starling_downgrade_signals_total", {"signal": "offer_then_close"}, 2),
                    ("starling_downgrade_signals_total", {"signal": "mangled_command"}, 1)):
                self.assertEqual(gateway.wait_for_metric(value, name, **labels), value, labels)


class Alpn(unittest.TestCase):
    def test_its_own_name_or_none(self):
        for alpn in (["ldap"], None):
            with self.subTest(alpn), fakes.Backend(fakes.echo) as backend, \
                    ldap_gateway(backend.address, tls="implicit") as gateway:
                with Wire(gateway.ports["in"]) as client:
                    client.start_tls(wire.context(env.ca, alpn)).send(b"x").exactly(1)


class Goodbyes(unittest.TestCase):
    """Each by a notice, before TLS and inside."""

    def test_drain(self):
        with ldap_gateway() as gateway, Wire(gateway.ports["in"]) as client:
            self.assertEqual(code(ask(client, search("", "x"))), CONFIDENTIALITY_REQUIRED)
            gateway.signal()
            self.assertEqual(notices(client.rest()), [UNAVAILABLE])
            self.assertEqual(gateway.wait(), 0)

    def test_critical_controls(self):
        """Without one that is critical nothing must be done (RFC 4511 4.1.11)."""
        def controls(oid, critical):
            return ber(0xA0, ber(0x30, ber(4, oid.encode()) + ber(1, b"\xff" if critical else b"\0")))

        manage, paged, unknown = "2.16.840.1.113730.3.4.2", "1.2.840.113556.1.4.319", "1.2.3.4"
        start_tls = extended(directory.START_TLS)
        with ldap_gateway() as gateway:
            for oid, critical, of_start_tls, of_search in (
                    (unknown, True, CRITICAL_EXTENSION, CRITICAL_EXTENSION),
                    (unknown, False, 0, CONFIDENTIALITY_REQUIRED),
                    (manage, True, 0, CONFIDENTIALITY_REQUIRED),
                    (paged, True, CRITICAL_EXTENSION, CONFIDENTIALITY_REQUIRED),
                    (paged, False, 0, CONFIDENTIALITY_REQUIRED)):
                with self.subTest(oid, critical=critical), Wire(gateway.ports["in"]) as client:
                    more = {"controls": controls(oid, critical)}
                    self.assertEqual(code(ask(client, search("", "x"), **more)), of_search)
                    self.assertEqual(code(ask(client, start_tls, 2, **more)), of_start_tls)
                    if of_start_tls:  # and the session goes on
                        self.assertEqual(code(ask(client, start_tls, 3)), 0)
                    client.start_tls()

    def test_full_table(self):
        with ldap_gateway(workers=1, limits={"sessions": 1}) as gateway:
            with Wire(gateway.ports["in"]) as first:
                self.assertEqual(code(ask(first, search("", "x"))), CONFIDENTIALITY_REQUIRED)
                with Wire(gateway.ports["in"]) as late:
                    self.assertEqual(notices(late.rest()), [UNAVAILABLE])

    def test_server_down(self):
        for tls in ("starttls", "implicit"):
            with self.subTest(tls), ldap_gateway(tls=tls) as gateway:
                with Wire(gateway.ports["in"]) as client:
                    if tls == "starttls":
                        self.assertEqual(code(ask(client, extended(directory.START_TLS))), 0)
                    client.start_tls(wire.context(env.ca))
                    self.assertEqual(notices(client.rest()), [UNAVAILABLE])
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_sessions_ended_total", reason="backend_unavailable"), 1)


if __name__ == "__main__":
    unittest.main()
