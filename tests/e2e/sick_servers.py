"""Servers that fall ill while the gateway serves clients, and the load that notices it."""

import ctypes
import errno
import os
import socket
import subprocess
import threading
import time
from concurrent import futures

import fakes
from wire import Loop, Wire


CLONE_NEWNET = 0x40000000


class Patient:
    """A context manager: a fake backend that greets and echoes, until `fall_ill` gives it another
    behaviour for new connections."""

    def __init__(self, greeting):
        self._behaviour = self._well = fakes.says(greeting, fakes.echo)
        self._backend = fakes.Backend(self._serve, checked=self._serve)

    async def _serve(self, reader, writer):
        await self._behaviour(reader, writer)

    def fall_ill(self, behaviour):
        self._behaviour = behaviour

    def recover(self):
        self._behaviour = self._well

    @property
    def address(self):
        return self._backend.address

    def sessions(self):
        """Connections of clients so far."""
        return len(self._backend.proxied)

    def __enter__(self):
        self._backend.__enter__()
        return self

    def __exit__(self, *_):
        self._backend.stop()


class BlackHole:
    """A context manager: a front of `server` on an address of its own, which passes connections on.
    From `close_up()` to `open_again()` the kernel drops each SYN, as if the host were off: nobody
    accepts, and the backlog is full."""

    def __init__(self, server):
        host, port = server.split(":")
        self._server = (host, int(port))
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(0)
        self._fillers = []
        self._thread = None
        self.address = "127.0.0.1:{}".format(self._socket.getsockname()[1])

    def _accept(self):
        while True:
            client = self._socket.accept()[0]
            if self._closes:
                client.close()
                return
            pass_on(client, self._server)

    def open_again(self):
        for filler in self._fillers:
            filler.close()
        self._fillers = []
        self._closes = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _stop(self):
        """Nobody accepts any more."""
        self._closes = True
        while self._thread.is_alive():
            try:
                socket.create_connection(self._socket.getsockname(), timeout=0.2).close()
            except TimeoutError:
                pass
            self._thread.join(0.1)

    def close_up(self):
        self._stop()
        while True:
            filler = socket.socket()
            filler.settimeout(0.5)
            self._fillers.append(filler)
            try:
                filler.connect(self._socket.getsockname())
            except TimeoutError:
                return

    def __enter__(self):
        self.open_again()
        return self

    def __exit__(self, *_):
        if not self._fillers:
            self._stop()
        for filler in self._fillers:
            filler.close()
        self._socket.close()


def _libc(name, *arguments):
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


def in_a_small_network(call):
    """Runs `call()` in a network namespace with loopback alone, where the kernel has ten ports for
    connects. Programs and threads that are started there are in it, too."""
    def run():
        _libc("unshare", CLONE_NEWNET)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w",
                  encoding="ascii") as f:
            f.write("40000 40009")
        call()

    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


