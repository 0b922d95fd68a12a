#!/usr/bin/python3
"""Compares Starling with HAProxy, nginx, hitch and stunnel with the same workloads on this machine.

Without arguments: installs the peers, builds, measures everything (about an hour) and
publishes bench/RESULTS.md, its plots and bench/results/results.json. What is measured,
how, and what the figures do not say: bench/README.md.

Runs by the system's own Python, which is the one that Debian's matplotlib is for.
"""

import argparse
import atexit
import contextlib
import importlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import ftp_first_answer
import peers
import workloads
from testbed import TOP, LoadFailed, Testbed, machine

BENCH = os.path.join(TOP, "bench")
RESULTS = os.path.join(BENCH, "results", "results.json")


class Run:
    """All rounds of a comparison, and their results."""

    def __init__(self, testbed, servers, chosen, options):
        self.testbed = testbed
        self.servers = servers
        self.chosen = chosen  # keys of workloads
        self.sizes = {name: getattr(options, name)
                      for name in ("rounds", "seconds", "sessions", "churn", "idle", "certificates")}
        self.runs = []        # {"round", "workload", "peer", "values", "rejected"}
        self.round = 0

    def add(self, workload, peer, values, rejected=None):
        self.runs.append({"round": self.round, "workload": workload, "peer": peer, "values": values,
                          "rejected": rejected})
        shown = "  ".join("{}={}".format(n, v if isinstance(v, str) else "{:.6g}".format(v))
                          for n, v in values.items()
                          if n in ("gateway_us", "gateway_ms_per_gb", "per_second", "limit", "seconds",
                                   "pss_session_kib", "latency_p99_us", "handshake_p99_ms", "full_us",
                                   "tls13_full_p50_ms"))
        say("round {} {:18} {:9} {}".format(self.round, workload, peer, rejected or shown))

    def values(self, workload, peer, name):
        """The values of a figure in the valid rounds."""
        return [run["values"][name] for run in self.runs
                if (run["workload"], run["peer"]) == (workload, peer) and not run["rejected"]
                and name in run["values"]]

    def measure(self, workload, peer, rate=None):
        """One run. A failed run is recorded too."""
        sizes = {**self.sizes, "rate": rate}
        try:
            values = workloads.measure(self.testbed, workload, peer, sizes)
        except (LoadFailed, peers.NotStarted) as failure:
            self.add(workload.key, peer.name, {}, str(failure).replace("\n", " "))
            return
        self.add(workload.key, peer.name, values, workloads.rejection(workload, values))

    def capable_peers(self, workload):
        return [peer for peer in self.servers if workload.possible(peer)]

    def closed_loops(self):
        """One round of all workloads without a rate, and of the floors."""
        for name, arguments in workloads.FLOORS.items():
            if any(workload.floor.startswith(name + " ") for workload in self.selected()):
                self.add("floor-" + name, "BoringSSL", self.testbed.floor(
                    *arguments, "--seconds", str(self.sizes["seconds"] / 2)))
        for workload in self.selected():
            for peer in self.capable_peers(workload) if not workload.rate_of else ():
                self.measure(workload, peer)

    def selected(self):
        return [workload for workload in workloads.WORKLOADS if workload.key in self.chosen]

    def slowest(self, workload):
        """The capacity of the slowest peer in the first rounds. It counts even if the load
        was the limit, because the server can do at least that much."""
        each = [statistics.median(found) for found in (
            self.values(workload.key, peer.name, workload.capacity) for peer in self.capable_peers(workload)) if found]
        return min(each) if each else None

    def open_loops(self):
        """One round of the workloads with a fixed rate."""
        for workload in self.selected():
            rate = workload.rate_of and self.slowest(workloads.BY_KEY[workload.rate_of])
            for peer in self.capable_peers(workload) if rate else ():
                self.measure(workload, peer, max(1, round(rate / 2)))

    def others(self):
        """One round of the measurements that do not use the load generator's figures."""
        if workloads.STARTUP in self.chosen:
            for peer in self.servers:
                if peer.many_certificates:
                    self.add(workloads.STARTUP, peer.name, workloads.measure_startup(
                        self.testbed, peer, self.sizes["certificates"]))
        if workloads.TAKEOVER in self.chosen:
            for name, takeover in (("alone", False), ("taken over", True)):
                values = workloads.measure_takeover(
                    self.testbed, lambda: peers.Starling(self.testbed), self.sizes["seconds"] + 1, takeover)
                self.add(workloads.TAKEOVER, name, values,
                         "{:.0f} connections lost".format(values["lost"]) if values["lost"] else None)
        if workloads.FTP_FIRST_ANSWER in self.chosen:
            for peer, values in ftp_first_answer.measure(self.testbed, self.sizes["seconds"]).items():
                self.add(workloads.FTP_FIRST_ANSWER, peer, values)
        if workloads.WORKERS in self.chosen and self.testbed.cpus.two_servers:
            for workers in (1, 2):
                self.add(workloads.WORKERS, str(workers), workloads.measure_workers(
                    self.testbed, peers.Starling(self.testbed), workers, self.sizes))

    def all_rounds(self):
        rounds = range(1, self.sizes["rounds"] + 1)
        for part in (self.closed_loops, self.open_loops, self.others):
            for self.round in rounds:
                part()

    def rejected(self):
        return [run for run in self.runs if run["rejected"]]

    def result(self):
        return {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "machine": machine(self.testbed.cpus),
            "sizes": self.sizes,
            "peers": [{"name": peer.name, "version": peer.version(), "about": peer.about}
                      for peer in self.servers],
            "two_workers": bool(self.testbed.cpus.two_servers),
            "runs": self.runs,
        }


def say(text):
    print(text, file=sys.stderr, flush=True)


