"""Tests deploy/fail2ban with the real fail2ban: bans at the gateway by its own log, and by those of
the Dovecot and the Postfix behind it."""

import contextlib
import glob
import imaplib
import os
import shutil
import smtplib
import ssl
import subprocess
import time
import unittest

import harness
import wire

TOP = os.path.dirname(os.path.dirname(harness.HERE))
FILES = os.path.join(TOP, "deploy", "fail2ban")
JAILS = ("starling", "starling-dovecot", "starling-postfix")
SECONDS = 60
env = None


def setUpModule():
    global env
    env = harness.Environment()


def wait_until(test):
    """Whether `test` comes true in time."""
    end = time.monotonic() + SECONDS
    while not test():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


class Fail2ban:
    """A server of fail2ban with the jails of deploy/fail2ban, whose logs and files the test names."""

    def __init__(self, logs, files):
        self.dir = os.path.join(env.dir, "fail2ban")
        shutil.copytree("/etc/fail2ban", self.dir, symlinks=True)
        for path in glob.glob(self.dir + "/jail.d/*"):
            os.remove(path)
        for folder in ("action.d", "filter.d", "jail.d"):
            shutil.copy(os.path.join(FILES, folder, "starling.conf"), os.path.join(self.dir, folder))
        # By default fail2ban bans nobody on loopback.
        lines = ["[DEFAULT]", "ignoreself = false", "ignoreip =", "usedns = no", "backend = polling",
                 "maxretry = 3"]
        for jail in JAILS:
            lines += ["[{}]".format(jail), "logpath = " + logs[jail], "maxretry = 3",
                      "action = starling[name=%(__name__)s, file={}]".format(files[jail])]
        # The name of the test's Postfix instance has more hyphens than the filter knows.
        lines.append(r"filter = postfix[mode=auth, _daemon='postfix[\w-]*/\w+']")
        env.write("fail2ban/jail.local", "\n".join(lines) + "\n")
        self.log = os.path.join(env.dir, "fail2ban.log")
        env.write("fail2ban/fail2ban.local", "[Definition]\ndbfile = None\nlogtarget = {}\n".format(self.log))
        self._options = ["-c", self.dir, "-s", env.dir + "/f.sock", "-p", env.dir + "/f.pid"]
        self._server = None

    def __enter__(self):
        self._server = subprocess.Popen(
            ["fail2ban-server", *self._options, "-f", "start"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        if not wait_until(lambda: self.client("status", JAILS[-1])[0] == 0):
            self.__exit__()
            raise AssertionError("fail2ban does not start\n" + self.said())
        return self

    def __exit__(self, *_):
        if self._server.poll() is None:
            self._server.terminate()
        self._server.wait(timeout=30)

    def client(self, *arguments):
        return harness.run(["fail2ban-client", *self._options, *arguments])

    def said(self):
        with contextlib.suppress(OSError), open(self.log, encoding="utf-8") as f:
            return f.read()
        return ""


def bad_handshake(gateway, source):
    with contextlib.suppress(OSError), wire.Wire(gateway.ports["imaps"], source) as client:
        client.send(b"\x16\x03\x01\x00\x05nonse").rest()


def bad_imap_login(gateway, source):
    with contextlib.suppress(OSError, imaplib.IMAP4.error):
        raw = wire.Wire(gateway.ports["imaps"], source)
        with raw:
            raw.start_tls().line()
            raw.send(b'a LOGIN "demo@example.org" "wrong"\r\n').line()


def bad_submission(gateway, source):
    with contextlib.suppress(OSError, smtplib.SMTPException):
        with smtplib.SMTP_SSL("127.0.0.1", gateway.ports["submissions"], timeout=30,
                              source_address=(source, 0), context=wire.context()) as client:
            client.login("demo@example.org", "wrong")


class Bans(unittest.TestCase):
    def served(self, gateway, source):
        try:
            with wire.Wire(gateway.ports["imaps"], source) as client:
                return client.start_tls().line().startswith(b"* OK")
        except (OSError, EOFError, ssl.SSLError):
            return False

    def test_three_logs(self):
        files = {jail: env.write("deny-" + jail, "") for jail in JAILS}
        logs = {"starling": os.path.join(env.dir, "starling.log"),
                "starling-dovecot": env.servers.dir + "/dovecot.log",
                "starling-postfix": env.servers.dir + "/postfix.log"}
        failures = {"starling": bad_handshake, "starling-dovecot": bad_imap_login,
                    "starling-postfix": bad_submission}
        with open(logs["starling"], "wb") as log, env.standard(
                ["imaps", "submissions"], stdout=log, deny=list(files.values())) as gateway, Fail2ban(
                    logs, files) as fail2ban:
            for number, jail in enumerate(JAILS):
                with self.subTest(jail):
                    source, other = "127.0.0.{}".format(66 + number), "127.0.0.{}".format(96 + number)
                    self.assertTrue(self.served(gateway, source))
                    for _ in range(3):
                        failures[jail](gateway, source)
                    self.assertTrue(wait_until(lambda: not self.served(gateway, source)), fail2ban.said())
                    self.assertTrue(self.served(gateway, other))
                    with open(files[jail], encoding="utf-8") as f:
                        self.assertEqual(f.read(), source + "\n")
                    self.assertEqual(fail2ban.client("set", jail, "unbanip", source)[0], 0)
                    self.assertTrue(wait_until(lambda: self.served(gateway, source)), fail2ban.said())
            self.assertGreaterEqual(
                gateway.metrics().sum("starling_connections_refused_total", reason="denied"), 3)


class Filter(unittest.TestCase):
    """Which lines of the gateway's log count, and against which address."""

    LINE = ('time=2026-11-30T04:00:00.123Z level=info msg="session ended" session=0001000000000007 '
            'listener=imaps protocol=imap peer={} local=192.0.2.1:993 {}reason={}')
    JSON = ('{{"time":"2026-11-30T04:00:00.123Z","level":"info","msg":"session ended",'
            '"session":"0001000000000007","listener":"imaps","protocol":"imap","peer":"{}",'
            '"local":"192.0.2.1:993",{}"reason":"{}"}}')

    def found(self, line):
        path = env.write("line.log", line + "\n")
        _, output = harness.run(["fail2ban-regex", "--usedns", "no", "-o", "<ip>", path,
                                 os.path.join(FILES, "filter.d", "starling.conf")])
        return output.split()

    def test_lines(self):
        forged = 'sni="x peer=203.0.113.9:1 reason=handshake_failed" '
        rows = ((self.LINE.format("192.0.2.7:5000", "", "handshake_failed"), ["192.0.2.7"]),
                (self.LINE.format("[2001:db8::7]:5000", "", "plain_on_tls_port"), ["2001:db8::7"]),
                (self.LINE.format("192.0.2.7:5000", "", "source_failures"), ["192.0.2.7"]),
                (self.LINE.format("192.0.2.7:5000", forged, "handshake_failed"), ["192.0.2.7"]),
                (self.LINE.format("192.0.2.7:5000", forged, "client_closed"), []),
                (self.LINE.format("192.0.2.7:5000", "", "client_closed"), []),
                (self.LINE.format("192.0.2.7:5000", "", "client_left_early"), []),
                (self.JSON.format("192.0.2.7:5000", "", "handshake_failed"), ["192.0.2.7"]),
                (self.JSON.format("[2001:db8::7]:5000", "", "bad_octet"), ["2001:db8::7"]),
                (self.JSON.format("192.0.2.7:5000", "", "client_closed"), []))
        for line, wanted in rows:
            with self.subTest(line):
                self.assertEqual(self.found(line), wanted)


if __name__ == "__main__":
    unittest.main()
