"""Tests IRC with clients as users have them: s_client, irssi, weechat and one by hand, each before
InspIRCd and ngIRCd. Each registers, joins a channel, and answers another client.

Not for: what the gateway says itself (test_irc.py)."""

import concurrent.futures
import contextlib
import os
import pty
import re
import select
import subprocess
import tempfile
import threading
import time
import unittest

from irc_front import LISTENERS, Front

CHANNEL = "#test"
SECONDS = 30
front = None


def setUpModule():
    global front
    front = unittest.enterModuleContext(Front())


class Terminal:
    """A program on a terminal of its own; a context manager."""

    def __init__(self, command):
        self.output = b""
        master, slave = pty.openpty()
        self._master = master
        self._child = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, "TERM": "vt100"})
        os.close(slave)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        with contextlib.suppress(OSError):  # the program has left
            while select.select([self._master], [], []):
                self.output += os.read(self._master, 4096)

    def type(self, text):
        os.write(self._master, text.encode())

    def see(self, text):
        """Waits until the program has printed it."""
        end = time.monotonic() + SECONDS
        while text not in self.output:
            if time.monotonic() > end or self._child.poll() is not None:
                raise AssertionError("{!r} is not in {!r}".format(text, self.plain()[-1500:]))
            time.sleep(0.02)

    def plain(self):
        """What it printed, without what moves the cursor and the like."""
        return re.sub(rb"\x1b[\[?][0-9;]*[a-zA-Z]|\0", b"", self.output)

    def wait(self):
        return self._child.wait(SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._child.kill()
        self._child.wait()
        self._thread.join(10)
        os.close(self._master)


class Clients(unittest.TestCase):
    def test_by_hand(self):
        for number, listener in enumerate(LISTENERS, 10):
            with self.subTest(listener), front.client(listener, "127.0.0.{}".format(number)) as client:
                client.enter_tls()
                client.register()
                self.assertEqual(client.host(), client.source)
                client.send(b"QUIT :bye\r\n")
                client.until("ERROR")
                self.assertEqual(client.rest(), b"")

    def test_two_talk(self):
        for listener in ("inspircd", "ngircd"):
            with self.subTest(listener), front.client(listener, "127.0.0.20") as one, \
                    front.client(listener + "s", "127.0.0.21") as two:
                one.enter_tls().register()
                two.enter_tls().register()
                one.send("PRIVMSG {} :hello \u00e4\r\n".format(two.nick).encode())
                self.assertTrue(two.until("PRIVMSG").endswith(" :hello \u00e4"))

    def test_s_client(self):
        for listener, more in (("inspircd", ["-starttls", "irc"]), ("inspircds", []),
                               ("inspircds", ["-alpn", "irc"]), ("ngircd", ["-starttls", "irc"])):
            with self.subTest(listener, more=more):
                with Terminal(
                        ["openssl", "s_client", "-connect",
                         "localhost:{}".format(front.gateway.ports[listener]),
                         "-servername", "mail.example.org", "-CAfile", front.env.ca,
                         "-verify_return_error", "-verify_hostname", "mail.example.org", "-crlf",
                         "-ign_eof", *more]) as program:
                    program.see(b"Verify return code: 0 (ok)")
                    if "-alpn" in more:
                        program.see(b"ALPN protocol: irc")
                    program.type("NICK sclient\nUSER s 0 * :s\n")
                    program.see(b":irc.example.org 001 sclient ")
                    program.type("QUIT\n")
                    program.see(b"ERROR :")
                    self.assertEqual(program.wait(), 0)

    def answers(self, other, nick):
        """What `other` sends comes to the program, and its answer back."""
        other.send("PRIVMSG {} :\1PING 1234\1\r\n".format(nick).encode())
        self.assertTrue(other.until("NOTICE").endswith(":\1PING 1234\1"))

    def irssi(self, listener, channel):
        """Its configuration makes it connect and join by itself. It has no queue of commands, which
        would hold its answers back for many seconds."""
        home = tempfile.mkdtemp(dir=front.env.dir)
        how = {"starttls": "starttls = \"yes\"; use_tls = \"no\";",
               "implicit": "use_tls = \"yes\";"}[LISTENERS[listener][0]]
        with open(home + "/config", "w", encoding="ascii") as f:
            f.write((
                'servers = ({{ address = "localhost"; port = "{port}"; chatnet = "t"; {how}\n'
                '  tls_verify = "yes"; tls_cafile = "{ca}"; autoconnect = "yes"; }});\n'
                'chatnets = {{ t = {{ type = "IRC"; nick = "{nick}"; username = "irssi"; }}; }};\n'
                'channels = ({{ name = "{channel}"; chatnet = "t"; autojoin = "yes"; }});\n'
                'settings = {{ core = {{ real_name = "irssi"; resolve_prefer_ipv6 = "no"; }};\n'
                '  "irc/core" = {{ cmd_queue_speed = "0"; }}; }};\n'
                ).format(port=front.gateway.ports[listener], how=how, ca=front.env.ca, nick=listener,
                         channel=channel))
        return Terminal(["irssi", "--home=" + home])

    def irssi_talks(self, listener):
        """In a channel of its own, where another client sees it come, talk and leave."""
        channel = "#" + listener
        with front.client(listener, "127.0.0.30") as other:
            other.enter_tls().register().watch(channel)
            with self.irssi(listener, channel) as program:
                try:
                    self.assertIn(listener + "!", other.until("JOIN"))
                except OSError as problem:
                    self.fail("{}\n{!r}".format(problem, program.plain()[-1500:]))
                self.answers(other, listener)
                program.type("/msg {} said by irssi\r".format(channel))
                self.assertTrue(other.until("PRIVMSG").endswith(":said by irssi"))
                program.type("/quit\r")
                self.assertEqual(program.wait(), 0)
                other.until("QUIT")

    def test_irssi(self):
        """By all listeners at the same time, since irssi waits for seconds between two steps."""
        with concurrent.futures.ThreadPoolExecutor(len(LISTENERS)) as pool:
            talks = {name: pool.submit(self.irssi_talks, name) for name in LISTENERS}
        for name, talk in talks.items():
            with self.subTest(name):
                talk.result()

    def weechat(self, listener):
        """Without a terminal. It knows implicit TLS only."""
        home = tempfile.mkdtemp(dir=front.env.dir)
        commands = [
            "/set weechat.network.gnutls_ca_system off",
            "/set weechat.network.gnutls_ca_user " + front.env.ca,
            "/server add t localhost/{} -ssl -nicks=weechat -autojoin={}".format(
                front.gateway.ports[listener], CHANNEL),
            "/set irc.server.t.ipv6 off", "/connect t"]
        return Terminal(["weechat-headless", "--dir", home,
                         *[word for command in commands for word in ("-r", command)]])

    def test_weechat(self):
        for listener in ("inspircds", "ngircds"):
            with self.subTest(listener), front.client(listener, "127.0.0.31") as other:
                other.enter_tls().register().watch(CHANNEL)
                with self.weechat(listener) as program:
                    try:
                        self.assertIn("weechat!", other.until("JOIN"))
                        self.answers(other, "weechat")
                    except OSError as problem:
                        self.fail("{}\n{!r}".format(problem, program.plain()[-1500:]))
                other.until("QUIT")


if __name__ == "__main__":
    unittest.main()
