"""Real IRC servers in private folders, with the settings of deploy/RECIPES.md.

with Inspircd() as server:
    server.address      # expects PROXY headers
    server.plain        # expects none; a gateway must not use it
with Ngircd() as server:
    server.address      # knows WEBIRC only"""

import os
import shutil
import signal
import subprocess
import tempfile
import time

import harness  # noqa: F401  (puts the demonstration's modules on the path)
from ports import reserve_ports
from wire import Wire

READY_SECONDS = 30
OPER_PASSWORD = "battery-staple"
WEBIRC_PASSWORD = "a-long-random-word"

# The classes, the operator and the modules are those of deploy/RECIPES.md.
INSPIRCD = """
<config format="xml">
<server name="irc.example.org" description="Tests" network="Tests">
<admin name="Tests" nick="tests" email="root@localhost">
<path configdir="{dir}" datadir="{dir}" logdir="{dir}" runtimedir="{dir}">
<bind address="127.0.0.1" port="{port}" type="clients" hook="haproxy">
<bind address="127.0.0.1" port="{plain}" type="clients">
<module name="haproxy"><module name="sslinfo"><module name="cap">
{classes}
<class name="all" commands="*" privs="*" usermodes="*" chanmodes="*">
<type name="NetAdmin" classes="all">
<oper name="o" password="{oper}" host="*@*" sslonly="yes" type="NetAdmin">
<oper name="trusting" password="{oper}" host="*@127.0.0.1" type="NetAdmin">
<log method="file" type="*" level="default" target="{dir}/log">
"""

CLASSES = """
<connect name="tls" allow="*" requiressl="yes" localmax="3" globalmax="3" resolvehostnames="no"
         useident="no" timeout="60" pingfreq="2m">
<connect name="pre" allow="*" password="{random}" resolvehostnames="no" useident="no" timeout="60"
         pingfreq="2m">
"""

NGIRCD = """
[Global]
Name = irc.example.org
Info = Tests
Listen = 127.0.0.1
Ports = {port}
ServerUID = {uid}
ServerGID = {gid}
MotdPhrase = "hello"
[Limits]
MaxConnectionsIP = {most}
[Options]
Ident = no
DNS = no
PAM = no
WebircPassword = {webirc}
[Operator]
Name = o
Password = {oper}
"""


class Server:
    """A context manager; `port` answers when it is entered."""

    def __init__(self, names):
        self.ports = reserve_ports(names)
        self.port = self.ports["port"]
        self.address = "127.0.0.1:{}".format(self.port)
        self.dir = None
        self._child = None

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="starling-irc-")
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def command(self):
        raise NotImplementedError

    def _start(self):
        command = self.command()
        with open(self.dir + "/output", "wb") as out:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.dir)
        end = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._child.poll() is not None or time.monotonic() > end:
                raise RuntimeError("{} is not ready\n{}".format(command[0], self.log()[-2000:]))
            time.sleep(0.02)

    def _answers(self):
        try:
            Wire(self.port).close()
            return True
        except OSError:
            return False

    def write(self, name, text):
        path = self.dir + "/" + name
        with open(path, "w", encoding="ascii") as f:
            f.write(text.lstrip())
        return path

    def log(self):
        with open(self.dir + "/output", encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_until_left(self, connections, seconds=15):
        """Waits until so many connections have come, that of the test's own start included, and
        none is left."""
        end = time.monotonic() + seconds
        while True:
            log = self.log()
            came, left = log.count("Accepted connection"), log.count("closed (in:")
            if came == left >= connections:
                return
            if time.monotonic() > end:
                raise AssertionError("{} came, {} left\n{}".format(came, left, log))
            time.sleep(0.02)

    def stop(self):
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(10)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if self.dir:
            shutil.rmtree(self.dir, True)


class Inspircd(Server):
    """`settings`: more lines of its configuration; `classes`: instead of CLASSES."""

    def __init__(self, settings="", classes=CLASSES):
        super().__init__(["port", "plain"])
        self.plain = "127.0.0.1:{}".format(self.ports["plain"])
        self._settings = settings
        self._classes = classes

    def command(self):
        config = self.write("inspircd.conf", self._settings + INSPIRCD.format(
            dir=self.dir, oper=OPER_PASSWORD, **self.ports,
            classes=self._classes.format(random=os.urandom(16).hex())))
        return ["inspircd", "--config", config, "--nofork", "--nopid", "--runasroot"]


class Ngircd(Server):
    """`most`: sessions of one address, or 0 for any number."""

    def __init__(self, most=0):
        super().__init__(["port"])
        self._most = most

    def command(self):
        config = self.write("ngircd.conf", NGIRCD.format(
            uid=os.getuid() or 65534, gid=os.getgid() or 65534, oper=OPER_PASSWORD,
            webirc=WEBIRC_PASSWORD, most=self._most, **self.ports))
        os.chmod(self.dir, 0o755)
        return ["ngircd", "--nodaemon", "--config", config]
