#!/usr/bin/python3
"""What clients notice when a server falls ill: prints, for each kind of illness, how many sessions
fail, how long the longest takes, and how soon a server that is well again has its share. Starling,
an older build of it (--baseline) and HAProxy have the same clients and servers, one after the other.

    bench/outages.py [--seconds N] [--binary FILE] [--baseline FILE] [--illness NAME ...]

Clients use IMAP with implicit TLS, since HAProxy has no STARTTLS. All have their default limits;
HAProxy, which has none, gets Starling's. Not for: whether a figure is right (tests/e2e)."""

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from testbed import TOP, config_text, make_certificates, one_pem_file, reserve_ports
from gateway import Gateway

sys.path.insert(0, os.path.join(TOP, "tests", "e2e"))
import fakes  # noqa: E402
from sick_servers import GREETINGS, REFUSALS, BlackHole, Load, Patient, greeted  # noqa: E402
from wire import Wire  # noqa: E402

CLIENTS = 8
PAUSE = 0.05  # of a client between two sessions
SHARE = 0.4   # of all sessions: of two servers each should have half
LATELY = 25   # sessions of which the share is taken
PATIENCE = 10  # of a client that gets no answer
LIMIT = 60     # for what is waited for

HAPROXY = """global
  nbthread 1
  maxconn 4000
  stats socket {folder}/haproxy.sock
defaults
  mode tcp
  timeout connect 1500ms
  timeout client 31m
  timeout server 31m
  retries 3
  option redispatch 1
listen in
  bind 127.0.0.1:{port} ssl crt {bundle}
  option tcp-check
  tcp-check expect rstring ^\\*\\ OK
  default-server check inter 2s fall 1 rise 1 slowstart 10s send-proxy-v2
"""


class Starling:
    """A context manager: the gateway in front of `servers`."""

    def __init__(self, folder, certificates, servers, binary):
        ports = reserve_ports(["in", "metrics"])
        self.port = ports["in"]
        self._gateway = Gateway(os.path.join(folder, "starling.yaml"),
                                "127.0.0.1:{}".format(ports["metrics"]), binary)
        with open(self._gateway.config, "w", encoding="utf-8") as f:
            f.write(config_text(
                certificates,
                [{"name": "in", "bind": "127.0.0.1:{}".format(self.port), "protocol": "imap",
                  "tls": "implicit", "backend": "imap"}],
                [{"name": "imap", "servers": servers, "proxy_protocol": "v2"}],
                self._gateway.metrics_address))

    def up(self, server):
        return self._gateway.metrics().sum("starling_backend_up", server=server) == 1

    def ready(self):
        return "/readyz {}, ?backends=any {}".format(
            self._gateway.get("/readyz")[0], self._gateway.get("/readyz?backends=any")[0])

    def __enter__(self):
        self._gateway.start(ready="/healthz")
        return self

    def __exit__(self, *_):
        self._gateway.kill()


class HaProxy:
    """The same for HAProxy."""

    def __init__(self, folder, certificates, servers, binary):
        self.port = reserve_ports(["in"])["in"]
        self._binary = binary
        self._names = {server: "s{}".format(i) for i, server in enumerate(servers)}
        self._socket = os.path.join(folder, "haproxy.sock")
        self._config = os.path.join(folder, "haproxy.cfg")
        bundle = one_pem_file(folder, certificates)
        with open(self._config, "w", encoding="ascii") as f:
            f.write(HAPROXY.format(folder=folder, port=self.port, bundle=bundle))
            f.writelines("  server {} {}\n".format(name, server) for server, name in self._names.items())
        self._process = None

    def up(self, server):
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(self._socket)
            control.sendall(b"show stat\n")
            text = b"".join(iter(lambda: control.recv(65536), b"")).decode()
        rows = [line.split(",") for line in text.lstrip("# ").splitlines()]
        status = rows[0].index("status")
        return any(row[status].startswith("UP") for row in rows[1:]
                   if row[:2] == ["in", self._names[server]])

    @staticmethod
    def ready():
        return ""

    def __enter__(self):
        self._process = subprocess.Popen([self._binary, "-db", "-q", "-f", self._config])
        until(lambda: os.path.exists(self._socket) and connects(self.port))
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()


