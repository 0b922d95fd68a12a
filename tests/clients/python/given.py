"""Reads the settings that the driver puts into a program's environment, and prints the library's
error when something fails."""

import asyncio
import hashlib
import os
import ssl
import sys
import traceback

HOST = "localhost"


def value(name):
    return os.environ["CLIENT_" + name]


def port():
    return int(value("PORT"))


def file(name):
    with open(value(name), "rb") as f:
        return f.read()


def tls():
    """A context that trusts only the given authority."""
    return ssl.create_default_context(cafile=value("CA"))


def same(sent, got):
    if sent != got:
        raise ValueError("{} octets came back as {} others".format(len(sent), len(got)))
    print("{} octets came back unchanged, SHA-256 {}".format(
        len(got), hashlib.sha256(got).hexdigest()))


def run(work):
    """Runs a function, or a coroutine's, and ends the program."""
    try:
        result = work()
        if asyncio.iscoroutine(result):
            asyncio.run(result)
    except Exception as problem:
        traceback.print_exc()
        print("error: {}: {}".format(type(problem).__name__, problem))
        sys.exit(1)
    sys.exit(0)
