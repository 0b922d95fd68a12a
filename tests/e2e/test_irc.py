"""Tests IRC with InspIRCd, ngIRCd and scripted servers: which commands the gateway carries over the
upgrade, its WEBIRC, what it tells clients that cannot go on, and the servers' recipe.

Not for: clients as users have them (test_irc_clients.py), or attacks (test_irc_attacks.py)."""

import os
import signal
import tempfile
import unittest

import fakes
import harness
import ircservers
import proxy_v2
import wire
from irc_front import GO_AHEAD, Front
from wire import Wire

front = None


def setUpModule():
    global front
    front = unittest.enterModuleContext(Front())


class Recorder:
    """A server that keeps what it hears, and says `words` when it has heard `after`."""

    def __init__(self, after=b"", words=b""):
        self.octets = b""
        self._after, self._words = after, words

    async def __call__(self, reader, writer):
        while data := await reader.read(65536):
            if (answer := fakes.answer_to_probe(data)) is not None:
                writer.write(answer)
                return
            self.octets += data
            if self._words and self._after in self.octets:
                writer.write(self._words)
                await writer.drain()
                return


class Registration(unittest.TestCase):
    def test_nick_and_user_before_tls(self):
        """They are refused without an end, and are to be said again."""
        for listener in ("inspircd", "ngircd"):
            with self.subTest(listener), front.client(listener, "127.0.0.40") as client:
                client.send(b"NICK early\r\nUSER early 0 * :early\r\nJOIN :\r\nSTARTTLS\r\n")
                for _ in range(3):
                    self.assertRegex(client.line(), b"^:mail.example.org 451 ")
                client.expect(GO_AHEAD).start_tls(wire.context(front.env.ca))
                client.register()
                self.assertEqual(client.host(), client.source)

    def test_who_does_not_repeat_them_is_told(self):
        with front.one(front.servers["ngircd"].address,
                 limits={"patience": "1s", "pre_relay_silence": "4s"}) as gateway_:
            with front.upgraded(gateway_.ports["in"], b"NICK early", b"USER early 0 * :early") as client:
                self.assertEqual(client.rest(),
                                 b"ERROR :Closing link: send NICK and USER again inside TLS\r\n")
            with Wire(gateway_.ports["in"]) as client:
                client.send(b"NICK early\r\n").line()
                self.assertEqual(client.rest(), b"ERROR :Closing link: registration timed out\r\n")
            self.assertEqual(gateway_.wait_for_metric(
                2, "starling_sessions_ended_total", reason="pre_relay_silence"), 2)

    def test_what_the_server_hears(self):
        password = front.secret("webirc2", "secret\n")
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
                    front.one(backend.address, irc=irc, tls=tls) as gateway_:
                if before is None:
                    client = Wire(gateway_.ports["in"]).start_tls(wire.context(front.env.ca))
                else:
                    client = front.upgraded(gateway_.ports["in"], *before)
                with client:
                    said = client.send(last).rest()
                    self.assertEqual(said, b":x 001 last :Welcome\r\nafter\r\n")
                self.assertEqual(recorder.octets, heard + last)
                self.assertIsNotNone(gateway_.wait_for_line("session established", "listener=in"))
                self.assertFalse([line for line in gateway_.lines if "secret" in line])

    def test_a_reload_reads_the_password_again(self):
        password = front.secret("webirc6", "before\n")
        recorder = Recorder(b"NICK x\r\n", b":x 001 x :Welcome\r\n")
        reloads = "starling_config_reloads_total"
        with fakes.Backend(recorder, proxy=False) as backend, \
                front.one(backend.address, irc={"webirc_password_file": password}) as gateway_:
            for content, count in (("after\n", 1), ("not one word\n", 2)):
                front.env.write("webirc6", content)
                gateway_.signal(signal.SIGHUP)
                self.assertEqual(gateway_.wait_for_metric(count, reloads), count)
                recorder.octets = b""
                with front.upgraded(gateway_.ports["in"]) as client:
                    client.send(b"NICK x\r\n").rest()
                self.assertTrue(recorder.octets.startswith(b"WEBIRC after "), recorder.octets)
            self.assertEqual(gateway_.metrics().sum("starling_config_last_reload_success"), 0)

    def test_a_wrong_password_for_webirc(self):
        """ngIRCd would go on, with the client as a local one."""
        password = front.secret("webirc5", "wrong\n")
        with front.one(front.servers["ngircd"].address, irc={"webirc_password_file": password}) as gateway_:
            with front.upgraded(gateway_.ports["in"]) as client:
                self.assertEqual(
                    client.send(b"NICK x\r\nUSER x 0 * :x\r\n").rest(),
                    b"ERROR :Closing link: server not available, try again later\r\n")
            self.assertEqual(gateway_.wait_for_metric(
                1, "starling_sessions_ended_total", reason="backend_refused"), 1)

    def test_the_port_for_tls(self):
        with front.one(harness.DOWN, irc={"sts_port": 6697}) as gateway_:
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
                    front.one(backend.address if handler else harness.DOWN) as gateway_:
                with front.upgraded(gateway_.ports["in"]) as client:
                    if isinstance(handler, Recorder):
                        client.send(b"NICK x\r\n")
                    self.assertEqual(client.rest(), said)
                self.assertEqual(gateway_.wait_for_metric(
                    1, "starling_sessions_ended_total", reason=reason), 1)
                gateway_.assert_idle(self)

    def test_drain(self):
        with front.one(front.servers["ngircd"].address) as gateway_:
            with front.upgraded(gateway_.ports["in"], b"CAP LS 302") as client:
                self.assertIn(b" CAP ", client.line())
                gateway_.signal()
                self.assertEqual(client.rest(), b"ERROR :Closing link: server shutting down\r\n")