def connects(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


def until(holds, seconds=LIMIT):
    """Seconds until `holds()`; None: it never does."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() > began + seconds:
            return None
        time.sleep(0.02)
    return time.monotonic() - began


class Watch:
    """A context manager: what `look()` says, again and again."""

    def __init__(self, look):
        self.seen = []
        self._look = look
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.wait(0.05):
            self.seen.append(self._look())

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def visit(port):
    """One session, and a pause."""
    try:
        greeted(port, "imap", implicit=True, timeout=PATIENCE)
    finally:
        time.sleep(PAUSE)


class Share:
    """Which part of the latest sessions one of two servers got."""

    def __init__(self, one, other):
        self._servers = (one, other)
        self._before = self._counts()

    def _counts(self):
        return [server.sessions() for server in self._servers]

    def enough(self):
        now = self._counts()
        had, others = (a - b for a, b in zip(now, self._before))
        if had + others < LATELY:
            return False
        self._before = now
        return had >= SHARE * (had + others)


def shown(seconds):
    return "never" if seconds is None else "{:.1f} s".format(seconds)


def one_of_two(peer, patient, sick, well, fall_ill, recover, seconds):
    """`sick`: the address of `patient`, perhaps by a front. Prints a line."""
    until(lambda: peer.up(sick) and peer.up(well.address))
    with Load(lambda _: visit(peer.port), CLIENTS) as load:
        load.wait_for(4 * CLIENTS, LIMIT)
        fall_ill()
        load.forgive()
        began, before = time.monotonic(), len(load.times)
        down = until(lambda: not peer.up(sick), seconds)
        time.sleep(max(0, began + seconds - time.monotonic()))
        failed, had = len(load.failures), len(load.times) - before
        longest = max(load.times[before:])
        recover()
        up = until(lambda: peer.up(sick))
        share = until(Share(patient, well).enough)
    return ("{} of {} sessions failed, the longest took {:.1f} s, known after {}; well again: "
            "known after {}, has its share {} later").format(
                failed, had, longest, shown(down), shown(up), shown(share))


def silent_server(make, seconds):
    with Patient(GREETINGS["imap"]) as patient, BlackHole(patient.address) as hole, \
            Patient(GREETINGS["imap"]) as well, make([hole.address, well.address]) as peer:
        return one_of_two(peer, patient, hole.address, well, hole.close_up, hole.open_again, seconds)


def ill(behaviour):
    def run(make, seconds):
        with Patient(GREETINGS["imap"]) as patient, Patient(GREETINGS["imap"]) as well, \
                make([patient.address, well.address]) as peer:
            return one_of_two(peer, patient, patient.address, well,
                              lambda: patient.fall_ill(behaviour), patient.recover, seconds)
    return run


def the_only_server(make, seconds):
    def visit_in_vain(_):
        with Wire(peer.port, timeout=PATIENCE) as client:
            if not client.start_tls().rest():
                raise EOFError("nothing")
        time.sleep(PAUSE)

    with fakes.Backend(fakes.close) as sick, make([sick.address]) as peer:
        with Load(visit_in_vain, CLIENTS) as load, Watch(lambda: peer.up(sick.address)) as watch:
            time.sleep(seconds)
            ready = peer.ready()
        return "up in {:.0f} % of {} samples, {} sessions; {}".format(
            100 * sum(watch.seen) / len(watch.seen), len(watch.seen), len(load.times), ready)


ILLNESSES = {
    "drops SYNs": silent_server,
    "accepts and closes": ill(fakes.close),
    "accepts and resets": ill(fakes.reset),
    "refuses (BYE)": ill(fakes.says(REFUSALS["imap"], fakes.close)),
    "says nothing": ill(fakes.silent),
    "the only one closes": the_only_server,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=20, help="how long a server is ill")
    parser.add_argument("--binary", default=os.path.join(TOP, "bazel-bin", "gateway", "starling"))
    parser.add_argument("--baseline", help="an older build of Starling")
    parser.add_argument("--illness", nargs="*", choices=ILLNESSES, default=list(ILLNESSES))
    options = parser.parse_args()
    peers = {"Starling": (Starling, options.binary)}
    if options.baseline:
        peers["before"] = (Starling, options.baseline)
    if shutil.which("haproxy"):
        peers["HAProxy"] = (HaProxy, "haproxy")
    for illness in options.illness:
        for name, (kind, binary) in peers.items():
            with tempfile.TemporaryDirectory(prefix="starling-outages-") as folder:
                certificates = make_certificates(folder)
                figures = ILLNESSES[illness](
                    lambda servers: kind(folder, certificates, servers, binary), options.seconds)
            print("{:20} {:9} {}".format(illness, name, figures), flush=True)


if __name__ == "__main__":
    main()
