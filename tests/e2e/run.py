#!/usr/bin/python3
"""Runs the end-to-end tests: each file in its own process, with a time limit.

    tests/e2e/run.py                      all files
    tests/e2e/run.py test_main.py         some files
    tests/e2e/run.py FOLDER/test_x.py     files in another folder, which has its own modules

The binary is bazel-bin/gateway/starling, or $STARLING_BINARY. Needs root, because the mail
servers do. The last line is "N passed, N failed". A skipped test is named, and counts as failed
unless STARLING_ALLOW_SKIPS is set; then the last line ends with ", N skipped" if there are any."""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
FILE_SECONDS = 600
ALLOW_SKIPS = bool(os.environ.get("STARLING_ALLOW_SKIPS"))
_RESULT = re.compile(r"^RESULT (\d+) (\d+) (\d+)$", re.MULTILINE)
_SKIPPED = re.compile(r"^SKIPPED .*$", re.MULTILINE)


def run_here(path):
    """Runs one file in this process and prints the result for run_file()."""
    folder, name = os.path.split(os.path.splitext(path)[0])
    if folder:
        sys.path.insert(0, os.path.abspath(folder))
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    total = suite.countTestCases()
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    bad = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    missed = total - result.testsRun
    # Several failing subtests are one failing test; one in setUpModule fails all.
    failed = max(1, bad, missed) if missed else min(total, bad)
    # A skipped subtest stands for its whole test, a skipped module for all of its tests.
    skips = {getattr(test, "test_case", test).id(): why for test, why in result.skipped}
    for test, why in skips.items():
        print("SKIPPED {}: {}".format(test, why))
    skipped = len(skips)
    if missed and not bad:
        skipped, failed = max(skipped, missed), 0
    if not ALLOW_SKIPS:
        failed = min(total, failed + skipped)
    passed = max(0, total - failed - (skipped if ALLOW_SKIPS else 0))
    print("RESULT {} {} {}".format(passed, failed, skipped), flush=True)
    return 1 if failed else 0


def run_file(path):
    """(passed, failed, skipped, what it printed) of one file. Its temporary files are in a
    folder of its own, which is removed even if it had to be killed."""
    folder = tempfile.mkdtemp(prefix="e2e-")
    os.chmod(folder, 0o755)
    child = subprocess.Popen(
        [sys.executable, os.path.abspath(__file__), "--here", path],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env={**os.environ, "TMPDIR": folder})
    try:
        output = child.communicate(timeout=FILE_SECONDS)[0]
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        output = child.communicate()[0]
        output += "\n{} did not end within {} s\n".format(path, FILE_SECONDS).encode()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
    output = output.decode("utf-8", "replace")
    match = _RESULT.search(output)
    if not match:
        return 0, 1, 0, output
    return (*map(int, match.groups()), output)


def counts(passed, failed, skipped):
    return "{} passed, {} failed".format(passed, failed) + (
        ", {} skipped".format(skipped) if skipped else "")


def main(arguments):
    if arguments[:1] == ["--here"]:
        return run_here(arguments[1])
    if os.geteuid() != 0:
        print("run.py: must be run as root, since Postfix and Dovecot must be", file=sys.stderr)
        return 1
    if not os.access(harness.BINARY, os.X_OK):
        print("run.py: {} is missing; build //gateway:starling".format(harness.BINARY), file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    files = arguments or sorted(glob.glob(os.path.join(HERE, "test_*.py")))
    passed = failed = skipped = 0
    for path in files:
        begin = time.monotonic()
        good, bad, left_out, output = run_file(path)
        passed, failed, skipped = passed + good, failed + bad, skipped + left_out
        print("{}: {} ({:.0f} s)".format(
            os.path.basename(path), counts(good, bad, left_out), time.monotonic() - begin), flush=True)
        if bad:
            print(output, flush=True)
        elif left_out:
            print("\n".join(_SKIPPED.findall(output)), flush=True)
    print(counts(passed, failed, skipped))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
