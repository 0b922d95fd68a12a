"""Tests certificates as operators have them: every kind of source, the choice by name and by what a
client supports, OCSP, renewal as by certbot and Kubernetes, and hostile or incomplete files."""

import os
import pwd
import shutil
import socket
import ssl
import subprocess
import unittest

import fakes
import harness
import tls_material as tm
from wire import context

env = None
root = None


def setUpModule():
    global env, root
    env = harness.Environment(servers=False)
    root = tm.Authority()


def folder(test):
    path = os.path.join(env.dir, test.id().rsplit(".", 1)[-1])
    os.mkdir(path)
    return path


def served(port, name=None, tls=None):
    """The certificate that a client gets, DER."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        with (tls or context()).wrap_socket(plain, server_hostname=name) as wrapped:
            return wrapped.getpeercert(binary_form=True)


def s_client(port, *arguments):
    return harness.run(["openssl", "s_client", "-connect", "127.0.0.1:{}".format(port), *arguments],
                       timeout=30)[1]


class Choice(unittest.TestCase):
    def test_by_name_and_by_what_the_client_can_verify(self):
        place = folder(self)
        kinds = {
            "default": root.issue(["default.example"]),
            "exact": root.issue(["mx.example.org", "xn--bcher-kva.example"]),
            "rsa": root.issue(["mx.example.org"], key="rsa"),
            "wild": root.issue(["*.example.org"], key="ec384"),
            "ed": root.issue(["ed.example"], key="ed25519"),
        }
        entries = [c.save(place, n) for n, c in kinds.items()]
        rsa_only = ["-sigalgs", "rsa_pss_rsae_sha256:rsa_pkcs1_sha256"]
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls={"certificates": entries}) as gateway:
            port = gateway.ports["tcp"]
            for name, wanted in ((None, "default"), ("unknown.example", "default"),
                                 ("mx.example.org", "exact"), ("MX.Example.ORG", "exact"),
                                 ("xn--bcher-kva.example", "exact"),
                                 ("other.example.org", "wild"), ("a.b.example.org", "default"),
                                 ("ed.example", "ed")):
                with self.subTest(name):
                    self.assertEqual(served(port, name), kinds[wanted].der)
            text = s_client(port, "-servername", "mx.example.org.", *rsa_only)
            self.assertIn(kinds["rsa"].cert.splitlines()[5], text)
            text = s_client(port, "-servername", "mx.example.org", "-tls1_2", *rsa_only)
            self.assertIn(kinds["rsa"].cert.splitlines()[5], text)

    def test_strict_refuses_unknown_and_absent_names(self):
        place = folder(self)
        entry = root.issue(["mx.example.org"]).save(place, "mx")
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls={"certificates": [entry], "sni": "strict"}) as gateway:
            port = gateway.ports["tcp"]
            self.assertTrue(served(port, "mx.example.org"))
            for name in ("unknown.example", None):
                with self.assertRaises(ssl.SSLError) as refused:
                    served(port, name)
                self.assertIn("UNRECOGNIZED_NAME", str(refused.exception))
            self.assertEqual(gateway.wait_for_metric(
                2, "starling_tls_handshake_failures_total", reason="sni_unknown"), 2)
            self.assertEqual(gateway.metrics().sum(
                "starling_tls_alerts_total", direction="sent", alert="unrecognized_name"), 2)

    def test_listeners_have_lists_of_their_own(self):
        place = folder(self)
        ours = root.issue(["own.example"])
        ports = harness.reserve_ports(["general", "own"])
        with fakes.Backend(fakes.echo) as backend:
            common = {"protocol": "tcp", "tls": "implicit", "backend": "echo"}
            with env.gateway({"general": common, "own": {**common, "tls_options": {
                    "certificates": [ours.save(place, "own")]}}},
                    {"echo": backend.address}, ports=ports) as gateway:
                self.assertEqual(served(ports["own"], "mail.example.org"), ours.der)
                self.assertNotEqual(served(ports["general"], "own.example"), ours.der)
                self.assertEqual(gateway.metrics().sum("starling_certificates_loaded"), 3)


class Sources(unittest.TestCase):
    def test_bundles_and_folders_of_every_layout(self):
        place = folder(self)
        certificates = {name: root.issue([name + ".example"]) for name in
                        ("bundle", "certbot", "secret", "acme", "pair", "pem")}
        bundle = tm.write(os.path.join(place, "b.pem"),
                          certificates["bundle"].key + certificates["bundle"].fullchain, 0o600)
        secret, acme, mixed = (os.path.join(place, n) for n in ("secret", "acme", "mixed"))
        for path in (secret, acme, mixed):
            os.mkdir(path)
        tm.kubernetes(secret, certificates["secret"])
        tm.write(os.path.join(acme, "fullchain.cer"), certificates["acme"].fullchain)
        tm.write(os.path.join(acme, "acme.example.key"), certificates["acme"].key, 0o600)
        certificates["pair"].save(mixed, "pair")
        tm.write(os.path.join(mixed, "x.pem"), certificates["pem"].fullchain +
                 certificates["pem"].key, 0o600)
        tm.write(os.path.join(mixed, "README"), "not a certificate\n")
        live = tm.certbot(os.path.join(place, "le"), "certbot.example", certificates["certbot"])
        entries = [{"pem": bundle}] + [{"folder": f} for f in (live, secret, acme, mixed)]
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls={"certificates": entries, "sni": "strict"}) as gateway:
            for name, certificate in certificates.items():
                with self.subTest(name):
                    self.assertEqual(served(gateway.ports["tcp"], name + ".example"),
                                     certificate.der)

    def test_renewals_are_noticed_without_a_signal(self):
        place = folder(self)
        secret = os.path.join(place, "secret")
        os.mkdir(secret)
        first = {"certbot": root.issue(["certbot.example"]), "secret": root.issue(["s.example"])}
        tm.kubernetes(secret, first["secret"])
        live = tm.certbot(place, "certbot.example", first["certbot"])
        entries = [{"folder": live}, {"folder": secret}]
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls={"certificates": entries}) as gateway:
            port = gateway.ports["tcp"]
            reloads = "starling_config_reloads_total"
            second = root.issue(["certbot.example"])
            tm.certbot(place, "certbot.example", second, number=2)
            gateway.wait_for_metric(1, reloads, trigger="files", result="success")
            self.assertEqual(served(port, "certbot.example"), second.der)
            renewed = root.issue(["s.example"])
            tm.kubernetes(secret, renewed, number=2)
            gateway.wait_for_metric(2, reloads, trigger="files", result="success")
            self.assertEqual(served(port, "s.example"), renewed.der)
            new = root.issue(["new.example"])
            tm.certbot(place, "new.example", new)
            gateway.wait_for_metric(3, reloads, trigger="files", result="success")
            self.assertEqual(served(port, "new.example"), new.der)
            self.assertEqual(gateway.metrics().sum(reloads, result="failure"), 0)


class Ocsp(unittest.TestCase):
    def test_good_ones_are_sent_and_stale_ones_are_not(self):
        place = folder(self)
        good, stale = root.issue(["good.example"]), root.issue(["stale.example"])
        entries = [good.save(place, "good"), stale.save(place, "stale")]
        tm.write(os.path.join(place, "good.crt.ocsp"), root.ocsp(good))
        tm.write(os.path.join(place, "stale.crt.ocsp"), root.ocsp(stale, days=(-9, -2)))
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls={"certificates": entries}) as gateway:
            port = gateway.ports["tcp"]
            self.assertIn("Cert Status: good",
                          s_client(port, "-status", "-servername", "good.example"))
            self.assertIn("no response sent",
                          s_client(port, "-status", "-servername", "stale.example"))
            self.assertIsNotNone(gateway.wait_for_line("stale.crt.ocsp", "expired"))
            series = "starling_certificate_ocsp_next_update_timestamp_seconds"
            self.assertTrue(gateway.metrics().has(series, names="good.example"))
            # A fresh one is noticed and sent.
            tm.write(os.path.join(place, "stale.crt.ocsp"), root.ocsp(stale))
            gateway.wait_for_metric(1, "starling_config_reloads_total", trigger="files",
                                    result="success")
            self.assertIn("Cert Status: good",
                          s_client(port, "-status", "-servername", "stale.example"))

    def test_nor_is_it_while_other_files_are_bad(self):
        place = folder(self)
        short, other = root.issue(["short.example"]), root.issue(["other.example"])
        entries = [short.save(place, "short"), other.save(place, "other")]
        tm.write(os.path.join(place, "short.crt.ocsp"), root.ocsp(short, days=(-1, 8 / 86400)))
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls={"certificates": entries}) as gateway:
            port = gateway.ports["tcp"]
            tm.write(entries[1]["cert"], "half of it")
            self.assertIsNotNone(gateway.wait_for_line("other.crt", "rejected"))
            self.assertIsNotNone(gateway.wait_for_line("short.crt", "expired"))
            # Workers change over a moment after the line.
            self.assertTrue(any("no response sent" in s_client(port, "-status")
                                for _ in range(50)))
            self.assertEqual(served(port, "other.example"), other.der)

    def test_one_that_goes_out_of_date_is_no_longer_sent(self):
        place = folder(self)
        leaf = root.issue(["brief.example"])
        entry = leaf.save(place, "brief")
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls={"certificates": [entry]}) as gateway:
            # Nothing of the files changes any more when its time is over.
            tm.write(os.path.join(place, "brief.crt.ocsp"),
                     root.ocsp(leaf, days=(-1, 5 / 86_400)))
            self.assertIsNotNone(gateway.wait_for_line("brief.crt.ocsp", "expired"))
            self.assertIn("no response sent", s_client(gateway.ports["tcp"], "-status"))


class Check(unittest.TestCase):
    """-t reports faults as errors and dangers as warnings, and prints a table of the rest."""

    def check(self, entries, mode="-t", **tls):
        path = env.configure({"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "b"}},
                             {"b": harness.DOWN}, tls={"certificates": entries, **tls})[0]
        done = subprocess.run([harness.BINARY, mode, "-c", path], capture_output=True, timeout=60)
        return done.returncode, (done.stdout + done.stderr).decode()

    def test_the_table(self):
        place = folder(self)
        entry = root.issue(["mx.example.org", "*.example.org"], key="rsa").save(place, "mx")
        code, text = self.check([entry], preset="modern")
        self.assertEqual(code, 0, text)
        for part in ("TLS 1.3", "mx.crt", "RSA2048", "mx.example.org,*.example.org", "(90 days)",
                     "Test root", "tcp", "the configuration is valid"):
            self.assertIn(part, text)

    def test_warnings(self):
        place = folder(self)
        middle = tm.Authority("Test intermediate", root)
        leaf = middle.issue(["chain.example"])
        leaf.chain = root.cert + middle.cert
        readable = root.issue(["readable.example"])
        entries = {
            "soon": (root.issue(["soon.example"], days=(-1, 5)).save(place, "soon"), "expires"),
            "past": (root.issue(["past.example"], days=(-9, -1)).save(place, "past"), "expired"),
            "early": (root.issue(["early.example"], days=(2, 9)).save(place, "early"),
                      "not valid before"),
            "chain": (leaf.save(place, "chain"), "order"),
            "readable": (readable.save(place, "readable"), "every user"),
        }
        os.chmod(entries["readable"][0]["key"], 0o644)
        for name, (entry, said) in entries.items():
            with self.subTest(name):
                code, text = self.check([entry])
                self.assertEqual(code, 0, text)
                warnings = [line for line in text.splitlines() if line.startswith("warning: ")]
                self.assertTrue(any(said in line and name in line for line in warnings), text)

    def test_hostile_files_are_clear_errors_and_tell_no_secret(self):
        place = folder(self)
        good = root.issue(["good.example"])
        pair = good.save(place, "good")
        other = root.issue(["other.example"]).save(place, "other")
        staple = root.issue(["staple.example"], must_staple=True).save(place, "staple")
        path = lambda name: os.path.join(place, name)
        junk = path("junk")
        os.mkdir(junk)
        tm.write(os.path.join(junk, "a.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n")
        os.mkdir(path("nothing"))
        os.symlink("loop.crt", path("loop.crt"))
        os.mkfifo(path("fifo.crt"))
        key = lambda cert: {"cert": cert, "key": pair["key"]}
        cases = {
            "truncated": key(tm.write(path("cut.crt"), good.cert[:300])),
            "swapped": {"cert": pair["key"], "key": pair["cert"]},
            "another's key": {"cert": pair["cert"], "key": other["key"]},
            "empty": key(tm.write(path("empty.crt"), "")),
            "huge": key(tm.write(path("huge.crt"), "x" * (2 << 20))),
            "a folder": key(junk),
            "a loop": key(path("loop.crt")),
            "a FIFO": key(path("fifo.crt")),
            "absent": key(path("absent.crt")),
            "a weak key": root.issue(["weak.example"], key="rsa1024").save(place, "weak"),
            "must-staple without a response": staple,
            "a folder of junk": {"folder": junk},
            "an empty folder": {"folder": path("nothing")},
            "a bundle without a key": {"pem": pair["cert"]},
        }
        secrets = good.key.splitlines()[1:-1]
        for name, entry in cases.items():
            for mode in ("-t", "-T"):
                with self.subTest(name, mode=mode):
                    code, text = self.check([entry], mode)
                    if mode == "-t":
                        self.assertEqual(code, 2, text)
                        error = [line for line in text.splitlines() if "error" in line]
                        self.assertTrue(error and place in error[0], text)
                    for secret in secrets:
                        self.assertNotIn(secret, text)


class Secrets(unittest.TestCase):
    def test_others_cannot_look_into_the_process(self):
        # Root owns the /proc of a process that is not dumpable, whichever user runs it.
        place = folder(self)
        os.chmod(place, 0o755)
        pair = root.issue().save(place, "own")
        nobody = pwd.getpwnam("nobody")
        os.chown(pair["key"], nobody.pw_uid, nobody.pw_gid)
        config, metrics, _ = env.configure(
            {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "b"}},
            {"b": harness.DOWN}, tls={"certificates": [pair]})
        binary = shutil.copy(harness.BINARY, place)  # where everybody can read it
        os.chmod(binary, 0o755)
        gateway = harness.Gateway(config, metrics, {})
        gateway.binary = binary
        gateway.start(ready="/healthz", prefix=[
            "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        try:
            with open("/proc/{}/status".format(gateway.process.pid), encoding="ascii") as f:
                self.assertIn("Uid:\t{}\t".format(nobody.pw_uid), f.read())
            self.assertEqual(os.stat("/proc/{}/mem".format(gateway.process.pid)).st_uid, 0)
        finally:
            gateway.kill()


if __name__ == "__main__":
    unittest.main()
