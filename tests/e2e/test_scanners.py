"""Tests the gateway's TLS with sslscan and testssl.sh, whose findings must not get worse, and with
clients of four TLS libraries that verify certificates of each kind of key."""

import json
import os
import re
import unittest
import xml.etree.ElementTree as xml

import fakes
import harness
import tls_material as tm

NAME = "mail.example.org"
TLS13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
TLS12 = ["ECDHE-{}-{}".format(key, cipher) for key in ("ECDSA", "RSA")
         for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")]

env = None
root = None
certificates = None  # {kind of key: its files}


def setUpModule():
    global env, root, certificates
    env = harness.Environment(servers=False)
    root = tm.Authority()
    tm.write(os.path.join(env.dir, "root.pem"), root.cert)
    certificates = {key: root.issue([NAME], key=key).save(env.dir, key)
                    for key in ("ec", "ec384", "rsa", "ed25519")}


async def imap(reader, writer):
    """As much of a server as a client needs to come and go."""
    writer.write(b"* OK ready\r\n")
    while line := await reader.readline():
        tag, command = (line.upper().split() + [b"*", b"?"])[:2]
        writer.write({b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n",
                      b"LOGOUT": b"* BYE\r\n"}.get(command, b"") + tag + b" OK done\r\n")
        if command == b"LOGOUT":
            return


async def smtp(reader, writer):
    writer.write(b"220 ready\r\n")
    while line := await reader.readline():
        leaves = line.upper().startswith(b"QUIT")
        writer.write(b"221 bye\r\n" if leaves else b"250 ok\r\n")
        if leaves:
            return


def gateway(backends, kinds=("ec", "rsa"), **tls):
    """Listeners imaps, imap, smtps and smtp."""
    rows = {}
    for protocol in ("imap", "smtp"):
        row = {"protocol": protocol, "backend": protocol}
        rows[protocol + "s"] = {**row, "tls": "implicit"}
        rows[protocol] = {**row, "tls": "starttls", "policy": "require"}
    return env.gateway(rows, {name: b.address for name, b in backends.items()},
                       tls={"certificates": [certificates[k] for k in kinds], **tls})


class Sslscan(unittest.TestCase):
    def scan(self, port, *options):
        code, output = harness.run(
            ["sslscan", "--xml=-", "--show-sigs", "--sni-name=" + NAME, *options,
             "127.0.0.1:{}".format(port)], timeout=120)
        self.assertEqual(code, 0, output)
        return xml.fromstring(output[output.index("<?xml"):]).find("ssltest")

    def check(self, found, tls12=True):
        versions = {(p.get("type"), p.get("version")) for p in found.findall("protocol")
                    if p.get("enabled") == "1"}
        self.assertEqual(versions, {("tls", "1.3")} | ({("tls", "1.2")} if tls12 else set()))
        ciphers = lambda v: [c.get("cipher") for c in found.findall("cipher")
                             if c.get("sslversion") == v]
        self.assertEqual(ciphers("TLSv1.3"), TLS13)
        self.assertEqual(ciphers("TLSv1.2"), TLS12 if tls12 else [])
        self.assertEqual({g.get("name").split()[0] for g in found.findall("group")},
                         {"x25519", "secp256r1", "secp384r1"})
        self.assertEqual({h.get("vulnerable") for h in found.findall("heartbleed")}, {"0"})
        signatures = {s.get("name") for s in found.findall("connection-signature-algorithm")}
        self.assertEqual(signatures, {"ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256",
                                      "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512"})
        if tls12:
            self.assertEqual(found.find("renegotiation").get("supported"), "0")

    def test_each_way_in(self):
        with fakes.Backend(imap) as i, fakes.Backend(smtp) as s, \
                gateway({"imap": i, "smtp": s}) as running:
            for listener, options in (("imaps", []), ("imap", ["--starttls-imap"]),
                                      ("smtps", []), ("smtp", ["--starttls-smtp"])):
                with self.subTest(listener):
                    self.check(self.scan(running.ports[listener], *options))

    def test_modern(self):
        with fakes.Backend(imap) as i, fakes.Backend(smtp) as s, \
                gateway({"imap": i, "smtp": s}, preset="modern") as running:
            self.check(self.scan(running.ports["imaps"]), tls12=False)


class Testssl(unittest.TestCase):
    # What it says without an opinion, or about itself.
    NO_FINDING = {"OK", "INFO", "DEBUG"}
    REVIEWED = {"engine_problem"}  # of the openssl that it runs

    def findings(self, port, *options):
        path = os.path.join(env.dir, "testssl-{}.json".format(port))
        # Its exit code tells of what it could not look at, being no browser.
        _, output = harness.run(
            ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none",
             "--jsonfile", path, *options, "127.0.0.1:{}".format(port)], timeout=300)
        with open(path, encoding="utf-8") as f:
            found = {row["id"]: row for row in json.load(f)}
        bad = [row for row in found.values()
               if row["severity"] not in self.NO_FINDING and row["id"] not in self.REVIEWED]
        self.assertEqual(bad, [], output)
        self.assertIn("scanTime", found, "it did not come to its end")
        return {name: row["finding"] for name, row in found.items()}

    def check(self, found):
        for name, start in (
                ("SSLv2", "not offered"), ("SSLv3", "not offered"), ("TLS1", "not offered"),
                ("TLS1_1", "not offered"), ("TLS1_2", "offered"), ("TLS1_3", "offered"),
                ("secure_renego", "supported"), ("secure_client_renego", "not vulnerable"),
                ("CRIME_TLS", "not vulnerable"), ("fallback_SCSV", "no protocol below TLS 1.2"),
                ("CCS", "not vulnerable")):
            self.assertTrue(found[name].startswith(start), (name, found[name]))

    def test_implicit(self):
        with fakes.Backend(imap) as i, fakes.Backend(smtp) as s, \
                gateway({"imap": i, "smtp": s}) as running:
            found = self.findings(running.ports["imaps"], "-p", "-s", "-f", "-P", "-U")
        self.check(found)
        self.assertEqual(found["cipherorder_TLSv1_3"].split(), TLS13)
        self.assertEqual(found["cipherorder_TLSv1_2"].split(), TLS12)
        self.assertEqual(set(found["PFS_ciphers"].split()), set(TLS12 + TLS13))
        self.assertEqual(set(found["PFS_ECDHE_curves"].split()),
                         {"prime256v1", "secp384r1", "X25519"})
        for weak in ("NULL", "aNULL", "EXPORT", "LOW", "3DES_IDEA", "AVERAGE"):
            self.assertEqual(found["cipherlist_" + weak], "not offered")
        for attack in ("heartbleed", "ROBOT", "POODLE_SSL", "SWEET32", "FREAK", "DROWN", "LOGJAM",
                       "BEAST", "LUCKY13", "RC4"):
            self.assertTrue(found[attack].startswith("not vulnerable"), found[attack])

    def test_starttls(self):
        with fakes.Backend(imap) as i, fakes.Backend(smtp) as s, \
                gateway({"imap": i, "smtp": s}) as running:
            self.check(self.findings(
                running.ports["smtp"], "-t", "smtp", "-p", "-R", "-C", "-Z", "-I"))


