"""Writes the results of a comparison: tables, and bench/RESULTS.md with its plots."""

import json
import os

import plots
import targets
import workloads
from outcome import OURS, Figures, number

SOURCE = "[bench/README.md](README.md)"
LATENCIES = ("latency-handshake", "latency-echo", "latency-flood")
FIRST_ANSWER_PART = "results/first-answer.json"
FIRST_ANSWER_TEXT = (
    "The time from the end of a client's handshake to the first octet of an answer, one connection after the other. The "
    "client has Nagle's algorithm on: what it says waits until the server has acknowledged its last message of the "
    "handshake. To the other servers all protocols are the same inside TLS, so they are measured once. FTP's STOR is "
    "compared with ProFTPD's own TLS.\n\n")
# Written by hand after a run of kernel_memory.py and memory_group.py.
UNREAD_PART = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results", "unread.md")
MEMORY = ("pss_session_kib", "kernel_session_kib")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _costs(figures):
    """CPU for a unit, and how many times Starling's that is."""
    rows = []
    for workload in workloads.WORKLOADS:
        if workload.key in (*LATENCIES, *workloads.FIRST_ANSWERS) or workload.key == "idle":
            continue
        for peer in figures.peers_of(workload.key):
            cost = figures.cost(workload.key, peer)
            if not cost:
                continue
            ratio = figures.ratio(workload.key, peer, "Starling")
            parts = [figures.median(workload.key, peer, name) for name in _split_names(workload)]
            rows.append((
                workload.title if peer == figures.peers_of(workload.key)[0] else "",
                "**Starling**" if peer == "Starling" else peer, cost.text(),
                " + ".join(map(number, parts)) if None not in parts else "",
                ratio.text(" x") if ratio and peer != "Starling" else "",
                _limit(figures, workload, peer)))
    return table(("workload", "server", "CPU for a unit (us; bulk: ms a GB)", "user + system",
                  "times Starling's", "limit"), rows)


def _limit(figures, workload, peer):
    """The bottleneck in most rounds, when it was not the server."""
    limits = [workloads.limit(workload, v) for v in figures.rounds(workload.key, peer).values()]
    most = max(sorted(set(limits)), key=limits.count)
    return "" if most == "gateway" else most


def _split_names(workload):
    end = workload.figure.partition("_")[2]
    return "user_" + end, "system_" + end


def _capacities(figures):
    rows = []
    for workload in workloads.WORKLOADS:
        if not workload.capacity or workload.key in LATENCIES or not figures.peers_of(workload.key):
            continue
        cells = []
        for peer in figures.names:
            found = figures.capacity(workload.key, peer)
            cells.append("" if not found else ("" if found[1] else ">= ") + number(found[0]))
        rows.append((workload.title + (", GB/s" if "gb" in workload.capacity else ", a second"), *cells))
    return table(("workload", *figures.names), rows)


def _latencies(figures):
    rows = []
    for key in LATENCIES:
        workload = workloads.BY_KEY[key]
        start, unit = workload.figure.rsplit("_", 2)[0], workload.figure.rsplit("_", 1)[1]
        for peer in figures.peers_of(key):
            quantiles = [figures.spread(key, peer, "{}_{}_{}".format(start, q, unit))
                         for q in ("p50", "p99", "p999")]
            if None in quantiles:
                continue
            limit = _limit(figures, workload, peer)
            flood = figures.median(key, peer, "flood_per_second")
            rows.append((
                "{}, {}".format(workload.title, unit) if peer == figures.peers_of(key)[0] else "", peer,
                number(figures.median(key, peer, "per_second")),
                *(q.text() for q in quantiles), number(flood) if flood else "",
                "not valid: " + limit if limit in ("load", "others") else ""))
    return table(("workload", "server", "a second", "p50", "p99", "p99.9", "flood, handshakes a second", ""),
                 rows)


FIRST_ANSWERS = [("{}_{}_p50_ms".format(version, kind), "{}, {}".format(title, kind))
                 for version, title in (("tls13", "TLS 1.3"), ("tls12", "TLS 1.2"))
                 for kind in ("full", "resumed")]


def _first_answers(figures):
    """Each protocol's, and how many times Starling's time the others need in the same round."""
    rows = []
    titles = [(key, workloads.BY_KEY[key].title) for key in workloads.FIRST_ANSWERS]
    for key, title in (*titles, (workloads.FTP_FIRST_ANSWER, "1 kB by FTP's STOR, to its 226")):
        for peer in (*figures.names, "ProFTPD"):
            found = [figures.spread(key, peer, name) for name, _ in FIRST_ANSWERS]
            if None in found:
                continue
            ratio = figures.ratio(key, peer, "Starling", FIRST_ANSWERS[0][0])
            rows.append((title, "**Starling**" if peer == "Starling" else peer,
                         *(spread.text() for spread in found),
                         ratio.text(" x") if ratio and peer != "Starling" else ""))
            title = ""
    return table(("workload, ms", "server", *(title for _, title in FIRST_ANSWERS),
                  "TLS 1.3, full: times Starling's"), rows)


