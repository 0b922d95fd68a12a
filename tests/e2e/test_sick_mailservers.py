"""Real Dovecots and Postfixes behind one gateway are killed, frozen and cut off under load, and
revived. Sessions that begin meanwhile must not fail, as long as one of the servers is well."""

import signal
import time
import unittest

import harness
import mailservers
from sick_servers import BlackHole, CutOff, Load
from wire import Wire

env = None
COUNT = 3
servers = []
# Shorter than the defaults, so that the tests need not wait; the order of the times is the same.
LIMITS = {"connect_try": "500ms", "greeting_try": "2s", "probe_timeout": "2s", "probe_retry": "500ms",
          "probe_retry_max": "1s"}


def setUpModule():
    global env
    env = harness.Environment(servers=False)
    for _ in range(COUNT):
        made = mailservers.MailServers()
        unittest.addModuleCleanup(made.stop)
        servers.append(made.__enter__())


def address(server, port):
    return "127.0.0.1:{}".format(server.ports[port])


def gateway_before(count, first=None):
    """Listeners of each kind, with `count` servers each; `first` replaces the first IMAP server."""
    def backend(port):
        addresses = [address(s, port) for s in servers[:count]]
        if first and port == "imap":
            addresses[0] = first
        # A front may be in another namespace, and so not on this machine.
        return {"servers": addresses, "proxy_protocol": "v2", "slow_start": "1s",
                "allow_plaintext_network": bool(first)}

    listeners = {
        "imaps": {"protocol": "imap", "tls": "implicit", "backend": "imap"},
        "imap": {"protocol": "imap", "tls": "starttls", "backend": "imap"},
        "mx": {"protocol": "smtp", "tls": "starttls", "policy": "opportunistic", "backend": "mx",
               "plaintext_backend": "mx_plain"},
        "mxs": {"protocol": "smtp", "tls": "implicit", "backend": "mx"},
    }
    return env.gateway(listeners, {name: backend(name) for name in ("imap", "mx", "mx_plain")},
                       limits=LIMITS)


def must(said, *begins):
    if not said.startswith(begins):
        raise AssertionError("said {!r}".format(said))


def imap(client):
    login = "l LOGIN {} {}\r\n".format(servers[0].user, servers[0].password)
    must(client.ask("imap", login.encode()), b"l OK", b"* ")
    must(client.ask("imap", b"n NOOP\r\n"), b"n OK", b"* ")


def mail(client):
    must(client.ask("smtp", b"EHLO client.example.net\r\n"), b"250")
    must(client.ask("smtp", b"MAIL FROM:<a@example.net>\r\n"), b"250")
    must(client.ask("smtp", "RCPT TO:<{}>\r\n".format(servers[0].user).encode()), b"250")
    must(client.ask("smtp", b"RSET\r\n"), b"250")


def session(ports, number):
    """One of the five ways of a client."""
    kind = number % 5
    name = ("imaps", "imap", "mx", "mxs", "mx")[kind]
    with Wire(ports[name], timeout=30) as client:
        if kind == 0:
            must(client.start_tls().greeting("imap"), b"* OK")
            imap(client)
        elif kind == 1:
            imap(client.upgrade("imap"))
        elif kind == 2:
            mail(client.upgrade("smtp"))
        elif kind == 3:
            must(client.start_tls().greeting("smtp"), b"220")
            mail(client)
        else:
            client.greeting("smtp")
            mail(client)  # in plaintext, on a leg of its own


class UnderLoad(unittest.TestCase):
    def play(self, gateway, name, sick, fall_ill, recover):
        """`sick`: the addresses of the servers concerned."""
        counter = iter(range(10**9))

        def states(wanted):
            for server in sick:
                gateway.wait_for_metric(wanted, "starling_backend_up", seconds=60, server=server)

        for backend in ("imap", "mx", "mx_plain"):
            gateway.wait_for_metric(lambda v: v >= 2, "starling_backend_up", backend=backend)
        with Load(lambda _: session(gateway.ports, next(counter)), threads=10) as load:
            load.wait_for(30)
            fall_ill()
            load.forgive()
            load.wait_for(60)
            states(0)
            load.wait_for(20)
            recover()
            began = time.monotonic()
            states(1)
            up = time.monotonic() - began
            lines = len(gateway.lines)
            for server in sick:
                self.assertIsNotNone(gateway.wait_for_line(
                    "session ended", "server=" + server, seconds=60, after=lines), server)
            share = time.monotonic() - began
        print("{}: {}; {} that it took along; up again after {:.1f} s, sessions after {:.1f} s".format(
            name, load.figures(), load.forgiven, up, share), flush=True)
        self.assertEqual(load.failures, [], load.figures())

    def test_kill_and_freeze(self):
        for count in (2, COUNT):
            for name, ports in (("dovecot", ["imap"]), ("postfix", ["mx", "mx_plain"])):
                first = servers[0]
                sick = [address(first, port) for port in ports]
                with self.subTest("kill", servers=count, name=name), \
                        gateway_before(count) as gateway:
                    self.play(gateway, "{} of {} killed".format(name, count), sick,
                              lambda: first.kill(name), lambda: first.revive(name))
                with self.subTest("freeze", servers=count, name=name), \
                        gateway_before(count) as gateway:
                    self.play(gateway, "{} of {} frozen".format(name, count), sick,
                              lambda: first.signal(name, signal.SIGSTOP),
                              lambda: first.signal(name, signal.SIGCONT))

    def test_black_hole(self):
        """A full backlog drops SYNs; a namespace that is cut off drops all."""
        for count in (2, COUNT):
            for front in (BlackHole, CutOff):
                with self.subTest(front.__name__, servers=count), \
                        front(address(servers[0], "imap")) as hole, \
                        gateway_before(count, first=hole.address) as gateway:
                    self.play(gateway, "dovecot of {}, {}".format(count, front.__name__),
                              [hole.address], hole.close_up, hole.open_again)
