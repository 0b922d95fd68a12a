"""Draws the plots of RESULTS.md: SVG that is readable on light and dark pages."""

import os

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

from outcome import number  # noqa: E402

GREY = "#808080"      # text and lines: as far from white as from black
OURS = "#2f9e63"
COLOURS = {"Starling": OURS, "Starling, epoll": "#5fb88b", "baseline": "#8fce9f", "HAProxy": "#4f81d6",
           "nginx": "#c98a2b", "hitch": "#9a6fc9", "stunnel": "#c9605b"}

# (workload, what it says above its panel, unit)
PANELS = (
    ("full", "Full handshake", "us CPU"),
    ("resumed", "Resumed handshake", "us CPU"),
    ("starttls-imap", "IMAP by STARTTLS", "us CPU"),
    ("echo-512", "512 B there and back", "us CPU"),
    ("bulk-both", "Bulk both ways, a GB", "ms CPU"),
    ("idle", "Idle session", "KiB PSS"),
)

STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "starling", "font.family": "sans-serif", "font.size": 10,
    "text.color": GREY, "axes.labelcolor": GREY, "axes.edgecolor": GREY, "xtick.color": GREY,
    "ytick.color": GREY, "axes.spines.top": False, "axes.spines.right": False, "savefig.transparent": True,
}


def _save(figure, path):
    # No date, so that the same results give the same file.
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
    with open(path, encoding="utf-8") as f:
        lines = [line.rstrip() for line in f]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")


def _bars(axes, title, unit, rows):
    """Horizontal bars from 0 for (peer, Spread), each followed by its value."""
    names = [name for name, _ in rows]
    most = max(spread.most for _, spread in rows)
    for place, (name, spread) in enumerate(rows):
        axes.barh(place, spread.median, height=0.68, color=COLOURS.get(name, GREY))
        axes.plot([spread.least, spread.most], [place, place], color=GREY, linewidth=1)
        ours = next((s.median for n, s in rows if n == "Starling"), None)
        times = "" if name == "Starling" or not ours else "  {:.1f}x".format(spread.median / ours)
        axes.text(max(spread.median, spread.most) + most * 0.02, place, number(spread.median) + times,
                  va="center", weight="bold" if name == "Starling" else "normal",
                  color=OURS if name == "Starling" else GREY)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(max(len(names), 5) - 0.5, -0.5)  # the same thickness of bars in all panels
    axes.set_xlim(0, most * 1.45)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines["bottom"].set_visible(False)
    axes.set_title("{}, {}".format(title, unit), loc="left", fontsize=10.5, color=GREY, weight="bold")


def overview(figures, path):
    """The cost of a unit of each workload: the most important plot."""
    panels = [(title, unit, [(peer, figures.cost(workload, peer)) for peer in figures.peers_of(workload)
                             if figures.cost(workload, peer)]) for workload, title, unit in PANELS]
    panels = [panel for panel in panels if panel[2]]
    if not panels:
        return
    rows = (len(panels) + 2) // 3
    figure, grid = plt.subplots(rows, 3, figsize=(11, 0.5 + 2.1 * rows), squeeze=False,
                                constrained_layout=True)
    for axes in grid.flat[len(panels):]:
        axes.set_visible(False)
    for axes, panel in zip(grid.flat, panels):
        _bars(axes, *panel)
    figure.suptitle("What TLS in front of a server costs: less is better", x=0.01, ha="left",
                    fontsize=12, color=GREY)
    _save(figure, path)


def latency(figures, path):
    """Median to 99.9 % of an echo at half load, calm and during a flood of handshakes."""
    keys = [(key, title) for key, title in (
        ("latency-echo", "512 B there and back at half load"),
        ("latency-flood", "The same during a flood of handshakes")) if figures.peers_of(key)]
    if not keys:
        return
    figure, grid = plt.subplots(1, len(keys), figsize=(11, 2.6), squeeze=False, sharex=True,
                                constrained_layout=True)
    for axes, (key, title) in zip(grid.flat, keys):
        names = figures.peers_of(key)
        for place, name in enumerate(names):
            points = [figures.median(key, name, "latency_{}_us".format(q)) for q in ("p50", "p99", "p999")]
            if None in points:
                continue
            axes.plot(points, [place] * 3, color=COLOURS.get(name, GREY), linewidth=2, zorder=1)
            for point, marker in zip(points, "o|D"):
                axes.scatter([point], [place], marker=marker, s=70 if marker == "|" else 28, linewidth=2,
                             color=COLOURS.get(name, GREY), zorder=2)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="x", color=GREY, alpha=0.25)
        axes.tick_params(axis="y", length=0)
        axes.set_title(title, loc="left", fontsize=10.5, color=GREY, weight="bold")
        axes.set_xlabel("us: median (dot), 99 % (line), 99.9 % (diamond)")
    _save(figure, path)


def draw(figures, folder):
    """All plots, into a folder."""
    with plt.rc_context(STYLE):
        overview(figures, os.path.join(folder, "overview.svg"))
        latency(figures, os.path.join(folder, "latency.svg"))
