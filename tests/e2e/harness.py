"""The base of all end-to-end tests: it starts the mail servers, and the gateway with the test's
configuration.

Nothing sleeps for a fixed time: functions wait for an event, and the test fails if it does
not come within a limit."""

import base64
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "deploy", "demo"))

import gateway as starling  # noqa: E402
import mailservers  # noqa: E402
from ports import reserve_ports  # noqa: E402

IO = os.environ.get("STARLING_IO", "auto")  # the option `io` of all gateways
BINARY = os.environ.get("STARLING_BINARY", starling.BINARY)

# name: (protocol, TLS, backend, more keys). Each mail protocol by STARTTLS and
# by implicit TLS; `mx_require` is an MX that insists.
LISTENERS = {
    "mx": ("smtp", "starttls", "postfix",
           {"policy": "opportunistic", "plaintext_backend": "postfix-plain"}),
    "mxs": ("smtp", "implicit", "postfix", {}),
    "submission": ("smtp", "starttls", "submission", {"policy": "require"}),
    "submissions": ("smtp", "implicit", "submission", {}),
    "imap": ("imap", "starttls", "imap", {}),
    "imaps": ("imap", "implicit", "imap", {}),
    "pop3": ("pop3", "starttls", "pop3", {}),
    "pop3s": ("pop3", "implicit", "pop3", {}),
    "sieve": ("managesieve", "starttls", "sieve", {}),
    "sieves": ("managesieve", "implicit", "sieve", {}),
    "lmtp": ("lmtp", "starttls", "lmtp", {}),
    "lmtps": ("lmtp", "implicit", "lmtp", {}),
}
STARTTLS = [name for name, row in LISTENERS.items() if row[1] == "starttls"]
IMPLICIT = [name for name, row in LISTENERS.items() if row[1] == "implicit"]
# backend: name of the mail servers' port
BACKENDS = {
    "postfix": "mx", "postfix-plain": "mx_plain", "submission": "submission",
    "imap": "imap", "pop3": "pop3", "sieve": "sieve", "lmtp": "lmtp",
}
# A test that leaves a session open does not wait long for it, nor one whose client
# looks at what the gateway says of its end before it closes.
LIMITS = {"drain": "1s", "linger": "300ms"}


# A server that is down: nobody listens on the discard port.
DOWN = "127.0.0.1:9"


class Gateway(starling.Gateway):
    """A gateway of a test; `ports` has its listeners' by name."""

    def __init__(self, config, metrics, ports):
        super().__init__(config, metrics, BINARY)
        self.ports = ports

    def assert_idle(self, case):
        """Every session, buffer and descriptor is back."""
        for name in ("starling_sessions", "starling_worker_buffers_out",
                     "starling_backend_sessions"):
            case.assertEqual(self.wait_for_metric(0, name), 0, name)
        # What is left of a worker's descriptors: its listening sockets.
        name = "starling_worker_descriptors_in_use"
        for worker in {dict(labels)["worker"] for n, labels in self.metrics() if n == name}:
            sockets = len(self.ports)
            case.assertLessEqual(
                self.wait_for_metric(lambda v: v <= sockets, name, worker=worker), sockets, name)
        case.assertEqual(self.metrics().sum("starling_worker_stale_completions_total"), 0)


class Environment:
    """What a test file needs; made in setUpModule, undone by itself."""

    def __init__(self, servers=True):
        self.dir = tempfile.mkdtemp(prefix="starling-e2e-")
        unittest.addModuleCleanup(shutil.rmtree, self.dir, True)
        os.chmod(self.dir, 0o755)
        self.certificates = starling.make_certificates(self.dir)
        self.ca = self.certificates["ca"]
        self.servers = None
        self._configs = 0
        if servers:
            self.servers = mailservers.MailServers()
            self.servers.__enter__()
            unittest.addModuleCleanup(self.servers.stop)

    def write(self, name, text):
        """A file in the environment's folder; its path."""
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def configure(self, listeners, backends, ports=None, **more):
        """Writes a configuration. `listeners`: {name: keys without `bind`};
        `backends`: {name: server, or keys}. Returns (path, metrics, ports)."""
        names = list(listeners)
        ports = dict(ports or reserve_ports(names))
        metrics = "127.0.0.1:{}".format(reserve_ports(["metrics"])["metrics"])
        listener_rows = [
            {"name": n, "bind": ["127.0.0.1:{}".format(ports[n])], **listeners[n]} for n in names]
        backend_rows = [
            {"name": n, "proxy_protocol": "v2", "servers": [row]} if isinstance(row, str)
            else {"name": n, **row} for n, row in backends.items()]
        more["limits"] = {**LIMITS, **more.get("limits", {})}
        more.setdefault("io", IO)
        # "none" stands for the oldest kernel that is supported.
        more.setdefault("ring_features", os.environ.get("STARLING_RING_FEATURES", "auto"))
        text = starling.config_text(
            self.certificates, listener_rows, backend_rows, metrics, **more)
        self._configs += 1
        return self.write("starling-{}.yaml".format(self._configs), text), metrics, ports

    @contextlib.contextmanager
    def gateway(self, listeners, backends, ports=None, stdout=None, ready="/healthz", **more):
        """A running gateway; at the end TERM, and its exit code is checked. With
        backends that misbehave it serves its clients, though /readyz says no."""
        running = Gateway(*self.configure(listeners, backends, ports, **more))
        running.start(stdout=stdout, ready=ready)
        try:
            yield running
            code = running.stop()
            if code != 0:
                raise AssertionError("exit code {}\n{}".format(code, "\n".join(running.lines[-30:])))
        finally:
            running.kill()

    def standard(self, names=None, **more):
        """A gateway in front of the mail servers, with LISTENERS (or some)."""
        names = names or list(LISTENERS)
        listeners = {}
        for name in names:
            protocol, tls, backend, keys = LISTENERS[name]
            listeners[name] = {"protocol": protocol, "tls": tls, "backend": backend, **keys}
        used = {row["backend"] for row in listeners.values()}
        used |= {row.get("plaintext_backend") for row in listeners.values()}
        backends = {
            name: "127.0.0.1:{}".format(self.servers.ports[server])
            for name, server in BACKENDS.items() if name in used}
        return self.gateway(listeners, backends, ready="/readyz", **more)

    def tcp(self, server, listener=None, **more):
        """A gateway with one opaque listener `tcp` before `server`."""
        return self.gateway(
            {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "echo", **(listener or {})}},
            {"echo": server}, **more)


def run(command, given=b"", timeout=60):
    """Runs a program; (exit code, all that it printed as text)."""
    done = subprocess.run(
        command, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def converse(command, typed, timeout=60):
    """Like run(), but leaves the program's input open until it ends by itself."""
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        child.stdin.write(typed)
        child.stdin.flush()
        code = child.wait(timeout=timeout)
        return code, child.stdout.read().decode("utf-8", "replace")
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


def base64_plain(user, password):
    """The initial response of SASL PLAIN."""
    return base64.b64encode("\0{}\0{}".format(user, password).encode())
