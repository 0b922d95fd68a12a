"""Tests what operators see of TLS: each metric changes for its own event and for no other, and each
kind of failure has its own reason."""

import os
import signal
import socket
import ssl
import struct
import unittest

import fakes
import harness
import tls_material as tm
from wire import Wire, context

env = None
root = None
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
FAILURES = "starling_tls_handshake_failures_total"
ALERTS = "starling_tls_alerts_total"
KEYS = "starling_ticket_key_generation"
SINCE = "starling_ticket_key_created_timestamp_seconds"


def setUpModule():
    global env, root
    env = harness.Environment(servers=False)
    root = tm.Authority()


def s_client(port, *options):
    return harness.run(["openssl", "s_client", "-connect", "127.0.0.1:{}".format(port), *options],
                       timeout=30)[1]


def hello(**attributes):
    """The first octets of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context(**attributes).wrap_bio(incoming, outgoing, server_hostname="mail.example.org")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def moved(before, after, name):
    """{labels but the listener: by how much} of what moved."""
    return {tuple(sorted((k, v) for k, v in labels if k != "listener")): value - before[n, labels]
            for (n, labels), value in after.items() if n == name and value != before[n, labels]}


class Handshakes(unittest.TestCase):
    def check(self, gateway, options, expected):
        """One handshake: each of these families moves by one, in this series alone."""
        before = gateway.metrics()
        output = s_client(gateway.ports["tcp"], *options)
        done = "starling_sessions_ended_total"
        gateway.wait_for_metric(before.sum(done) + 1, done)
        after = gateway.metrics()
        for name, labels in expected.items():
            self.assertEqual(moved(before, after, "starling_tls_" + name),
                             {tuple(sorted(labels.items())): 1} if labels is not None else {},
                             (name, output))

    def test_each_is_counted_by_all_that_was_negotiated(self):
        pairs = [root.issue(["mail.example.org"], key=key).save(env.dir, key)
                 for key in ("ec", "rsa")]
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls={"certificates": pairs}) as gateway:
            self.check(gateway, ["-tls1_3", "-groups", "X25519"], {
                "handshakes_total": {"version": "TLSv1.3", "resumed": "no"},
                "negotiated_total": {"cipher": "TLS_AES_128_GCM_SHA256"},
                "group_total": {"group": "X25519"},
                "signature_total": {"signature": "ecdsa_secp256r1_sha256"},
                "client_certificates_total": {"result": "not_asked"},
                "hello_retry_total": None, "handshake_failures_total": None})
            self.check(gateway, ["-tls1_2", "-groups", "P-384", "-sigalgs", "rsa_pss_rsae_sha384",
                                 "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"], {
                "handshakes_total": {"version": "TLSv1.2", "resumed": "no"},
                "negotiated_total": {"cipher": "ECDHE-RSA-CHACHA20-POLY1305"},
                "group_total": {"group": "P-384"},
                "signature_total": {"signature": "rsa_pss_rsae_sha384"},
                "hello_retry_total": None})
            # This client's share is of a group that it does not get.
            self.check(gateway, ["-tls1_3", "-groups", "P-521:P-384"], {
                "group_total": {"group": "P-384"}, "hello_retry_total": {}})


class Failures(unittest.TestCase):
    def check(self, gateway, reason, act):
        before = gateway.metrics()
        act(gateway.ports["tcp"])
        gateway.wait_for_metric(before.sum(FAILURES) + 1, FAILURES)
        after = gateway.metrics()
        self.assertEqual(moved(before, after, FAILURES), {(("reason", reason),): 1})
        self.assertEqual(after.sum("starling_tls_failed_offers_total"), after.sum(FAILURES))
        self.assertIsNotNone(gateway.wait_for_line("tls_failure=" + reason))

    def test_each_has_a_reason(self):
        def say(octets, then=None):
            def act(port):
                with Wire(port) as client:
                    client.send(octets)
                    if then:
                        then(client)
                    else:
                        client.rest()
            return act

        def reset(client):
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        def shut(client):
            client.socket.shutdown(socket.SHUT_WR)
            client.rest()

        def by_openssl(*options):
            return lambda port: s_client(port, *options)

        whole = hello()
        rows = {
            "no_shared_cipher": by_openssl("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"),
            "no_shared_group": by_openssl("-tls1_3", "-groups", "P-521"),
            "no_shared_version": say(hello(maximum_version=V12)[:9] + b"\x03\x01"
                                     + hello(maximum_version=V12)[11:]),
            "not_tls": say(b"EHLO client.example.net\r\n"),
            "record_overflow": say(b"\x16\x03\x01\xff\xff" + b"x" * 100),
            "peer_alert": say(whole + b"\x15\x03\x03\x00\x02\x02\x28"),
            "closed": say(whole[:100], shut),
            "reset": say(whole[:100], reset),
            "timeout": say(whole[:100]),
        }
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, limits={"handshake": "1s"},
                tls={"ciphers": ["TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"]},
                ) as gateway:
            for reason, act in rows.items():
                with self.subTest(reason):
                    self.check(gateway, reason, act)

    def test_alerts_of_either_side(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address) as gateway:
            before = gateway.metrics()
            s_client(gateway.ports["tcp"], "-tls1_3", "-groups", "P-521")
            with Wire(gateway.ports["tcp"]) as client:
                client.send(hello(maximum_version=V12) + b"\x15\x03\x03\x00\x02\x02\x30").rest()
            gateway.wait_for_metric(2, "starling_sessions_ended_total")
            self.assertEqual(moved(before, gateway.metrics(), ALERTS), {
                (("alert", "handshake_failure"), ("direction", "sent")): 1,
                (("alert", "unknown_ca"), ("direction", "received")): 1})


class Files(unittest.TestCase):
    def test_certificates_by_file_and_name(self):
        expiry = "starling_certificate_not_after_timestamp_seconds"
        place = os.path.join(env.dir, "live")
        os.mkdir(place)
        first = root.issue(["a.example", "*.a.example"])
        many = root.issue(["host-{}.many.example".format(i) for i in range(200)], days=(-1, 33))
        first.save(place, "a")
        many.save(place, "b")
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls={"certificates": [{"folder": place}]}) as gateway:
            def series():
                return {dict(labels)["certificate"]: (dict(labels)["names"], value)
                        for (name, labels), value in gateway.metrics().items() if name == expiry}
            file = os.path.join(place, "a.crt")
            found = series()
            self.assertEqual(len(found), 2)
            self.assertEqual(found[file], ("a.example,*.a.example", first.not_after))
            self.assertEqual(found[os.path.join(place, "b.crt")][1], many.not_after)
            self.assertLess(len(found[os.path.join(place, "b.crt")][0]), 300)
            # Removed certificates have no series any more, and new ones have one.
            os.remove(os.path.join(place, "b.crt"))
            renewed = root.issue(["a.example"], days=(-1, 77))
            renewed.save(place, "a")
            gateway.wait_for_metric(renewed.not_after, expiry)
            self.assertEqual(series(), {file: ("a.example", renewed.not_after)})

    def test_ticket_keys_and_reloads(self):
        path = tm.write(os.path.join(env.dir, "ticket.keys"), tm.ticket_keys(), 0o600)
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls={"ticket_keys": path}) as gateway:
            start = gateway.metrics()
            self.assertGreater(start.sum(SINCE, source=path), 1_700_000_000)
            # Keys of its own are not in use, and so of no age.
            self.assertTrue(start.has(KEYS, source="internal"))
            self.assertFalse(start.has(SINCE, source="internal"))
            self.assertEqual(start.sum("starling_config_last_reload_seconds"), 0)
            tm.write(path, tm.ticket_keys(), 0o600)
            taken = start.sum(KEYS, source=path) + 1
            self.assertEqual(gateway.wait_for_metric(taken, KEYS, source=path), taken)
            self.assertGreaterEqual(gateway.metrics().sum(SINCE, source=path),
                                    start.sum(SINCE, source=path))
            gateway.signal(signal.SIGHUP)
            reloads = "starling_config_reloads_total"
            gateway.wait_for_metric(1, reloads, trigger="signal", result="success")
            end = gateway.metrics()
            # The same keys still seal.
            self.assertEqual(end.sum(KEYS, source=path), taken)
            self.assertGreater(end.sum("starling_config_last_reload_seconds"), 0)
            self.assertGreaterEqual(end.sum("starling_config_last_reload_timestamp_seconds"),
                                    start.sum("starling_config_last_reload_timestamp_seconds"))


if __name__ == "__main__":
    unittest.main()
