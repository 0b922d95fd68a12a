"""Tests client certificates: which clients must have one, and what backend and log learn about it.

Not for: a log-in by a certificate alone (test_backend_tls.py)."""

import os
import ssl
import unittest

import fakes
import harness
import proxy_v2
import tls_material as tm
from wire import Wire, context

env = None
material = None


class Material:
    def __init__(self, folder):
        self.root = tm.Authority("Clients' authority")
        self.alice = self.root.issue(client="alice")
        self.revoked = self.root.issue(client="mallory")
        self.stranger = tm.Authority("Nobody's authority").issue(client="eve")
        self.expired = self.root.issue(client="late", days=(-9, -1))
        self.server = self.root.issue(["server.example"])
        self.forged = self.root.issue(client="alice\r\nmsg=forged")
        self.files = {name: getattr(self, name).save(folder, name) for name in
                      ("alice", "revoked", "stranger", "expired", "server", "forged")}
        self.ca = tm.write(os.path.join(folder, "clients.pem"), self.root.cert)
        self.crl = tm.write(os.path.join(folder, "clients.crl"), self.root.crl(self.revoked))

    def options(self, mode, **more):
        return {"client_certificate": {"mode": mode, "ca": self.ca, **more}}


def setUpModule():
    global env, material
    env = harness.Environment(servers=False)
    material = Material(env.dir)


def settings(who=None, version=ssl.TLSVersion.TLSv1_3):
    result = context(minimum_version=version, maximum_version=version)
    result.set_ciphers("DEFAULT@SECLEVEL=0")  # OpenSSL itself does not load a small key
    if who:
        result.load_cert_chain(material.files[who]["cert"], material.files[who]["key"])
    return result


def exchange(port, who=None, version=ssl.TLSVersion.TLSv1_3, session=None):
    """True if the gateway takes this client; the session to go on with."""
    with Wire(port) as client:
        try:
            client.socket = settings(who, version).wrap_socket(
                client.socket, server_hostname="mail.example.org", session=session)
            return client.send(b"ping").exactly(4) == b"ping"
        except (ssl.SSLError, EOFError, ConnectionError):
            return False


