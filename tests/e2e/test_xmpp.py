"""Tests XMPP with a real Prosody and a real ejabberd: their settings, four clients with STARTTLS and
with direct TLS, which client ejabberd sees, and servers that federate through the gateway."""

import asyncio
import contextlib
import os
import pty
import re
import select
import shutil
import subprocess
import time
import unittest

import slixmpp

import harness
import proxy_v2
import wire
import xmppservers
from wire import Wire
from xmppservers import FEATURES, PROCEED, START_TLS, Ejabberd, Prosody, header

env = None
prosody = None
ejabberd = None
gateway = None
DOMAIN = "mail.example.org"
END_OF_FEATURES = b"</stream:features>"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
# listener: (protocol, TLS, backend)
LISTENERS = {
    "prosody": ("xmpp-client", "starttls", "prosody-c2s"),
    "prosody-direct": ("xmpp-client", "implicit", "prosody-c2s"),
    "prosody-s2s": ("xmpp-server", "starttls", "prosody-s2s"),
    "prosody-s2s-direct": ("xmpp-server", "implicit", "prosody-s2s"),
    "ejabberd": ("xmpp-client", "starttls", "ejabberd-c2s"),
    "ejabberd-direct": ("xmpp-client", "implicit", "ejabberd-c2s"),
    "ejabberd-s2s": ("xmpp-server", "starttls", "ejabberd-s2s"),
    "ejabberd-s2s-direct": ("xmpp-server", "implicit", "ejabberd-s2s"),
}
FOR_CLIENTS = [name for name, row in LISTENERS.items() if row[0] == "xmpp-client"]


def no_header(server, port):
    """The keys of a backend that knows no PROXY headers."""
    return {"servers": [server.backend(port)], "proxy_protocol": "none"}


def listener(protocol, tls, backend, domain=DOMAIN):
    return {"protocol": protocol, "tls": tls, "backend": backend, "xmpp": {"domains": [domain]}}


def setUpModule():
    global env, prosody, ejabberd, gateway
    env = harness.Environment(servers=False)
    prosody = unittest.enterModuleContext(Prosody(DOMAIN))
    ejabberd = unittest.enterModuleContext(Ejabberd(DOMAIN))
    backends = {"prosody-" + port: no_header(prosody, port) for port in ("c2s", "s2s")}
    backends |= {"ejabberd-" + port: ejabberd.backend(port) for port in ("c2s", "s2s")}
    gateway = unittest.enterModuleContext(env.gateway(
        {name: listener(*row) for name, row in LISTENERS.items()}, backends, ready="/readyz"))


def inside(name, source="127.0.0.1", running=None, sender=None, domain=DOMAIN):
    """A connection inside TLS, and what the server behind begins its stream with."""
    protocol, tls, _ = LISTENERS[name]
    client = Wire((running or gateway).ports[name], source)
    if tls == "starttls":
        client.send(header(domain, protocol, sender)).until(FEATURES)
        if client.send(START_TLS).exactly(len(PROCEED)) != PROCEED:
            raise AssertionError("STARTTLS refused")
    client.start_tls(wire.context(env.ca))
    client.send(header(domain, protocol, sender))
    return client, client.until(END_OF_FEATURES).decode()


class Recipe(unittest.TestCase):
    """The servers by themselves."""

    def ask(self, server, port, proxy=b""):
        client = Wire(server.ports[port])
        self.addCleanup(client.close)
        protocol = {"c2s": "xmpp-client", "s2s": "xmpp-server"}[port]
        return client, client.send(proxy + header(DOMAIN, protocol, "other.example")).until(
            END_OF_FEATURES).decode()

    def test_prosody_takes_it_for_tls(self):
        client, features = self.ask(prosody, "c2s")
        self.assertIn("<mechanism>PLAIN</mechanism>", features)
        self.assertNotIn("starttls", features)
        self.assertNotIn("PLUS", features)
        self.assertTrue(client.send(START_TLS).rest().startswith(b"<failure"))
        client, features = self.ask(prosody, "s2s")
        self.assertIn("<dialback", features)
        self.assertNotIn("starttls", features)
        self.assertNotIn("EXTERNAL", features)
        self.assertTrue(client.send(START_TLS).rest().startswith(b"<failure"))

    def test_prosody_without_the_module(self):
        """No log-in, but STARTTLS within TLS."""
        settings = xmppservers.PROSODY_SETTINGS.replace('"behind_tls", ', "")
        with Prosody(DOMAIN, settings=settings) as plain:
            features = self.ask(plain, "c2s")[1]
            self.assertIn("<starttls", features)
            self.assertNotIn("<mechanism>", features)

    def test_ejabberd(self):
        client, features = self.ask(ejabberd, "c2s", proxy_v2.header())
        self.assertIn("<mechanism>PLAIN</mechanism>", features)
        self.assertNotIn("starttls", features)
        self.assertNotIn("PLUS", features)
        self.assertIn(b"<failure", client.send(START_TLS).until(b"xmpp-tls'/>"))
        # Not even for a certificate that was shown and verified (client bits 7).
        for tlv in (True, proxy_v2.ssl_tlv(client=7)):
            features = self.ask(ejabberd, "s2s", proxy_v2.header(tls=tlv))[1]
            self.assertIn("<dialback", features)
            self.assertNotIn("EXTERNAL", features)

    def test_ejabberd_wants_the_header(self):
        for port in ("c2s", "s2s"):
            with Wire(ejabberd.ports[port]) as client:
                self.assertEqual(client.send(header(DOMAIN)).rest(), b"")


