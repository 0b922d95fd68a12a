"""Tests IRC with InspIRCd and ngIRCd, and with s_client, irssi, weechat and a raw client: STARTTLS
and implicit TLS; which commands the gateway carries over the upgrade; which client the servers
see; and what no client gets before TLS."""

import contextlib
import itertools
import os
import pty
import re
import select
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import ircservers
import fakes
import harness
import proxy_v2
import wire
from wire import Wire

env = None
gateway = None
servers = {}
CHANNEL = "#test"
NUMBERS = itertools.count(1)
SECONDS = 30
LISTENERS = {
    "inspircd": ("starttls", "inspircd"), "inspircds": ("implicit", "inspircd"),
    "ngircd": ("starttls", "ngircd"), "ngircds": ("implicit", "ngircd"),
}
GO_AHEAD = wire.UPGRADE["irc"][2]


def setUpModule():
    global env, gateway
    env = harness.Environment(servers=False)
    servers["inspircd"] = unittest.enterModuleContext(ircservers.Inspircd())
    servers["ngircd"] = unittest.enterModuleContext(ircservers.Ngircd())
    secret = env.write("webirc", ircservers.WEBIRC_PASSWORD + "\n")
    os.chmod(secret, 0o600)
    listeners = {name: {"protocol": "irc", "tls": tls, "backend": backend}
                 for name, (tls, backend) in LISTENERS.items()}
    for name in ("ngircd", "ngircds"):
        listeners[name]["irc"] = {"webirc_password_file": secret}
    gateway = unittest.enterModuleContext(env.gateway(
        listeners, {"inspircd": {"servers": [servers["inspircd"].address], "proxy_protocol": "v2"},
                    "ngircd": {"servers": [servers["ngircd"].address], "proxy_protocol": "none"}},
        ready="/readyz"))


