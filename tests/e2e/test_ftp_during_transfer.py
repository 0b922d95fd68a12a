"""Tests commands during an FTP transfer, with real servers and a scripted one: the file arrives
whole, whatever the server answers and when; and no address of the server reaches the client."""

import os
import socket
import ssl
import unittest

import ftpserver
import harness
import wire
from wire import Wire

env = None
servers = {}
scripted = None
gateway = None
BIG = os.urandom(1024) * 8000
FOREIGN = b"10,0,0,1"


def setUpModule():
    global env, scripted, gateway
    env = harness.Environment(servers=False)
    for kind in (ftpserver.ProFtpd, ftpserver.PyFtpd, ftpserver.PureFtpd, ftpserver.Vsftpd):
        server = servers[kind.__name__.lower()] = unittest.enterModuleContext(kind())
        server.put("big", BIG)
    scripted = unittest.enterModuleContext(ftpserver.Scripted())
    addresses = {**{name: server.address for name, server in servers.items()},
                 "scripted": scripted.address}
    gateway = unittest.enterModuleContext(env.gateway(
        {name: {"protocol": "ftp", "tls": "implicit", "backend": name} for name in addresses},
        {name: {"servers": [address], "proxy_protocol": "none"}
         for name, address in addresses.items()}))


class Client:
    """By hand, on the implicit port; all lines that it was told are in `seen`."""

    def __init__(self, listener):
        self.seen = []
        self.control = Wire(gateway.ports[listener]).start_tls(wire.context(env.ca))
        self.reply()
        server = servers.get(listener, ftpserver.FtpServer)
        self.ask("USER " + server.name)
        self.ask("PASS " + server.password)
        self.ask("TYPE I")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.control.close()

    def send(self, command):
        self.control.send(command.encode() + b"\r\n")

    def reply(self):
        """The code of one reply, all its lines read."""
        line = self.control.line()
        self.seen.append(line)
        code = line[:3]
        while not (line[:3] == code and line[3:4] != b"-"):
            line = self.control.line()
            self.seen.append(line)
        return int(code)

    def ask(self, command):
        self.send(command)
        return self.reply()

    def until(self, *wanted):
        while (code := self.reply()) not in wanted:
            pass
        return code

    def passive(self):
        """Replies that are late come before its own."""
        self.send("PASV")
        self.until(227)
        numbers = self.seen[-1].split(b"(")[1].split(b")")[0].split(b",")
        return socket.create_connection(
            ("127.0.0.1", int(numbers[4]) * 256 + int(numbers[5])), wire.TIMEOUT)

    def begin(self, command):
        """The data connection of a transfer that has begun."""
        plain = self.passive()
        code = self.ask(command)
        if code not in (125, 150):
            raise AssertionError(self.seen[-1])
        return wire.context(env.ca).wrap_socket(
            plain, server_hostname="mail.example.org", suppress_ragged_eofs=False)


def read_all(data):
    parts = []
    while part := data.recv(65536):
        parts.append(part)
    data.unwrap()
    data.close()
    return b"".join(parts)


def write_all(data, octets):
    data.sendall(octets)
    data.unwrap()
    data.close()


class RealServers(unittest.TestCase):
    COMMANDS = ("NOOP", "STAT", "STAT big", "SITE HELP", "FEAT", "PWD", "SYST", "XYZZY", "TYPE I")

    def replies(self, client, count):
        """A reply to the transfer, which may come before or after the replies to other commands."""
        codes = [client.reply() for _ in range(count)]
        self.assertEqual(codes.count(226), 1, client.seen)

    def test_download(self):
        for name in servers:
            with Client(name) as client:
                for command in self.COMMANDS:
                    with self.subTest(name, command=command):
                        data = client.begin("RETR big")
                        begin = data.recv(1000)
                        client.send(command)
                        self.assertEqual(begin + read_all(data), BIG)
                        self.replies(client, 2)

    def test_upload(self):
        for name, server in servers.items():
            with Client(name) as client:
                for number, command in enumerate(self.COMMANDS):
                    with self.subTest(name, command=command):
                        path = server.uploads + "up{}".format(number)
                        data = client.begin("STOR " + path)
                        data.sendall(BIG[:1000])
                        client.send(command)
                        write_all(data, BIG[1000:])
                        self.replies(client, 2)
                        self.assertEqual(server.get(path), BIG)

    def test_keep_alives(self):
        """As Apache Commons Net sends them."""
        for name in servers:
            with self.subTest(name), Client(name) as client:
                data = client.begin("RETR big")
                got = b""
                for _ in range(5):
                    got += data.recv(1000)
                    client.send("NOOP")
                self.assertEqual(got + read_all(data), BIG)
                # pure-ftpd answers commands that arrive together only once.
                client.until(226)
                data = client.begin("RETR big")
                self.assertEqual(read_all(data), BIG)
                self.replies(client, 1)

    def test_abort(self):
        """pyftpdlib gives one reply for both if the upload has ended by then, and pure-ftpd
        a download that has been reset none of its own: but the next transfer is as always."""
        for name, server in servers.items():
            for command in ("RETR big", "STOR " + server.uploads + "aborted"):
                with self.subTest(name, command=command), Client(name) as client:
                    data = client.begin(command)
                    if command.startswith("RETR"):
                        data.recv(1000)
                    client.send("ABOR")
                    with self.assertRaises((ssl.SSLError, OSError)):
                        while data.recv(65536):
                            pass
                        data.unwrap()
                    data.close()
                    client.until(225, 226, 425, 426, 451)
                    self.assertEqual(read_all(client.begin("RETR big")), BIG)
                    self.replies(client, 1)