class TlsTools(unittest.TestCase):
    def test_s_client(self):
        for name, (protocol, tls, _) in LISTENERS.items():
            starttls = {"xmpp-client": "xmpp", "xmpp-server": "xmpp-server"}[protocol]
            options = (["-starttls", starttls, "-xmpphost", DOMAIN] if tls == "starttls"
                       else ["-alpn", protocol])
            with self.subTest(name):
                status, output = harness.converse(
                    ["openssl", "s_client", "-connect", "localhost:{}".format(gateway.ports[name]),
                     "-servername", DOMAIN, "-CAfile", env.ca, "-verify_return_error",
                     "-verify_hostname", DOMAIN, "-nocommands", *options],
                    header(DOMAIN, protocol, "other.example") + b"</stream:stream>")
                self.assertEqual(status, 0, output)
                self.assertIn("Verify return code: 0 (ok)", output)
                self.assertIn("<stream:features>", output)
                self.assertIn("</stream:stream>", output)
                if tls == "implicit":
                    self.assertIn("ALPN protocol: " + protocol, output)

    def test_gnutls_cli(self):
        for name, options in (
                ("prosody", ["--starttls-proto", "xmpp"]), ("ejabberd", ["--starttls-proto", "xmpp"]),
                ("prosody-direct", ["--alpn", "xmpp-client"])):
            with self.subTest(name):
                _, output = harness.converse(
                    ["gnutls-cli", *options, "--x509cafile", env.ca, "--verify-hostname", DOMAIN,
                     "--port", str(gateway.ports[name]), "localhost"],
                    header(DOMAIN) + b"</stream:stream>\n")
                self.assertIn("Handshake was completed", output)
                self.assertIn("Status: The certificate is trusted", output)
                self.assertIn("<stream:features>", output)


class Client(slixmpp.ClientXMPP):
    """Logs in; `received` has the bodies of messages."""

    def __init__(self, address, password, ca):
        super().__init__(address, password)
        self.ca_certs = ca
        self.use_aiodns = False
        self.online = asyncio.get_running_loop().create_future()
        self.received = asyncio.Queue()
        self.add_event_handler("session_start", self._begin)
        self.add_event_handler("failed_auth", self._fail)
        self.add_event_handler("message", lambda m: self.received.put_nowait((str(m["from"].bare), m["body"])))

    def _begin(self, _):
        self.send_presence()
        if not self.online.done():
            self.online.set_result(None)

    def _fail(self, problem):
        if not self.online.done():
            self.online.set_exception(PermissionError(str(problem)))

    @contextlib.asynccontextmanager
    async def connected(self, port, direct):
        self.connect(("127.0.0.1", port), use_ssl=direct, force_starttls=not direct, disable_starttls=direct)
        try:
            await asyncio.wait_for(self.online, 30)
            yield self
        finally:
            self.disconnect()
            await asyncio.wait_for(self.disconnected, 30)


class Slixmpp(unittest.IsolatedAsyncioTestCase):
    async def test_logs_in_and_writes(self):
        for name in FOR_CLIENTS:
            server = ejabberd if name.startswith("ejabberd") else prosody
            with self.subTest(name):
                client = Client(server.address + "/" + name, server.password, env.ca)
                async with client.connected(gateway.ports[name], name.endswith("-direct")):
                    for body in ("hello", "<&>'\"" * 2000 + "äöü€"):
                        client.send_message(server.address, body)
                        self.assertEqual(await asyncio.wait_for(client.received.get(), 30),
                                         (server.address, body))

    async def test_wrong_password(self):
        for name in ("prosody", "ejabberd"):
            client = Client(prosody.address, "wrong", env.ca)
            with self.subTest(name), self.assertRaises(PermissionError):
                async with client.connected(gateway.ports[name], False):
                    pass


