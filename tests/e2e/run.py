#!/usr/bin/python3
"""Runs the end-to-end tests: each file in a process of its own, with a limit.

    tests/e2e/run.py                 all files
    tests/e2e/run.py test_main.py    some

The binary is bazel-bin/gateway/starling, or what STARLING_BINARY names. Must be
run as root, since the mail servers must be. Ends with "N passed, N failed".
"""

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
_RESULT = re.compile(r"^RESULT (\d+) (\d+)$", re.MULTILINE)


def run_here(name):
    """Runs one file in this process and prints the result for run_file()."""
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    total = suite.countTestCases()
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    bad = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    # Several failing subtests are one failing test; one in setUpModule fails all.
    failed = min(total, bad) if result.testsRun == total else max(bad, total - result.testsRun)
    print("RESULT {} {}".format(total - min(total, failed), max(failed, 1 if bad else 0)), flush=True)
    return 1 if bad else 0


def run_file(path):
    """(passed, failed, what it printed) of one file. Its temporary files are in a
    folder of its own, which is removed even if it had to be killed."""
    name = os.path.splitext(os.path.basename(path))[0]
    folder = tempfile.mkdtemp(prefix="e2e-")
    os.chmod(folder, 0o755)
    child = subprocess.Popen(
        [sys.executable, os.path.abspath(__file__), "--here", name],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env={**os.environ, "TMPDIR": folder})
    try:
        output = child.communicate(timeout=FILE_SECONDS)[0]
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        output = child.communicate()[0]
        output += "\n{} did not end within {} s\n".format(name, FILE_SECONDS).encode()
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
    output = output.decode("utf-8", "replace")
    match = _RESULT.search(output)
    if not match:
        return 0, 1, output
    return int(match.group(1)), int(match.group(2)), output


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
    passed = failed = 0
    for path in files:
        begin = time.monotonic()
        good, bad, output = run_file(path)
        passed, failed = passed + good, failed + bad
        print("{}: {} passed, {} failed ({:.0f} s)".format(
            os.path.basename(path), good, bad, time.monotonic() - begin), flush=True)
        if bad:
            print(output, flush=True)
    print("{} passed, {} failed".format(passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
