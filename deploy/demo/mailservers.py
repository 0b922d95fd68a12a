"""A real Dovecot and a real Postfix in a private folder, for the demonstration
and for tests.

    with MailServers() as servers:
        servers.ports["imap"]

Both listen on free loopback ports with the settings that a server behind the
gateway needs (dovecot.conf.in, main.cf.in and master.cf.in beside this file).
There is one mail user; what is sent to the MX arrives in its mailbox. Nothing
outside of the folder is read or written, so several can run at a time, and
beside the machine's own servers. On leaving, everything is stopped and removed.

Run as a program, it prints the ports and waits for Ctrl-C.
"""

import ctypes
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import proxy_v2
from ports import reserve_ports

HERE = os.path.dirname(os.path.abspath(__file__))
POSTFIX_MASTER = "/usr/lib/postfix/sbin/master"
DOVECOT = "/usr/sbin/dovecot"
READY_SECONDS = 60
PR_SET_PDEATHSIG = 1

# The ports that the gateway connects to, with the server's first answer.
PROXIED = {
    "imap": b"* OK",
    "pop3": b"+OK",
    "sieve": b'"IMPLEMENTATION"',
    "lmtp": b"220",
    "dovecot_submission": b"220",
    "mx": b"220",
    "mx_plain": b"220",
    "submission": b"220",
}
LOCAL = {"lmtp_local": b"220", "local_relay": b"220"}
# The folders of Postfix's queue; most are private to its owner.
QUEUE_FOLDERS = (
    "active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace"
).split()


class NotReady(Exception):
    """A server did not start; the text has the end of its log."""


def fill(template, values, more=""):
    """The template followed by `more`, with each @{name} replaced; an unknown
    name is an error."""
    with open(os.path.join(HERE, template), encoding="ascii") as f:
        return re.sub(r"@\{(\w+)\}", lambda m: str(values[m.group(1)]), f.read() + more)