class Client(Wire):
    """A client by hand; `source` is where the servers must see it."""

    def __init__(self, listener, source="127.0.0.1", port=None):
        super().__init__(port or gateway.ports[listener], source)
        self.listener = listener
        self.source = source
        self.nick = "n{}".format(next(NUMBERS))  # no server has it from a test before

    def enter_tls(self):
        """With CAP, where there is STARTTLS: it is still open inside TLS, and the server
        answers it again."""
        if LISTENERS[self.listener][0] == "implicit":
            return self.start_tls(wire.context(env.ca))
        self.send(b"CAP LS 302\r\n").expect(b":mail.example.org CAP * LS :tls\r\n")
        self.send(b"STARTTLS\r\n").expect(GO_AHEAD)
        self.start_tls(wire.context(env.ca))
        offer = self.until("CAP")
        if not offer.startswith(":irc.example.org CAP ") or "tls" in offer:
            raise AssertionError(offer)
        return self.send(b"CAP END\r\n")

    def expect(self, line):
        got = self.line()
        if got != line:
            raise AssertionError("{!r} is not {!r}".format(got, line))
        return self

    def until(self, *commands):
        """The first line with one of the commands; PINGs are answered."""
        while True:
            line = self.line().decode()
            words = line.split(" ", 3)
            word = words[1] if line.startswith(":") else words[0]
            if word == "PING":
                self.send("PONG {}".format(line.split(" ", 1)[1]).encode())
            if word in commands:
                return line.strip()

    def register(self):
        self.send("NICK {0}\r\nUSER {0} 0 * :{0}\r\n".format(self.nick).encode())
        self.until("376", "422")
        return self

    def host(self):
        """The host that the server knows it by."""
        self.send("WHOIS {0}\r\n".format(self.nick).encode())
        return self.until("311").split(" ")[5]

    def watch(self):
        """Into the channel, to see others come."""
        self.send("JOIN {}\r\n".format(CHANNEL).encode()).until("366")
        return self


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
        return re.sub(rb"\x1b[[?][0-9;]*[a-zA-Z]|\0", b"", self.output)

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
            with self.subTest(listener), Client(listener, "127.0.0.{}".format(number)) as client:
                client.enter_tls()
                client.register()
                self.assertEqual(client.host(), client.source)
                client.send(b"QUIT :bye\r\n")
                client.until("ERROR")
                self.assertEqual(client.rest(), b"")

    def test_two_talk(self):
        for listener in ("inspircd", "ngircd"):
            with self.subTest(listener), Client(listener, "127.0.0.20") as one, \
                    Client(listener + "s", "127.0.0.21") as two:
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
                         "localhost:{}".format(gateway.ports[listener]),
                         "-servername", "mail.example.org", "-CAfile", env.ca,
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

    def irssi(self, listener):
        """Its configuration makes it connect and join by itself."""
        home = tempfile.mkdtemp(dir=env.dir)
        how = {"starttls": "starttls = \"yes\"; use_tls = \"no\";",
               "implicit": "use_tls = \"yes\";"}[LISTENERS[listener][0]]
        with open(home + "/config", "w", encoding="ascii") as f:
            f.write((
                'servers = ({{ address = "localhost"; port = "{port}"; chatnet = "t"; {how}\n'
                '  tls_verify = "yes"; tls_cafile = "{ca}"; autoconnect = "yes"; }});\n'
                'chatnets = {{ t = {{ type = "IRC"; nick = "irssi"; username = "irssi"; }}; }};\n'
                'channels = ({{ name = "{channel}"; chatnet = "t"; autojoin = "yes"; }});\n'
                'settings = {{ core = {{ real_name = "irssi"; resolve_prefer_ipv6 = "no"; }}; }};\n'
                ).format(port=gateway.ports[listener], how=how, ca=env.ca, channel=CHANNEL))
        return Terminal(["irssi", "--home=" + home])

    def test_irssi(self):
        for listener in LISTENERS:
            with self.subTest(listener), Client(listener, "127.0.0.30") as other:
                other.enter_tls().register().watch()
                with self.irssi(listener) as program:
                    try:
                        self.assertIn("irssi!", other.until("JOIN"))
                    except OSError as problem:
                        self.fail("{}\n{!r}".format(problem, program.plain()[-1500:]))
                    self.answers(other, "irssi")
                    program.type("/msg {} said by irssi\r".format(CHANNEL))
                    self.assertTrue(other.until("PRIVMSG").endswith(":said by irssi"))
                    program.type("/quit\r")
                    self.assertEqual(program.wait(), 0)
                    other.until("QUIT")

    def weechat(self, listener):
        """Without a terminal. It knows implicit TLS only."""
        home = tempfile.mkdtemp(dir=env.dir)
        commands = [
            "/set weechat.network.gnutls_ca_system off",
            "/set weechat.network.gnutls_ca_user " + env.ca,
            "/server add t localhost/{} -ssl -nicks=weechat -autojoin={}".format(
                gateway.ports[listener], CHANNEL),
            "/set irc.server.t.ipv6 off", "/connect t"]
        return Terminal(["weechat-headless", "--dir", home,
                         *[word for command in commands for word in ("-r", command)]])

    def test_weechat(self):
        for listener in ("inspircds", "ngircds"):
            with self.subTest(listener), Client(listener, "127.0.0.31") as other:
                other.enter_tls().register().watch()
                with self.weechat(listener) as program:
                    try:
                        self.assertIn("weechat!", other.until("JOIN"))
                        self.answers(other, "weechat")
                    except OSError as problem:
                        self.fail("{}\n{!r}".format(problem, program.plain()[-1500:]))
                other.until("QUIT")


class Recorder:
    """A server that keeps what it hears, and says `words` when it has heard `after`."""

    def __init__(self, after=b"", words=b""):
        self.octets = b""
        self._after, self._words = after, words

    async def __call__(self, reader, writer):
        while data := await reader.read(65536):
            self.octets += data
            if self._words and self._after in self.octets:
                writer.write(self._words)
                await writer.drain()
                return


def one(backend, proxy="none", limits=None, irc=None, tls="starttls"):
    """A gateway with one listener."""
    listener = {"protocol": "irc", "tls": tls, "backend": "b"}
    if irc:
        listener["irc"] = irc
    return env.gateway({"in": listener}, {"b": {"servers": [backend], "proxy_protocol": proxy}},
                       limits=limits or {})


def upgraded(port, *before):
    """A connection inside TLS, which said `before` first and has read the replies."""
    client = Wire(port)
    for command in before:
        client.send(command + b"\r\n").line()
    if client.send(b"STARTTLS\r\n").line() != GO_AHEAD:
        raise AssertionError("no go-ahead")
    return client.start_tls(wire.context(env.ca))


