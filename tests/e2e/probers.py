"""Monitoring tools against the gateway: Prometheus' blackbox_exporter, HAProxy's health checks,
the Monitoring Plugins. Their settings come from deploy/PROBES.md, so that tests cover
everything on that page.

    page = Page(ports, ca)          # the page's blocks, with this test's addresses
    with Blackbox(page.modules()) as blackbox:
        blackbox.probe("smtp_starttls", port)"""

import csv
import io
import os
import re
import shlex
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import harness
from ports import reserve_ports

READY_SECONDS = 30
PLUGINS = "/usr/lib/nagios/plugins/"
_PAGE = os.path.join(os.path.dirname(os.path.dirname(harness.HERE)), "deploy", "PROBES.md")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
_ADDRESS = re.compile(r"mail\.example\.org:(\d+)")
_PORT = re.compile(r"(-H mail\.example\.org -[pP] )(\d+)")


class Page:
    """deploy/PROBES.md. `ports`: {usual port: the test's}; `ca`: whose certificates count."""

    def __init__(self, ports, ca):
        self._ports = ports
        self._ca = ca
        with open(_PAGE, encoding="utf-8") as f:
            self._text = f.read()

    def blocks(self, language):
        """The text of all blocks of a language, with this test's authority."""
        text = "\n".join(body for kind, body in _BLOCK.findall(self._text) if kind == language)
        return text.replace("/etc/starling/ca.pem", self._ca)

    def targets(self):
        """[(module, what stands before the address, usual port), ...] of the table of targets."""
        return [(module, scheme, int(port)) for module, scheme, port in re.findall(
            r"^\| `(\w+)` \| `((?:https?://)?)mail\.example\.org:(\d+)` \|", self._text, re.M)]

    def checks(self):
        """{backend: its section} of HAProxy's checks, for the ports that this test has."""
        sections = re.split(r"^(?=backend )", self.blocks("haproxy"), flags=re.M)[1:]
        return {section.split()[1]: _ADDRESS.sub(
            lambda m: "127.0.0.1:{}".format(self._ports[int(m[1])]), section)
                for section in sections if int(_ADDRESS.search(section)[1]) in self._ports}

    def plugins(self, database):
        """{"check_x PORT OPTIONS": its command line} of the Monitoring Plugins. `database`: whose
        user and password count."""
        lines = {}
        for line in self.blocks("plugins").splitlines():
            port = int(_PORT.search(line)[2])
            if port in self._ports:
                key = _PORT.sub(r"\2", line)
                line = _PORT.sub(lambda m: "{}{}".format(m[1], self._ports[int(m[2])]), line)
                lines[key] = line.replace("-H mail.example.org", "-H 127.0.0.1").replace(
                    "PROBE", database.user).replace("SECRET", database.password)
        return lines


class _Child:
    """A process with a folder; a context manager."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="starling-probers-")
        self.dir = self._folder.name
        self._process = None

    def _start(self, command, **more):
        with open(self.dir + "/out", "wb") as out:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **more)

    def wait(self, ready, seconds=READY_SECONDS):
        """Until `ready()` says something; that."""
        end = time.monotonic() + seconds
        while True:
            found = ready()
            if found:
                return found
            if self._process.poll() is not None or time.monotonic() > end:
                with open(self.dir + "/out", encoding="utf-8", errors="replace") as f:
                    raise RuntimeError("not ready\n" + f.read()[-4000:])
            time.sleep(0.05)

    def __exit__(self, *_):
        if self._process:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


class Blackbox(_Child):
    """The exporter, with a configuration's text."""

    def __init__(self, modules):
        super().__init__()
        self._modules = modules

    def __enter__(self):
        config = self.dir + "/blackbox.yml"
        with open(config, "w", encoding="utf-8") as f:
            f.write(self._modules)
        self._at = "127.0.0.1:{}".format(reserve_ports(["web"])["web"])
        self._start(["prometheus-blackbox-exporter", "--config.file=" + config, "--web.listen-address=" + self._at])
        self.wait(lambda: self._get("/-/healthy"))
        return self

    def _get(self, path):
        try:
            with urllib.request.urlopen("http://{}{}".format(self._at, path), timeout=60) as answer:
                return answer.read().decode()
        except urllib.error.URLError:
            return None

    def probe(self, module, scheme, port):
        """Whether it succeeds, and what it said of it."""
        said = self._get("/probe?debug=true&module={}&target={}127.0.0.1:{}".format(module, scheme, port))
        return "\nprobe_success 1\n" in said, said


class Haproxy(_Child):
    """HAProxy, which checks the servers of some backends."""

    def __init__(self, sections):
        super().__init__()
        self._sections = sections

    def __enter__(self):
        config = self.dir + "/haproxy.cfg"
        self._socket = self.dir + "/stats"
        with open(config, "w", encoding="utf-8") as f:
            f.write("global\n    stats socket {} level admin\ndefaults\n    mode tcp\n    timeout connect 20s\n"
                    "    timeout server 20s\n    timeout client 20s\n    timeout check 8s\n"
                    "    default-server inter 1s rise 1 fall 1 init-addr none\n{}".format(
                        self._socket, "".join(self._sections.values())))
        self._start(["haproxy", "-db", "-f", config])
        return self

    def _states(self):
        """{backend: (whether it is up, what the last check found)} once all were checked."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(self._socket)
                s.sendall(b"show stat\n")
                text = b"".join(iter(lambda: s.recv(65536), b"")).decode("utf-8", "replace")
        except OSError:
            return None
        rows = [row for row in csv.DictReader(io.StringIO(text)) if row["svname"] not in ("BACKEND", "FRONTEND")]
        # Behind "* " the next one is under way.
        if any(row["check_status"].removeprefix("* ") in ("", "INI") for row in rows):
            return None
        return {row["# pxname"]: (row["status"].startswith("UP"), "{} {} {}".format(
            row["check_status"], row["check_code"], row["last_chk"])) for row in rows}

    def states(self):
        return self.wait(self._states)


def plugin(line, ca):
    """Runs one: (whether it is content, what it said)."""
    name, *arguments = shlex.split(line)
    command = ["env", "LDAPTLS_CACERT=" + ca, PLUGINS + name, *arguments]
    code, said = harness.run(command)  # runs: env /usr/lib/nagios/plugins/check_smtp /usr/lib/nagios/plugins/check_ldap
    return code == 0, "{}: {}".format(line, said)
