"""Tests what listeners allow and require, as seen on the wire: presets, versions, ciphers, groups,
signatures, ALPN and names; and that the gateway reports and counts failures."""

import os
import socket
import ssl
import unittest

import fakes
import harness
import tls_material as tm
from wire import Wire, context

env = None
certificates = None

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
FAILURES = "starling_tls_handshake_failures_total"


def setUpModule():
    global env, certificates
    env = harness.Environment(servers=False)
    root = tm.Authority()
    certificates = [root.issue(["mail.example.org"], key=key).save(env.dir, key)
                    for key in ("ec", "rsa")]


def gateway(backend, options=None, listeners=None, **tls):
    """One listener `tcp` with `options` of its own, or `listeners`."""
    row = {"protocol": "tcp", "tls": "implicit", "backend": "b"}
    rows = {name: {**row, **more} for name, more in (listeners or {"tcp": {}}).items()}
    if options:
        rows["tcp"]["tls_options"] = options
    return env.gateway(rows, {"b": backend.address}, tls={"certificates": certificates, **tls})


def s_client(port, *options, typed=b""):
    """(whether there was a handshake, all that openssl says)"""
    output = harness.run(["openssl", "s_client", "-connect", "127.0.0.1:{}".format(port),
                          "-servername", "mail.example.org", *options], typed)[1]
    return "New, TLSv1" in output, output


class Cbc(unittest.TestCase):
    """Senders of mail that know nothing better, at a public MX that takes them."""
    SUITES = ["ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA",
              "ECDHE-RSA-AES256-SHA"]

    def mx(self, **smtp):
        more = {"smtp": smtp} if smtp else {}
        return env.gateway(
            {"mx": {"protocol": "smtp", "tls": "starttls", "policy": "opportunistic", "backend": "b",
                    **more}}, {"b": harness.DOWN}, tls={"certificates": certificates})

    def deliver(self, running, *ciphers):
        return s_client(running.ports["mx"], "-starttls", "smtp", "-tls1_2", "-cipher",
                        ":".join(ciphers) + ":@SECLEVEL=0")

    def test_who_knows_better_gets_better(self):
        with self.mx(cbc_ciphers=True) as running:
            for suite in self.SUITES:
                with self.subTest(suite):
                    there, output = self.deliver(running, suite)
                    self.assertTrue(there, output)
                    self.assertIn("Cipher is " + suite, output)
                    self.assertEqual(running.wait_for_metric(
                        1, "starling_tls_negotiated_total", cipher=suite), 1)
            there, output = self.deliver(running, *self.SUITES, "ECDHE-ECDSA-AES128-GCM-SHA256")
            self.assertIn("Cipher is ECDHE-ECDSA-AES128-GCM-SHA256", output)
            # Forward secrecy is not given up.
            for worse in ("AES128-SHA", "AES128-GCM-SHA256", "DHE-RSA-AES128-SHA"):
                self.assertFalse(self.deliver(running, worse)[0], worse)

    def test_it_is_off(self):
        for smtp in ({}, {"cbc_ciphers": False}):
            with self.mx(**smtp) as running:
                for suite in self.SUITES:
                    self.assertFalse(self.deliver(running, suite)[0], suite)
                self.assertEqual(running.wait_for_metric(4, FAILURES, reason="no_shared_cipher"), 4)


class Hellos(unittest.TestCase):
    def test_of_more_than_16_kib(self):
        """OpenSSL's, made long by names of ALPN, in as many records as that takes."""
        def connect(port, names):
            tls = context(minimum_version=V13)
            tls.set_alpn_protocols(["imap"] + ["x{:0>249}".format(i) for i in range(names)])
            with Wire(port) as client:
                try:
                    client.socket = tls.wrap_socket(client.socket, server_hostname="a.example")
                    return client.socket.selected_alpn_protocol()
                except (ssl.SSLError, ConnectionError) as error:
                    return str(error)

        with fakes.Backend(fakes.echo) as backend, gateway(
                backend, listeners={"tcp": {"protocol": "imap"}}) as running:
            for names in (0, 1, 60):  # of 251 octets each
                self.assertEqual(connect(running.ports["tcp"], names), "imap")
            for names in (66, 120):
                self.assertIn("ILLEGAL_PARAMETER", connect(running.ports["tcp"], names).upper())
            self.assertEqual(running.wait_for_metric(2, FAILURES, reason="message_too_large"), 2)


