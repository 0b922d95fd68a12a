"""Tests FTP's control connection: lines of any length, white space as servers accept it, and how an
upload ends (`data_close`)."""

import os
import socket
import struct
import unittest

import ftpserver
import harness
import wire
from wire import Wire

env = None
servers = {}
proftpd = None
scripted = None
gateway = None
RESET = struct.pack("ii", 1, 0)
# Twelve folders, one in the other, of Japanese names: 1,300 octets of UTF-8.
FOLDERS = [("\u65e5\u672c\u8a9e\u306e\u30d5\u30a9\u30eb\u30c0" * 4 + str(level))[:36]
           for level in range(12)]


def setUpModule():
    global env, proftpd, scripted, gateway
    env = harness.Environment(servers=False)
    for kind in (ftpserver.ProFtpd, ftpserver.PyFtpd, ftpserver.PureFtpd, ftpserver.Vsftpd):
        servers[kind.__name__.lower()] = unittest.enterModuleContext(kind())
    proftpd = servers["proftpd"]
    scripted = unittest.enterModuleContext(ftpserver.Scripted())
    keys = {"protocol": "ftp", "tls": "implicit", "backend": "scripted"}
    gateway = unittest.enterModuleContext(env.gateway(
        {**{name: {**keys, "backend": name} for name in servers}, "scripted": keys,
         "starttls": {**keys, "tls": "starttls"},
         "lenient": {**keys, "ftp": {"data_close": "lenient"}}},
        {name: {"servers": [server.address], "proxy_protocol": "none"}
         for name, server in [*servers.items(), ("scripted", scripted)]}))


class Lines(unittest.TestCase):
    SIZES = (1300, 4096, 9000, 16384, 100_000)

    def setUp(self):
        scripted.replies = {}
        scripted.lines.clear()

    def log_in(self, listener="scripted"):
        client = Wire(gateway.ports[listener])
        self.addCleanup(client.close)
        client.start_tls(wire.context(env.ca)).line()
        client.send("USER {}\r\n".format(proftpd.name).encode()).line()
        self.assertEqual(client.send("PASS {}\r\n".format(proftpd.password).encode()).line()[:4],
                         b"230 ")
        return client

    def test_replies(self):
        for size in self.SIZES:
            for begin, end in ((b'257 "', b'"\r\n'), (b"257-", b"\r\n x\r\n257 end\r\n")):
                with self.subTest(size=size, begin=begin):
                    client = self.log_in()
                    scripted.replies = {b"PWD": begin + b"p" * size + end}
                    client.send(b"PWD\r\n")
                    self.assertEqual(client.exactly(size + len(begin + end)),
                                     scripted.replies[b"PWD"])
                    self.assertEqual(client.send(b"NOOP\r\n").line(), b"200 ok\r\n")

    def test_greetings(self):
        for size in self.SIZES:
            with self.subTest(size=size):
                greeting = b"220-" + b"g" * size + b"\r\n220 ready\r\n"
                scripted.greeting = greeting
                self.addCleanup(setattr, scripted, "greeting", b"220 scripted\r\n")
                with Wire(gateway.ports["scripted"]) as client:
                    client.start_tls(wire.context(env.ca))
                    self.assertEqual(client.exactly(len(greeting)), greeting)
                with Wire(gateway.ports["starttls"]) as client:
                    client.line()
                    client.send(b"AUTH TLS\r\n").line()
                    client.start_tls(wire.context(env.ca))
                    fits = size < 16384
                    self.assertEqual(
                        client.send(b"NOOP\r\n").line(), b"200 ok\r\n" if fits else
                        b"421 The server's greeting is longer than this gateway allows\r\n")

    def test_commands(self):
        for size in self.SIZES:
            with self.subTest(size=size):
                client = self.log_in()
                command = b"CWD " + b"p" * size + b"\r\n"
                fits = len(command) <= 16384
                client.send(command + b"NOOP\r\n")
                self.assertEqual(client.line(),
                                 b"200 ok\r\n" if fits else b"500 Line too long\r\n")
                self.assertEqual(client.line(), b"200 ok\r\n")
                self.assertEqual(scripted.lines[-1], b"NOOP\r\n")
                self.assertEqual(scripted.lines[-2] == command, fits)

    def test_no_command_in_the_rest_of_a_line(self):
        """A server that gives up in the middle of a line, as pyftpdlib does, would obey it."""
        scripted.lines.clear()
        client = self.log_in()
        client.send(b"CWD " + b"a" * 16380)
        client.send(b"PORT 127,0,0,1,4,5\r\nNOOP\r\n")
        self.assertEqual(client.line(), b"500 Line too long\r\n")
        self.assertEqual(client.line(), b"200 ok\r\n")
        self.assertFalse([line for line in scripted.lines if b"CWD" in line or b"PORT" in line])

    def test_commands_of_the_gateway(self):
        client = self.log_in()
        for verb in (b"PORT", b"PBSZ", b"EPSV", b"FEAT"):
            for size in self.SIZES:
                with self.subTest(verb, size=size):
                    client.send(verb + b" " + b"p" * size + b"\r\nNOOP\r\n")
                    self.assertEqual(client.line(), b"500 Line too long\r\n")
                    self.assertEqual(client.line(), b"200 ok\r\n")

    def test_real_paths(self):
        client = self.log_in("proftpd")
        for name in FOLDERS:
            self.assertEqual(client.send("MKD {}\r\n".format(name).encode()).line()[:4], b"257 ")
            self.assertEqual(client.send("CWD {}\r\n".format(name).encode()).line()[:4], b"250 ")
        path = os.path.join(proftpd.files, *FOLDERS)
        self.assertEqual(client.send(b"PWD\r\n").line(),
                         '257 "{}" is the current directory\r\n'.format(path).encode())
        self.assertEqual(client.send("CWD {}\r\n".format(path).encode()).line()[:4], b"250 ")


