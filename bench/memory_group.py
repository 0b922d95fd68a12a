#!/usr/bin/python3
"""Clients that never read, against a server in a memory control group: does it survive, who ends,
and what does a client that behaves notice?

    bench/memory_group.py [--readers N] [--mib N] [--seconds N] [--binaries FOLDER] [--only TEXT]

It runs as root and makes a group below its own (version 1) or below the root of the tree (version
2). In version 1 the memory of TCP has a limit of its own, and gets the same one. For each row of
ROWS it starts the server in the group, then the readers, whose backend pours without end. From
before they come, one client exchanges 64 octets ten times a second with a backend that echoes, and
another one connects anew each second.

It prints whether the server was alive at the end, the most memory that the group and its TCP
sockets held, how many sessions ended and for which reason, and the round trips.

Not for: memory of one session (kernel_memory.py)."""

import argparse
import contextlib
import os
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from testbed import (TOP, config_text, load_backend, make_certificates, one_pem_file, reserve_ports,
                     running)

NO_LIMITS = {"unsent": 0, "server_unsent": 0, "memory_relief": 0, "memory_refusal": 0}
ROWS = [("Starling, no limits", NO_LIMITS), ("Starling, default", {}), ("HAProxy", None)]


class Group:
    """A memory control group with a limit, of either version."""

    def __init__(self, limit):
        with open("/proc/self/cgroup", encoding="ascii") as f:
            own = dict(line.rstrip("\n").split(":", 2)[1:] for line in f)
        name = "starling-{}".format(os.getpid())
        if "memory" in own:
            self.version, top = 1, self._mount("cgroup", "memory")
            self.folder = os.path.join(top, own["memory"].strip("/"), name)
            self._limits = {"memory.limit_in_bytes": limit, "memory.kmem.tcp.limit_in_bytes": limit}
        else:
            self.version, top = 2, self._mount("cgroup2", "")
            self._write(os.path.join(top, "cgroup.subtree_control"), "+memory")
            self.folder = os.path.join(top, name)
            self._limits = {"memory.max": limit}
        os.mkdir(self.folder)
        for file, value in self._limits.items():
            self._write(os.path.join(self.folder, file), str(value))

    @staticmethod
    def _mount(kind, option):
        with open("/proc/self/mounts", encoding="utf-8") as f:
            for line in f:
                _, folder, fs, options = line.split()[:4]
                if fs == kind and (not option or option in options.split(",")):
                    return folder
        raise SystemExit("no control groups of kind {} are mounted".format(kind))

    @staticmethod
    def _write(path, text):
        with open(path, "w", encoding="ascii") as f:
            f.write(text)

    def read(self):
        """(octets of the group, of TCP in it)."""
        def number(file, key=""):
            with open(os.path.join(self.folder, file), encoding="ascii") as f:
                return int(re.search(r"^{} ?(\d+)$".format(key), f.read(), re.M).group(1))
        if self.version == 1:
            return number("memory.usage_in_bytes"), number("memory.kmem.tcp.usage_in_bytes")
        return number("memory.current"), number("memory.stat", "sock")

    def command(self, words):
        """What runs `words` in the group."""
        return ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', self.folder, *words]

    def close(self):
        for _ in range(100):
            with contextlib.suppress(OSError):
                return os.rmdir(self.folder)
            time.sleep(0.1)


def connect(port, seconds=10):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=seconds))


def be_readers(port, count):
    """Opens sessions and never reads. Says how many it has."""
    readers = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            readers.append(connect(port))
    print(len(readers), flush=True)
    threading.Event().wait()


