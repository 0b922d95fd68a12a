#!/usr/bin/python3
"""Writes compile_commands.json, from which clangd, clang-tidy and editors learn how Bazel compiles
each source file. Run it again after a change of a BUILD file.

    deploy/build/compile_commands.py            about ten seconds; needs deploy/setup/setup.sh build
    clang-tidy-19 -p . gateway/session/turn.cc

Bazel only says what it would run; nothing is built. Not for: headers, whose flags clangd takes from
a source file nearby."""

import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INCLUDES = ("-iquote", "-isystem", "-I")
# What only a build needs: the list of headers that it writes, and a seed for symbol names.
DROPPED = ("-MD", "-frandom-seed=")
DROPPED_WITH_VALUE = ("-MF", "-o")


def bazel(*arguments):
    done = subprocess.run(["bazel", *arguments], cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    if done.returncode != 0:
        sys.exit("bazel {} failed:\n{}".format(arguments[0], done.stderr))
    return done.stdout


def compilations():
    """The arguments of every C++ compilation of this tree's own targets."""
    answer = json.loads(bazel("aquery", "--config=opt", "--output=jsonproto", "--include_artifacts=false",
                              'mnemonic("CppCompile", //...)'))
    return [action["arguments"] for action in answer["actions"]]


def include_folder(folder, external):
    """Where a folder is outside Bazel's build folder; None if nothing was generated there."""
    if folder.startswith("external/"):
        folder = os.path.realpath(os.path.join(external, folder[len("external/"):]))
    return folder if os.path.isdir(os.path.join(TOP, folder)) else None


def translated(arguments, external):
    """The same compilation as anyone can run it in TOP."""
    result = []
    words = iter(arguments)
    for word in words:
        if word in INCLUDES:
            folder = include_folder(next(words), external)
            result += [word, folder] if folder else []
        elif word in DROPPED_WITH_VALUE:
            next(words)
        elif not word.startswith(DROPPED):
            result.append(word)
    return result


def main():
    external = os.path.join(bazel("info", "output_base").strip(), "external")
    entries = {}
    for arguments in compilations():
        source = arguments[arguments.index("-c") + 1]
        if os.path.isfile(os.path.join(TOP, source)):
            entries[source] = {"directory": TOP, "file": source,
                               "arguments": translated(arguments, external)}
    if not entries:
        sys.exit("bazel named no compilation of a file of this tree")
    path = os.path.join(TOP, "compile_commands.json")
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump([entries[source] for source in sorted(entries)], f, indent=1)
        f.write("\n")
    os.replace(path + ".new", path)
    print("{}: {} files".format(path, len(entries)))


if __name__ == "__main__":
    main()
