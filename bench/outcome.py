"""Raw results of a comparison, and the figures that are made of them."""

import statistics

import works


class Spread:
    """The median of what the rounds gave, with the least and the most."""

    def __init__(self, values):
        self.median = statistics.median(values)
        self.least, self.most = min(values), max(values)

    def text(self, suffix=""):
        return "{}{} ({} to {})".format(number(self.median), suffix, number(self.least), number(self.most))


def number(value):
    """Three digits that matter, and no more of a whole number than it has."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return "{:,.0f}".format(value)
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return "{:.{}f}".format(value, digits)


class Figures:
    """Of one file of results."""

    def __init__(self, result):
        self.result = result
        self.names = [peer["name"] for peer in result["peers"]]
        self.runs = {}  # (work, peer) -> {round: values}, of runs that count
        for run in result["runs"]:
            if not run["rejected"]:
                self.runs.setdefault((run["work"], run["peer"]), {})[run["round"]] = run["values"]

    def rounds(self, work, peer):
        return self.runs.get((work, peer), {})

    def spread(self, work, peer, name):
        """Of a figure over the rounds; None if there is none."""
        found = [v[name] for v in self.rounds(work, peer).values() if name in v]
        return Spread(found) if found else None

    def median(self, work, peer, name):
        found = self.spread(work, peer, name)
        return found.median if found else None

    def cost(self, work, peer):
        """The figure that a work is about."""
        return self.spread(work, peer, works.BY_KEY[work].figure)

    def ratio(self, work, above, below, name=None, below_work=None):
        """Of two peers' figures in the same round, over the rounds; None if they share none."""
        name = name or works.BY_KEY[work].figure
        lower = self.rounds(below_work or work, below)
        found = [values[name] / lower[n][name] for n, values in self.rounds(work, above).items()
                 if name in values and lower.get(n, {}).get(name)]
        return Spread(found) if found else None

    def over_floor(self, key):
        """Starling's handshake to BoringSSL's alone in the same round."""
        floor, name = works.BY_KEY[key].floor.split()
        floors = self.rounds("floor-" + floor, "BoringSSL")
        found = [values["gateway_us"] / floors[n][name]
                 for n, values in self.rounds(key, "Starling").items() if n in floors]
        return Spread(found) if found else None

    def peers_of(self, work):
        """Those that have been measured at it, Starling first."""
        return [name for name in self.names if self.rounds(work, name)]

    def best_peer(self, work):
        """Who of the others has the least cost; None if nobody else did it."""
        others = [name for name in self.peers_of(work) if name not in ("Starling", "baseline")]
        return min(others, key=lambda name: self.cost(work, name).median, default=None)

    def capacity(self, work, peer):
        """(what was done in a second, whether the server was the limit in most rounds)."""
        name = works.BY_KEY[work].capacity
        values = [v for v in self.rounds(work, peer).values() if name in v]
        if not name or not values:
            return None
        at_limit = [v for v in values if works.limit(works.BY_KEY[work], v) == "gateway"]
        counted = at_limit if 2 * len(at_limit) > len(values) else values
        return statistics.median(v[name] for v in counted), counted is at_limit

    def rejected(self):
        return [run for run in self.result["runs"] if run["rejected"]]