class Blanks(unittest.TestCase):
    """What any server takes, the gateway takes; what reaches the server has one space."""

    def test_before_tls_and_inside(self):
        scripted.lines.clear()
        scripted.replies = {b"QUIT": b"221 bye\r\n"}
        with Wire(gateway.ports["starttls"]) as client:
            client.line()
            client.send(b"NOOP \r\nFEAT\t\r\n")
            self.assertEqual(client.line(), b"200 OK\r\n")
            client.until(b"211 End\r\n")
            self.assertEqual(client.send(b"AUTH TLS x\r\n").line()[:4], b"501 ")
            self.assertEqual(client.send(b"AUTH\t TLS \r\n").line()[:4], b"234 ")
            client.start_tls(wire.context(env.ca))
            for line, reply in ((b"PBSZ 0 ", b"200 PBSZ=0"), (b"PROT  P\t", b"200 Data is private"),
                                (b"TYPE\tI ", b"200 ok"), (b"CWD  a ", b"200 ok"),
                                (b"QUIT ", b"221 bye")):
                self.assertEqual(client.send(line + b"\r\n").line(), reply + b"\r\n")
        self.assertEqual(scripted.lines[:3], [b"TYPE I\r\n", b"CWD  a \r\n", b"QUIT\r\n"])

    # Which server takes the line as it is; "all" of them, or some. Nobody takes blanks before
    # the word, and blanks around a name are part of it.
    TAKEN = {
        "NOOP ": "all", "PWD ": "all", "SYST ": "all", "FEAT ": "all", "HELP ": "all",
        "CDUP ": "all", "ALLO 1 ": "all", "QUIT ": "all", "PWD  ": "proftpd pureftpd vsftpd",
        "TYPE I ": "proftpd pureftpd pyftpd", "TYPE I\t": "proftpd pureftpd",
        "TYPE  I": "proftpd pyftpd", "NOOP\t": "proftpd", "FEAT\t": "proftpd",
        "TYPE\tI": "proftpd", "QUIT\t": "proftpd", "MODE S ": "proftpd", "STRU F ": "proftpd",
        " NOOP": "", "\tNOOP": "",
    }

    def reply(self, client):
        """The first digit of a whole reply."""
        line = client.line()
        code = line[:3]
        while line[:3] != code or line[3:4] == b"-":
            line = client.line()
        return code[:1].decode()

    def log_in(self, name, direct):
        server = servers[name]
        client = Wire(server.port if direct else gateway.ports[name])
        self.addCleanup(client.close)
        if not direct:
            client.start_tls(wire.context(env.ca))
        self.reply(client)
        for line in ("USER " + server.name, "PASS " + server.password):
            client.send(line.encode() + b"\r\n")
            answer = self.reply(client)
        self.assertEqual(answer, "2")
        return client

    def test_real_servers(self):
        for name in servers:
            for direct in (True, False):
                client = self.log_in(name, direct)
                for line, taken in self.TAKEN.items():
                    takes = taken == "all" or name in taken.split()
                    # To a tab that it does not take pure-ftpd says nothing at all, nor to
                    # blanks before the word.
                    if direct and name == "pureftpd" and not takes:
                        continue
                    with self.subTest(line, server=name, direct=direct):
                        client.send(line.encode() + b"\r\n")
                        self.assertEqual(self.reply(client) == "2", takes if direct else taken != "")
                        if line.startswith("QUIT") and (takes or not direct):
                            client = self.log_in(name, direct)


