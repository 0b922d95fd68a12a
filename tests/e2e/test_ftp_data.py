"""Tests faults of FTP's data channels: strangers, broken TLS, files cut off by either side, aborted
transfers; and their options, the goodbye and a killed server."""

import ftplib
import os
import socket
import socketserver
import ssl
import struct
import threading
import unittest

import ftpserver
import harness
import wire
from ports import free_row, reserve_ports
from test_ftp import Explicit, fetch
from wire import Wire

env = None
server = None
scripted = None
gateway = None
BIG = os.urandom(1024) * 20000
RESET = struct.pack("ii", 1, 0)


class Scripted(socketserver.ThreadingTCPServer):
    """A server that breaks off every download, and says that it was whole. What it was
    told is in `lines`."""
    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.say("220 scripted")
            data = None
            for line in self.rfile:
                self.server.lines.append(line)
                verb = line.split()[0].upper()
                if verb == b"PASV":
                    data = socket.create_server(("127.0.0.1", 0))
                    port = data.getsockname()[1]
                    self.say("227 Entering (127,0,0,1,{},{})".format(port >> 8, port & 255))
                elif verb == b"RETR":
                    self.say("150 here it comes")
                    with data, data.accept()[0] as connection:
                        connection.sendall(b"x" * 50000)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    self.say("226 done")
                else:
                    self.say("200 ok")

        def say(self, text):
            self.wfile.write(text.encode() + b"\r\n")

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.lines = []
        self.address = "127.0.0.1:{}".format(self.server_address[1])
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def setUpModule():
    global env, server, scripted, gateway
    env = harness.Environment(servers=False)
    server = unittest.enterModuleContext(ftpserver.ProFtpd())
    server.put("big", BIG)
    server.put("empty", b"")
    server6 = unittest.enterModuleContext(ftpserver.ProFtpd("::1"))
    server6.put("big", BIG[:100000])
    scripted = unittest.enterModuleContext(Scripted())
    six = reserve_ports(["six"])["six"]
    ports = free_row(8)
    keys = {"protocol": "ftp", "tls": "starttls", "backend": "proftpd"}
    gateway = unittest.enterModuleContext(env.gateway({
        "ftp": keys,
        "six": {**keys, "bind": ["[::1]:{}".format(six)], "backend": "six"},
        "scripted": {**keys, "backend": "scripted"},
        "nat": {**keys, "ftp": {"address": "203.0.113.7",
                                "data_ports": "{}-{}".format(ports, ports + 7)}},
        "resume": {**keys, "ftp": {"require_resumption": True}},
    }, {name: {"servers": [address], "proxy_protocol": "none"} for name, address in (
        ("proftpd", server.address), ("six", server6.address), ("scripted", scripted.address))}))
    gateway.ports["six"] = six
    gateway.range = range(ports, ports + 8)


def log_in(listener="ftp", host="127.0.0.1", kind=Explicit):
    client = kind(context=wire.context(env.ca))
    client.connect(host, gateway.ports[listener], timeout=wire.TIMEOUT)
    client.login(server.name, server.password)
    client.prot_p()
    client.voidcmd("TYPE I")
    return client


def passive(client):
    """Where PASV says that data goes."""
    return ftplib.parse227(client.sendcmd("PASV"))


def begin_tls(connection, client):
    return client.context.wrap_socket(connection, server_hostname="mail.example.org",
                                      suppress_ragged_eofs=False)


def counted(name, **labels):
    return gateway.metrics().sum(name, **labels)