class Modes(unittest.TestCase):
    def test_who_comes_in(self):
        listener = lambda mode: {"protocol": "tcp", "tls": "implicit", "backend": "echo",
                                 "tls_options": material.options(mode, crl=material.crl)}
        cases = {  # who: (with optional, with require)
            None: (True, False), "alice": (True, True), "revoked": (True, False),
            "stranger": (True, False), "expired": (True, False), "server": (True, False),
            "forged": (True, False),
        }
        with fakes.Backend(fakes.echo) as backend, env.gateway(
                {"optional": listener("optional"), "require": listener("require")},
                {"echo": backend.address}) as gateway:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                for who, expected in cases.items():
                    with self.subTest(who, version=version):
                        got = tuple(exchange(gateway.ports[name], who, version)
                                    for name in ("optional", "require"))
                        self.assertEqual(got, expected)
            metrics = gateway.metrics()
            results = "starling_tls_client_certificates_total"
            self.assertEqual(metrics.sum(results, listener="require", result="verified"), 2)
            self.assertEqual(metrics.sum(results, listener="optional", result="verified"), 2)
            self.assertEqual(metrics.sum(results, listener="optional", result="absent"), 2)
            self.assertEqual(metrics.sum(results, listener="optional", result="failed"), 10)
            failures = "starling_tls_handshake_failures_total"
            self.assertEqual(metrics.sum(failures, reason="client_certificate_missing"), 2)
            self.assertEqual(metrics.sum(failures, reason="client_certificate_invalid"), 10)
            for alert in ("certificate_required", "certificate_revoked", "certificate_expired",
                          "unknown_ca", "unsupported_certificate"):
                self.assertGreater(metrics.sum("starling_tls_alerts_total", alert=alert,
                                               direction="sent"), 0, alert)

    def kinds(self):
        """name: (certificate, whether it is verified, why TLS itself ends the handshake)."""
        root = material.root
        odd = tm.x509.UnrecognizedExtension(tm.x509.ObjectIdentifier("1.3.6.1.4.1.99999.2"), b"x")
        deep, above = root, ""
        for i in range(6):
            deep = tm.Authority("Authority {}".format(i), deep)
            above = deep.cert + above
        too_deep = deep.issue(client="deep")
        too_deep.chain = above
        leaf = root.issue(client="no authority")
        return {
            "plain": (root.issue(client="plain"), True, None),
            "RSA of 1024 bits": (root.issue(client="small", key="rsa1024"), True, None),
            "Ed25519": (root.issue(client="ed", key="ed25519"), True, None),
            "may sign": (root.issue(client="signs", extensions=[(tm.key_usage(True), True)]), True,
                         None),
            "15 KB": (root.issue(client="large", extensions=[(tm.padding(15_000), False)]), True,
                      None),
            "17 KB": (root.issue(client="larger", extensions=[(tm.padding(17_000), False)]), False,
                      None),
            "60 KB": (root.issue(client="huge", extensions=[(tm.padding(60_000), False)]), False,
                      None),
            "66 KB": (root.issue(client="hugest", extensions=[(tm.padding(66_000), False)]), False,
                      "message_too_large"),
            "expired": (root.issue(client="late", days=(-9, -1)), False, None),
            "not yet": (root.issue(client="early", days=(1, 9)), False, None),
            "for servers": (root.issue(["server.example"]), False, None),
            "nobody's": (tm.Authority("Nobody's authority").issue(client="eve"), False, None),
            "signed by a leaf": (tm.Authority.issue(leaf, client="below a leaf"), False, None),
            "too deep": (too_deep, False, None),
            "of an unknown rule": (root.issue(client="ruled", extensions=[(odd, True)]), False, None),
            "may not sign": (root.issue(client="silent", extensions=[(tm.key_usage(False), True)]),
                             False, "client_certificate_invalid"),
        }

    def test_whatever_is_wrong_with_it_the_session_goes_on(self):
        """With `optional`, by OpenSSL's client; with `require` it is refused, and has a name."""
        listener = lambda mode: {"protocol": "tcp", "tls": "implicit", "backend": "echo",
                                 "tls_options": material.options(mode)}
        failures = "starling_tls_handshake_failures_total"
        with fakes.Backend(fakes.echo) as backend, env.gateway(
                {"optional": listener("optional"), "require": listener("require")},
                {"echo": backend.address}) as gateway:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                for name, (certificate, verified, ends) in self.kinds().items():
                    with self.subTest(name, version=version):
                        material.files["kind"] = certificate.save(env.dir, "kind")
                        backend.proxied.clear()
                        self.assertEqual(exchange(gateway.ports["optional"], "kind", version),
                                         ends is None)
                        before = gateway.metrics()
                        self.assertEqual(exchange(gateway.ports["require"], "kind", version),
                                         verified)
                        if not verified:
                            reason = ends or "client_certificate_invalid"
                            wanted = before.sum(failures, listener="require", reason=reason) + 1
                            self.assertEqual(gateway.wait_for_metric(
                                wanted, failures, listener="require", reason=reason), wanted)
                        headers = [p for p in backend.proxied if not p.local]
                        self.assertEqual(len(headers), (ends is None) + verified)
                        for header in headers:
                            self.assertEqual(header.tls["verify"] == 0, verified)
                            self.assertEqual(proxy_v2.PP2_SUBTYPE_SSL_CN in header.tls, verified)

    def test_what_was_not_verified_is_not_verified_by_a_ticket(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls=material.options("optional")) as gateway:
            large = material.root.issue(client="larger", extensions=[(tm.padding(17_000), False)])
            material.files["large"] = large.save(env.dir, "large")
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                for who, resumes in (("large", False), ("stranger", True)):
                    with self.subTest(who, version=version):
                        tls, session, reused = settings(who, version), None, []
                        for _ in range(2):
                            with Wire(gateway.ports["tcp"]) as client:
                                client.socket = tls.wrap_socket(
                                    client.socket, server_hostname="mail.example.org",
                                    session=session)
                                client.send(b"x").exactly(1)
                                session = client.socket.session
                                reused.append(client.socket.session_reused)
                            self.assertNotIn(proxy_v2.PP2_SUBTYPE_SSL_CN, backend.proxied[-1].tls)
                        self.assertEqual(reused, [False, resumes])

    def test_a_client_does_not_send_what_was_not_asked_for(self):
        """Of a key that the gateway cannot check signatures of: it comes as nobody."""
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls=material.options("optional")) as gateway:
            for kind in ("ed448", "secp256k1"):
                material.files["odd"] = material.root.issue(client="odd", key=kind).save(
                    env.dir, "odd")
                with self.subTest(kind):
                    self.assertTrue(exchange(gateway.ports["tcp"], "odd"))
                    self.assertNotIn(proxy_v2.PP2_SUBTYPE_SSL_CN, backend.proxied[-1].tls)

    def test_the_backend_and_the_log_are_told(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls=material.options("optional")) as gateway:
            def told(who):
                backend.proxied.clear()
                after = len(gateway.lines)
                self.assertTrue(exchange(gateway.ports["tcp"], who))
                line = gateway.wait_for_line("session ended", after=after)
                header = [p for p in backend.proxied if not p.local][0]
                return header.tls, header.tlvs.get(proxy_v2.CLIENT_ISSUER), line

            tls, issuer, line = told("alice")
            self.assertEqual(tls["verify"], 0)
            self.assertEqual(tls["client"] & 7, 7)
            self.assertEqual(tls[proxy_v2.PP2_SUBTYPE_SSL_CN], b"alice")
            self.assertEqual(issuer, b"Clients' authority")
            self.assertIn("client_cert=verified client_name=alice "
                          "client_issuer=\"Clients' authority\"", line)
            for who in ("stranger", "forged"):
                tls, issuer, line = told(who)
                self.assertIsNone(issuer)
                self.assertNotEqual(tls["verify"], 0, who)
                self.assertEqual(tls["client"] & 7, 7)
                self.assertNotIn(proxy_v2.PP2_SUBTYPE_SSL_CN, tls)
                self.assertIn("client_cert=failed", line)
                self.assertNotIn("client_name", line)
            tls, issuer, line = told(None)
            self.assertIsNone(issuer)
            self.assertNotEqual(tls["verify"], 0)
            self.assertEqual(tls["client"] & 7, 1)
            self.assertNotIn("client_cert", line)

    def test_who_is_revoked_does_not_come_back_by_a_ticket(self):
        crl = tm.write(os.path.join(env.dir, "later.crl"), material.root.crl())
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls=material.options("require", crl=crl)) as gateway:
            port = gateway.ports["tcp"]
            tls = settings("alice")
            with Wire(port) as client:
                client.socket = tls.wrap_socket(client.socket, server_hostname="mail.example.org")
                client.send(b"x").exactly(1)
                session = client.socket.session
            with Wire(port) as client:
                client.socket = tls.wrap_socket(client.socket, server_hostname="mail.example.org",
                                                session=session)
                client.send(b"x").exactly(1)
                self.assertTrue(client.socket.session_reused)
            self.assertEqual(backend.proxied[-1].tls[proxy_v2.PP2_SUBTYPE_SSL_CN], b"alice")
            tm.write(crl, material.root.crl(material.alice))
            gateway.wait_for_metric(1, "starling_config_reloads_total", trigger="files",
                                    result="success")
            with Wire(port) as client, self.assertRaises((ssl.SSLError, EOFError)):
                client.socket = tls.wrap_socket(client.socket, server_hostname="mail.example.org",
                                                session=session)
                client.send(b"x").exactly(1)

    def test_what_cannot_be_read_is_said(self):
        for options, said in ((material.options("require", crl=material.ca), "revocation list"),
                              ({"client_certificate": {"mode": "require",
                                                       "ca": "/absent.pem"}}, "/absent.pem"),
                              ({"client_certificate": {"mode": "require",
                                                       "ca": material.crl}}, "certificate")):
            path = env.configure({"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "b"}},
                                 {"b": harness.DOWN}, tls=options)[0]
            code, text = harness.run([harness.BINARY, "-t", "-c", path])
            self.assertEqual(code, 2)
            self.assertIn(said, text)


if __name__ == "__main__":
    unittest.main()
