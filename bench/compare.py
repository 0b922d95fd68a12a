#!/usr/bin/python3
"""Compares Starling with HAProxy, nginx, hitch and stunnel at the same work on this machine.

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
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import first_stor
import house as common
import peers
import works

BENCH = os.path.join(common.TOP, "bench")
RESULTS = os.path.join(BENCH, "results", "results.json")


class Run:
    """All rounds of a comparison, and what came of them."""

    def __init__(self, house, servers, chosen, options):
        self.house = house
        self.servers = servers
        self.chosen = chosen  # keys of works
        self.sizes = {name: getattr(options, name)
                      for name in ("rounds", "seconds", "sessions", "churn", "idle", "certificates")}
        self.runs = []        # {"round", "work", "peer", "values", "rejected"}
        self.round = 0

    def add(self, work, peer, values, rejected=None):
        self.runs.append({"round": self.round, "work": work, "peer": peer, "values": values,
                          "rejected": rejected})
        shown = "  ".join("{}={}".format(n, v if isinstance(v, str) else "{:.6g}".format(v))
                          for n, v in values.items()
                          if n in ("gateway_us", "gateway_ms_per_gb", "per_second", "limit", "seconds",
                                   "pss_session_kib", "latency_p99_us", "handshake_p99_ms", "full_us",
                                   "tls13_full_p50_ms"))
        say("round {} {:18} {:9} {}".format(self.round, work, peer, rejected or shown))

    def values(self, work, peer, name):
        """Of one figure, those of the rounds that count."""
        return [run["values"][name] for run in self.runs
                if (run["work"], run["peer"]) == (work, peer) and not run["rejected"]
                and name in run["values"]]

    def measure(self, work, peer, rate=None):
        """One run; one that could not be done is told of as well."""
        sizes = {**self.sizes, "rate": rate}
        try:
            values = works.measure(self.house, work, peer, sizes)
        except (common.LoadFailed, peers.NotStarted) as failure:
            self.add(work.key, peer.name, {}, str(failure).replace("\n", " "))
            return
        self.add(work.key, peer.name, values, works.objection(work, values))

    def able(self, work):
        return [peer for peer in self.servers if work.possible(peer)]

    def closed_loops(self):
        """One round of all works that need no rate, floors between them."""
        for name, arguments in works.FLOORS.items():
            if any(work.floor.startswith(name + " ") for work in self.selected()):
                self.add("floor-" + name, "BoringSSL", self.house.floor(
                    *arguments, "--seconds", str(self.sizes["seconds"] / 2)))
        for work in self.selected():
            for peer in self.able(work) if not work.rate_of else ():
                self.measure(work, peer)

    def selected(self):
        return [work for work in works.WORKS if work.key in self.chosen]

    def slowest(self, work):
        """The capacity of who does least of it, in the first rounds; also where the load
        was the limit, since the server could do that much at least."""
        each = [statistics.median(found) for found in (
            self.values(work.key, peer.name, work.capacity) for peer in self.able(work)) if found]
        return min(each) if each else None

    def open_loops(self):
        """One round of works at a fixed rate."""
        for work in self.selected():
            rate = work.rate_of and self.slowest(works.BY_KEY[work.rate_of])
            for peer in self.able(work) if rate else ():
                self.measure(work, peer, max(1, round(rate / 2)))

    def others(self):
        """One round of what is measured in a way of its own."""
        if works.STARTUP in self.chosen:
            for peer in self.servers:
                if peer.many_certificates:
                    self.add(works.STARTUP, peer.name, works.measure_startup(
                        self.house, peer, self.sizes["certificates"]))
        if works.TAKEOVER in self.chosen:
            for name, takeover in (("alone", False), ("taken over", True)):
                values = works.measure_takeover(
                    self.house, lambda: peers.Starling(self.house), self.sizes["seconds"] + 1, takeover)
                self.add(works.TAKEOVER, name, values,
                         "{:.0f} connections lost".format(values["lost"]) if values["lost"] else None)
        if works.FIRST_STOR in self.chosen:
            for peer, values in first_stor.measure(self.house, self.sizes["seconds"]).items():
                self.add(works.FIRST_STOR, peer, values)
        if works.WORKERS in self.chosen and self.house.cpus.two_servers:
            for workers in (1, 2):
                self.add(works.WORKERS, str(workers), works.measure_workers(
                    self.house, peers.Starling(self.house), workers, self.sizes))

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
            "machine": common.machine(self.house.cpus),
            "sizes": self.sizes,
            "peers": [{"name": peer.name, "version": peer.version(), "about": peer.about}
                      for peer in self.servers],
            "two_workers": bool(self.house.cpus.two_servers),
            "runs": self.runs,
        }


def say(text):
    print(text, file=sys.stderr, flush=True)


def check(run):
    """Whether all that should have been done was done: function only, no time."""
    wrong = ["{work} {peer}: {rejected}".format(**r) for r in run.rejected()]
    done = {(r["work"], r["peer"]) for r in run.runs}
    for work in run.selected():
        wrong += ["{} {}: not run".format(work.key, peer.name) for peer in run.able(work)
                  if (work.key, peer.name) not in done]
    counts = ("handshakes", "visits", "round_trips", "gigabytes", "sessions", "answers")
    for r in run.runs:
        if r["work"] in (*works.BY_KEY, works.FIRST_STOR) and not r["rejected"] and not any(
                r["values"].get(name, 0) > 0 for name in counts):
            wrong.append("{work} {peer}: nothing was done".format(**r))
    return wrong


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement (3)")
    parser.add_argument("--sessions", type=int, default=2000, help="idle ones, for memory (2000)")
    parser.add_argument("--churn", type=int, default=10_000, help="that come and go before (10000)")
    parser.add_argument("--idle", type=int, default=9000, help="beside an active one (9000)")
    parser.add_argument("--certificates", type=int, default=1000, help="at start-up (1000)")
    parser.add_argument("--peers", help="only these, with commas: " + ",".join(
        peer.name for peer in peers.ALL))
    parser.add_argument("--works", help="only these, with commas: " + ",".join(
        [work.key for work in works.WORKS] + list(works.OTHERS)))
    parser.add_argument("--baseline", metavar="FOLDER",
                        help="another build of Starling (like bazel-bin), as a peer called baseline")
    parser.add_argument("--binaries", metavar="FOLDER",
                        help="a folder like bazel-bin; without it, installs and builds first")
    parser.add_argument("--save", metavar="FILE", help="the raw results of a run that is not published")
    parser.add_argument("--check", action="store_true",
                        help="everything for an instant; says whether all worked, not how fast")
    parser.add_argument("--render", nargs="?", const=RESULTS, metavar="FILE",
                        help="measures nothing: makes RESULTS.md and plots of raw results")
    options = parser.parse_args()
    if options.check:
        options.rounds, options.seconds = 1, 0.2
        options.sessions, options.churn, options.idle, options.certificates = 50, 100, 200, 20
    return options


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def prepare(options):
    """The folder of the programs, with what is needed installed and built."""
    if options.binaries:
        return options.binaries
    subprocess.run([os.path.join(common.TOP, "deploy", "setup", "setup.sh"), "bench"], check=True)
    folder = tempfile.mkdtemp(prefix="starling-binaries-")
    atexit.register(shutil.rmtree, folder)
    # The gateway as users run it. The load generator takes the place of some functions
    # of its library's, which must not have been inlined.
    for config, program in (("opt" if options.check else "release", "gateway/starling"), ("opt", "bench/load")):
        subprocess.run(["bazel", "build", "--config=" + config, "//" + program.replace("/", ":")],
                       cwd=common.TOP, check=True)
        os.makedirs(os.path.join(folder, os.path.dirname(program)))
        shutil.copy(os.path.join(common.TOP, "bazel-bin", program), os.path.join(folder, program))
    return folder


def choose(text, known, what):
    chosen = text.split(",") if text else list(known)
    unknown = set(chosen) - set(known)
    if unknown:
        raise SystemExit("no such {}: {}".format(what, ", ".join(sorted(unknown))))
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
def furnished(binaries):
    folder = tempfile.mkdtemp(prefix="starling-bench-")
    house = common.House(binaries, folder)
    try:
        yield house
    finally:
        house.close()
        shutil.rmtree(folder)


def main():
    options = arguments()
    if options.render:
        report = reporter()
        part = os.path.join(BENCH, report.FIRST_ANSWER_PART)
        report.publish(load(options.render), BENCH, load(part) if os.path.exists(part) else None)
        return 0
    names = choose(options.peers, [peer.name for peer in peers.ALL], "peer")
    chosen = choose(options.works, [work.key for work in works.WORKS] +
                    list(works.OTHERS), "work")
    binaries = prepare(options)
    report = reporter()  # before an hour of measuring, not after it
    with furnished(binaries) as house:
        servers = [peer(house) for peer in peers.ALL if peer.name in names]
        if options.baseline:
            servers.append(peers.Starling(
                house, os.path.join(options.baseline, "gateway", "starling"), "baseline"))
        run = Run(house, servers, chosen, options)
        run.all_rounds()
        result = run.result()
        if options.check:  # pages and plots can be made of whatever was measured
            report.publish(result, house.folder)
    if options.check:
        wrong = check(run)
        print("\n".join(wrong) or "{} runs, all as they should be".format(len(run.runs)))
        return 1 if wrong else 0
    if options.save:
        with open(options.save, "w", encoding="utf-8") as f:
            f.write(report.raw(result))
    if options.peers or options.works or options.baseline or options.save:
        print(report.tables(result))
    else:
        report.publish(result, BENCH)
    return 1 if run.rejected() else 0


if __name__ == "__main__":
    sys.exit(main())
