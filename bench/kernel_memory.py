#!/usr/bin/python3
"""Measures what the kernel holds for sessions that nobody reads, and what a limit of that costs
transfers over a long line.

    bench/kernel_memory.py [--sessions N] [--seconds N] [--rtt MS] [--binaries FOLDER] [--only "NAME;NAME"]

It runs as root: it makes two network namespaces and a line between them (delay_line.py). For
each row of LIMITS it starts a gateway in one of them, and for the last one HAProxy, and prints

- KiB of kernel memory a session in its sockets (`ss -tm`: what was received and not read, what was
  not acknowledged or not sent, and what the kernel keeps ready): those to clients + those to
  servers, when the clients never read, and when the server never reads. `warm` sessions have
  moved some megabytes before that, so that the kernel has adapted their buffers;
- MB/s that one client, and eight together, download and upload over the line.

Not for: the gateway's own memory, or its CPU time."""

import argparse
import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from delay_line import NEAR, DelayLine
from testbed import TOP, config_text, load_backend, make_certificates, one_pem_file, running

PORT, BACKEND, METRICS = 4001, 4002, 4003
LIMITS = [
    ("as the kernel does", {"unsent": 0, "server_unsent": 0}),
    *(("unsent {}".format(n), {"unsent": n, "server_unsent": n})
      for n in ("16KiB", "64KiB", "128KiB", "256KiB", "512KiB")),
    ("default", {}),
    ("default, server_receive_buffer 256KiB", {"server_receive_buffer": "256KiB"}),
    *(("default, receive_buffer {}".format(n), {"receive_buffer": n}) for n in ("64KiB", "256KiB")),
    ("default, all buffers 256KiB", {
        "send_buffer": "256KiB", "receive_buffer": "256KiB",
        "server_send_buffer": "256KiB", "server_receive_buffer": "256KiB"}),
    ("HAProxy", None),
]
WARM_OCTETS = 24_000_000


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("waited in vain: " + what)
        time.sleep(0.05)


def answers(line):
    return subprocess.run([*line.near, "ss", "-tlnH", "sport = {}".format(PORT)],  # runs: ip ss
                          capture_output=True, text=True, check=True).stdout != ""