def _memory(figures):
    rows = []
    for peer in figures.peers_of("idle"):
        cells = [figures.spread("idle", peer, name) for name in MEMORY]
        ratio = figures.ratio("idle", peer, "Starling")
        rows.append((peer, *(c.text() if c else "unknown" for c in cells),
                     ratio.text(" x") if ratio and peer != "Starling" else ""))
    return table(("server", "PSS of a session, KiB", "kernel memory of a session, KiB",
                  "PSS, times Starling's"), rows)


def _others(figures):
    rows = []
    for peer in figures.names:
        found = figures.spread(workloads.STARTUP, peer, "seconds")
        if found:
            rows.append(("from start to the first handshake with {:,} certificates, s".format(
                figures.result["sizes"]["certificates"]), peer, found.text()))
    for name, text in (("alone", "without a take-over"), ("taken over", "while another process takes over")):
        for figure, what in (("connect_worst_ms", "connect"), ("handshake_worst_ms", "connect and handshake")):
            found = figures.spread(workloads.TAKEOVER, name, figure)
            if found:
                rows.append(("worst {} of 16 clients in a loop, {}, ms".format(what, text), "Starling",
                             found.text()))
    for workers in ("1", "2"):
        found = figures.spread(workloads.WORKERS, workers, "per_second")
        if found:
            rows.append(("full handshakes a second, {} worker{}".format(
                workers, "" if workers == "1" else "s"), "Starling", found.text()))
    text = table(("what", "server", "median (least to most)"), rows)
    if not figures.result["two_workers"]:
        text += ("\n\nTwo workers against one: not measured. This machine has fewer than four cores, so two workers "
                 "would share cores with load and backend.")
    return text


def _floors(figures):
    rows = []
    for workload in workloads.WORKLOADS:
        if not workload.floor:
            continue
        floor, name = workload.floor.split()
        alone, ratio = figures.spread("floor-" + floor, "BoringSSL", name), figures.over_floor(workload.key)
        if alone and ratio:
            rows.append((workload.title, alone.text(), figures.cost(workload.key, "Starling").text(),
                         ratio.text(" x")))
    return table(("handshake", "BoringSSL alone in memory, us", "Starling, us", "ratio"), rows)


def _losses(figures):
    """Every figure in which another server did better."""
    found = []
    for workload in workloads.WORKLOADS:
        for peer in figures.peers_of(workload.key):
            ratio = figures.ratio(workload.key, peer, "Starling")
            if peer not in OURS and ratio and ratio.median < 1:
                found.append("- {} ({}): {} needs {} what Starling needs".format(
                    workload.title, workload.unit, peer, ratio.text(" x")))
    for peer in figures.names[1:]:
        ratio = figures.ratio("idle", peer, "Starling", "kernel_session_kib")
        if peer not in OURS and ratio and ratio.median < 1:
            found.append("- kernel memory of an idle session: {} needs {} what Starling needs".format(
                peer, ratio.text(" x")))
        ratio = figures.ratio(workloads.STARTUP, peer, "Starling", "seconds")
        if peer not in OURS and ratio and ratio.median < 1:
            found.append("- start with many certificates: {} needs {} what Starling needs".format(
                peer, ratio.text(" x")))
    return found


def _rejected(figures):
    rows = ["- round {round}, {workload}, {peer}: {rejected}".format(**run) for run in figures.rejected()]
    return "\n".join(rows) or "All runs count."


