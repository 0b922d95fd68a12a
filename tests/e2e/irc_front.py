"""What tests of IRC share: a gateway before InspIRCd and ngIRCd, and a client by hand.

Not for: the servers' settings (ircservers.py)."""

import contextlib
import itertools
import os

import harness
import ircservers
import wire
from wire import Wire

LISTENERS = {
    "inspircd": ("starttls", "inspircd"), "inspircds": ("implicit", "inspircd"),
    "ngircd": ("starttls", "ngircd"), "ngircds": ("implicit", "ngircd"),
}
GO_AHEAD = wire.UPGRADE["irc"][2]
_NUMBERS = itertools.count(1)


class Front:
    """A context manager: the servers, and the gateway with LISTENERS before them."""

    def __init__(self):
        self.env = harness.Environment(servers=False)
        self.servers = {"inspircd": ircservers.Inspircd(), "ngircd": ircservers.Ngircd()}
        self.gateway = None
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for server in self.servers.values():
                stack.enter_context(server)
            listeners = {name: {"protocol": "irc", "tls": tls, "backend": backend}
                         for name, (tls, backend) in LISTENERS.items()}
            for name in ("ngircd", "ngircds"):
                listeners[name]["irc"] = {"webirc_password_file": self.secret(
                    "webirc", ircservers.WEBIRC_PASSWORD + "\n")}
            self.gateway = stack.enter_context(self.env.gateway(
                listeners,
                {"inspircd": {"servers": [self.servers["inspircd"].address], "proxy_protocol": "v2"},
                 "ngircd": {"servers": [self.servers["ngircd"].address], "proxy_protocol": "none"}},
                ready="/readyz"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def secret(self, name, content):
        """The path of a file that its owner alone can read."""
        path = self.env.write(name, content)
        os.chmod(path, 0o600)
        return path

    def client(self, listener, source="127.0.0.1", port=None):
        """A client of the gateway, or of another gateway at `port`."""
        return Client(self.env.ca, listener, source, port or self.gateway.ports[listener])

    def one(self, backend, proxy="none", limits=None, irc=None, tls="starttls"):
        """A gateway with one listener."""
        listener = {"protocol": "irc", "tls": tls, "backend": "b"}
        if irc:
            listener["irc"] = irc
        return self.env.gateway(
            {"in": listener}, {"b": {"servers": [backend], "proxy_protocol": proxy}},
            limits=limits or {})

    def upgraded(self, port, *before):
        """A connection inside TLS, which said `before` first and has read the replies."""
        client = Wire(port)
        for command in before:
            client.send(command + b"\r\n").line()
        if client.send(b"STARTTLS\r\n").line() != GO_AHEAD:
            raise AssertionError("no go-ahead")
        return client.start_tls(wire.context(self.env.ca))


class Client(Wire):
    """A client by hand; `source` is where the servers must see it."""

    def __init__(self, ca, listener, source, port):
        super().__init__(port, source)
        self.ca = ca
        self.listener = listener
        self.source = source
        self.nick = "n{}".format(next(_NUMBERS))  # no server has it from a test before

    def enter_tls(self):
        """With CAP, where there is STARTTLS: it is still open inside TLS, and the server
        answers it again."""
        if LISTENERS[self.listener][0] == "implicit":
            return self.start_tls(wire.context(self.ca))
        self.send(b"CAP LS 302\r\n").expect(b":mail.example.org CAP * LS :tls\r\n")
        self.send(b"STARTTLS\r\n").expect(GO_AHEAD)
        self.start_tls(wire.context(self.ca))
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

    def watch(self, channel):
        """Joins it, to see others come."""
        self.send("JOIN {}\r\n".format(channel).encode()).until("366")
        return self