class Settings(unittest.TestCase):
    def check(self, tls, good, bad, **more):
        """`good`: [(s_client's options, what it then says)]; `bad`: options that fail."""
        with fakes.Backend(fakes.echo) as backend, gateway(backend, **more, **tls) as running:
            for options, seen in good:
                with self.subTest(options, tls=tls):
                    there, output = s_client(running.ports["tcp"], *options)
                    self.assertTrue(there, output)
                    self.assertIn(seen, output)
            for options in bad:
                with self.subTest(options, tls=tls):
                    there, output = s_client(running.ports["tcp"], *options)
                    self.assertFalse(there, output)
                    self.assertRegex(output, "alert (handshake failure|protocol version)")

    def test_presets(self):
        old = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
        self.check({}, [(["-tls1_2"], "TLSv1.2"), (["-tls1_3"], "TLSv1.3")], [old])
        self.check({"preset": "modern"}, [(["-tls1_3"], "TLSv1.3")], [["-tls1_2"], old])
        # One setting more than the preset says.
        self.check({"preset": "modern", "min_version": "TLSv1.2"}, [(["-tls1_2"], "TLSv1.2")], [old])

    def test_a_listener_overrides_the_general_section(self):
        self.check({"preset": "modern"}, [(["-tls1_2"], "TLSv1.2")], [],
                   options={"min_version": "TLSv1.2"})
        self.check({}, [(["-tls1_3"], "TLSv1.3")], [["-tls1_2"]], options={"preset": "modern"})

    def test_ciphers(self):
        self.check(
            {"ciphers": ["TLS_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"]},
            [(["-tls1_3"], "TLS_AES_256_GCM_SHA384"), (["-tls1_2"], "ECDHE-ECDSA-AES256-GCM-SHA384")],
            [["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"],
             ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"]])

    def test_chacha20_for_clients_that_put_it_first(self):
        chacha, aes = "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"
        pair = "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"
        self.check({}, [
            (["-tls1_3", "-ciphersuites", chacha + ":" + aes], "Cipher is " + chacha),
            (["-tls1_3", "-ciphersuites", aes + ":" + chacha], "Cipher is " + aes),
            (["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384:" + chacha + ":" + aes],
             "Cipher is " + aes),
            (["-tls1_2", "-cipher", ":".join(pair)], "Cipher is " + pair[0]),
            (["-tls1_2", "-cipher", ":".join(reversed(pair))], "Cipher is " + pair[1])], [])

    def test_groups(self):
        self.check({"groups": ["P-384", "X25519"]},
                   [(["-groups", "X25519:P-384"], "X25519"), (["-groups", "P-384"], "secp384r1")],
                   [["-groups", "P-256"], ["-tls1_2", "-groups", "P-256"]])

    def test_no_round_trip_more_for_who_sent_a_share(self):
        # The hybrid is first in the list, and this client has a share of X25519 alone.
        with fakes.Backend(fakes.echo) as backend, gateway(backend) as running:
            there, output = s_client(running.ports["tcp"], "-groups", "X25519:P-256", "-trace")
            self.assertTrue(there, output)
            self.assertEqual(running.metrics().sum("starling_tls_hello_retry_total"), 0)
            self.assertEqual(running.wait_for_metric(
                1, "starling_tls_group_total", group="X25519"), 1)

    def test_signature_algorithms(self):
        self.check({"signature_algorithms": ["rsa_pss_rsae_sha384", "ecdsa_secp256r1_sha256"]},
                   [(["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384"],
                     "Peer signing digest: SHA384")],
                   [["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"]])

    def test_unknown_names_are_errors_that_list_the_known(self):
        for tls, known in (({"preset": "strong"}, "modern"), ({"min_version": "TLSv1.1"}, "TLSv1.2"),
                           ({"ciphers": ["AES128-SHA"]}, "TLS_AES_128_GCM_SHA256"),
                           ({"groups": ["ffdhe2048"]}, "X25519MLKEM768"),
                           ({"signature_algorithms": ["rsa_pkcs1_sha1"]}, "ecdsa_secp256r1_sha256"),
                           # Known, and of no use with this certificate.
                           ({"signature_algorithms": ["rsa_pss_rsae_sha256"]}, "EC256 key")):
            with self.subTest(tls):
                config = env.configure(
                    {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "b"}},
                    {"b": harness.DOWN}, tls={"certificates": certificates, **tls})[0]
                code, output = harness.run([harness.BINARY, "-t", "-c", config])
                self.assertEqual(code, 2, output)
                self.assertIn(known, output)


class Alpn(unittest.TestCase):
    def test_the_listeners_protocol_only(self):
        listeners = {"lenient": {"protocol": "imap"},
                     "strict": {"protocol": "imap", "tls_options": {"alpn": "strict"}}}
        cases = {None: (True, False), "imap": (True, True), "http/1.1": (False, False)}
        with fakes.Backend(fakes.says(b"* OK\r\n")) as backend, \
                gateway(backend, listeners=listeners) as running:
            for protocol, expected in cases.items():
                for name, good in zip(listeners, expected):
                    with self.subTest(protocol, listener=name):
                        options = ["-alpn", protocol] if protocol else []
                        there, output = s_client(running.ports[name], *options)
                        self.assertEqual(there, good, output)
                        if not good:
                            self.assertIn("no application protocol", output)
            self.assertEqual(running.wait_for_metric(
                3, FAILURES, reason="no_application_protocol"), 3)

    def test_browsers_are_refused_where_no_identifier_is_registered(self):
        # So strictness asks for nothing there: no client has anything to offer.
        listeners = {name: {"protocol": name, "tls_options": {"alpn": "strict"}}
                     for name in ("smtp", "lmtp")}
        with fakes.Backend(fakes.says(b"220 x\r\n")) as backend, \
                gateway(backend, listeners=listeners) as running:
            for name in listeners:
                for offered, good in ((None, True), (name, True), ("h2,http/1.1", False)):
                    with self.subTest(offered, listener=name):
                        options = ["-alpn", offered] if offered else []
                        there, output = s_client(running.ports[name], *options)
                        self.assertEqual(there, good, output)
                        if not good:
                            self.assertIn("no application protocol", output)


class Failures(unittest.TestCase):
    def test_counted_by_the_highest_version_offered(self):
        # Whom a minimum of 1.2, or of 1.3, locks out.
        old = "ALL:@SECLEVEL=0"
        cases = [(["-tls1", "-cipher", old], "TLSv1.0"), (["-tls1_1", "-cipher", old], "TLSv1.1"),
                 (["-tls1_2"], "TLSv1.2")]
        with fakes.Backend(fakes.echo) as backend, gateway(backend, preset="modern") as running:
            for options, offered in cases:
                with self.subTest(offered):
                    self.assertFalse(s_client(running.ports["tcp"], *options)[0])
                    self.assertEqual(running.wait_for_metric(
                        1, "starling_tls_failed_offers_total", offered=offered), 1)
                    self.assertIsNotNone(running.wait_for_line(
                        "tls_offered=" + offered, "alert_sent=protocol_version"))
            self.assertEqual(running.metrics().sum(FAILURES, reason="no_shared_version"), 3)

    def test_the_alert_arrives_before_the_end(self):
        # 40 and 70: handshake_failure and protocol_version, fatal, in a record of their own.
        cases = [(dict(minimum_version=V12, maximum_version=V12), {"preset": "modern"}, 70),
                 (dict(maximum_version=V12), {"ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"]}, 40)]
        for attributes, tls, alert in cases:
            with self.subTest(tls), fakes.Backend(fakes.echo) as backend, \
                    gateway(backend, **tls) as running:
                settings = context(**attributes)
                if alert == 40:
                    settings.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                client = settings.wrap_bio(incoming, outgoing, server_hostname="mail.example.org")
                with self.assertRaises(ssl.SSLWantReadError):
                    client.do_handshake()
                with Wire(running.ports["tcp"]) as wire:
                    said = wire.send(outgoing.read()).rest()
                    self.assertEqual((said[:2], said[3:]), (b"\x15\x03", bytes([0, 2, 2, alert])))

    def test_what_clients_complain_of_is_counted(self):
        with fakes.Backend(fakes.echo) as backend, gateway(backend) as running:
            stranger = ssl.create_default_context()
            with self.assertRaises(ssl.SSLCertVerificationError), \
                    Wire(running.ports["tcp"]) as client:
                client.start_tls(stranger)
            self.assertEqual(running.wait_for_metric(
                1, "starling_tls_alerts_total", direction="received", alert="unknown_ca"), 1)
            self.assertEqual(running.wait_for_metric(
                1, FAILURES, reason="certificate_rejected"), 1)

    def test_labels_are_as_many_whatever_clients_send(self):
        with fakes.Backend(fakes.echo) as backend, gateway(backend) as running:
            before = len(running.metrics())
            for number in range(60):
                with socket.create_connection(("127.0.0.1", running.ports["tcp"])) as client:
                    client.sendall(b"\x15\x03\x01\x00\x02\x02" + bytes([number * 4]))
                    client.shutdown(socket.SHUT_WR)
                    client.recv(100)
            total = running.wait_for_metric(60, "starling_sessions_ended_total")
            self.assertEqual(total, 60)
            self.assertLess(len(running.metrics()) - before, 80)


if __name__ == "__main__":
    unittest.main()