class Profanity(unittest.TestCase):
    """A program for a terminal, by a pseudo-terminal."""

    def test_logs_in_and_writes(self):
        trusted = os.path.join(env.dir, "trusted")
        os.mkdir(trusted)
        shutil.copy(env.ca, trusted)
        subprocess.run(["openssl", "rehash", trusted], check=True, capture_output=True)
        for name, tls in (("prosody", "force"), ("prosody-direct", "legacy"), ("ejabberd", "force")):
            server = ejabberd if name == "ejabberd" else prosody
            with self.subTest(name), Terminal(["profanity"], os.path.join(env.dir, name)) as terminal:
                terminal.until("Profanity")
                terminal.type("/tls certpath set " + trusted)
                terminal.until("Certificate path set")
                terminal.type("/connect {} server 127.0.0.1 port {} tls {}".format(
                    server.address, gateway.ports[name], tls))
                terminal.until("assword")
                terminal.type(server.password)
                terminal.until("logged in successfully")
                terminal.type("/msg written-in-{}@{} hello".format(name, DOMAIN))
                self.assertTrue(server.wait_for_log("<message [^>]*written-in-{}@".format(name)))


class Terminal:
    """A child with a pseudo-terminal and a home of its own."""

    def __init__(self, command, home):
        self._command, self._home = command, home
        self._seen = ""

    def __enter__(self):
        os.makedirs(self._home)
        self._master, child = pty.openpty()
        self._child = subprocess.Popen(
            self._command, stdin=child, stdout=child, stderr=child, start_new_session=True,
            env={"PATH": os.environ["PATH"], "HOME": self._home, "TERM": "vt100", "LANG": "C.UTF-8",
                 "LINES": "40", "COLUMNS": "200"})
        os.close(child)
        return self

    def __exit__(self, *_):
        self._child.kill()
        self._child.wait()
        os.close(self._master)

    def type(self, line):
        os.write(self._master, line.encode() + b"\r")

    def until(self, wanted, seconds=30):
        """Waits until it has shown `wanted`."""
        end = time.monotonic() + seconds
        while wanted not in self._seen:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._master], [], [], left)[0]:
                raise AssertionError("{!r} was not shown:\n{}".format(wanted, self._seen[-3000:]))
            self._seen += os.read(self._master, 65536).decode("utf-8", "replace")
        self._seen = self._seen.partition(wanted)[2]


class Federation(unittest.IsolatedAsyncioTestCase):
    """Two servers, each with a listener for clients and one for servers. A server proves
    who it is by dialback, which runs through both."""

    PORTS = ("one-c2s", "one-s2s", "two-c2s", "two-s2s")

    async def test_two_prosody(self):
        for service, tls in (("xmpp-server", "starttls"), ("xmpps-server", "implicit")):
            ports = harness.reserve_ports(self.PORTS)
            routes = {"localhost": (service, ports["one-s2s"]), DOMAIN: (service, ports["two-s2s"])}
            with self.subTest(service), Prosody("localhost", routes, env.ca) as one, \
                    Prosody(DOMAIN, routes, env.ca) as two:
                await self.federate(ports, one, two, tls)
                for server in (one, two):
                    self.assertTrue(server.wait_for_log("verified dialback key... it is valid"))
                    self.assertIn("certificate identity validation result: valid", server.log())

    async def test_prosody_and_ejabberd(self):
        ports = harness.reserve_ports(self.PORTS)
        routes = {DOMAIN: ("xmpp-server", ports["two-s2s"])}
        with Prosody("localhost", routes, env.ca) as one, Ejabberd(DOMAIN, ports["one-s2s"]) as two:
            await self.federate(ports, one, two, "starttls")
            self.assertTrue(one.wait_for_log("verified dialback key... it is valid"))
            self.assertTrue(two.wait_for_log("Accepted outbound s2s dialback authentication"))

    async def test_a_certificate_that_is_not_believed(self):
        with Prosody("localhost", {DOMAIN: ("xmpp-server", gateway.ports["prosody-s2s"])}) as other:
            with env.gateway({"in": listener("xmpp-client", "starttls", "one", "localhost")},
                             {"one": no_header(other, "c2s")}) as running:
                client = Client(other.address, other.password, env.ca)
                async with client.connected(running.ports["in"], False):
                    client.send_message(prosody.address, "to nobody")
                    self.assertTrue(await asyncio.to_thread(
                        other.wait_for_log, "its certificate is not trusted"))

    async def federate(self, ports, one, two, tls):
        """Messages both ways, each through the listener for servers of the other."""
        listeners, backends = {}, {}
        for name, server in (("one", one), ("two", two)):
            listeners[name + "-c2s"] = listener("xmpp-client", "starttls", name + "-c2s", server.domain)
            listeners[name + "-s2s"] = listener("xmpp-server", tls, name + "-s2s", server.domain)
            for port in ("c2s", "s2s"):
                backends[name + "-" + port] = (
                    server.backend(port) if isinstance(server, Ejabberd) else no_header(server, port))
        with env.gateway(listeners, backends, ports=ports, ready="/readyz") as running:
            await self.exchange(running, one, two)
            for name in ("one", "two"):
                self.assertIsNotNone(running.wait_for_line(
                    "session established", "listener={}-s2s".format(name)))
            self.assertEqual(running.metrics().sum("starling_attacks_refused_total"), 0)
            self.assertEqual(running.metrics().sum("starling_downgrade_signals_total"), 0)

    async def exchange(self, running, one, two):
        first = Client(one.address + "/a", one.password, env.ca)
        second = Client(two.address + "/b", two.password, env.ca)
        async with first.connected(running.ports["one-c2s"], False), \
                second.connected(running.ports["two-c2s"], False):
            first.send_message(two.address, "from one to two")
            self.assertEqual(await asyncio.wait_for(second.received.get(), 60),
                             (one.address, "from one to two"))
            second.send_message(one.address, "from two to one")
            self.assertEqual(await asyncio.wait_for(first.received.get(), 60),
                             (two.address, "from two to one"))