class CutOff:
    """A context manager: a front of `server` in a network namespace of its own. From `close_up()` to
    `open_again()` nothing leaves the namespace, as if its cable were cut: connects are not answered,
    and connections that exist fall silent."""

    def __init__(self, server):
        host, port = server.split(":")
        self._server = (host, int(port))
        number = os.getpid() % 32768
        self._name = "starling-{}".format(number)
        self._link = "starling{}".format(number)
        network = "198.18.{}.{}".format(number % 256, number // 256 // 4 * 4 % 256)
        self._outside, self._inside = (
            network.rpartition(".")[0] + "." + str(int(network.rpartition(".")[2]) + i) for i in (1, 2))
        self._socket = None
        self.address = None

    def _ip(self, *words, inside=False, check=True):
        inside = ["-n", self._name] if inside else []
        subprocess.run(["ip", *inside, *words], check=check, stdout=subprocess.DEVNULL,
                       stderr=None if check else subprocess.DEVNULL)

    def _listen(self):
        """In a thread of its own, which enters the namespace for good."""
        with open("/run/netns/" + self._name, "rb") as namespace:
            _libc("setns", namespace.fileno(), CLONE_NEWNET)
        self._socket = socket.create_server((self._inside, 0))

    def _accept(self):
        while True:
            try:
                client = self._socket.accept()[0]
            except OSError:
                return
            pass_on(client, self._server)

    def close_up(self):
        self._ip("route", "add", "blackhole", self._outside + "/32", inside=True)

    def open_again(self):
        self._ip("route", "del", "blackhole", self._outside + "/32", inside=True)

    def __enter__(self):
        self._ip("netns", "add", self._name)
        try:
            self._ip("link", "add", self._link, "type", "veth", "peer", "name", "outside",
                     "netns", self._name)
            self._ip("address", "add", self._outside + "/30", "dev", self._link)
            self._ip("link", "set", self._link, "up")
            self._ip("address", "add", self._inside + "/30", "dev", "outside", inside=True)
            self._ip("link", "set", "outside", "up", inside=True)
            listens = threading.Thread(target=self._listen)
            listens.start()
            listens.join()
            self.address = "{}:{}".format(*self._socket.getsockname())
            threading.Thread(target=self._accept, daemon=True).start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._socket:
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
            self._socket.close()
        self._ip("link", "del", self._link, check=False)
        self._ip("netns", "del", self._name)


def pass_on(client, server):
    """Copies both ways, in threads."""
    try:
        server = socket.create_connection(server)
    except OSError:
        client.close()
        return
    for a, b in ((client, server), (server, client)):
        threading.Thread(target=_copy, args=(a, b), daemon=True).start()


def _copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError as problem:
                if problem.errno not in (errno.ENOTCONN, errno.EBADF):
                    raise


class Load:
    """A context manager: `threads` threads have one session after the other. A session is
    `call(number)`; it fails by an exception. `times` has what each took. Those that began before
    `forgive()` may fail: a server took them along."""

    def __init__(self, call, threads=4):
        self.times = []
        self._failed = []  # (when it began, what failed)
        self._forgiven_until = 0
        self._call = call
        self._changed = threading.Condition()
        self._loop = Loop(self._timed, threads)

    def _timed(self, number):
        began = time.monotonic()
        failure = None
        try:
            self._call(number)
        except (OSError, EOFError, AssertionError) as problem:
            failure = "after {:.1f} s: {!r}".format(time.monotonic() - began, problem)
        with self._changed:
            self.times.append(time.monotonic() - began)
            if failure:
                self._failed.append((began, failure))
            self._changed.notify_all()

    @property
    def failures(self):
        return [text for began, text in self._failed if began >= self._forgiven_until]

    @property
    def forgiven(self):
        return len(self._failed) - len(self.failures)

    def forgive(self):
        with self._changed:
            self._forgiven_until = time.monotonic()

    def wait_for(self, more, seconds=120):
        """Waits until so many more sessions are over."""
        with self._changed:
            wanted = len(self.times) + more
            if not self._changed.wait_for(lambda: len(self.times) >= wanted, seconds):
                raise AssertionError("{} of {} sessions".format(len(self.times), wanted))

    def figures(self):
        times = sorted(self.times) or [0]
        return "{} sessions, {} failed, p50 {:.3f} s, longest {:.3f} s".format(
            len(self.times), len(self.failures), times[len(times) // 2], times[-1])

    def __enter__(self):
        self._loop.__enter__()
        return self

    def __exit__(self, *_):
        self._loop.__exit__()


# protocol: a greeting, what a client of an echo says, and what it must hear
GREETINGS = {"smtp": b"220 one ESMTP\r\n", "lmtp": b"220 one LMTP\r\n", "imap": b"* OK one\r\n",
             "pop3": b"+OK one\r\n", "managesieve": b'"IMPLEMENTATION" "one"\r\nOK\r\n',
             "nntp": b"200 one\r\n", "acap": b"* ACAP (SASL \"PLAIN\")\r\n", "ftp": b"220 one\r\n"}
REFUSALS = {"smtp": b"421 4.7.0 too many\r\n", "imap": b"* BYE too many\r\n",
            "pop3": b"-ERR too many\r\n"}


def greeted(port, protocol, implicit, timeout=40):
    """A session inside TLS, up to the octets of an echo behind the server's greeting."""
    with Wire(port, timeout=timeout) as client:
        if implicit:
            said = client.start_tls().greeting(protocol)
            if not said.startswith(GREETINGS[protocol][:4]):
                raise AssertionError("greeting {!r}".format(said))
        else:
            client.upgrade(protocol, ask=False)
        client.send(b"here?\r\n")
        said = client.line()
        if said != b"here?\r\n":
            raise AssertionError("said {!r}".format(said))
