"""A real PostgreSQL in a private folder, with the settings of deploy/RECIPES.md, and functions
that build PostgreSQL's messages by hand, to send what no library sends.

    with Database() as database:
        database.port

It has one user with a database, who logs in by SCRAM. Leaving the context stops and removes
everything."""

import ctypes
import os
import pwd
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import harness  # noqa: F401  (puts the demonstration's modules on the path)
import mailservers
from ports import reserve_ports
from wire import Wire

PROGRAMS = "/usr/lib/postgresql/15/bin/"
READY_SECONDS = 60
# It refuses to run as root; the package has made this one.
UNIX_USER = "postgres"
# As deploy/RECIPES.md has it, and what makes it small and quick.
SETTINGS = """
listen_addresses = '127.0.0.1'
ssl = off
password_encryption = scram-sha-256
port = {port}
unix_socket_directories = '{sockets}'
max_connections = 40
shared_buffers = 16MB
fsync = off
full_page_writes = off
log_connections = on
"""
ACCESS = """
host all postgres 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
"""
ROLE = """CREATE ROLE {user} LOGIN PASSWORD '{password}'
CREATE DATABASE {user} OWNER {user}
"""

# Codes that a request before the start-up has, and the version of the protocol.
SSL, GSSENC, CANCEL, VERSION = 80877103, 80877104, 80877102, 3 << 16


class Database:
    """The server; a context manager. `access`: lines before those of the recipe;
    `sockets`: lines for a Unix socket, which there is with these alone; `certificate`:
    (file, key), by which it speaks TLS itself."""

    user = "demo"
    password = "correct-horse"

    def __init__(self, access="", sockets="", certificate=None):
        self._access = access
        self._certificate = certificate
        self._sockets = sockets
        self._child = None
        self.dir = None
        self.port = reserve_ports(["database"])["database"]
        self.address = "127.0.0.1:{}".format(self.port)

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="starling-postgresql-")
        shutil.chown(self.dir, UNIX_USER, pwd.getpwnam(UNIX_USER).pw_gid)
        try:
            self._make()
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception):
        self.stop()

    @property
    def data(self):
        return self.dir + "/data"

    @property
    def socket(self):
        return "{}/.s.PGSQL.{}".format(self.dir, self.port)

    def _options(self):
        account = pwd.getpwnam(UNIX_USER)
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [],
                "cwd": self.dir, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}}

    def _make(self):
        subprocess.run(
            [PROGRAMS + "initdb", "-D", self.data, "-E", "UTF8", "--no-sync", "-A", "reject"],
            check=True, capture_output=True, **self._options())
        self._write("postgresql.conf", "a", SETTINGS.format(
            port=self.port, sockets=self.dir if self._sockets else ""))
        if self._certificate:
            for name, source in zip(("server.crt", "server.key"), self._certificate, strict=True):
                with open(source, encoding="ascii") as f:
                    self._write(name, "w", f.read())
                os.chmod(self.data + "/" + name, 0o640)  # root's, as postgres reads it
                shutil.chown(self.data + "/" + name, 0, pwd.getpwnam(UNIX_USER).pw_gid)
            self._write("postgresql.conf", "a", "ssl = on\n")
        self._write("pg_hba.conf", "w", self._access + ACCESS + self._sockets)
        subprocess.run(
            [PROGRAMS + "postgres", "--single", "-D", self.data, "postgres"], check=True,
            input=ROLE.format(user=self.user, password=self.password).encode(),
            capture_output=True, **self._options())

    def _write(self, name, mode, text):
        with open(self.data + "/" + name, mode, encoding="ascii") as f:
            f.write(text)

    def _start(self):
        with open(self.dir + "/log", "wb") as out:
            self._child = subprocess.Popen(
                [PROGRAMS + "postgres", "-D", self.data], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, preexec_fn=_end_with_parent, **self._options())
        end = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._child.poll() is not None or time.monotonic() > end:
                raise RuntimeError("PostgreSQL is not ready\n" + self.log()[-2000:])
            time.sleep(0.02)

    def _answers(self):
        try:
            with Wire(self.port) as wire:
                return wire.send(start_up(self.user)).exactly(1) == b"R"
        except (OSError, EOFError):
            return False

    def kill(self):
        """The whole of it, as a crash of its machine would."""
        for process in [self._child.pid, *children_of(self._child.pid)]:
            os.kill(process, signal.SIGKILL)
        self._child.wait()

    def log(self):
        with open(self.dir + "/log", encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_for_log(self, pattern, seconds=15):
        """Whether a line that matches comes."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.log()):
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def stop(self):
        if self._child is not None:
            if self._child.poll() is None:
                self._child.send_signal(signal.SIGQUIT)  # at once, even with clients connected
            try:
                self._child.wait(20)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._child = None
        if self.dir is not None:
            shutil.rmtree(self.dir, True)


def _end_with_parent():
    """In the child: a parent that is killed takes its server with it."""
    ctypes.CDLL(None).prctl(mailservers.PR_SET_PDEATHSIG, signal.SIGQUIT)


def children_of(process):
    with open("/proc/{0}/task/{0}/children".format(process), encoding="ascii") as f:
        return [int(child) for child in f.read().split()]


# --- messages ---------------------------------------------------------------


def request(code, content=b"", length=None):
    """What a connection begins with."""
    return struct.pack("!II", 8 + len(content) if length is None else length, code) + content


def start_up(user, database=None):
    """A start-up message of version 3.0."""
    words = ["user", user, "database", database or user]
    return request(VERSION, b"".join(word.encode() + b"\0" for word in words) + b"\0")


def errors(octets):
    """[(SQLSTATE, text), ...] of the ErrorResponses that are all of `octets`."""
    result = []
    while octets:
        if octets[:1] != b"E" or len(octets) < 5:
            raise AssertionError("no error: {!r}".format(octets))
        end = 1 + int.from_bytes(octets[1:5], "big")
        fields = {field[:1]: field[1:].decode() for field in octets[5:end].split(b"\0") if field}
        if fields[b"S"] != "FATAL" or fields[b"V"] != "FATAL" or not octets[:end].endswith(b"\0\0"):
            raise AssertionError("no error: {!r}".format(octets))
        result.append((fields[b"C"], fields[b"M"]))
        octets = octets[end:]
    return result
