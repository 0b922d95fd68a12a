"""Tests when an FTP transfer is over: a server that leaves during a transfer, a client that is slow
or breaks off at the very end, and which clients may have a data channel. The scripted server acts
at the worst moment."""

import contextlib
import signal
import socket
import socketserver
import threading
import unittest

import harness
import wire
from ports import free_row
from wire import Wire

env = None
server = None
SIZE = 100_000  # the kernel takes it whole (server_unsent)
MORE = 30_000_000  # than kernels keep for a connection
LITTLE = 8192  # of a receive buffer, so that most of a file is still in the gateway


class Server(socketserver.ThreadingTCPServer):
    """Sends a file as fast as it can, and says 226 when the kernel has taken it."""
    daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.say("220 scripted")
            data = None
            for line in self.rfile:
                verb = line.split()[0].upper()
                if verb == b"PASV":
                    self.server.passive.release()
                    self.server.answers.wait(wire.TIMEOUT)
                    data = socket.create_server(("127.0.0.1", 0))
                    port = data.getsockname()[1]
                    self.say("227 Entering (127,0,0,1,{},{})".format(port >> 8, port & 255))
                    self.server.answered.release()
                elif verb == b"RETR":
                    self.say("150 here it comes")
                    with data, data.accept()[0] as connection, contextlib.suppress(OSError):
                        connection.sendall(b"x" * (MORE if b"more" in line else SIZE))
                    self.say("226 done")
                elif verb == b"STOR":
                    self.say("150 go on")
                    with data, data.accept()[0] as connection, contextlib.suppress(OSError):
                        connection.recv(10)
                        connection.shutdown(socket.SHUT_WR)
                        self.say("226 stored")
                        while connection.recv(65536):
                            pass
                elif verb == b"QUIT":
                    self.say("221 goodbye")
                    return
                else:
                    self.say("530 no" if b"wrong" in line else "230 ok" if verb == b"PASS" else "200 ok")

        def say(self, text):
            self.wfile.write(text.encode() + b"\r\n")

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.address = "127.0.0.1:{}".format(self.server_address[1])
        self.passive = threading.Semaphore(0)  # counts what clients have asked for
        self.answered = threading.Semaphore(0)  # and what they were told
        self.answers = threading.Event()  # only then it gets one
        self.answers.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def setUpModule():
    global env, server
    env = harness.Environment(servers=False)
    server = unittest.enterModuleContext(Server())


def gateway(ftp=None, **more):
    return env.gateway(
        {"ftps": {"protocol": "ftp", "tls": "implicit", "backend": "scripted",
                  **({"ftp": ftp} if ftp else {})}},
        {"scripted": {"servers": [server.address], "proxy_protocol": "none"}}, **more)


def port_of(reply):
    """Of a reply to PASV."""
    numbers = reply.split(b"(")[1].split(b")")[0].split(b",")
    return int(numbers[4]) * 256 + int(numbers[5])


class Transfer:
    """One that has begun; of a download a little has been read."""

    def __init__(self, running, command=b"RETR x\r\n"):
        self.control = Wire(running.ports["ftps"]).start_tls(wire.context(env.ca))
        self.expect(b"220 ")
        reply = self.ask(b"PASV\r\n", b"227 ")
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE)
        plain.settimeout(wire.TIMEOUT)
        plain.connect(("127.0.0.1", port_of(reply)))
        self.ask(command, b"150 ")
        self.data = wire.context(env.ca).wrap_socket(
            plain, server_hostname="mail.example.org", suppress_ragged_eofs=False)
        self.got = len(self.data.recv(1000)) if command.startswith(b"RETR") else 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.data.close()
        self.control.close()

    def expect(self, begin):
        line = self.control.line()
        if not line.startswith(begin):
            raise AssertionError(line)
        return line

    def ask(self, command, begin):
        self.control.send(command)
        return self.expect(begin)

    def read_all(self):
        """To the orderly end of data: a cut off one raises."""
        while more := self.data.recv(65536):
            self.got += len(more)
        self.data.unwrap()
        self.data.close()