class Recipe(unittest.TestCase):
    """What deploy/RECIPES.md says of the servers, without the gateway."""

    def test_inspircd_without_the_word_of_tls(self):
        for header, port in ((proxy_v2.header(tls=False), "port"), (b"", "plain")):
            with self.subTest(port), Wire(front.servers["inspircd"].ports[port]) as client:
                client.send(header + b"NICK x\r\nUSER x 0 * :x\r\n")
                self.assertRegex(client.rest(), rb"ERROR :Closing link: .*\[Access denied")
        with Wire(front.servers["inspircd"].port) as client:
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
        password = front.secret("webirc6", ircservers.WEBIRC_PASSWORD)
        with ircservers.Ngircd(most=1) as crowded, front.one(
                crowded.address, irc={"webirc_password_file": password}) as gateway_:
            with front.client("ngircd", "127.0.0.44", gateway_.ports["in"]) as first, \
                    front.client("ngircd", "127.0.0.45", gateway_.ports["in"]) as second:
                # The gateway's own first check counts as well, so it must be over.
                crowded.wait_until_left(connections=2)
                first.enter_tls().register()
                with self.assertRaises(EOFError):
                    second.enter_tls()
            self.assertIn("Refused connection from 127.0.0.1", crowded.log())

    def test_inspircd_cannot_tell_how_long_tls_is_the_only_way(self):
        server = ircservers.Inspircd(
            '<module name="ircv3_sts"><sts host="*" duration="1d" port="6697">\n')
        server.dir = tempfile.mkdtemp(dir=front.env.dir)
        code, output = harness.run(server.command())
        self.assertNotEqual(code, 0)
        self.assertIn("<sts:port> must be a TLS port", output)

    def test_ngircd_wants_the_password(self):
        with Wire(front.servers["ngircd"].port) as client:
            client.send(b"WEBIRC wrong starling 192.0.2.7 192.0.2.7\r\n")
            self.assertIn(b" 464 ", client.line())


class Configuration(unittest.TestCase):
    def run_on(self, flag, file):
        path, _, _ = front.env.configure(
            {"in": {"protocol": "irc", "tls": "starttls", "backend": "b",
                    "irc": {"webirc_password_file": file}}}, {"b": harness.DOWN})
        return harness.run([harness.BINARY, flag, "-c", path])

    def test_the_password_is_never_printed(self):
        file = front.env.write("webirc3", "long-random-word\n")
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
            code, output = self.run_on("-t", front.env.write("webirc4", content))
            self.assertNotEqual(code, 0)
            self.assertRegex(output, "error: .*/webirc4: the password for WEBIRC must be one word")
        code, output = self.run_on("-t", front.env.dir + "/is-not-there")
        self.assertNotEqual(code, 0)
        self.assertIn("error: " + front.env.dir + "/is-not-there: ", output)


if __name__ == "__main__":
    unittest.main()
