#!/usr/bin/python3
"""How long a good client's handshake takes while others flood the server with handshakes: through
Starling, with and without limits of the sources, and through HAProxy. All in one run.

    bench/fairness.py [--binaries FOLDER] [--seconds S] [--rounds N] [--connections N] [--key K]

The good client comes from an address of its own and begins handshakes at a fixed rate. The flood
is one address with N connections, or sixteen addresses with as many together. It yields the CPU
to the good client. Prints the median of the handshake, calm and in the flood, and their ratio.

The key is RSA by default: with ECDSA, on few CPUs, the flood is slower than the server, and nobody
waits. On a busy machine run it with `chrt -r 10` before it: all but the flood then go before other
programs.

Not for: what established sessions feel (compare.py, latency-flood)."""

import argparse
import os
import statistics
import tempfile

from peers import CONNECTIONS, HAProxy, Setup, Starling
from testbed import TOP, Testbed, config_text, reserve_ports

GOOD = ("--connections", "8", "--source", "2", "--rate", "50")
FLOODS = {"one address": ("--source", "66"), "16 addresses": ()}


class Limited(Starling):
    """Its clients on loopback are clients like others, with the default limits of a source."""

    def write(self, setup):
        self.metrics = "127.0.0.1:{}".format(reserve_ports(["any"])["any"])
        text = config_text(
            {"pairs": []},
            [{"name": "bench", "protocol": "tcp", "bind": [self.address], "tls": "implicit",
              "backend": "bench"}],
            [{"name": "bench", "servers": ["unix:" + setup.backend]}],
            self.metrics, tls={"certificates": [dict(zip(("cert", "key"), self.testbed.pairs[setup.key]))]},
            workers=1, log={"sessions": "none"}, limits={"sessions": CONNECTIONS},
            sources=[{"from": "127.0.0.0/8", "role": "client"}])
        return [self.binary, "-c", self.save("yaml", text)]


def measure(testbed, peer, backend, seconds, flood):
    """(the good client's figures, the flood's or None)."""
    others = None
    if flood is not None:
        others = testbed.start_load("handshakes", peer, backend, "--warm-up", "1", "--seconds",
                                    str(seconds + 2), *flood)
        os.sched_setscheduler(others.pid, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, others.pid, os.getpriority(os.PRIO_PROCESS, 0) + 5)
    good = testbed.finish(testbed.start_load(
        "handshakes", peer, backend, "--warm-up", "2", "--seconds", str(seconds), *GOOD))
    return good, testbed.finish(others) if others else None


def median(values):
    return statistics.median(values) if values else float("nan")


def compare(testbed, args):
    backend = testbed.backend("echo")
    rows = {}
    for _ in range(args.rounds):
        for kind, name in ((Starling, "Starling"), (Limited, "Starling, limited sources"),
                           (HAProxy, "HAProxy")):
            for flood, options in {"none": None, **FLOODS}.items():
                peer = kind(testbed)
                peer.start(Setup(backend.path, key=args.key))
                try:
                    if options is not None:
                        options = ("--connections", str(args.connections), *options)
                    good, others = measure(testbed, peer, backend, args.seconds, options)
                finally:
                    peer.stop()
                row = rows.setdefault((name, flood), {"p50": [], "p99": [], "lost": 0, "flood": []})
                row["p50"].append(good["handshake_p50_ms"])
                row["p99"].append(good["handshake_p99_ms"])
                row["lost"] += int(good["lost"])
                if others:
                    row["flood"].append(others["per_second"])
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--binaries", default=os.path.join(TOP, "bazel-bin"))
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=980)
    parser.add_argument("--key", choices=("ec", "rsa"), default="rsa")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        testbed = Testbed(args.binaries, folder)
        try:
            rows = compare(testbed, args)
        finally:
            testbed.close()
    print("{:28}{:16}{:>10}{:>10}{:>8}{:>12}{:>7}".format(
        "server", "flood", "p50 ms", "p99 ms", "ratio", "flood's/s", "lost"))
    for (name, flood), row in rows.items():
        p50 = median(row["p50"])
        print("{:28}{:16}{:10.2f}{:10.2f}{:8.1f}{:12.0f}{:7}".format(
            name, flood, p50, median(row["p99"]), p50 / median(rows[name, "none"]["p50"]),
            median(row["flood"]) if row["flood"] else 0, row["lost"]))


if __name__ == "__main__":
    main()