class Ends(unittest.TestCase):
    def test_quit_waits_for_the_transfer(self):
        """RFC 959 section 4.1.1: the connection stays open for the result."""
        with gateway() as running, Transfer(running) as transfer:
            transfer.control.send(b"QUIT\r\n")
            transfer.read_all()
            self.assertEqual(transfer.got, SIZE)
            transfer.expect(b"226 ")
            transfer.expect(b"221 ")
            self.assertEqual(transfer.control.rest(), b"")
            running.assert_idle(self)

    def test_who_waits_for_the_reply_first(self):
        """It comes though the client has not ended its side, and the rest can still be read
        when nothing has moved for longer than half a connection may."""
        with gateway(limits={"half_close": "1s", "idle": "30s"}) as running, \
                Transfer(running) as transfer:
            transfer.expect(b"226 ")
            ended = running.wait_for_line("session ended", "half_close", seconds=3)
            self.assertIsNone(ended)
            transfer.read_all()
            self.assertEqual(transfer.got, SIZE)

    def test_a_reset_amid_it_is_no_success(self):
        with gateway() as running, Transfer(running, b"RETR more\r\n") as transfer:
            transfer.data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            transfer.data.close()
            transfer.expect(b"426 ")
            running.wait_for_metric(0, "starling_worker_buffers_out")

    def test_a_client_that_takes_nothing(self):
        with gateway(limits={"idle": "1s"}) as running, \
                Transfer(running, b"RETR more\r\n") as transfer:
            transfer.expect(b"426 ")

    def test_half_an_upload_is_none(self):
        """Whatever the server says of it, which ends its own side first."""
        for whole, begin in ((True, b"226 "), (False, b"426 ")):
            with self.subTest(whole=whole), gateway() as running, \
                    Transfer(running, b"STOR x\r\n") as transfer:
                transfer.data.sendall(b"y" * 1000)
                self.assertEqual(transfer.data.recv(100), b"")  # the server's close_notify
                if whole:
                    transfer.data.unwrap()
                else:
                    transfer.data.shutdown(socket.SHUT_WR)
                transfer.expect(begin)


