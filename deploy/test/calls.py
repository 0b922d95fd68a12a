#!/usr/bin/python3
"""Which source files of gateway/session call which; fails where files call each other in a circle.

It reads the symbols that the compiled files define and need, so nothing that is written in
them can mislead it. Files of one class, which share a header, count as one. Not for:
dependencies between folders, which Bazel's visibility and includes.py hold.

  deploy/test/calls.py [FOLDER] [--list]    default: gateway/session, which Bazel builds first
"""

import argparse
import collections
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]


def archives(folder):
    """Builds the libraries of `folder` and gives their archives."""
    subprocess.run(["bazel", "build", "--config=opt", "--noshow_progress", "--color=no", f"//{folder}:all"],
                   cwd=TOP, check=True, stderr=subprocess.PIPE)
    found = sorted((TOP / "bazel-bin" / folder).glob("*.a"))
    if not found:
        sys.exit(f"calls.py: {folder} has no library")
    return found


def unit(folder, name):
    """The header that a file's functions stand in. A class may have several files: `side_tls.cc`
    has no header of its own, and is a part of `side`."""
    if (TOP / folder / (name + ".h")).exists():
        return name
    owners = [header.stem for header in (TOP / folder).glob("*.h") if name.startswith(header.stem + "_")]
    return max(owners, key=len, default=name)


def symbols(folder, found):
    """What each file defines and what it needs: two dictionaries of sets of names."""
    defines, needs = collections.defaultdict(set), collections.defaultdict(set)
    for archive in found:
        listing = subprocess.run(["nm", "--print-file-name", "--demangle", str(archive)],
                                 check=True, capture_output=True, text=True).stdout
        for line in listing.splitlines():
            found_in = re.match(r"(?:.*?):([^:/]+?)(?:\.pic)?\.o: ?(?:[0-9a-f]{16}| {16}) (\w) (.+)$", line)
            if found_in is None:
                continue
            name, kind, symbol = found_in.groups()
            name = unit(folder, name)
            if kind in ("T", "D", "B", "R"):
                defines[name].add(symbol)
            elif kind == "U":
                needs[name].add(symbol)
    return defines, needs


def calls(defines, needs):
    """For each file the files that it calls, each with one symbol as the reason."""
    home = {symbol: name for name, own in defines.items() for symbol in own}
    edges = {name: {} for name in defines}
    for name, wanted in needs.items():
        for symbol in sorted(wanted):
            other = home.get(symbol)
            if other is not None and other != name:
                edges.setdefault(name, {}).setdefault(other, symbol)
    return edges


def circle(edges):
    """A list of files that call each other in a circle, or an empty list."""
    state = {}

    def visit(name, path):
        state[name] = "open"
        for other in sorted(edges.get(name, ())):
            if state.get(other) == "open":
                return path[path.index(other):] if other in path else [other]
            if other not in state:
                found = visit(other, path + [other])
                if found:
                    return found
        state[name] = "done"
        return []

    for name in sorted(edges):
        if name not in state:
            found = visit(name, [name])
            if found:
                return found
    return []


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default="gateway/session")
    parser.add_argument("--list", action="store_true", help="print every file with those that it calls")
    options = parser.parse_args()
    edges = calls(*symbols(options.folder, archives(options.folder)))
    if not any(edges.values()):
        sys.exit(f"calls.py: found no call between files of {options.folder}; has nm's output changed?")
    if options.list:
        for name in sorted(edges, key=lambda each: (len(edges[each]), each)):
            print(f"{name}: {' '.join(sorted(edges[name])) or '-'}")
    found = circle(edges)
    for name, other in zip(found, found[1:] + found[:1]):
        print(f"{name} calls {other}: {edges[name][other]}")
    if found:
        sys.exit(f"calls.py: {len(found)} files of {options.folder} call each other in a circle")
    print(f"{options.folder}: {len(edges)} files, no circle of calls")


if __name__ == "__main__":
    main()