class Registration(unittest.TestCase):
    def test_nick_and_user_before_tls(self):
        """They are refused without an end, and are to be said again."""
        for listener in ("inspircd", "ngircd"):
            with self.subTest(listener), Client(listener, "127.0.0.40") as client:
                client.send(b"NICK early\r\nUSER early 0 * :early\r\nJOIN :\r\nSTARTTLS\r\n")
                for _ in range(3):
                    self.assertRegex(client.line(), b"^:mail.example.org 451 ")
                client.expect(GO_AHEAD).start_tls(wire.context(env.ca))
                client.register()
                self.assertEqual(client.host(), client.source)

    def test_who_does_not_repeat_them_is_told(self):
        with one(servers["ngircd"].address,
                 limits={"patience": "1s", "pre_relay_silence": "4s"}) as gateway_:
            with upgraded(gateway_.ports["in"], b"NICK early", b"USER early 0 * :early") as client:
                self.assertEqual(client.rest(),
                                 b"ERROR :Closing link: send NICK and USER again inside TLS\r\n")
            with Wire(gateway_.ports["in"]) as client:
                client.send(b"NICK early\r\n").line()
                self.assertEqual(client.rest(), b"ERROR :Closing link: registration timed out\r\n")
            self.assertEqual(gateway_.wait_for_metric(
                2, "starling_sessions_ended_total", reason="pre_relay_silence"), 2)

    def test_what_the_server_hears(self):
        password = env.write("webirc2", "secret\n")
        os.chmod(password, 0o600)
        webirc = b"WEBIRC secret starling 127.0.0.1 127.0.0.1\r\n"
        last = b"NICK last\r\n"
        for tls, before, irc, heard in (
                ("starttls", [b"CAP LS 302", b"NICK x", b"PASS x"], None, b"CAP LS 302\r\n"),
                ("starttls", [b"CAP LS"], None, b"CAP LS\r\n"),
                ("starttls", [b"CAP LS 302"], {"webirc_password_file": password},
                 webirc + b"CAP LS 302\r\n"),
                ("implicit", None, {"webirc_password_file": password}, webirc),
                ("implicit", None, None, b"")):
            recorder = Recorder(last, b":x 001 last :Welcome\r\nafter\r\n")
            with self.subTest(tls, irc=irc), fakes.Backend(recorder, proxy=False) as backend, \
                    one(backend.address, irc=irc, tls=tls) as gateway_:
                if before is None:
                    client = Wire(gateway_.ports["in"]).start_tls(wire.context(env.ca))
                else:
                    client = upgraded(gateway_.ports["in"], *before)
                with client:
                    said = client.send(last).rest()
                    self.assertEqual(said, b":x 001 last :Welcome\r\nafter\r\n")
                self.assertEqual(recorder.octets, heard + last)
                self.assertIsNotNone(gateway_.wait_for_line("session established", "listener=in"))
                self.assertFalse([line for line in gateway_.lines if "secret" in line])

    def test_a_reload_reads_the_password_again(self):
        password = env.write("webirc6", "before\n")
        os.chmod(password, 0o600)
        recorder = Recorder(b"NICK x\r\n", b":x 001 x :Welcome\r\n")
        reloads = "starling_config_reloads_total"
        with fakes.Backend(recorder, proxy=False) as backend, \
                one(backend.address, irc={"webirc_password_file": password}) as gateway_:
            for content, count in (("after\n", 1), ("not one word\n", 2)):
                env.write("webirc6", content)
                gateway_.signal(signal.SIGHUP)
                self.assertEqual(gateway_.wait_for_metric(count, reloads), count)
                recorder.octets = b""
                with upgraded(gateway_.ports["in"]) as client:
                    client.send(b"NICK x\r\n").rest()
                self.assertTrue(recorder.octets.startswith(b"WEBIRC after "), recorder.octets)
            self.assertEqual(gateway_.metrics().sum("starling_config_last_reload_success"), 0)

    def test_a_wrong_password_for_webirc(self):
        """ngIRCd would go on, with the client as a local one."""
        password = env.write("webirc5", "wrong\n")
        os.chmod(password, 0o600)
        with one(servers["ngircd"].address, irc={"webirc_password_file": password}) as gateway_:
            with upgraded(gateway_.ports["in"]) as client:
                self.assertEqual(
                    client.send(b"NICK x\r\nUSER x 0 * :x\r\n").rest(),
                    b"ERROR :Closing link: server not available, try again later\r\n")
            self.assertEqual(gateway_.wait_for_metric(
                1, "starling_sessions_ended_total", reason="backend_refused"), 1)

    def test_the_port_for_tls(self):
        with one(harness.DOWN, irc={"sts_port": 6697}) as gateway_:
            for command, offer in ((b"CAP LS 302\r\n", b"tls sts=port=6697"), (b"CAP LS\r\n", b"tls")):
                with Wire(gateway_.ports["in"]) as client:
                    self.assertEqual(client.send(command).line(),
                                     b":mail.example.org CAP * LS :" + offer + b"\r\n")

    def test_a_server_that_is_not_there_for_it(self):
        refusal = b"ERROR :Closing link: (x) [Access denied]\r\n"
        down = b"ERROR :Closing link: server not available, try again later\r\n"
        for handler, said, reason in (
                (Recorder(b"NICK", refusal), refusal, "backend_refused"),
                (Recorder(b"NICK", b":x NOTICE * :well\r\n"), b":x NOTICE * :well\r\n" + down,
                 "backend_protocol"),
                (fakes.close, down, "backend_protocol"),
                (fakes.says(b"x" * 3000), b"ERROR :Server broken, try again later\r\n",
                 "backend_protocol"),
                (None, down, "backend_unavailable")):
            with self.subTest(reason), fakes.Backend(handler or fakes.close, proxy=False) as backend, \
                    one(backend.address if handler else harness.DOWN) as gateway_:
                with upgraded(gateway_.ports["in"]) as client:
                    if isinstance(handler, Recorder):
                        client.send(b"NICK x\r\n")
                    self.assertEqual(client.rest(), said)
                self.assertEqual(gateway_.wait_for_metric(
                    1, "starling_sessions_ended_total", reason=reason), 1)
                gateway_.assert_idle(self)

    def test_drain(self):
        with one(servers["ngircd"].address) as gateway_:
            with upgraded(gateway_.ports["in"], b"CAP LS 302") as client:
                self.assertIn(b" CAP ", client.line())
                gateway_.signal()
                self.assertEqual(client.rest(), b"ERROR :Closing link: server shutting down\r\n")