class WhoHasAChannel(unittest.TestCase):
    PLACES = 8

    @contextlib.contextmanager
    def crowd(self, places=PLACES, sessions=0, **more):
        """Two functions that ask for a channel from a source: the first returns the reply and the
        client, the second the client."""
        more.setdefault("limits", {})["data_listeners"] = places
        everybody = [{"from": ["127.0.0.0/8"], "role": "client", "sessions": sessions}]
        with gateway(workers=1, sources=everybody, **more) as running, \
                contextlib.ExitStack() as stack:
            def asks(source):
                client = stack.enter_context(Wire(running.ports["ftps"], source))
                client.start_tls(wire.context(env.ca)).line()
                client.send(b"USER x\r\n").line()
                client.send(b"PASS right\r\n").line()
                return client.send(b"PASV\r\n")

            def passive(source):
                client = asks(source)
                return client.line(), client

            yield running, passive, asks

    def test_one_source_takes_all_and_leaves_them_to_others(self):
        with self.crowd() as (running, passive, _):
            noisy = [passive("127.66.0.1") for _ in range(self.PLACES + 2)]
            self.assertEqual([reply[:3] for reply, _ in noisy],
                             [b"227"] * self.PLACES + [b"425"] * 2)
            self.assertEqual(
                running.metrics().sum("starling_limit_reached_total", limit="data_listeners"), 2)
            for n in range(self.PLACES // 2):
                self.assertEqual(passive("127.0.1.{}".format(n))[0][:3], b"227")
            # Those that have waited longest had to go, and hear so at their next command.
            for n in (0, self.PLACES - 1):
                reply = noisy[n][1].send(b"RETR x\r\n").line()
                self.assertEqual(reply[:3], b"425" if n == 0 else b"150", reply)

    def test_heavy_sources_leave_them_to_others(self):
        with self.crowd() as (_, passive, _):
            for n in range(self.PLACES):
                self.assertEqual(passive("127.66.0.{}".format(n // 2))[0][:3], b"227")
            for n in range(3 * self.PLACES):
                reply, client = passive("127.0.1.{}".format(n))
                self.assertEqual(reply[:3], b"227")
                client.send(b"QUIT\r\n").line()

    def test_a_transfer_beside_them(self):
        with self.crowd() as (_, passive, _):
            for n in range(self.PLACES):
                passive("127.66.0.{}".format(n // 4))
            _, client = passive("127.0.1.1")
            self.assertEqual(client.send(b"RETR x\r\n").line()[:3], b"150")

    def test_ports_run_out(self):
        """Fewer of them than data channels may wait."""
        first = free_row(self.PLACES)
        some = {"data_ports": "{}-{}".format(first, first + self.PLACES - 1)}
        with self.crowd(places=4 * self.PLACES, ftp=some) as (_, passive, _):
            for n in range(self.PLACES):
                passive("127.66.0.{}".format(n // 4))
            for n in range(2 * self.PLACES):
                reply, client = passive("127.0.1.{}".format(n))
                self.assertEqual(reply[:3], b"227")
                client.send(b"QUIT\r\n").line()

    def test_a_channel_is_one_of_its_sources_sessions(self):
        with self.crowd(places=64, sessions=11) as (running, passive, _):
            noisy = [passive("127.66.0.1") for _ in range(6)]
            self.assertEqual([reply[:3] for reply, _ in noisy], [b"227"] * 5 + [b"425"])
            self.assertEqual(running.metrics().sum(
                "starling_connections_refused_total", reason="source_sessions"), 1)
            for _, client in noisy:
                client.send(b"QUIT\r\n").line()
            self.assertEqual(passive("127.66.0.1")[0][:3], b"227")

    def test_silent_channels_leave_the_table_to_others(self):
        """Half of their clients have connected, and do not begin TLS."""
        few = {"sessions": 24, "new_sources": 0, "reserved_sessions": 0}
        with self.crowd(places=64, limits=few) as (_, passive, _), contextlib.ExitStack() as stack:
            for n in range(12):
                source = "127.66.0.{}".format(n // 6)
                reply = passive(source)[0]
                if n % 2:
                    stack.enter_context(socket.create_connection(
                        ("127.0.0.1", port_of(reply)), source_address=(source, 0)))
            for n in range(6):
                client = passive("127.0.1.{}".format(n))[1]
                self.assertEqual(client.send(b"RETR x\r\n").line()[:3], b"150")

    def test_many_at_once(self):
        """More than sessions may give way in one turn of the gateway."""
        many = 80
        with self.crowd(places=many) as (running, passive, asks):
            for _ in range(many):
                passive("127.66.0.1")
            for counted in (server.passive, server.answered):
                while counted.acquire(blocking=False):
                    pass
            server.answers.clear()
            clients = [asks("127.0.1.{}".format(n)) for n in range(many)]
            for _ in range(many):
                self.assertTrue(server.passive.acquire(timeout=wire.TIMEOUT))
            running.process.send_signal(signal.SIGSTOP)
            server.answers.set()
            for _ in range(many):
                self.assertTrue(server.answered.acquire(timeout=wire.TIMEOUT))
            running.process.send_signal(signal.SIGCONT)
            self.assertEqual({client.line()[:3] for client in clients}, {b"227"})

    def test_only_who_is_logged_in(self):
        port = b"PORT 127,0,0,1,100,1\r\n"
        with gateway() as running:
            with Wire(running.ports["ftps"]) as client:
                client.start_tls(wire.context(env.ca)).line()
                for command, begin in ((port, b"530 "), (b"PASS wrong\r\n" + port, b"530 no"),
                                       (b"", b"530 Log"), (b"PASS right\r\n" + port, b"230 "),
                                       (b"", b"200 ")):
                    line = client.send(command).line()
                    self.assertTrue(line.startswith(begin), line)
            running.assert_idle(self)


if __name__ == "__main__":
    unittest.main()