def read_greeting(port, first_bytes, timeout):
    """Connects, sends `first_bytes` and returns the server's first answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
        s.sendall(first_bytes)
        return s.recv(1000)


def _end_with_parent():
    """Runs in the child: when the parent is killed, the kernel kills its servers too."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class MailServers:
    """The two servers; a context manager. `parent`: the folder to make its own folder in.
    `dovecot` and `master`: text to append to dovecot.conf and master.cf, with a
    port for each name of `more`."""

    domain = "example.org"
    user = "demo@example.org"
    password = "correct-horse"
    hostname = "mail.example.org"

    def __init__(self, parent=None, dovecot="", master="", more=()):
        self._parent = parent
        self._more = {"dovecot.conf.in": dovecot, "master.cf.in": master}
        self._more_ports = tuple(more)
        self._children = {}
        self.dir = None
        self.ports = {}

    def __enter__(self):
        if os.geteuid() != 0:
            raise PermissionError(
                "the mail servers must be started as root: Postfix and Dovecot change to users "
                "of their own (try: sudo)"
            )
        for program in (DOVECOT, POSTFIX_MASTER):
            if not os.access(program, os.X_OK):
                raise FileNotFoundError(program + " is missing; deploy/setup/setup.sh demo installs it")
        self.dir = tempfile.mkdtemp(prefix="starling-mail-", dir=self._parent)
        try:
            os.chmod(self.dir, 0o755)
            self.ports = reserve_ports([*PROXIED, *LOCAL, *self._more_ports])
            self._write()
            self._start("dovecot")
            self._start("postfix")
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception):
        self.stop()

    def log(self, name):
        """Everything that "dovecot" or "postfix" has logged."""
        try:
            with open("{}/{}.log".format(self.dir, name), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_for_log(self, name, pattern, count=1, seconds=30):
        """Waits until `count` lines match `pattern`. Returns whether they do."""
        end = time.monotonic() + seconds
        while True:
            if sum(1 for line in self.log(name).splitlines() if re.search(pattern, line)) >= count:
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.02)

    def signal(self, name, number):
        """Sends a signal to "dovecot" or "postfix": to the master and all its children, which are
        in its process group."""
        try:
            os.killpg(self._children[name].pid, number)
        except ProcessLookupError:
            pass

    def kill(self, name):
        """Ends one of the two without a goodbye. Afterwards nobody listens on its ports: the
        kernel takes a moment to end all its processes."""
        self.signal(name, signal.SIGKILL)
        self._children.pop(name).wait()
        probes = ("mx", "mx_plain", "submission") if name == "postfix" else ("imap", "pop3")
        for probe in probes:
            while self._listens(probe):
                time.sleep(0.01)

    def _listens(self, port):
        try:
            socket.create_connection(("127.0.0.1", self.ports[port]), timeout=5).close()
            return True
        except ConnectionError:
            return False

    def revive(self, name):
        """Starts one that was killed, on its ports of before."""
        self._start(name)
        self._wait_until_ready()

    def stop(self):
        """Stops both by their process ids and removes the folder."""
        for name, child in reversed(self._children.items()):
            self.signal(name, signal.SIGCONT)
            if child.poll() is None:
                child.terminate()
        for name, child in self._children.items():
            try:
                child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            self.signal(name, signal.SIGKILL)
        self._children = {}
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)
            self.dir = None

    def _write(self):
        postfix_user = pwd.getpwnam("postfix")
        postdrop = os.stat("/usr/sbin/postdrop").st_gid
        mail_user = pwd.getpwnam("mail")
        values = dict(
            self.ports,
            dir=self.dir,
            instance=os.path.basename(self.dir),
            hostname=self.hostname,
            domain=self.domain,
            user=self.user,
            mail_user=mail_user.pw_name,
            postfix_user=postfix_user.pw_name,
        )
        for folder in ("dovecot", "dovecot/run", "dovecot/state", "postfix", "postfix/etc", "postfix/spool"):
            os.mkdir(self.dir + "/" + folder, 0o755)
        self._own("mail", 0o700, mail_user.pw_uid, mail_user.pw_gid)
        self._own("postfix/data", 0o700, postfix_user.pw_uid, postfix_user.pw_gid)
        for name in QUEUE_FOLDERS:
            mode, uid, gid = 0o700, postfix_user.pw_uid, 0
            if name == "pid":
                mode, uid = 0o755, 0
            elif name == "maildrop":
                mode, gid = 0o730, postdrop
            elif name == "public":
                mode, gid = 0o710, postdrop
            self._own("postfix/spool/" + name, mode, uid, gid)
        for template, name in (
            ("dovecot.conf.in", "dovecot/dovecot.conf"),
            ("main.cf.in", "postfix/etc/main.cf"),
            ("master.cf.in", "postfix/etc/master.cf"),
        ):
            with open(self.dir + "/" + name, "w", encoding="ascii") as f:
                f.write(fill(template, values, self._more.get(template, "")))
        with open(self.dir + "/dovecot/users", "w", encoding="ascii") as f:
            f.write("{}:{}\n".format(self.user, self.password))
        shutil.chown(self.dir + "/dovecot/users", "root", "dovecot")
        os.chmod(self.dir + "/dovecot/users", 0o640)

    def _own(self, name, mode, uid, gid):
        path = self.dir + "/" + name
        os.mkdir(path)
        os.chown(path, uid, gid)
        os.chmod(path, mode)

    def _start(self, name):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        if name == "dovecot":
            command = [DOVECOT, "-F", "-c", self.dir + "/dovecot/dovecot.conf"]
        else:
            config = self.dir + "/postfix/etc"
            command = [POSTFIX_MASTER, "-c", config, "-d"]
            environment["MAIL_CONFIG"] = config
        with open("{}/{}.out".format(self.dir, name), "ab") as out:
            self._children[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=_end_with_parent,
                env=environment,
            )

    def _wait_until_ready(self):
        end = time.monotonic() + READY_SECONDS
        waiting = {**{n: (proxy_v2.local(), g) for n, g in PROXIED.items()},
                   **{n: (b"", g) for n, g in LOCAL.items()}}
        while waiting:
            name, (first, greeting) = next(iter(waiting.items()))
            try:
                if not read_greeting(self.ports[name], first, 5).startswith(greeting):
                    raise OSError("another greeting")
                del waiting[name]
                continue
            except OSError:
                pass
            dead = [c for c in self._children.values() if c.poll() is not None]
            if dead or time.monotonic() > end:
                raise NotReady("{} is not ready ({})\n{}".format(
                    name, "a server has ended" if dead else "timeout", self._complaints()))
            time.sleep(0.02)

    def _complaints(self):
        text = []
        for name in ("dovecot.out", "dovecot.log", "postfix.out", "postfix.log"):
            try:
                with open(self.dir + "/" + name, encoding="utf-8", errors="replace") as f:
                    text += ["{}: {}".format(name, line.rstrip()) for line in f.readlines()[-15:]]
            except FileNotFoundError:
                pass
        return "\n".join(text)


def main():
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with MailServers() as servers:
        print(json.dumps({"dir": servers.dir, "user": servers.user,
                          "password": servers.password, "ports": servers.ports}), flush=True)
        stop.wait()


if __name__ == "__main__":
    try:
        main()
    except (OSError, NotReady) as problem:
        sys.exit("mailservers: {}".format(problem))