class Attacks(unittest.TestCase):
    def test_log_in_and_claims_in_plaintext(self):
        commands = ((b"PASS secret", "plaintext_auth"), (b"OPER o secret", "plaintext_auth"),
                    (b"AUTHENTICATE PLAIN", "plaintext_auth"),
                    (b"WEBIRC secret x 127.0.0.1 127.0.0.1", "identity_claim"))
        with fakes.Backend(fakes.echo) as backend, one(backend.address, proxy="v2") as gateway_:
            for command, kind in commands:
                before = gateway_.metrics()
                with self.subTest(command), Wire(gateway_.ports["in"]) as client:
                    client.send(b"CAP LS\r\n").line()
                    self.assertRegex(client.send(command + b"\r\n").line(), b"^:mail.example.org 451 ")
                rows = [("starling_attacks_refused_total", {"kind": kind})]
                if kind == "plaintext_auth":
                    rows.append(("starling_downgrade_signals_total", {"signal": "not_taken"}))
                for name, labels in rows:
                    wanted = before.sum(name, **labels) + 1
                    self.assertEqual(gateway_.wait_for_metric(wanted, name, **labels), wanted)
            self.assertFalse([line for line in gateway_.lines if "secret" in line])
            self.assertEqual(backend.proxied, [])

    def test_other_protocols(self):
        with one(harness.DOWN) as gateway_, Wire(gateway_.ports["in"]) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nNICK x\r\n")
            self.assertEqual(client.rest(), b"ERROR :Another protocol is spoken here\r\n")
            self.assertEqual(gateway_.wait_for_metric(
                1, "starling_attacks_refused_total", kind="cross_protocol", protocol="irc"), 1)
        with one(harness.DOWN, tls="implicit") as gateway_, Wire(gateway_.ports["in"]) as client:
            self.assertRegex(client.send(b"NICK x\r\nUSER x 0 * :x\r\n").rest(),
                             b"^ERROR :Closing link: TLS is spoken here ")

    def test_upgrade_again(self):
        for listener in LISTENERS:
            with self.subTest(listener), Client(listener, "127.0.0.41") as client:
                client.enter_tls().register().send(b"STARTTLS\r\n")
                self.assertRegex(client.until("421", "691", "451"), "STARTTLS|SSL")

    def test_a_claim_inside_tls(self):
        for listener in LISTENERS:
            with self.subTest(listener), Client(listener, "127.0.0.42") as client:
                client.enter_tls().send(b"WEBIRC wrong x 127.0.0.1 127.0.0.1\r\n")
                if LISTENERS[listener][1] == "ngircd":
                    # As if the gateway's own password were wrong.
                    self.assertEqual(client.rest(), b"ERROR :Closing link: server not available, "
                                     b"try again later\r\n")
                else:
                    client.register()
                    self.assertEqual(client.host(), client.source)

    def test_trust_in_the_loopback_address(self):
        """As operator by the right password: only where the client itself may be one."""
        oper = "OPER {} {}\r\n".format("{}", ircservers.OPER_PASSWORD)
        with Client("inspircd", "127.0.0.43") as client:
            client.enter_tls().register().send(oper.format("trusting").encode())
            self.assertIn(" 491 ", client.until("381", "491"))
            client.send(oper.format("o").encode())
            self.assertIn(" 381 ", client.until("381", "491"))


