#!/usr/bin/python3
"""Checks that set-up installs everything that scripts and tests use: compares the interpreters, Python
and Perl modules, headers, programs and paths in the tree with the content of the packages that
deploy/setup/setup.sh names for the purpose, and of their dependencies.

    tests/needs/check.py                       what is missing
    tests/needs/check.py --without PACKAGE...  what would be missing if set-up did not name these

Other packages on this machine do not matter, but set-up's packages must be installed so that their
files can be listed. If the check cannot tell what a line runs, a comment `# runs: PROGRAM...` on
that line says it."""

import argparse
import collections
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

import packages
import python_files
import python_uses
import shell_uses
from shell_uses import Use

# Which purpose of set-up a file may count on; the first row that fits. A folder whose packages
# come from elsewhere has None, and its reason.
AREAS = (
    ("tests/clients/install.sh", None, "installs the toolchains that it does not find"),
    ("tests/clients/python/", None, "imports what tests/clients/install.sh has installed"),
    (".ci/", "base", "must run before set-up"),
    ("deploy/setup/setup.sh", "base", "is set-up"),
    ("deploy/demo", "demo", "by deploy/demo.sh"),
    ("bench/", "bench", "by bench/compare.py"),
    ("deploy/", "test", "by deploy/test/test.sh"),
    ("tests/", "test", "by deploy/test/test.sh"),
    ("README.md", "test", "what it tells a reader to type"),
    ("gateway/", "build", "what users build"),
    ("protocols/", "build", "what users build"),
)
# Used where they exist, and done without where not.
OPTIONAL = {
    "perf": "bench/instructions.sh uses callgrind where it is missing",
    "sudo": "deploy/setup/setup.sh needs it only for a user who is not root",
    "cargo": "deploy/setup/setup.sh installs one by itself where there is none",
    "cargo-1.85": "the same, by another name",
    "debootstrap": "deploy/setup/fresh.sh is run by hand, and says what it lacks",
    "qemu-aarch64-static": "deploy/setup/setup.sh arm64 installs it, for deploy/build-arm64.sh test only",
    "pure-ftpd": "deploy/setup/setup.sh unpacks it into .deps/servers, since ProFTPD is installed",
    "pure-pw": "the same, from the same package",
    "vsftpd": "the same",
    "/usr/sbin/policy-rc.d": "deploy/setup/setup.sh writes it while it installs",
    "/usr/lib/news": "deploy/setup/setup.sh only names it to INN's own set-up",
}
# What the README has an administrator type on a mail server of their own.
OPERATORS = {"certbot", "useradd"}
_MARKDOWN = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)
_HEADER = re.compile(r"^\s*#\s*include <([^>]+)>", re.M)
_EXECUTES = re.compile(r"\b(?:exec[lv]p?e?|execvpe|posix_spawnp?|popen|system)\(")
_OWN_HEADERS = ("openssl/",)  # of BoringSSL, whose source set-up fetches


def tracked():
    done = subprocess.run(["git", "-C", packages.TOP, "ls-files", "-co", "--exclude-standard"], check=True,
                          stdout=subprocess.PIPE, text=True)
    return [f for f in done.stdout.splitlines() if os.path.isfile(os.path.join(packages.TOP, f))]


def read(place):
    with open(os.path.join(packages.TOP, place), encoding="utf-8") as f:
        return f.read()


def purpose_of(place):
    return next((purpose for prefix, purpose, _ in AREAS if place.startswith(prefix)), None)


def _shell_uses(text, place):
    lines = text.splitlines()

    def note(line):
        _, found, names = lines[line - 1].partition("# runs: ")
        return names.split() if found else None
    yield from shell_uses.uses(text, place, note)
    yield from python_files.text_uses(text, place)


def _cpp_uses(text, place):
    for name in _HEADER.findall(text):
        if not name.startswith(_OWN_HEADERS):
            yield Use("header", name, place)
    if _EXECUTES.search(text):
        yield Use("unknown", "a command", place)