class EndOfUploads(unittest.TestCase):
    """.NET's clients close TCP without a close_notify."""

    def upload(self, listener, end, octets=b"y" * 100_000):
        with Wire(gateway.ports[listener]) as control:
            control.start_tls(wire.context(env.ca)).line()
            with self.begin(control, b"STOR x") as data:
                if octets:
                    data.send(octets)
                end(data.socket)
                return control.line()[:4]

    def begin(self, control, command):
        """The data connection of a transfer."""
        numbers = control.send(b"PASV\r\n").line().split(b"(")[1].split(b")")[0].split(b",")
        data = Wire(int(numbers[4]) * 256 + int(numbers[5]))
        control.send(command + b"\r\n").line()
        return data.start_tls(wire.context(env.ca))

    def fin(self, tls):
        # A close with octets unread, such as a ticket, would be a reset.
        tls.shutdown(socket.SHUT_WR)

    def close_notify(self, tls):
        tls.unwrap().close()

    def reset(self, tls):
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        os.close(tls.detach())

    def test_strict(self):
        self.assertEqual(self.upload("scripted", self.close_notify), b"226 ")
        for end in (self.fin, self.reset):
            with self.subTest(end.__name__):
                self.assertEqual(self.upload("scripted", end), b"426 ")
                self.assertIsNone(scripted.stored)

    def test_lenient(self):
        counted = {"name": "starling_sessions_ended_total", "listener": "lenient",
                   "reason": "client_bare_end"}
        before = gateway.metrics().sum(**counted)
        for octets in (b"y" * 100_000, b""):
            with self.subTest(len(octets)):
                self.assertEqual(self.upload("lenient", self.fin, octets), b"226 ")
                self.assertEqual(scripted.stored, octets)
        self.assertEqual(gateway.wait_for_metric(before + 2, **counted), before + 2)
        self.assertIsNotNone(gateway.wait_for_line(
            "session ended", "listener=lenient", "reason=client_bare_end"))
        self.assertEqual(self.upload("lenient", self.close_notify), b"226 ")
        self.assertEqual(self.upload("lenient", self.reset), b"426 ")
        self.assertIsNone(scripted.stored)

    def test_half_a_record_is_no_end(self):
        """Whatever is lenient: here a cut is certain."""
        def amid_record(tls):
            raw = socket.socket(fileno=tls.detach())
            self.addCleanup(raw.close)
            raw.sendall(b"\x17\x03\x03\x01\x00" + b"z" * 100)
            raw.shutdown(socket.SHUT_WR)
        self.assertEqual(self.upload("lenient", amid_record), b"426 ")
        self.assertIsNone(scripted.stored)

    def test_a_download_is_not_meant(self):
        """A running transfer is cut off: the server waits for a command during it."""
        for listener in ("scripted", "lenient"):
            counted = {"name": "starling_sessions_ended_total", "listener": listener,
                       "reason": "client_truncated"}
            before = gateway.metrics().sum(**counted)
            with self.subTest(listener), Wire(gateway.ports[listener]) as control:
                control.start_tls(wire.context(env.ca)).line()
                with self.begin(control, b"RETR beside") as data:
                    data.socket.recv(1000)
                    data.socket.shutdown(socket.SHUT_WR)
                    control.send(b"NOOP\r\n")
                    self.assertEqual(control.line(), b"200 ok\r\n")
                    self.assertEqual(control.line()[:4], b"426 ")
                gateway.wait_for_metric(before + 1, **counted)

    def test_a_download_that_has_not_begun_is_not_meant(self):
        """The server has sent nothing when the client's end comes, and then does."""
        scripted.FILE = b"x"  # half of it is nothing
        self.addCleanup(delattr, scripted, "FILE")
        for listener in ("scripted", "lenient"):
            with self.subTest(listener), Wire(gateway.ports[listener]) as control:
                control.start_tls(wire.context(env.ca)).line()
                with self.begin(control, b"RETR beside") as data:
                    data.socket.shutdown(socket.SHUT_WR)
                    control.send(b"NOOP\r\n")
                    self.assertEqual(control.line(), b"200 ok\r\n")
                    self.assertEqual(control.line()[:4], b"426 ")


class Thereafter(unittest.TestCase):
    def test_nothing_is_left(self):
        gateway.assert_idle(self)


if __name__ == "__main__":
    unittest.main()
