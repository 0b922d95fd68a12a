"""Tests the command line and mistakes in the configuration: messages, places and exit codes."""

import os
import re
import socket
import unittest

import harness
from harness import BINARY, starling

env = None

GOOD = """hostname: mail.example.org
tls:
  certificates:
    - {{cert: {cert}, key: {key}}}
listeners:
  - {{name: imaps, protocol: imap, bind: ["127.0.0.1:{port}"], tls: implicit, backend: dovecot}}
backends:
  - {{name: dovecot, servers: ["127.0.0.1:143"], proxy_protocol: v2}}
metrics: {{bind: "127.0.0.1:{metrics}"}}
"""


def setUpModule():
    global env
    env = harness.Environment(servers=False)


class Case(unittest.TestCase):
    def good(self):
        cert, key = env.certificates["pairs"][0]
        return GOOD.format(cert=cert, key=key, **harness.reserve_ports(["port", "metrics"]))

    def starling(self, text, *flags):
        """(exit code, what was printed, with the file's name replaced by F)."""
        path = env.write("case.yaml", text)
        code, output = harness.run([BINARY, *flags, "-c", path], timeout=20)
        return code, output.replace(path, "F")


class Mistakes(Case):
    # what: (what is replaced, by what, what the message says)
    ROWS = {
        "an unknown key, with the nearest": (
            "hostname:", "hostnam:", r"F:1:1: .*hostnam.*hostname"),
        "an unknown key in a listener": (
            "backend: dovecot}", "backend: dovecot, polcy: require}", r"F:6:\d+: .*polcy.*policy"),
        "an unknown protocol": ("protocol: imap", "protocol: imapp", r"F:6:\d+: .*imapp.*imap"),
        "an unknown backend": ("backend: dovecot}", "backend: devecot}", r"F:6:\d+: .*devecot.*dovecot"),
        "a port out of range": ("127.0.0.1:143", "127.0.0.1:99143", r"F:8:\d+: .*127\.0\.0\.1:99143"),
        "a host name without a port": ("127.0.0.1:143", "localhost", r"F:8:\d+: .*localhost"),
        "a network address in plaintext": (
            "127.0.0.1:143", "192.0.2.1:143", r"F:8:\d+: .*allow_plaintext_network"),
        "a wrong choice": ("tls: implicit", "tls: implict", r"F:6:\d+: .*implict.*implicit"),
        "starttls on tcp": ("protocol: imap, bind", "protocol: tcp, bind", None),
        "a list for a text": ("mail.example.org", "[a, b]", r"F:1:11: "),
        "broken YAML": ("backends:\n", "backends: {\n", r"F:\d+:\d+: "),
        "a name twice": ("backends:\n", "  - {{name: imaps, protocol: imap, bind: ['127.0.0.1:1'], "
                         "tls: implicit, backend: dovecot}}\nbackends:\n".replace("{{", "{").replace(
                             "}}", "}"), r"F:7:\d+: .*imaps"),
        "a limit without unit": ("backend: dovecot}", "backend: dovecot, limits: {connect: 5}}",
                                 r"F:6:\d+: .*5.*duration"),
    }

    def test_each(self):
        for what, (old, new, pattern) in self.ROWS.items():
            if pattern is None:
                new, pattern = new + " ", r"F:6:\d+: "
                text = self.good().replace(old, "protocol: tcp, bind").replace("implicit", "starttls")
            else:
                text = self.good().replace(old, new, 1)
            with self.subTest(what):
                code, output = self.starling(text, "-t")
                self.assertNotEqual(code, 0, output)
                self.assertRegex(output, pattern)

    def test_all_at_once(self):
        text = self.good().replace("hostname:", "hostnam:").replace("tls: implicit", "tls: implict")
        _, output = self.starling(text.replace("127.0.0.1:143", "localhost"), "-t")
        for place in (r"F:1:1: ", r"F:6:\d+: ", r"F:8:\d+: "):
            self.assertRegex(output, place)

    def test_keys(self):
        (ec_cert, ec_key), (rsa_cert, rsa_key) = env.certificates["pairs"]
        not_a_key = env.write("not-a-key", "hello\n")
        for what, cert, key in (("another certificate's key", ec_cert, rsa_key),
                                ("no such file", ec_cert + ".none", ec_key),
                                ("not a key", ec_cert, not_a_key),
                                ("not a certificate", not_a_key, ec_key)):
            text = self.good().replace(ec_cert, cert).replace(ec_key, key)
            with self.subTest(what):
                for flags in (["-t"], []):
                    code, output = self.starling(text, *flags)
                    self.assertNotEqual(code, 0, output)
                    self.assertTrue(cert in output or key in output, output)

    def test_expired_certificate(self):
        expired = os.path.join(env.dir, "expired.crt")
        ec_cert, ec_key = env.certificates["pairs"][0]
        code, output = harness.run([
            "openssl", "x509", "-in", ec_cert, "-signkey", ec_key, "-days", "-1", "-out", expired])
        self.assertEqual(code, 0, output)
        # One of many must not keep the others from being served.
        code, output = self.starling(self.good().replace(ec_cert, expired), "-t")
        self.assertEqual(code, 0, output)
        self.assertRegex(output, r"warning.*expired\.crt: expired 20")

    def test_warnings(self):
        text = self.good()
        for what, old, new, pattern in (
                ("v1 to a backend that must know of TLS", "proxy_protocol: v2", "proxy_protocol: v1",
                 r"F:\d+:\d+: .*version 1"),
                ("no PROXY", ", proxy_protocol: v2", "", r"F:\d+:\d+: .*no PROXY"),
                ("require on port 25", 'imap, bind: ["127.0.0.1:',
                 'smtp, policy: require, bind: ["127.0.0.1:25", "127.0.0.1:', r"F:6:\d+: .*25")):
            changed = text.replace(old, new, 1)
            if what.startswith("require"):
                changed = changed.replace("tls: implicit", "tls: starttls")
            with self.subTest(what):
                code, output = self.starling(changed, "-t")
                self.assertEqual(code, 0, output)
                self.assertRegex(output, "(?i)warning")
                self.assertRegex(output, pattern)

    def test_world_readable_key(self):
        cert, key = env.certificates["pairs"][0]
        with open(key, encoding="ascii") as f:
            open_key = env.write("open.key", f.read())
        os.chmod(open_key, 0o644)
        code, output = self.starling(self.good().replace(key, open_key), "-t")
        self.assertEqual(code, 0, output)
        self.assertRegex(output, r"(?i)warning.*open\.key")

    def test_world_writable_files(self):
        """A key is an error, also behind a link; the configuration and certificates are warnings.
        Rights of the group, and of the folder, are the operator's choice."""
        cert, key = env.certificates["pairs"][0]
        folder = os.path.join(env.dir, "open")
        os.mkdir(folder)
        os.chmod(folder, 0o777)
        paths = {}
        for name, source in (("own.crt", cert), ("own.key", key)):
            with open(source, encoding="ascii") as f:
                paths[name] = env.write("open/" + name, f.read())
        os.symlink("own.key", os.path.join(folder, "link.key"))
        text = self.good().replace(cert, paths["own.crt"]).replace(
            key, os.path.join(folder, "link.key"))
        config = env.write("open/case.yaml", text)
        for modes, code, said in (
                ({"own.key": 0o660, "own.crt": 0o664, "case.yaml": 0o664}, 0, None),
                ({"own.key": 0o602}, 2, "error: .*link\\.key: every user can write this private key"),
                ({"own.crt": 0o646}, 0, "warning: .*own\\.crt: every user can write this file"),
                ({"case.yaml": 0o646}, 0,
                 "case\\.yaml:1:1: warning: every user can write this file")):
            modes = {"own.key": 0o600, "own.crt": 0o644, "case.yaml": 0o644, **modes}
            for name, mode in modes.items():
                os.chmod(os.path.join(folder, name), mode)
            with self.subTest(modes):
                got, output = harness.run([BINARY, "-t", "-c", config])
                self.assertEqual(got, code, output)
                if said is None:
                    self.assertNotIn("every user can write", output)
                else:
                    self.assertRegex(output, said)

    def test_an_oversized_file_is_told_its_size(self):
        cert, key = env.certificates["pairs"][0]
        for what, old in (("configuration", None), ("certificate", cert), ("key", key)):
            text = self.good() if old is None else self.good().replace(
                old, os.path.join(env.dir, "huge"))
            config = env.write("huge.yaml", text)
            large = config if old is None else env.write("huge", "")
            os.truncate(large, 3_000_000_017)
            with self.subTest(what):
                code, output = harness.run([BINARY, "-t", "-c", config])
                self.assertEqual(code, 2)
                self.assertRegex(output, r"huge.*has 3000000017 octets; at most 1048576 are allowed")
            os.truncate(large, 0)

    def test_a_number_has_no_leading_zero(self):
        text = self.good()
        for limit in ("sessions: 0777", "drain: 010s", "refusals: 00", "sessions: 0x1f",
                      "sessions: 1_000", "sessions: +5", "sessions: 1e3", "sessions: ~"):
            with self.subTest(limit):
                code, output = self.starling(text + "limits: {" + limit + "}\n", "-t")
                self.assertEqual(code, 2)
                self.assertRegex(output, r"F:10:\d+: error: found .* for " + limit.split(":")[0])