def _sections(figures, newer=None):
    yield "Goals", table(
        ("goal", "measured", "reached"), targets.rows(figures))
    yield "CPU of the server", (
        "`limit`: the bottleneck, when it was not the server. It is the load, other programs, or neither if nothing was "
        "saturated. A server that is not saturated has fewer events in a batch, so each event costs it more.\n\n"
        + _costs(figures))
    yield "Handshakes and their floor", _floors(figures)
    yield "Throughput", (
        "What the server did in a second while it was saturated. `>=`: in most rounds it was not, because the load "
        "was the bottleneck or other programs used the machine. The server could do more, so do not compare that "
        "figure.\n\n"
        + _capacities(figures))
    yield "Latency at half the capacity of the slowest", (
        "Each message or handshake is due at a fixed time, whether or not the one before is done. Its latency counts "
        "from that time.\n\n" + _latencies(figures))
    if newer:
        yield "First answer", (
            "This section is newer than the rest of the page: {date}, {cpu}, {kernel}, commit {commit}, {rounds} rounds of "
            "{seconds:g} s, load average before: {load_average_before}; raw results in [{part}]({part}). {company} The "
            "40 ms by which a kernel delays an acknowledgement stand out all the same.\n\n".format(
                part=FIRST_ANSWER_PART, company=_company(newer.result), **newer.result, **newer.result["machine"],
                **newer.result["sizes"]) + FIRST_ANSWER_TEXT + _first_answers(newer))
    else:
        yield "First answer", FIRST_ANSWER_TEXT + _first_answers(figures)
    yield "Memory of an idle session", _memory(figures)
    with open(UNREAD_PART, encoding="utf-8") as f:
        yield "Memory of peers that never read", f.read().rstrip("\n")
    yield "Start, take-over, workers", _others(figures)
    losses = _losses(figures) + (_losses(newer) if newer else [])
    yield "Where Starling loses", "\n".join(losses) or "Nowhere above, in this run."
    yield "Runs that do not count", _rejected(figures)


def tables(result):
    """All tables, to be read in a terminal."""
    return "\n\n".join("## {}\n\n{}".format(*section) for section in _sections(Figures(result)))


def _company(result):
    """Whether other programs used the machine."""
    disturbed = sum(workloads.disturbed(run["values"]) for run in result["runs"])
    if not disturbed:
        return "In no run did other programs use more than {:.0f} % of the server's CPU.".format(100 * workloads.DISTURBED)
    return "**In {} of {} runs other programs used more than {:.0f} % of the server's CPU. Those runs say little.**".format(
        disturbed, len(result["runs"]), 100 * workloads.DISTURBED)


def text(result, newer=None):
    """The whole of RESULTS.md; `newer`: results of first answers, measured later."""
    figures = Figures(result)
    sizes, machine = result["sizes"], result["machine"]
    versions = table(("server", "version", "how it runs"), [
        (peer["name"], peer["version"], peer["about"]) for peer in result["peers"]])
    later = ("\n- **The section \"First answer\" is newer than the rest: it was measured on {}.**".format(newer["date"])
             if newer else "")
    return """# Results

`bench/compare.py` measured this on {date}. `bench/compare.py --render` makes the page again from
[results/results.json](results/results.json). {source} explains the method, and what the figures do not say.

![CPU and memory of Starling and its peers](results/overview.svg)

- Machine: {cpu}, {kernel}; {places}; load average before: {load_average_before}. Commit {commit}.
- {rounds} rounds. In each round all servers do a workload for {seconds:g} s, one after the other. A figure is the median of the rounds, with
  the least and the most behind it. A ratio compares figures of the same round. Memory: {sessions:,} sessions, after {churn:,} others came and went.
- Each server has one worker, the same certificate, suite and group, session tickets on, no log, and the backend behind a Unix socket.
- {disturbed}{newer}
- A run counts only if no connection was lost, and if TLS version, suite, group and kind of certificate were those that the workload asks for.

{versions}

![Latency](results/latency.svg)

{sections}
""".format(date=result["date"], source=SOURCE, versions=versions, disturbed=_company(result), newer=later, **sizes, **machine,
           sections="\n\n".join("## {}\n\n{}".format(*section) for section in _sections(
               figures, Figures(newer) if newer else None)))


def raw(result):
    """JSON with a run on each line, so that two versions can be compared."""
    about = {name: value for name, value in result.items() if name != "runs"}
    runs = ",\n".join(json.dumps(run) for run in result["runs"])
    return json.dumps(about, indent=1)[:-2] + ',\n "runs": [\n' + runs + "\n]}\n"


def publish(result, folder, newer=None):
    """Writes RESULTS.md into a folder, and plots and raw results into its folder results/."""
    below = os.path.join(folder, "results")
    os.makedirs(below, exist_ok=True)
    with open(os.path.join(below, "results.json"), "w", encoding="utf-8") as f:
        f.write(raw(result))
    plots.draw(Figures(result), below)
    with open(os.path.join(folder, "RESULTS.md"), "w", encoding="utf-8") as f:
        f.write(text(result, newer))
    part = os.path.join(folder, FIRST_ANSWER_PART)
    if newer:
        with open(part, "w", encoding="utf-8") as f:
            f.write(raw(newer))
    elif os.path.exists(part):  # the results have all of it now
        os.remove(part)