class GoodClient:
    """One client that behaves, in a thread of its own. `anew`: a connection for each exchange."""

    def __init__(self, port, every, anew):
        self.times, self.failures = [], 0
        self._port, self._every, self._anew = port, every, anew
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        client = None
        while not self._stop.wait(self._every):
            began = time.monotonic()
            try:
                client = client or connect(self._port)
                client.sendall(b"x" * 64)
                got = b""
                while len(got) < 64:
                    more = client.recv(64)
                    if not more:
                        raise OSError("the connection ended")
                    got += more
                self.times.append(time.monotonic() - began)
            except OSError:
                self.failures += 1
                client = None
            if self._anew and client:
                client.close()
                client = None

    def stop(self):
        self._stop.set()
        self._thread.join()

    def text(self):
        if not self.times:
            return "none; {} failed".format(self.failures)
        return "{:.1f} and {:.0f}; {} failed".format(
            statistics.median(self.times) * 1000, max(self.times) * 1000, self.failures)


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.binary = os.path.join(options.binaries, "gateway", "starling")
        self.load = os.path.join(options.binaries, "bench", "load")
        self.certificates = make_certificates(folder)
        self.ports = dict(reserve_ports(["pour", "echo", "source", "echoes", "metrics"]))

    def starling(self, limits):
        at = "127.0.0.1:{}".format
        exempt = [{"from": ["0.0.0.0/0"], "role": "exempt"}]
        listener = lambda name, backend: {
            "name": name, "protocol": "tcp", "bind": [at(self.ports[name])], "tls": "implicit",
            "backend": backend, "sources": exempt}
        text = config_text(
            self.certificates, [listener("pour", "source"), listener("echo", "echoes")],
            [{"name": name, "servers": [at(self.ports[name])]} for name in ("source", "echoes")],
            at(self.ports["metrics"]), workers=1, log={"sessions": "none"},
            limits={"sessions": 4000, **limits})
        path = os.path.join(self.folder, "starling.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return [self.binary, "-c", path]

    def haproxy(self):
        bundle = one_pem_file(self.folder, self.certificates)
        text = ("global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode tcp\n  timeout connect 5s\n"
                "  timeout client 1h\n  timeout server 1h\n")
        for name, backend in (("pour", "source"), ("echo", "echoes")):
            text += "listen {}\n  bind 127.0.0.1:{} ssl crt {}\n  server one 127.0.0.1:{}\n".format(
                name, self.ports[name], bundle, self.ports[backend])
        path = os.path.join(self.folder, "haproxy.cfg")
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return ["haproxy", "-db", "-q", "-f", path]

    def ended(self):
        """{reason: sessions that ended}, of Starling."""
        with contextlib.suppress(OSError):
            url = "http://127.0.0.1:{}/metrics".format(self.ports["metrics"])
            with urllib.request.urlopen(url, timeout=10) as page:
                text = page.read().decode("ascii")
            found = {}
            for reason, n in re.findall(
                    r'^starling_sessions_ended_total\{[^}]*reason="(\w+)"[^}]*\} (\d+)$', text, re.M):
                found[reason] = found.get(reason, 0) + int(n)
            return {reason: n for reason, n in found.items() if n}
        return {}

    def backend(self, name, speak):
        return load_backend(self.load, "127.0.0.1:{}".format(self.ports[name]), speak)

    def measure(self, limits):
        group = Group(self.options.mib << 20)
        words = self.haproxy() if limits is None else self.starling(limits)
        try:
            with self.backend("source", "source"), self.backend("echoes", "echo"), \
                    running(group.command(words), stdout=subprocess.DEVNULL) as server:
                while True:
                    with contextlib.suppress(OSError):
                        connect(self.ports["echo"]).close()
                        break
                    if server.poll() is not None:
                        raise SystemExit("the server did not start")
                    time.sleep(0.05)
                return self.crowd(group, server)
        finally:
            group.close()

    def crowd(self, group, server):
        """The row's cells."""
        stays = GoodClient(self.ports["echo"], 0.1, False)
        comes = GoodClient(self.ports["echo"], 1, True)
        most, tcp = group.read()
        try:
            with running([sys.executable, os.path.abspath(__file__), "--client",
                          str(self.ports["pour"]), "--readers", str(self.options.readers)],
                         stdout=subprocess.PIPE, text=True) as readers:
                os.set_blocking(readers.stdout.fileno(), False)
                opened, until = "", time.monotonic() + 600
                while time.monotonic() < until and server.poll() is None:
                    now = group.read()
                    most, tcp = max(most, now[0]), max(tcp, now[1])
                    if not opened:
                        opened = readers.stdout.readline().strip()
                        if opened:
                            until = time.monotonic() + self.options.seconds
                    time.sleep(0.1)
                ended = self.ended()
        finally:
            stays.stop()
            comes.stop()
        alive = "yes" if server.poll() is None else "no ({})".format(server.returncode)
        return [alive, opened or "not all", "{:.0f}".format(most / 2**20), "{:.0f}".format(tcp / 2**20),
                ", ".join("{} {}".format(n, r) for r, n in sorted(ended.items())) or "-",
                stays.text(), comes.text()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--readers", type=int, default=980)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=75)
    parser.add_argument("--binaries", default=os.path.join(TOP, "bazel-bin"))
    parser.add_argument("--only", default="")
    parser.add_argument("--client", type=int)
    options = parser.parse_args()
    if options.client:
        be_readers(options.client, options.readers)
    print("| server | alive | readers | group's MiB | TCP's MiB | ended | exchanges: median and "
          "worst ms | with a new connection each |\n|---|---|--:|--:|--:|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        bench = Bench(options, folder)
        for name, limits in ROWS:
            if options.only in name:
                print("| {} | {} |".format(name, " | ".join(bench.measure(limits))), flush=True)


if __name__ == "__main__":
    main()
