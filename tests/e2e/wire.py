"""A raw client: it sends and reads lines and octets over a socket, and begins TLS when told to."""

import socket
import ssl
import threading

TIMEOUT = 20
HELLO = {"smtp": b"EHLO client.example.net\r\n", "lmtp": b"LHLO client.example.net\r\n"}

# protocol: what asks for capabilities, the upgrade, and the begin of the go-ahead
UPGRADE = {
    "smtp": (HELLO["smtp"], b"STARTTLS\r\n", b"220 2.0.0 Ready to start TLS\r\n"),
    "lmtp": (HELLO["lmtp"], b"STARTTLS\r\n", b"220 2.0.0 Ready to start TLS\r\n"),
    "imap": (b"c CAPABILITY\r\n", b"s STARTTLS\r\n", b"s OK Begin TLS negotiation now"),
    "pop3": (b"CAPA\r\n", b"STLS\r\n", b"+OK Begin TLS negotiation"),
    "managesieve": (b"CAPABILITY\r\n", b"STARTTLS\r\n", b'OK "Begin TLS negotiation now."\r\n'),
    "nntp": (b"CAPABILITIES\r\n", b"STARTTLS\r\n", b"382 Begin TLS negotiation\r\n"),
    "acap": (b"c NOOP\r\n", b"s STARTTLS\r\n", b's OK "Begin TLS negotiation now"\r\n'),
    "irc": (b"CAP LS 302\r\n", b"STARTTLS\r\n",
            b":mail.example.org 670 * :STARTTLS successful, proceed with TLS handshake\r\n"),
}
# protocol: how the backend's greeting after TLS begins, or None where the client
# is not greeted again
SECOND_GREETING = {"smtp": None, "lmtp": None, "imap": None, "pop3": None,
                   "managesieve": b'"IMPLEMENTATION"', "nntp": None, "acap": b"* ACAP ", "irc": None}
# protocol: how a greeting begins; empty where the client speaks first
GREETING = {"smtp": b"220 ", "lmtp": b"220 ", "imap": b"* OK ", "pop3": b"+OK",
            "managesieve": b'"IMPLEMENTATION"', "nntp": b"200 ", "acap": b"* ACAP ", "irc": b""}
# Each command begins with a tag, and so does what ends its reply.
TAGGED = ("imap", "acap")
# The multi-line replies of NNTP that tests use
NNTP_LISTS = (b"100 ", b"101 ", b"215 ", b"220 ", b"224 ")


def context(ca=None, alpn=None, **attributes):
    """A client's TLS settings; without `ca` nothing is verified."""
    result = ssl.create_default_context(cafile=ca)
    if ca is None:
        result.check_hostname = False
        result.verify_mode = ssl.CERT_NONE
    if alpn:
        result.set_alpn_protocols(alpn)
    for name, value in attributes.items():
        setattr(result, name, value)
    return result


class Loop:
    """A context manager: `call(number)` again and again, in as many threads. What
    fails is in `failures`."""

    def __init__(self, call, threads):
        self.done = 0
        self.failures = []
        self._call = call
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True)
                         for n in range(threads)]

    def _run(self, number):
        while not self._stop.is_set():
            try:
                self._call(number)
            except (OSError, EOFError, AssertionError) as problem:
                self.failures.append(repr(problem))
            with self._lock:
                self.done += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


class Wire:
    """One connection. `source`: the address that it comes from."""

    def __init__(self, port, source="127.0.0.1", timeout=TIMEOUT, host="127.0.0.1"):
        self.socket = socket.create_connection(
            (host, port), timeout=timeout, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.name = self.socket.getsockname()
        self._buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, octets):
        self.socket.sendall(octets)
        return self

    def receive(self):
        """Some octets; none at the end of data."""
        if self._buffer:
            result, self._buffer = self._buffer, b""
            return result
        return self.socket.recv(65536)

    def exactly(self, count):
        while len(self._buffer) < count:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError("end of data after {!r}".format(self._buffer))
            self._buffer += more
        result, self._buffer = self._buffer[:count], self._buffer[count:]
        return result

    def until(self, wanted):
        """All before the first `wanted`, which is read as well."""
        while wanted not in self._buffer:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError("end of data after {!r}".format(self._buffer))
            self._buffer += more
        result, _, self._buffer = self._buffer.partition(wanted)
        return result

    def line(self):
        """One line with its end."""
        while b"\n" not in self._buffer:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError("end of data after {!r}".format(self._buffer))
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line + b"\n"

    def rest(self):
        """All that comes until the end of data or a reset."""
        result, self._buffer = self._buffer, b""
        try:
            while True:
                more = self.socket.recv(65536)
                if not more:
                    return result
                result += more
        except (ConnectionResetError, ssl.SSLError):
            return result

    def reply(self, protocol, tag=b"c", multiline=False):
        """A whole reply in the protocol's own form."""
        lines = [self.line()]
        while not self._complete(protocol, lines, tag, multiline):
            lines.append(self.line())
        return b"".join(lines)

    @staticmethod
    def _complete(protocol, lines, tag, multiline):
        last = lines[-1]
        if protocol in ("smtp", "lmtp"):
            return last[3:4] != b"-"
        if protocol in TAGGED:
            return last.startswith((tag + b" ", b"+ ")) or (tag == b"*" and last.startswith(b"* "))
        if protocol == "pop3":
            return last == b".\r\n" if multiline and lines[0].startswith(b"+OK") else True
        if protocol == "nntp":
            return last == b".\r\n" or not lines[0].startswith(NNTP_LISTS)
        return protocol == "irc" or last.startswith((b"OK", b"NO", b"BYE"))

    def greeting(self, protocol):
        if not GREETING[protocol]:
            return b""
        return self.reply(protocol, tag=b"*")

    def ask(self, protocol, command, multiline=False):
        """Sends a command, returns the reply to it."""
        tag = command.split(b" ")[0] if protocol in TAGGED else b""
        return self.send(command).reply(protocol, tag, multiline)

    def start_tls(self, tls=None, name="mail.example.org"):
        """The handshake; from here on all octets are TLS."""
        if self._buffer:
            raise AssertionError("octets before TLS: {!r}".format(self._buffer))
        self.socket = (tls or context()).wrap_socket(self.socket, server_hostname=name)
        return self

    def upgrade(self, protocol, tls=None, ask=True):
        """From the greeting to inside TLS, as a client of the protocol does it."""
        capabilities, command, go_ahead = UPGRADE[protocol]
        greeting = self.greeting(protocol)
        if not greeting.startswith(GREETING[protocol]):
            raise AssertionError("greeting {!r}".format(greeting))
        if ask:
            self.ask(protocol, capabilities, multiline=True)
        answer = self.ask(protocol, command)
        if not answer.startswith(go_ahead):
            raise AssertionError("no go-ahead: {!r}".format(answer))
        self.start_tls(tls)
        if SECOND_GREETING[protocol]:
            again = self.greeting(protocol)
            if not again.startswith(SECOND_GREETING[protocol]):
                raise AssertionError("second greeting {!r}".format(again))
        return self
