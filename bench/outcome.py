"""Computes figures from the raw results of a comparison."""

import statistics

import workloads

# Peers that are this program, too.
OURS = ("Starling", "Starling, epoll", "baseline")


class Spread:
    """The median over the rounds, with minimum and maximum."""

    def __init__(self, values):
        self.median = statistics.median(values)
        self.least, self.most = min(values), max(values)

    def text(self, suffix=""):
        return "{}{} ({} to {})".format(number(self.median), suffix, number(self.least), number(self.most))


def number(value):
    """The value with three significant digits."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return "{:,.0f}".format(value)
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return "{:.{}f}".format(value, digits)


class Figures:
    """The figures of one file of results."""

    def __init__(self, result):
        self.result = result
        self.names = [peer["name"] for peer in result["peers"]]
        self.runs = {}  # (workload, peer) -> {round: values}, of valid runs
        for run in result["runs"]:
            if not run["rejected"]:
                self.runs.setdefault((run["workload"], run["peer"]), {})[run["round"]] = run["values"]

    def rounds(self, workload, peer):
        return self.runs.get((workload, peer), {})

    def spread(self, workload, peer, name):
        """The spread of a figure over the rounds; None if it has no values."""
        found = [v[name] for v in self.rounds(workload, peer).values() if name in v]
        return Spread(found) if found else None

    def median(self, workload, peer, name):
        found = self.spread(workload, peer, name)
        return found.median if found else None

    def cost(self, workload, peer):
        """The main figure of a workload."""
        return self.spread(workload, peer, workloads.BY_KEY[workload].figure)

    def ratio(self, workload, above, below, name=None, below_workload=None):
        """The ratio of two peers' figures in the same rounds; None without common rounds."""
        name = name or workloads.BY_KEY[workload].figure
        lower = self.rounds(below_workload or workload, below)
        found = [values[name] / lower[n][name] for n, values in self.rounds(workload, above).items()
                 if name in values and lower.get(n, {}).get(name)]
        return Spread(found) if found else None

    def over_floor(self, key):
        """The ratio of Starling's handshake to that of BoringSSL alone in the same rounds."""
        floor, name = workloads.BY_KEY[key].floor.split()
        floors = self.rounds("floor-" + floor, "BoringSSL")
        found = [values["gateway_us"] / floors[n][name]
                 for n, values in self.rounds(key, "Starling").items() if n in floors]
        return Spread(found) if found else None

    def peers_of(self, workload):
        """The peers measured with the workload, Starling first."""
        return [name for name in self.names if self.rounds(workload, name)]

    def best_peer(self, workload):
        """The cheapest of the other peers; None if there is none."""
        others = [name for name in self.peers_of(workload) if name not in OURS]
        return min(others, key=lambda name: self.cost(workload, name).median, default=None)

    def capacity(self, workload, peer):
        """(throughput, whether the server was the bottleneck in most rounds)."""
        name = workloads.BY_KEY[workload].capacity
        values = [v for v in self.rounds(workload, peer).values() if name in v]
        if not name or not values:
            return None
        at_limit = [v for v in values if workloads.limit(workloads.BY_KEY[workload], v) == "gateway"]
        counted = at_limit if 2 * len(at_limit) > len(values) else values
        return statistics.median(v[name] for v in counted), counted is at_limit

    def rejected(self):
        return [run for run in self.result["runs"] if run["rejected"]]