class CommandLine(Case):
    def test_good_file(self):
        code, output = self.starling(self.good(), "-t")
        self.assertEqual(code, 0, output)
        self.assertNotRegex(output, "(?i)warning|error")

    def test_effective_configuration_can_be_read_again(self):
        code, first = self.starling(self.good(), "-T")
        self.assertEqual(code, 0, first)
        self.assertRegex(first, r"handshake")
        code, second = self.starling(first, "-T")
        self.assertEqual(code, 0, second)
        self.assertEqual(first, second)

    def test_version_and_help(self):
        for option in ("-V", "--version"):
            code, output = harness.run([BINARY, option])
            self.assertEqual(code, 0)
            for line in (r"^starling \d+\.\d+\.\d+$", r"^BoringSSL", r"^liburing", r"^ring: io_uring with features \w",
                         r"^commit (unknown|[0-9a-f]{12}(-modified)?)$",
                         r"^built by clang \d+.* -c \w+ .*-O\d"):
                self.assertRegex(output, "(?m)" + line)
        code, output = harness.run([BINARY, "--help"])
        self.assertEqual(code, 0)
        for flag in ("-c, --config", "-t, --check", "-T, --print", "-V, --version"):
            self.assertIn(flag, output)

    def test_exit_codes_differ(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            text = re.sub(r'bind: \["127\.0\.0\.1:\d+"\]',
                          'bind: ["127.0.0.1:{}"]'.format(port), self.good())
            bind_failure, output = self.starling(text)
            self.assertIn(str(port), output)
        bad_file, _ = self.starling("listeners: 3\n")
        usage, _ = harness.run([BINARY, "--no-such-flag"])
        no_file, _ = harness.run([BINARY, "-t", "-c", "/no/such/file"])
        self.assertNotIn(0, (bind_failure, bad_file, usage, no_file))
        self.assertNotEqual(bind_failure, bad_file)

    def test_interrupt_ends_well(self):
        running = starling.Gateway(env.write("run.yaml", self.good()), "", BINARY)
        metrics = re.search(r'metrics: {bind: "(.*)"}', open(running.config, encoding="ascii").read())
        running.metrics_address = metrics.group(1)
        running.start(ready="/healthz")
        running.signal(2)
        self.assertEqual(running.wait(), 0)


if __name__ == "__main__":
    unittest.main()