class ExtendedMasterSecret(unittest.TestCase):
    """testssl misses it where its hello offers ALPN for HTTP, which is refused; it is there."""

    def test_openssl_has_it(self):
        with fakes.Backend(imap) as i, fakes.Backend(smtp) as s, \
                gateway({"imap": i, "smtp": s}) as running:
            for listener, more in (("imaps", []), ("imap", ["-starttls", "imap"])):
                for alpn, seen in (([], "Extended master secret: yes"),
                                   (["-alpn", "imap"], "Extended master secret: yes"),
                                   (["-alpn", "http/1.1"], "no application protocol")):
                    with self.subTest(listener, alpn=alpn):
                        output = harness.run(
                            ["openssl", "s_client", "-tls1_2", "-connect",
                             "127.0.0.1:{}".format(running.ports[listener]), *more, *alpn], b"")[1]
                        self.assertIn(seen, output)


class Clients(unittest.TestCase):
    """Each with each kind of key, the certificate verified by name and authority."""

    def each(self, command, seen, listeners=("imaps", "imap")):
        """`command(port, listener)` returns a command and its input."""
        for kind in certificates:
            with fakes.Backend(imap) as i, fakes.Backend(smtp) as s, \
                    gateway({"imap": i, "smtp": s}, [kind]) as running:
                for listener in listeners:
                    with self.subTest(kind, listener=listener):
                        program, typed = command(running.ports[listener], listener)
                        code, output = harness.converse(program, typed)
                        self.assertEqual(code, 0, output)
                        self.assertRegex(output, seen)

    def ca(self):
        return os.path.join(env.dir, "root.pem")

    def test_openssl(self):
        def command(port, listener):
            more = [] if listener == "imaps" else ["-starttls", "imap"]
            return ["openssl", "s_client", "-connect", "127.0.0.1:{}".format(port), "-servername",
                    NAME, "-verify_hostname", NAME, "-verify_return_error", "-CAfile", self.ca(),
                    "-crlf", "-ign_eof", *more], b"a LOGOUT\n"
        self.each(command, r"Verify return code: 0 \(ok\)")

    def test_gnutls(self):
        def command(port, listener):
            more = [] if listener == "imaps" else ["--starttls-proto", "imap"]
            return ["gnutls-cli", "--x509cafile", self.ca(), "--verify-hostname", NAME,
                    "--sni-hostname", NAME, "--crlf", "--port", str(port), *more,
                    "localhost"], b"a LOGOUT\n"
        self.each(command, "The certificate is trusted")

    def test_curl(self):
        def command(port, listener):
            scheme, more = ("imaps", []) if listener == "imaps" else ("imap", ["--ssl-reqd"])
            return ["curl", "-sS", "-v", "--cacert", self.ca(), "--max-time", "20", "--resolve",
                    "{}:{}:127.0.0.1".format(NAME, port), *more,
                    "{}://{}:{}/".format(scheme, NAME, port)], b""
        self.each(command, "SSL certificate verify ok")

    def test_postfix(self):
        def command(port, listener):
            more = ["-w"] if listener == "smtps" else []
            return ["posttls-finger", "-c", "-l", "secure", "-F", self.ca(), "-L", "summary",
                    *more, "[127.0.0.1]:{}".format(port), NAME], b""
        self.each(command, "Verified TLS connection established", listeners=("smtps", "smtp"))

    def test_a_stranger_is_not_verified(self):
        # Otherwise the checks above would prove nothing.
        other = tm.write(os.path.join(env.dir, "other.pem"), tm.Authority("Another").cert)
        with fakes.Backend(imap) as i, fakes.Backend(smtp) as s, \
                gateway({"imap": i, "smtp": s}, ["ec"]) as running:
            _, output = harness.run(
                ["posttls-finger", "-c", "-l", "secure", "-F", other, "-L", "summary",
                 "[127.0.0.1]:{}".format(running.ports["smtp"]), NAME])
            self.assertTrue(re.search("Untrusted|not verified|untrusted issuer", output), output)
            self.assertEqual(running.wait_for_metric(
                lambda v: v >= 0, "starling_tls_handshake_failures_total"), 0)


if __name__ == "__main__":
    unittest.main()
