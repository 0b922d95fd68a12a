"""Runs the gateway: its certificates, its configuration file, its process.

Used by the demonstration and by the end-to-end tests.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.join(TOP, "bazel-bin", "gateway", "starling")
NAMES = "DNS:mail.example.org,DNS:localhost,IP:127.0.0.1"
_SERIES = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class NotReady(Exception):
    """The gateway did not start; the text has its output."""


def _openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def make_certificates(folder):
    """Makes a certificate authority and two certificates by it, ECDSA and RSA, for
    NAMES. Returns {"ca": file, "pairs": [(certificate, key), ...]}."""
    path = lambda name: os.path.join(folder, name)
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "30", "-subj", "/CN=Starling demonstration CA",
             "-keyout", path("ca.key"), "-out", path("ca.crt"))
    with open(path("names"), "w", encoding="ascii") as f:
        f.write("subjectAltName={}\nextendedKeyUsage=serverAuth\n".format(NAMES))
    pairs = []
    for name, options in (("ec", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]), ("rsa", ["rsa:2048"])):
        certificate, key, request = path(name + ".crt"), path(name + ".key"), path(name + ".csr")
        _openssl("req", "-new", "-newkey", *options, "-nodes", "-subj", "/CN=mail.example.org",
                 "-keyout", key, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", path("ca.crt"), "-CAkey", path("ca.key"),
                 "-CAcreateserial", "-days", "30", "-extfile", path("names"), "-out", certificate)
        os.chmod(key, 0o600)
        pairs.append((certificate, key))
    return {"ca": path("ca.crt"), "pairs": pairs}


def config_text(certificates, listeners, backends, metrics, tls=None, **more):
    """The text of a configuration file. Each listener and backend is a dict with the file's
    keys, and gets one line. `tls`: keys of that section in addition to the certificates, or
    instead of them. The values are JSON, which is also YAML."""
    section = {"certificates": [{"cert": c, "key": k} for c, k in certificates["pairs"]],
               **(tls or {})}
    lines = ["hostname: mail.example.org", "tls:", "  certificates:"]
    lines += ["    - " + json.dumps(entry) for entry in section.pop("certificates")]
    lines += ["  {}: {}".format(key, json.dumps(value)) for key, value in section.items()]
    for title, rows in (("listeners", listeners), ("backends", backends)):
        lines += [title + ":"] + ["  - " + json.dumps(row) for row in rows]
    lines.append("metrics: " + json.dumps({"bind": metrics}))
    lines += ["{}: {}".format(key, json.dumps(value)) for key, value in more.items()]
    return "\n".join(lines) + "\n"


class Metrics(dict):
    """One reading of /metrics: {(name, frozenset of label pairs): value}."""

    @classmethod
    def parse(cls, text):
        result = cls()
        for line in text.splitlines():
            match = _SERIES.match(line)
            if match and not line.startswith("#"):
                name, labels, value = match.groups()
                result[name, frozenset(_LABEL.findall(labels or ""))] = float(value)
        return result

    def sum(self, name, **labels):
        """The sum of all series with this name and these labels."""
        wanted = set(labels.items())
        return sum(v for (n, have), v in self.items() if n == name and wanted <= have)

    def has(self, name, **labels):
        """Whether there is a series with this name and these labels."""
        wanted = set(labels.items())
        return any(n == name and wanted <= have for n, have in self)

    def moved(self, before):
        """The changed series, [(series as text, before, now)], sorted."""
        return sorted(
            (self.text(key), before.get(key, 0.0), value)
            for key, value in self.items() if value != before.get(key, 0.0)
        )

    @staticmethod
    def text(key):
        labels = ",".join('{}="{}"'.format(k, v) for k, v in sorted(key[1]))
        return key[0] + ("{" + labels + "}" if labels else "")


class Gateway:
    """One gateway process. `metrics`: "address:port" of its own listener."""

    def __init__(self, config, metrics, binary=BINARY):
        self.config = config
        self.metrics_address = metrics
        self.binary = binary
        self.process = None
        self.lines = []
        self._arrived = threading.Condition()
        self._reader = None

    def start(self, stdout=None, ready="/readyz", ready_seconds=20, prefix=()):
        """Starts the gateway, with the command `prefix` before it, and waits until `ready`
        returns true. Collects its lines, unless they go to the file `stdout`."""
        self.process = subprocess.Popen(
            [*prefix, self.binary, "-c", self.config],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.STDOUT,
        )
        if stdout is None:
            self._reader = threading.Thread(target=self._collect, daemon=True)
            self._reader.start()
        end = time.monotonic() + ready_seconds
        while self.get(ready)[0] != 200:
            ended = self.process.poll() is not None
            if ended or time.monotonic() > end:
                self.kill()
                raise NotReady("{} ({})\n{}".format(
                    self.binary, "exit code {}".format(self.process.returncode) if ended else "timeout",
                    "\n".join(self.lines[-30:])))
            time.sleep(0.02)
        return self

    def _collect(self):
        for line in self.process.stdout:
            with self._arrived:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._arrived.notify_all()

    def wait_for_line(self, *parts, seconds=15, after=0):
        """Waits for a line from index `after` on that contains all of `parts`; None if it does
        not come."""
        end = time.monotonic() + seconds
        with self._arrived:
            while True:
                for line in self.lines[after:]:
                    if all(part in line for part in parts):
                        return line
                left = end - time.monotonic()
                if left <= 0 or not self._arrived.wait(left):
                    return None

    def get(self, path):
        """(status, text) from the metrics listener; status 0 without an answer."""
        try:
            with urllib.request.urlopen("http://" + self.metrics_address + path, timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
        except OSError:
            return 0, ""

    def metrics(self):
        """A reading of /metrics."""
        return Metrics.parse(self.get("/metrics")[1])

    def wait_for_metric(self, wanted, name, seconds=15, **labels):
        """Reads until the sum equals `wanted`, or `wanted` (a function) is true for it. Returns
        the sum; raises if that takes too long."""
        test = wanted if callable(wanted) else lambda value: value == wanted
        end = time.monotonic() + seconds
        while True:
            value = self.metrics().sum(name, **labels)
            if test(value):
                return value
            if time.monotonic() > end:
                series = Metrics.text((name, labels.items()))
                raise AssertionError("{} is {:g}".format(series, value))
            time.sleep(0.02)

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, seconds=30):
        """Waits until the gateway has ended and all its lines are read. Returns the exit code."""
        code = self.process.wait(timeout=seconds)
        if self._reader:
            self._reader.join(timeout=5)
            self.process.stdout.close()
            self._reader = None
        return code

    def stop(self, seconds=30):
        """Sends TERM and returns the exit code."""
        if self.process.poll() is None:
            self.signal()
        return self.wait(seconds)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