class ScriptedServer(unittest.TestCase):
    """Each of the replies that clients and servers were seen to stumble over."""
    FAILURES = (450, 500, 502, 503, 504, 530, 550)

    def setUp(self):
        scripted.replies, scripted.stored = {}, None
        self.addCleanup(setattr, scripted, "replies", {})

    def transfer(self, client, verb, command):
        data = client.begin(verb + " beside")
        if verb == "RETR":
            begin = data.recv(1000)
            client.send(command)
            self.assertEqual(begin + read_all(data), scripted.FILE)
        else:
            data.sendall(scripted.FILE[:1000])
            client.send(command)
            if scripted.when == "early":
                client.reply()
            write_all(data, scripted.FILE[1000:])

    def end(self, client, verb):
        codes = [client.reply()]
        while codes[-1] != 226:
            codes.append(client.reply())
        if scripted.when == "late":
            client.reply()
        if verb == "STOR":
            self.assertEqual(scripted.stored, scripted.FILE)

    def test_pairs(self):
        replies = {"NOOP": b"200 ok\r\n", "STAT": b"211-a\r\n 226 b\r\n211 c\r\n",
                   "SITE": b"214-a\r\n HELP\r\n214 b\r\n", "PWD": b"257 \"/\"\r\n",
                   "XYZZY": b"500 what\r\n"}
        replies.update({"X{}".format(code): b"%d no\r\n" % code for code in self.FAILURES})
        replies.update({"Y{}".format(code): b"%d-no\r\n%d no\r\n" % (code, code)
                        for code in self.FAILURES})
        scripted.replies = {verb.encode(): reply for verb, reply in replies.items()}
        for when in ("early", "late", "never"):
            scripted.when = when
            for verb in ("RETR", "STOR"):
                with Client("scripted") as client:
                    for command in replies:
                        with self.subTest(when, verb=verb, command=command):
                            self.transfer(client, verb, command)
                            self.end(client, verb)

    def test_a_passive_reply_behind_a_missing_one(self):
        scripted.when = "never"
        for verb in ("RETR", "STOR"):
            with self.subTest(verb), Client("scripted") as client:
                self.transfer(client, verb, "NOOP")
                self.end(client, verb)
                self.transfer(client, verb, "NOOP")
                self.end(client, verb)
                passive = [line for line in client.seen if line.startswith(b"227")]
                self.assertEqual(len(passive), 2)
                for line in passive:
                    self.assertTrue(line.startswith(b"227 Entering Passive Mode (127,0,0,1,"), line)

    def test_no_address_passes(self):
        inner = b"211-a\r\n227 Entering Passive Mode (10,0,0,1,4,5)\r\n211 b\r\n"
        for reply, code in ((b"227 Entering Passive Mode (10,0,0,1,4,5)\r\n", 425),
                            (b"227-a\r\n227 (10,0,0,1,4,5)\r\n", 425),
                            (b"229 Extended (|||1029|)\r\n", 425),
                            (b"228 (4,4,10,0,0,1,2,4,5)\r\n", 425), (inner, 211)):
            for verb in (b"NOOP", b"CWD"):
                scripted.replies = {verb: reply}
                with self.subTest(reply, verb=verb), Client("scripted") as client:
                    self.assertEqual(client.ask(verb.decode()), code)
                    for line in client.seen:
                        self.assertNotIn(FOREIGN, line)
                        self.assertNotIn(b"1029", line)
                    self.assertEqual(client.ask("SYST"), 200)

    def test_the_log_names_the_reply(self):
        """The one that ended a data channel: it stood open, and the server would not."""
        with socket.create_server(("127.0.0.1", 0)) as server, Client("scripted") as client:
            port = server.getsockname()[1]
            scripted.replies = {b"PASV": b"227 (127,0,0,1,%d,%d)\r\n" % (port >> 8, port & 255),
                                b"LIST": b"553 no such folder\r\n"}
            with client.passive(), server.accept()[0]:
                self.assertEqual(client.ask("LIST"), 553)
                self.assertIsNotNone(gateway.wait_for_line(
                    "session ended", "listener=scripted", "reason=data_dropped reply=553"))


class Thereafter(unittest.TestCase):
    def test_nothing_is_left(self):
        gateway.assert_idle(self)


if __name__ == "__main__":
    unittest.main()
