#!/usr/bin/env python3
"""Measures the gateway as its clients meet it, and prints a table.

One worker on one CPU; the load generator and an echo server on another. What is
measured, how, and what the figures do not say: bench/README.md.
"""

import argparse
import contextlib
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "deploy", "demo"))
import gateway as starling  # noqa: E402
from ports import reserve_ports  # noqa: E402

GATEWAY_CPU, LOAD_CPU = 0, 1


@contextlib.contextmanager
def pinned(cpu):
    """What is started inside runs on that CPU, where there are several."""
    before = os.sched_getaffinity(0)
    if {GATEWAY_CPU, LOAD_CPU} <= before:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Bench:
    """The programs, a folder, an echo server; makes gateways and runs loads."""

    def __init__(self, binaries, folder):
        self.binary = os.path.join(binaries, "gateway", "starling")
        self.load = os.path.join(binaries, "bench", "load")
        self.folder = folder
        made = starling.make_certificates(folder)
        self.certificates = {"pairs": made["pairs"][:1]}  # ECDSA
        self.socket = "unix:" + os.path.join(folder, "echo")
        with pinned(LOAD_CPU):
            self.echo = subprocess.Popen([self.load, "backend", self.socket],
                                         stdout=subprocess.PIPE, text=True)
        if self.echo.stdout.readline() != "ready\n":
            raise SystemExit("the echo server did not start")

    @staticmethod
    def free_address():
        return "127.0.0.1:{}".format(reserve_ports(["any"])["any"])

    def close(self):
        self.echo.kill()
        self.echo.wait()

    def gateway(self, sessions=1000, address=None):
        """A fresh gateway, ready, with a table of so many sessions, on `address` or one
        of its own: the kernel ends what a killed process had in its ring a little after
        the process, listening sockets included."""
        address = address or self.free_address()
        metrics = self.free_address()
        config = os.path.join(self.folder, "starling.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write(starling.config_text(
                self.certificates,
                [{"name": "echo", "protocol": "tcp", "bind": [address], "tls": "implicit",
                  "backend": "echo"}],
                [{"name": "echo", "servers": [self.socket]}],
                metrics, workers=1, limits={"sessions": sessions}))
        with pinned(GATEWAY_CPU):
            made = starling.Gateway(config, metrics, self.binary).start(subprocess.DEVNULL)
        made.address = address
        return made

    def start_load(self, command, *arguments, cpu=LOAD_CPU):
        with pinned(cpu):
            return subprocess.Popen([self.load, command, *map(str, arguments)],
                                    stdout=subprocess.PIPE, text=True)

    @staticmethod
    def result(process):
        """What a load printed: {name: value}, numbers where they are numbers."""
        text, _ = process.communicate()
        if process.returncode != 0:
            raise SystemExit("load: exit code {}\n{}".format(process.returncode, text))
        result = {}
        for line in text.splitlines():
            name, found, value = line.partition("=")
            if found and not line.startswith("#"):
                result[name] = value if value.isalpha() else float(value)
        return result

    def run(self, gateway, command, *arguments):
        return self.result(self.start_load(
            command, gateway.address, "--pid", gateway.process.pid, "--backend-pid", self.echo.pid,
            *arguments))


class Table:
    """Rows of figures, a value a round."""

    def __init__(self):
        self.rows = {}

    def add(self, title, value):
        self.rows.setdefault(title, []).append(value)

    def print(self):
        width = max(map(len, self.rows)) + 2
        print("{:{}}{:>10}{:>10}{:>10}".format("", width, "median", "least", "most"))
        for title, values in self.rows.items():
            print("{:{}}{:>10.2f}{:>10.2f}{:>10.2f}".format(
                title, width, statistics.median(values), min(values), max(values)))


class Limits:
    """Who was at the end of its strength, by measurement."""

    def __init__(self):
        self.seen = {}

    def add(self, what, result):
        self.seen.setdefault(what, []).append(result["limit"])

    def print(self):
        words = {
            "gateway": "the gateway was saturated",
            "load": "THE LOAD GENERATOR was saturated (with its echo server), not the gateway",
            "neither": "neither side was saturated",
        }
        for what, limits in self.seen.items():
            for limit in sorted(set(limits)):
                print("{}: {} in {} of {} rounds".format(
                    what, words[limit], limits.count(limit), len(limits)))


