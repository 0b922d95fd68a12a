"""Runs the programs that install.sh has built, each around a client library of another
language. The environment tells a program what to do. It ends with 0 after success; otherwise the last
lines of its output are its library's error."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

import harness  # noqa: E402
import tls_material  # noqa: E402

BIN = os.path.join(
    os.environ.get("STARLING_CLIENTS") or os.path.expanduser("~/.cache/starling/clients"), "bin")
SECONDS = 120
# The message of each TLS library for an unknown authority.
_STRANGERS = {
    "certificate signed by unknown authority": ("net-smtp", "go-imap-v1", "go-imap-v2", "pgx", "go-ldap"),
    "unable to verify the first certificate": ("nodemailer", "imapflow", "basic-ftp"),
    "unable to find valid certification path": (
        "angus-smtp", "angus-imap", "angus-pop3", "pgjdbc", "commons-net"),
    "UnknownIssuer": ("lettre", "suppaftp"),
    "unable to get local issuer certificate": ("aiosmtplib", "imapclient", "asyncpg"),
}
STRANGER = {name: words for words, names in _STRANGERS.items() for name in names}


class Programs:
    """Runs the programs with one gateway. `tls` is "upgrade" (required), "offered" (as the library
    decides), "implicit" or "none"; `given` has further settings for a program."""

    def __init__(self, env, gateway):
        self._env = env
        self._gateway = gateway
        self._stranger = env.write("stranger.crt", tls_material.Authority("A stranger").cert)

    def run(self, name, listener, tls, **given):
        """(exit code, output)."""
        settings = {"PORT": self._gateway.ports[listener], "TLS": tls, "CA": self._env.ca, **given}
        return harness.run(  # runs: env
            ["env", "HOME=" + self._env.dir, *("CLIENT_{}={}".format(*row) for row in settings.items()),
             os.path.join(BIN, name)], timeout=SECONDS)

    def work(self, case, name, listener, tls, **given):
        """Expects that the program succeeds inside TLS. Returns its output."""
        before = self._count("starling_tls_handshakes_total", listener)
        code, output = self.run(name, listener, tls, **given)
        case.assertEqual(code, 0, output)
        case.assertGreater(self._count("starling_tls_handshakes_total", listener), before)
        return output

    def fail(self, case, words, name, listener, tls, **given):
        """Expects that the program fails with this message (a regular expression)."""
        code, output = self.run(name, listener, tls, **given)
        case.assertEqual(code, 1, output)
        case.assertRegex(output[output.find("\nerror: ") + 1:], "(?s)^error: .*" + words)

    def fail_before_a_stranger(self, case, name, listener, tls, **given):
        """Expects that the program rejects a gateway whose authority it does not know."""
        counter = "starling_tls_handshake_failures_total"
        before = self._count(counter, listener)
        self.fail(case, STRANGER[name], name, listener, tls, **{**given, "CA": self._stranger})
        self._gateway.wait_for_metric(lambda value: value > before, counter, listener=listener)

    def _count(self, counter, listener):
        return self._gateway.metrics().sum(counter, listener=listener)