class Recipe(unittest.TestCase):
    """What deploy/RECIPES.md says of the servers, without the gateway."""

    def test_inspircd_without_the_word_of_tls(self):
        for header, port in ((proxy_v2.header(tls=False), "port"), (b"", "plain")):
            with self.subTest(port), Wire(servers["inspircd"].ports[port]) as client:
                client.send(header + b"NICK x\r\nUSER x 0 * :x\r\n")
                self.assertRegex(client.rest(), rb"ERROR :Closing link: .*\[Access denied")
        with Wire(servers["inspircd"].port) as client:
            client.send(proxy_v2.header() + b"NICK x\r\nUSER x 0 * :x\r\n")
            while b" 001 x " not in client.line():
                pass

    def test_inspircds_classes(self):
        """One for the time before the header has been read, in whatever place."""
        tls, pre = ["<connect" + row for row in ircservers.CLASSES.split("<connect")[1:]]
        for classes, header, served in (
                (pre + tls, proxy_v2.header(), True), (pre + tls, proxy_v2.header(tls=False), False),
                (tls, proxy_v2.header(), False)):
            with self.subTest(classes, served=served), \
                    ircservers.Inspircd(classes=classes) as server, Wire(server.port) as client:
                client.send(header + b"NICK x\r\nUSER x 0 * :x\r\n")
                if served:
                    client.until(b" 001 x ")
                else:
                    self.assertNotIn(b" 001 x ", client.rest())

    def test_ngircd_counts_sessions_by_the_gateways_address(self):
        password = env.write("webirc6", ircservers.WEBIRC_PASSWORD)
        os.chmod(password, 0o600)
        with ircservers.Ngircd(most=1) as crowded, one(
                crowded.address, irc={"webirc_password_file": password}) as gateway_:
            with Client("ngircd", "127.0.0.44", gateway_.ports["in"]) as first, \
                    Client("ngircd", "127.0.0.45", gateway_.ports["in"]) as second:
                first.enter_tls().register()
                with self.assertRaises(EOFError):
                    second.enter_tls()
            self.assertIn("Refused connection from 127.0.0.1", crowded.log())

    def test_inspircd_cannot_tell_how_long_tls_is_the_only_way(self):
        server = ircservers.Inspircd(
            '<module name="ircv3_sts"><sts host="*" duration="1d" port="6697">\n')
        server.dir = tempfile.mkdtemp(dir=env.dir)
        code, output = harness.run(server.command())
        self.assertNotEqual(code, 0)
        self.assertIn("<sts:port> must be a TLS port", output)

    def test_ngircd_wants_the_password(self):
        with Wire(servers["ngircd"].port) as client:
            client.send(b"WEBIRC wrong starling 192.0.2.7 192.0.2.7\r\n")
            self.assertIn(b" 464 ", client.line())


class Configuration(unittest.TestCase):
    def run_on(self, flag, file):
        path, _, _ = env.configure(
            {"in": {"protocol": "irc", "tls": "starttls", "backend": "b",
                    "irc": {"webirc_password_file": file}}}, {"b": harness.DOWN})
        return harness.run([harness.BINARY, flag, "-c", path])

    def test_the_password_is_never_printed(self):
        file = env.write("webirc3", "long-random-word\n")
        os.chmod(file, 0o644)
        for flag in ("-t", "-T"):
            code, output = self.run_on(flag, file)
            self.assertEqual(code, 0, output)
            self.assertNotIn("long-random-word", output)
        self.assertIn(file, output)
        self.assertIn("warning: {}: every user can read the password".format(file),
                      self.run_on("-t", file)[1])

    def test_what_is_no_password(self):
        for content in ("two words\n", ":x\n", "x\ny\n", "\u00e4\n"):
            code, output = self.run_on("-t", env.write("webirc4", content))
            self.assertNotEqual(code, 0)
            self.assertRegex(output, "error: .*/webirc4: the password for WEBIRC must be one word")
        code, output = self.run_on("-t", env.dir + "/is-not-there")
        self.assertNotEqual(code, 0)
        self.assertIn("error: " + env.dir + "/is-not-there: ", output)


if __name__ == "__main__":
    unittest.main()