class Bench:
    def __init__(self, folder, binaries, line):
        self.folder, self.line = folder, line
        self.binary = os.path.join(binaries, "gateway", "starling")
        self.load = os.path.join(binaries, "bench", "load")
        self.certificates = make_certificates(folder)

    def haproxy(self):
        """The command that runs it with the same work."""
        bundle = one_pem_file(self.folder, self.certificates)
        path = os.path.join(self.folder, "haproxy.cfg")
        with open(path, "w", encoding="ascii") as f:
            f.write("global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode tcp\n"
                    "  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
                    "listen bench\n  bind {0}:{1} ssl crt {2}\n  bind 127.0.0.1:{1} ssl crt {2}\n"
                    "  server one 127.0.0.1:{3}\n".format(NEAR, PORT, bundle, BACKEND))
        return ["haproxy", "-db", "-q", "-f", path]

    def starling(self, limits):
        path = os.path.join(self.folder, "starling.yaml")
        text = config_text(
            self.certificates,
            [{"name": "bench", "protocol": "tcp", "bind": ["{}:{}".format(NEAR, PORT),
                                                           "127.0.0.1:{}".format(PORT)],
              "tls": "implicit", "backend": "bench", "sources": [
                  {"from": ["0.0.0.0/0"], "role": "exempt"}]}],
            [{"name": "bench", "servers": ["127.0.0.1:{}".format(BACKEND)]}],
            "127.0.0.1:{}".format(METRICS), workers=1, log={"sessions": "none"}, limits=limits)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return [self.binary, "-c", path]

    @contextlib.contextmanager
    def gateway(self, limits):
        command = self.haproxy() if limits is None else self.starling(limits)
        with running([*self.line.near, *command],  # runs: ip haproxy
                     stdout=subprocess.DEVNULL) as process:
            wait_until(lambda: process.poll() is not None or answers(self.line), 20, "the gateway")
            yield

    @contextlib.contextmanager
    def backend(self, speak):
        address = "127.0.0.1:{}".format(BACKEND)
        with load_backend(self.load, address, speak, inside=self.line.near) as process:  # runs: ip
            yield process

    def held(self):
        """Octets that the kernel holds for the gateway's sockets to clients, and to servers."""
        def of(which):
            listed = subprocess.run(  # runs: ip ss
                [*self.line.near, "ss", "-tmnH", which],
                capture_output=True, text=True, check=True).stdout
            return sum(int(n) for n in re.findall(r"\b(?:r|f|w)(\d+)", listed))
        return of("sport = {}".format(PORT)), of("dport = {}".format(BACKEND))

    def settled(self):
        """The same once it grows no more."""
        before, since = (0, 0), time.monotonic()
        while time.monotonic() - since < 1.5:
            time.sleep(0.25)
            now = self.held()
            if abs(sum(now) - sum(before)) > sum(before) // 100:
                before, since = now, time.monotonic()
        return before

    def never_read(self, limits, direction, sessions, warm):
        """KiB of kernel memory a session."""
        speak = "source" if direction == "down" else "sink"
        with self.backend(speak) as backend, self.gateway(limits):
            client = [*self.line.near, sys.executable, os.path.abspath(__file__), "--client",
                      direction, "--sessions", str(sessions), *(["--warm"] if warm else [])]
            with running(client, stdout=subprocess.PIPE, text=True) as process:  # runs: ip
                if process.stdout.readline() != "open\n":
                    raise SystemExit("the clients ended")
                if direction == "up":
                    os.kill(backend.pid, signal.SIGSTOP)
                held = [octets / sessions / 1024 for octets in self.settled()]
                os.kill(backend.pid, signal.SIGCONT)
                return "{:.0f} + {:.0f}".format(*held)

    def speed(self, limits, direction, connections, seconds):
        """MB/s over the line."""
        with self.backend("source" if direction == "down" else "sink") as backend, \
                self.gateway(limits):
            done = subprocess.run(  # runs: ip
                [*self.line.far, self.load, "bulk", "{}:{}".format(NEAR, PORT), "--direction",
                 direction, "--connections", str(connections), "--seconds", str(seconds),
                 "--warm-up", "4", "--backend-pid", str(backend.pid)],
                capture_output=True, text=True, check=False)
            found = re.search(r"^gb_per_second=(\S+)", done.stdout, re.M)
            return float(found.group(1)) * 1000 if found else float("nan")


def be_clients(direction, sessions, warm):
    """Opens sessions and then never reads, or writes until nothing goes any more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    clients = []
    for _ in range(sessions):
        raw = socket.create_connection(("127.0.0.1", PORT))
        clients.append(context.wrap_socket(raw))
    octets = bytes(65536)
    for client in clients:
        for _ in range(WARM_OCTETS // len(octets) if warm else 0):
            if direction == "down":
                client.recv(len(octets))
            else:
                client.sendall(octets)
    print("open", flush=True)
    for client in clients:
        client.setblocking(False)
    while True:
        for client in clients:
            try:
                while direction == "up":
                    client.send(octets)
            except (BlockingIOError, ssl.SSLWantWriteError):
                pass
        time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rtt", type=float, default=100)
    parser.add_argument("--binaries", default=os.path.join(TOP, "bazel-bin"))
    parser.add_argument("--only", default="")
    parser.add_argument("--memory-only", action="store_true")
    parser.add_argument("--client")
    parser.add_argument("--warm", action="store_true")
    options = parser.parse_args()
    if options.client:
        be_clients(options.client, options.sessions, options.warm)
    print("| limits | client never reads | warm | server never reads | warm | down x1 | down x8 "
          "| up x1 | up x8 |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as folder, DelayLine(options.rtt / 2000) as line:
        os.chmod(folder, 0o755)
        bench = Bench(folder, options.binaries, line)
        for name, limits in LIMITS:
            if options.only and name not in options.only.split(";"):
                continue
            cells = [bench.never_read(limits, d, options.sessions, w)
                     for d in ("down", "up") for w in (False, True)]
            if not options.memory_only:
                cells += ["{:.1f}".format(bench.speed(limits, d, n, options.seconds))
                          for d in ("down", "up") for n in (1, 8)]
            print("| {} | {} |".format(name, " | ".join(cells)), flush=True)


if __name__ == "__main__":
    main()