def file_uses(place, text):
    """What a file that is not Python uses."""
    first = text.partition("\n")[0]
    if first.startswith("#!"):
        yield Use("interpreter", first[2:].strip(), place)
    if place.endswith(".sh") or re.match(r"#!.*\b(ba)?sh\b", first):
        yield from _shell_uses(text, place)
    elif place.endswith((".cc", ".h")):
        yield from _cpp_uses(text, place)
    elif place.endswith(".in"):
        yield from python_files.text_uses(text, place)
    elif place.endswith(".md"):
        for block in _MARKDOWN.finditer(text):
            line = text.count("\n", 0, block.start())
            yield from (use for use in shell_uses.uses(block.group(1), "{}:{}".format(place, line + 2))
                        if use.name not in OPERATORS)


def with_imports(files, python):
    """These Python files and the files of the tree that they import."""
    found, pending = {}, list(files)
    while pending:
        file = pending.pop()
        if file.place not in found:
            found[file.place] = file
            pending += [python[name] for name in {*file.modules.values(), *file.imported.values()}
                        if name in python]
    return list(found.values())


def all_uses(places):
    """{purpose: what its files use}"""
    uses, scripts = collections.defaultdict(set), collections.defaultdict(list)
    python = {}
    for place in places:
        purpose = purpose_of(place)
        if not purpose or place.endswith((".svg", ".json")) or "/corpus/" in place:
            continue
        text = read(place)
        uses[purpose] |= set(file_uses(place, text))
        if place.endswith(".py") or re.match(r"#!.*\bpython", text):
            file = python_files.File(text, place)
            scripts[purpose].append(file)
            python[file.module] = file
    for purpose, files in scripts.items():
        found = python_uses.Tree(with_imports(files, python)).uses({file.place for file in files})
        uses[purpose] |= {use for use in found if use.kind != "python" or use.name not in python}
    return uses


def missing(use, contents):
    """What is wrong with a use, or None."""
    kind, name = use.kind, use.name
    if kind == "unknown":
        return "cannot tell what this runs; a comment `# runs: PROGRAM` can"
    if kind == "interpreter":
        program, _, argument = name.partition(" ")
        if "python" in name and program != "/usr/bin/python3":
            return "must run by /usr/bin/python3, for which Debian's modules are, not by " + name
        kind, name = "command", argument if program == "/usr/bin/env" else program
    if kind == "command" and re.fullmatch(r"python[\d.]*", name):
        return "must run /usr/bin/python3, not the first one in PATH"
    if kind == "python" and name in sys.builtin_module_names:
        return None
    known = {"command": contents.has_command, "path": contents.has_path, "python": contents.has_python,
             "perl": contents.has_perl, "header": contents.has_header}[kind](name)
    return None if known or name in OPTIONAL else "no package has the {} {}".format(kind, name)


def contents_of(purposes, without):
    """{purpose: the contents of its packages}"""
    base = packages.base()
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = {"base": packages.closure(base, folder)}  # alone: it fills apt's caches for the others
        others = [p for p in purposes if p != "base"]
        found.update(zip(others, pool.map(lambda p: packages.closure(
            base + [n for n in packages.listed(p) if n not in without], folder), others)))
    return {purpose: packages.Contents(names) for purpose, names in found.items()}


def findings(without=()):
    uses = all_uses(tracked())
    contents = contents_of(sorted(uses), without)
    wrong, absent = [], set()
    for purpose, found in sorted(uses.items()):
        absent |= set(contents[purpose].unknown)
        for use in sorted(found):
            problem = missing(use, contents[purpose])
            if problem:
                wrong.append("{}: {} (set-up for: {})".format(use.place, problem, purpose))
    if wrong and absent:
        wrong.append("not installed here, so taken for empty: " + " ".join(sorted(absent)))
    return wrong, sum(map(len, uses.values()))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--without", nargs="+", default=(), metavar="PACKAGE")
    wrong, total = findings(parser.parse_args().without)
    print("\n".join(wrong) or "needs: all of {} uses are in packages that set-up installs".format(total))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