def measure_cpu(bench, gateway, table, limits, seconds):
    """Handshakes and echo on a gateway that runs, the floor between them."""
    floor = bench.result(bench.start_load("floor", "--seconds", seconds / 2, cpu=GATEWAY_CPU))
    for kind, flag in (("full", 0), ("resumed", 1)):
        result = bench.run(gateway, "handshakes", "--resume", flag, "--seconds", seconds)
        if result["lost"] or result["resumed"] != flag * result["handshakes"]:
            raise SystemExit("{} handshakes: {}".format(kind, result))
        limits.add(kind + " handshakes", result)
        table.add(kind + " handshake, connect to close: gateway's CPU, us", result["gateway_us"])
        table.add("  {}: BoringSSL alone in memory (the floor), us".format(kind),
                  floor[kind + "_us"])
        table.add("  {}: gateway / floor".format(kind),
                  result["gateway_us"] / floor[kind + "_us"])
    result = bench.run(gateway, "echo", "--octets", 512, "--connections", 64, "--seconds", seconds)
    limits.add("echo", result)
    table.add("echo of 512 octets, 64 connections: gateway's CPU a round trip, us",
              result["gateway_us"])


def idle_pss(bench, sessions, table_size):
    """PSS with one session and with so many more, in a gateway of its own."""
    gateway = bench.gateway(table_size)
    try:
        result = bench.run(gateway, "idle", "--sessions", sessions)
        return result["pss_before_kib"], result["pss_after_kib"]
    finally:
        gateway.kill()


def measure_idle(bench, table, sessions):
    """What a session adds to a gateway that runs; and with its place in the session
    table, which is made at start, by comparison with a gateway that has hardly any."""
    without_table, _ = idle_pss(bench, 1, 16)
    before, after = idle_pss(bench, sessions, sessions + 100)
    table.add("idle session of {:,}: PSS that it adds, KiB".format(sessions),
              (after - before) / sessions)
    table.add("  with its place in the session table, KiB", (after - without_table) / sessions)
    table.add("  the whole process before, table of 16, KiB", without_table)


def measure_takeover(bench, table, seconds, takeover):
    """A loop of 16 clients; in its middle a second gateway takes over, or not."""
    first, second = bench.gateway(), None
    name = "with a take-over" if takeover else "without a take-over"
    try:
        load = bench.start_load("handshakes", first.address, "--connections", 16,
                                "--warm-up", 0, "--seconds", seconds)
        time.sleep(seconds / 4)
        if takeover:
            second = bench.gateway(address=first.address)
            first.signal()
            if first.wait() != 0:
                raise SystemExit("the first gateway ended with {}".format(first.process.returncode))
            if load.poll() is not None:
                raise SystemExit("the load ended before the take-over: it needs more --seconds")
        result = bench.result(load)
        table.add("16 clients in a loop, {}: worst connect, ms".format(name),
                  result["connect_worst_ms"])
        table.add("  {}: worst connect and handshake, ms".format(name),
                  result["handshake_worst_ms"])
        table.add("  {}: connections lost".format(name), result["lost"])
    finally:
        for gateway in filter(None, (first, second)):
            gateway.kill()


def machine():
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return "{} x {}, Linux {}, load average {:.1f} before".format(
        os.cpu_count(), model, platform.release(), os.getloadavg()[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--sessions", type=int, default=2000, help="idle ones")
    parser.add_argument("--binaries", help="folder like bazel-bin; without it, builds first")
    options = parser.parse_args()
    if not options.binaries:
        subprocess.run(["bazel", "build", "--config=opt", "//gateway:starling", "//bench:load"],
                       cwd=TOP, check=True)
        options.binaries = os.path.join(TOP, "bazel-bin")
    print(machine())
    table, limits = Table(), Limits()
    folder = tempfile.mkdtemp(prefix="starling-bench-")
    bench = Bench(options.binaries, folder)
    try:
        for _ in range(options.rounds):
            gateway = bench.gateway()
            try:
                measure_cpu(bench, gateway, table, limits, options.seconds)
            finally:
                gateway.kill()
            measure_idle(bench, table, options.sessions)
            for takeover in (False, True):
                measure_takeover(bench, table, options.seconds + 1, takeover)
    finally:
        bench.close()
        shutil.rmtree(folder)
    print("{} rounds of {:g} s\n".format(options.rounds, options.seconds))
    table.print()
    print()
    limits.print()


if __name__ == "__main__":
    main()