class Strangers(unittest.TestCase):
    def test_only_the_clients_host_is_served(self):
        strangers = {"name": "starling_attacks_refused_total", "kind": "data_stranger"}
        before = counted(**strangers)
        with log_in() as client:
            address = passive(client)
            for _ in range(3):
                # As early as while it connects.
                with self.assertRaises(ConnectionResetError), \
                        socket.create_connection(address, 20, ("127.0.0.9", 0)) as stranger:
                    stranger.recv(1)
            self.assertEqual(
                gateway.wait_for_metric(before + 3, **strangers), before + 3)
            with socket.create_connection(address, 20) as data:
                client.sendcmd("RETR empty")
                with begin_tls(data, client) as file:
                    self.assertEqual(file.recv(1), b"")
            self.assertEqual(client.voidresp()[:3], "226")

    def test_one_connection_is_taken(self):
        with log_in() as client:
            address = passive(client)
            with socket.create_connection(address, 20) as data:
                client.sendcmd("RETR empty")
                with self.assertRaises(ConnectionError), \
                        socket.create_connection(address, 20) as second:
                    if not second.recv(1):
                        raise ConnectionError
                with begin_tls(data, client) as file:
                    self.assertEqual(file.recv(1), b"")
            client.voidresp()

    def test_log_in_in_plaintext(self):
        """It is refused, and the server hears nothing of it after the upgrade either."""
        for listener, inside in (("scripted", b"200 "), ("ftp", b"503 ")):
            with self.subTest(listener), Wire(gateway.ports[listener]) as client:
                scripted.lines.clear()
                client.line()
                self.assertEqual(client.send(b"USER demo\r\n").line()[:4], b"530 ")
                self.assertEqual(client.send(b"PASS early\r\n").line()[:4], b"530 ")
                self.assertEqual(client.send(b"AUTH TLS\r\n").line()[:4], b"234 ")
                client.start_tls(wire.context(env.ca))
                # ProFTPD's answer where no USER came before.
                self.assertEqual(client.send(b"PASS inside\r\n").line()[:4], inside)
                if listener == "scripted":
                    self.assertEqual(scripted.lines, [b"PASS inside\r\n"])

    def test_injection(self):
        with Wire(gateway.ports["ftp"]) as client:
            client.line()
            self.assertEqual(client.send(b"AUTH TLS\r\nUSER injected\r\n").rest(), b"")


class Failures(unittest.TestCase):
    def transfer(self, client, command, octets):
        """A transfer whose client speaks no TLS on the data connection; the final reply."""
        with socket.create_connection(passive(client), 20) as data:
            client.putcmd(command)
            reply = client.getmultiline()
            data.sendall(octets)
            if reply[0] == "1":
                reply = client.getmultiline()
        return reply

    def test_no_success_without_tls(self):
        for command in ("RETR empty", "RETR big", "LIST", "STOR new"):
            for octets in (b"no TLS at all\r\n", b"\x16\x03\x01\0\x05junk!"):
                with self.subTest(command, octets=octets), log_in() as client:
                    reply = self.transfer(client, command, octets)
                    self.assertIn(reply[0], "45", reply)
                    # The control connection is as it was.
                    self.assertEqual(client.voidcmd("NOOP")[:3], "200")

    def test_broken_off_before_the_server_has_looked(self):
        for command in ("RETR big", "STOR new"):
            with self.subTest(command), log_in() as client:
                with socket.create_connection(passive(client), 20) as data:
                    data.sendall(b"no TLS at all")
                    with self.assertRaises(ConnectionResetError):
                        while data.recv(100):
                            pass
                client.putcmd(command)
                reply = client.getmultiline()
                if reply[0] == "1":
                    reply = client.getmultiline()
                self.assertIn(reply[0], "45", reply)

    def test_an_empty_file_is_no_success_either(self):
        with log_in() as client:
            self.assertEqual(self.transfer(client, "RETR empty", b"no TLS")[:3], "522")

    def test_cut_upload(self):
        for close_notify in (False, True):
            with self.subTest(close_notify=close_notify), log_in() as client:
                data = socket.create_connection(passive(client), 20)
                client.sendcmd("STOR cut")
                file = begin_tls(data, client)
                file.sendall(b"half of it")
                if close_notify:
                    file.unwrap().close()
                else:
                    os.close(file.detach())
                reply = client.getmultiline()
                self.assertEqual(reply[0] == "2", close_notify, reply)

    def test_a_download_that_the_server_cuts(self):
        with log_in("scripted") as client:
            with socket.create_connection(passive(client), 20) as data:
                client.sendcmd("RETR x")
                with begin_tls(data, client) as file, self.assertRaises((ssl.SSLError, OSError)):
                    while file.recv(65536):
                        pass
            with self.assertRaisesRegex(ftplib.error_temp, "^426"):
                client.voidresp()

    def test_abort(self):
        for prefix in (b"", b"\xff\xf4\xff\xf2"):
            with self.subTest(prefix), log_in() as client:
                with socket.create_connection(passive(client), 20) as data:
                    client.sendcmd("RETR big")
                    with begin_tls(data, client) as file:
                        file.recv(1000)
                        client.sock.sendall(prefix + b"ABOR\r\n")
                        self.assertEqual(client.getmultiline()[:3], "426")
                        self.assertIn(client.getmultiline()[:3], ("225", "226"))
                        with self.assertRaises((ssl.SSLError, OSError)):
                            while file.recv(65536):
                                pass
                self.assertEqual(fetch(client, "empty"), b"")

    def test_a_client_that_never_connects(self):
        with log_in() as client:
            for _ in range(200):
                passive(client)
            self.assertEqual(fetch(client, "empty"), b"")