class Identity(unittest.TestCase):
    def test_true_address(self):
        names = [name for name in LISTENERS if name.startswith("ejabberd")]
        for number, name in enumerate(names, 1):
            source = "127.2.0.{}".format(number)
            with self.subTest(name):
                client, _ = inside(name, source, sender="other.example")
                with client:
                    self.assertTrue(ejabberd.wait_for_log(
                        r"Accepted proxied connection (::ffff:)?{}:{} ".format(
                            re.escape(source), client.name[1])))

    def test_second_upgrade_is_refused(self):
        for name in LISTENERS:
            with self.subTest(name):
                client, features = inside(name, sender="other.example")
                with client:
                    # ejabberd offers it to servers, and has no certificate.
                    self.assertEqual("<starttls" in features, name.startswith("ejabberd-s2s"))
                    self.assertEqual(client.send(START_TLS).until(b"/>"),
                                     b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'")

    def test_nothing_is_kept_of_what_came_before(self):
        """The stream inside TLS is the backend's alone, whatever was said before it."""
        for name in ("prosody", "ejabberd"):
            with self.subTest(name), Wire(gateway.ports[name]) as client:
                before = client.send(header("elsewhere.example")).until(FEATURES).decode()
                self.assertEqual(client.send(START_TLS).exactly(len(PROCEED)), PROCEED)
                client.start_tls(wire.context(env.ca)).send(header(DOMAIN))
                after = client.until(END_OF_FEATURES).decode()
                identity = re.compile(r"<stream:stream [^>]*id='([^']*)'")
                self.assertNotEqual(identity.search(before)[1], identity.search(after)[1])
                self.assertIn("from='{}'".format(DOMAIN), before)
                self.assertIn("from='{}'".format(DOMAIN), after)

    def test_log_in_in_plaintext(self):
        secret = harness.base64_plain(prosody.user, prosody.password)
        for name in ("prosody", "ejabberd"):
            with self.subTest(name), Wire(gateway.ports[name]) as client:
                before = gateway.metrics()
                client.send(header(DOMAIN)).until(FEATURES)
                said = client.send("<auth xmlns='{}' mechanism='PLAIN'>{}</auth>".format(
                    SASL, secret.decode()).encode()).rest()
                self.assertTrue(said.startswith(b"<stream:error><policy-violation "), said)
                for counter, labels in (("starling_attacks_refused_total", {"kind": "plaintext_auth"}),
                                        ("starling_downgrade_signals_total", {"signal": "not_taken"})):
                    value = before.sum(counter, listener=name, **labels) + 1
                    self.assertEqual(
                        gateway.wait_for_metric(value, counter, listener=name, **labels), value)
        self.assertNotIn(secret.decode(), "\n".join(gateway.lines))


if __name__ == "__main__":
    unittest.main()