def check(run):
    """The faults of a run, which must have done every measurement. Ignores times."""
    wrong = ["{workload} {peer}: {rejected}".format(**r) for r in run.rejected()]
    done = {(r["workload"], r["peer"]) for r in run.runs}
    for workload in run.selected():
        wrong += ["{} {}: not run".format(workload.key, peer.name) for peer in run.capable_peers(workload)
                  if (workload.key, peer.name) not in done]
    counts = ("handshakes", "visits", "round_trips", "gigabytes", "sessions", "answers")
    for r in run.runs:
        if r["workload"] in (*workloads.BY_KEY, workloads.FTP_FIRST_ANSWER) and not r["rejected"] and not any(
                r["values"].get(name, 0) > 0 for name in counts):
            wrong.append("{workload} {peer}: did nothing".format(**r))
    return wrong


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="duration of each measurement (3)")
    parser.add_argument("--sessions", type=int, default=2000, help="idle sessions for the memory figures (2000)")
    parser.add_argument("--churn", type=int, default=10_000, help="sessions that come and go before them (10000)")
    parser.add_argument("--idle", type=int, default=9000, help="idle sessions besides an active one (9000)")
    parser.add_argument("--certificates", type=int, default=1000, help="certificates to load at start-up (1000)")
    parser.add_argument("--peers", help="only these, separated by commas: " + ",".join(
        peer.name for peer in peers.ALL))
    parser.add_argument("--workloads", help="only these, separated by commas: " + ",".join(
        [workload.key for workload in workloads.WORKLOADS] + list(workloads.OTHERS)))
    parser.add_argument("--baseline", metavar="FOLDER",
                        help="another build of Starling (like bazel-bin), measured as the peer baseline")
    parser.add_argument("--binaries", metavar="FOLDER",
                        help="a folder like bazel-bin; default: install and build first")
    parser.add_argument("--save", metavar="FILE", help="write the raw results to FILE instead of publishing them")
    parser.add_argument("--check", action="store_true",
                        help="measure everything only for an instant, to check that it works")
    parser.add_argument("--render", nargs="?", const=RESULTS, metavar="FILE",
                        help="measure nothing; make RESULTS.md and the plots from raw results")
    options = parser.parse_args()
    if options.check:
        options.rounds, options.seconds = 1, 0.5
        options.sessions, options.churn, options.idle, options.certificates = 50, 100, 200, 20
    return options


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def prepare(options):
    """Installs and builds what is needed. Returns the folder of the programs."""
    if options.binaries:
        return options.binaries
    subprocess.run([os.path.join(TOP, "deploy", "setup", "setup.sh"), "bench"], check=True)
    folder = tempfile.mkdtemp(prefix="starling-binaries-")
    atexit.register(shutil.rmtree, folder)
    # The gateway as users run it. The load generator replaces some functions of its TLS
    # library, which the compiler must not inline.
    for config, program in (("opt" if options.check else "release", "gateway/starling"), ("opt", "bench/load")):
        subprocess.run(["bazel", "build", "--config=" + config, "//" + program.replace("/", ":")],
                       cwd=TOP, check=True)
        os.makedirs(os.path.join(folder, os.path.dirname(program)))
        shutil.copy(os.path.join(TOP, "bazel-bin", program), os.path.join(folder, program))
    return folder


def choose(text, known, what):
    # A name may have a comma, with a space behind it.
    chosen = re.split(",(?! )", text) if text else list(known)
    unknown = set(chosen) - set(known)
    if unknown:
        raise SystemExit("unknown {}: {}".format(what, ", ".join(sorted(unknown))))
    return chosen


def reporter():
    """The module that writes pages and plots. It needs matplotlib, which prepare() may have
    installed a moment ago, so nothing imports it earlier."""
    importlib.invalidate_caches()
    try:
        return importlib.import_module("report")
    except ModuleNotFoundError as missing:
        raise SystemExit("compare: Python has no module {}; deploy/setup/setup.sh bench installs it".format(
            missing.name)) from missing


@contextlib.contextmanager
def temporary_testbed(binaries):
    folder = tempfile.mkdtemp(prefix="starling-bench-")
    testbed = Testbed(binaries, folder)
    try:
        yield testbed
    finally:
        testbed.close()
        shutil.rmtree(folder)


def main():
    options = arguments()
    if options.render:
        report = reporter()
        part = os.path.join(BENCH, report.FIRST_ANSWER_PART)
        report.publish(load(options.render), BENCH, load(part) if os.path.exists(part) else None)
        return 0
    names = choose(options.peers, [peer.name for peer in peers.ALL], "peer")
    chosen = choose(options.workloads, [workload.key for workload in workloads.WORKLOADS] +
                    list(workloads.OTHERS), "workload")
    binaries = prepare(options)
    report = reporter()  # before an hour of measuring, not after it
    with temporary_testbed(binaries) as testbed:
        servers = [peer(testbed) for peer in peers.ALL if peer.name in names]
        if options.baseline:
            servers.append(peers.Starling(
                testbed, os.path.join(options.baseline, "gateway", "starling"), "baseline"))
        run = Run(testbed, servers, chosen, options)
        run.all_rounds()
        result = run.result()
        if options.check:  # checks that report and plots work with these results
            report.publish(result, testbed.folder)
    if options.check:
        wrong = check(run)
        print("\n".join(wrong) or "{} runs, all correct".format(len(run.runs)))
        return 1 if wrong else 0
    if options.save:
        with open(options.save, "w", encoding="utf-8") as f:
            f.write(report.raw(result))
    if options.peers or options.workloads or options.baseline or options.save:
        print(report.tables(result))
    else:
        report.publish(result, BENCH)
    return 1 if run.rejected() else 0


if __name__ == "__main__":
    sys.exit(main())