class Options(unittest.TestCase):
    def test_address_and_ports(self):
        with log_in("nat") as client:
            for _ in range(20):
                host, port = passive(client)
                self.assertEqual(host, "203.0.113.7")
                self.assertIn(port, gateway.range)
            # ftplib does not believe the address, which is another network's.
            self.assertEqual(fetch(client, "big"), BIG)

    def test_a_full_range(self):
        clients = [log_in("nat") for _ in gateway.range]
        try:
            for client in clients:
                passive(client)
            with log_in("nat") as late:
                with self.assertRaisesRegex(ftplib.error_temp, "^425"):
                    late.sendcmd("PASV")
                clients.pop().close()
                gateway.wait_for_metric(
                    len(clients) * 2 + 1, "starling_sessions", listener="nat")
                passive(late)
        finally:
            for client in clients:
                client.close()

    def test_resumption_demanded(self):
        class Resuming(Explicit):
            def ntransfercmd(self, cmd, rest=None):
                connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
                return self.context.wrap_socket(
                    connection, server_hostname=self.host, session=self.sock.session), size
        with log_in("resume") as client:
            with socket.create_connection(passive(client), 20) as data:
                client.sendcmd("RETR empty")
                with self.assertRaises((ssl.SSLError, OSError)), begin_tls(data, client) as file:
                    file.recv(1)
            self.assertEqual(client.getmultiline()[:3], "522")
        with log_in("resume", kind=Resuming) as client:
            self.assertEqual(fetch(client, "big"), BIG)

    def test_ipv6(self):
        for passive_mode in (True, False):
            with self.subTest(passive=passive_mode), log_in("six", "::1") as client:
                client.set_pasv(passive_mode)
                self.assertEqual(fetch(client, "big"), BIG[:100000])
                with self.assertRaisesRegex(ftplib.error_temp, "^425 PASV is for IPv4"):
                    client.sendcmd("PASV")


class Ends(unittest.TestCase):
    def test_drain(self):
        keys = {"protocol": "ftp", "tls": "starttls", "backend": "b"}
        with env.gateway({"ftp": keys}, {"b": {"servers": [server.address],
                                               "proxy_protocol": "none"}}) as draining:
            with Wire(draining.ports["ftp"]) as client:
                client.line()
                client.send(b"AUTH TLS\r\n").line()
                client.start_tls().send(b"NOOP\r\n").line()
                draining.stop()
                self.assertEqual(
                    client.rest(), b"421 Server shutting down, closing control connection\r\n")

    def test_a_killed_server(self):
        with ftpserver.ProFtpd() as mortal:
            keys = {"protocol": "ftp", "tls": "starttls", "backend": "b"}
            with env.gateway({"ftp": keys}, {"b": {"servers": [mortal.address],
                                                   "proxy_protocol": "none"}}) as before_it:
                with Wire(before_it.ports["ftp"]) as client:
                    client.line()
                    client.send(b"AUTH TLS\r\n").line()
                    client.start_tls().send(b"NOOP\r\n").line()
                    mortal.stop()
                    self.assertTrue(client.rest().endswith(
                        b"421 Server not available, try again later\r\n"))
                before_it.assert_idle(self)


class Thereafter(unittest.TestCase):
    def test_nothing_is_left(self):
        gateway.assert_idle(self)


if __name__ == "__main__":
    unittest.main()
