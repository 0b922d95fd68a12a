#!/usr/bin/python3
"""Which folder may include what. Prints each #include that breaks a rule, and then exits with 1.

    deploy/test/includes.py [TOP]    TOP: the tree to check, this one by default

1. A library belongs to the folders that LIBRARIES names.
2. Protocols are pure: no header of the system in protocols/, no clock, thread or file, other than
   in tests.
3. A header of another folder comes from a target that the folder's BUILD.bazel names. So Bazel's
   visibility decides about every include; without this rule a header would come along with
   whatever depends on it.

Not for: cycles between files of one folder."""

import os
import re
import subprocess
import sys

# How an include begins: the folders that may have it, with all below them.
LIBRARIES = {
    "absl/": ("gateway",),
    "ares.h": ("gateway/resolve",),
    "benchmark/": ("bench",),
    "brotli/": ("gateway/tls",),
    "expat.h": ("protocols/xmpp",),
    "gmock/": ("gateway", "protocols", "bench", "tests"),
    "gtest/": ("gateway", "protocols", "bench", "tests"),
    "liburing": ("gateway/io/uring",),
    "linux/io_uring.h": ("gateway/io/uring",),
    "llhttp.h": ("protocols/http",),
    "nlohmann/": ("gateway/log",),
    "openssl/": ("gateway/tls", "bench", "tests/sim"),
    "prometheus/": ("gateway/metrics",),
    "sys/capability.h": ("gateway",),
    "systemd/": ("gateway",),
    "yaml-cpp/": ("gateway/config",),
    "zlib.h": ("gateway/tls",),
}
# What begins so, and has no row there, is the kernel's, the C library's or this tree's.
SYSTEM = ("arpa/", "linux/", "net/", "netinet/", "sys/", "bench/", "gateway/", "protocols/", "tests/")
# Headers of the system, which end in .h, and of C++, which do not.
PURE_MAY = {"arpa/inet.h", "expat.h", "llhttp.h"}
PURE_MAY_NOT = {
    "atomic", "chrono", "condition_variable", "ctime", "filesystem", "fstream", "future", "iostream", "mutex",
    "random", "shared_mutex", "stop_token", "thread",
}
_INCLUDE = re.compile(r'^\s*#\s*include\s+(?:<([^>]+)>|"([^"]+)")', re.M)
_LABEL = re.compile(r'"//([a-z0-9_/]+)[:"]')
_VISIBILITY = re.compile(r"visibility = \[[^\]]*\]")  # names who may use it, not what it uses
_FOR_TESTS = re.compile(r"_test\.cc$|_fuzz\.cc$|_testing\.h$|_play\.h$|/testing/")


def read(top, place):
    with open(os.path.join(top, place), encoding="utf-8") as f:
        return f.read()


def below(folder, folders):
    return any(folder == one or folder.startswith(one + "/") for one in folders)


def package_of(top, place):
    """The folder of a file's package: the nearest one above it that has a BUILD.bazel."""
    folder = os.path.dirname(place)
    while folder and not os.path.isfile(os.path.join(top, folder, "BUILD.bazel")):
        folder = os.path.dirname(folder)
    return folder


def named_packages(top, package):
    """The packages that a BUILD.bazel names, by itself or by the macro of protocols."""
    text = read(top, os.path.join(package, "BUILD.bazel"))
    if "starling_protocol(" in text:
        text += read(top, "deploy/build/protocol.bzl")
    return set(_LABEL.findall(_VISIBILITY.sub("", text)))


def library_fault(folder, header):
    for begin, folders in LIBRARIES.items():
        if header.startswith(begin):
            return None if below(folder, folders) else "only {} may include it".format(", ".join(folders))
    if "/" in header and not header.startswith(SYSTEM):
        return "no row of LIBRARIES in deploy/test/includes.py has it"
    return None


def purity_fault(place, header):
    if not place.startswith("protocols/") or _FOR_TESTS.search(place):
        return None
    if header in PURE_MAY_NOT or (header.endswith(".h") and header not in PURE_MAY):
        return "protocols/ is pure: no system, clock, thread or file"
    return None


def package_fault(top, package, header, named):
    other = package_of(top, header)
    if other == package or not os.path.isfile(os.path.join(top, header)) or other in named:
        return None
    return "{}/BUILD.bazel names no target of //{}".format(package, other)


def faults(top, places):
    found = []
    named = {}
    for place in places:
        package = package_of(top, place)
        if package not in named:
            named[package] = named_packages(top, package)
        for system, own in _INCLUDE.findall(read(top, place)):
            fault = library_fault(os.path.dirname(place), system or own)
            if system:
                fault = fault or purity_fault(place, system)
            else:
                fault = fault or package_fault(top, package, own, named[package])
            if fault:
                found.append('{}: "{}": {}'.format(place, system or own, fault))
    return found


def main():
    top = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..")
    listed = subprocess.run(["git", "-C", top, "ls-files", "-co", "--exclude-standard", "*.cc", "*.h"], check=True,
                            stdout=subprocess.PIPE, text=True).stdout.split()
    places = [place for place in listed if os.path.isfile(os.path.join(top, place))]
    found = faults(top, places)
    for line in found:
        print("includes: " + line)
    print("includes: {} files, {} faults".format(len(places), len(found)))
    return 1 if found or not places else 0


if __name__ == "__main__":
    sys.exit(main())
