"""One of two servers falls ill under load: clients must not notice, as long as another server is
well. And what operators see of it."""

import asyncio
import contextlib
import unittest

import fakes
import harness
from sick_servers import BlackHole, GREETINGS, Load, Patient, REFUSALS, greeted
from wire import Wire

env = None


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def balanced(protocol, implicit, *servers, **more):
    """A gateway before several servers; the prober is quick, so that a test need not wait."""
    limits = {"probe_retry": "200ms", "probe_retry_max": "200ms", "probe_timeout": "1s",
              "connect_try": "300ms", "greeting_try": "500ms", **more.pop("limits", {})}
    listener = {"protocol": protocol, "tls": "implicit" if implicit else "starttls",
                "backend": "some"}
    if not implicit:
        listener["policy"] = "require"
    return env.gateway({"in": listener},
                       {"some": {"servers": list(servers), "proxy_protocol": "v2", "slow_start": "0s",
                                 **more.pop("backend", {})}}, limits=limits, **more)


async def half_a_greeting(reader, writer):
    writer.write(b"* O")
    await writer.drain()


async def half_and_silence(reader, writer):
    writer.write(b"* O")
    await writer.drain()
    await fakes.silent(reader, writer)


def line_without_end(protocol):
    """Begins as the greeting does, and never ends."""
    return fakes.says(GREETINGS[protocol][:4] + b"x" * 100_000, fakes.silent)


# protocol: the first line of a greeting of several
BEGUN = {"smtp": b"220-one\r\n", "lmtp": b"220-one\r\n", "ftp": b"220-one\r\n",
         "managesieve": b'"IMPLEMENTATION" "one"\r\n'}

another_protocol = fakes.says(b"HTTP/1.0 400 Bad Request\r\n\r\n", fakes.close)


class OneOfTwo(unittest.TestCase):
    def case(self, protocol, implicit, behaviour):
        with Patient(GREETINGS[protocol]) as sick, Patient(GREETINGS[protocol]) as well, \
                balanced(protocol, implicit, sick.address, well.address) as gateway:
            gateway.wait_for_metric(2, "starling_backend_up")
            with Load(lambda _: greeted(gateway.ports["in"], protocol, implicit)) as load:
                load.wait_for(10)
                sick.fall_ill(behaviour)
                gateway.wait_for_metric(0, "starling_backend_up", server=sick.address)
                before = sick.sessions()
                load.wait_for(10)
                self.assertLessEqual(sick.sessions(), before + 4, "sessions still go there")
                sick.recover()
                gateway.wait_for_metric(1, "starling_backend_up", server=sick.address)
                before = sick.sessions()
                load.wait_for(40)
                self.assertGreater(sick.sessions(), before, "it has its share again")
            self.assertEqual(load.failures, [], load.figures())
            gateway.assert_idle(self)

    def test_closes_resets_or_is_silent(self):
        for protocol in ("imap", "smtp"):
            for implicit in (True, False):
                for how in (fakes.close, fakes.reset, fakes.silent):
                    with self.subTest(protocol, implicit=implicit, how=how.__name__):
                        self.case(protocol, implicit, how)

    def test_breaks_off_in_its_greeting(self):
        for implicit in (True, False):
            for how in (half_a_greeting, half_and_silence):
                with self.subTest(how=how.__name__, implicit=implicit):
                    self.case("imap", implicit, how)

    def test_every_protocol_that_greets(self):
        for protocol in GREETINGS:
            if protocol not in ("ftp", "acap", "imap", "smtp"):
                with self.subTest(protocol):
                    self.case(protocol, protocol in ("pop3", "nntp"), fakes.close)

    def test_says_what_is_no_greeting(self):
        for protocol in GREETINGS:
            if protocol in ("ftp", "acap"):
                continue
            for how in (another_protocol, line_without_end(protocol)):
                for implicit in (True, False):
                    with self.subTest(protocol, implicit=implicit):
                        self.case(protocol, implicit, how)

    def test_begins_its_greeting_and_hangs(self):
        """A whole line is no silence, but its server is not waited for without end."""
        for protocol, first in BEGUN.items():
            for implicit in (True, False):
                if protocol != "ftp":
                    with self.subTest(protocol, implicit=implicit):
                        self.case(protocol, implicit, fakes.says(first, fakes.silent))

    def test_an_ftp_server_begins_its_greeting_and_hangs(self):
        def session(_):
            with connect(gateway) as client:
                if not implicit:
                    expect(client, b"220 mail.example.org FTP ready\r\n")
                    client.send(b"AUTH TLS\r\n").line()
                client.start_tls()
                if implicit:
                    expect(client, b"220 one\r\n")
                expect(client.send(b"NOOP\r\n"), b"200 ok\r\n")

        for implicit in (True, False):
            for first in (BEGUN["ftp"], b"120 wait\r\n"):
                with self.subTest(first, implicit=implicit), Changing(ftp) as sick, \
                        Changing(ftp) as well, \
                        balanced("ftp", implicit, sick.address, well.address) as gateway:
                    gateway.wait_for_metric(2, "starling_backend_up")
                    sick.fall_ill(fakes.says(first, fakes.silent))
                    with Load(session) as load:
                        gateway.wait_for_metric(0, "starling_backend_up", server=sick.address)
                        load.wait_for(10)
                    self.assertEqual(load.failures, [], load.figures())

    def test_hangs_while_all_its_places_are_taken(self):
        """The sessions that it has are lost, but those that wait for a place go to the backup."""
        with Patient(GREETINGS["imap"]) as sick, Patient(GREETINGS["imap"]) as backup, \
                balanced("imap", True, {"address": sick.address, "max_sessions": 1},
                         {"address": backup.address, "priority": 1},
                         limits={"probe_interval": "1h", "connect": "30s"}) as gateway:
            gateway.wait_for_metric(2, "starling_backend_up")
            with connect(gateway) as held, connect(gateway) as waits:
                held.start_tls().greeting("imap")
                sick.fall_ill(fakes.silent)
                waits.start_tls()
                self.assertEqual(waits.greeting("imap"), GREETINGS["imap"])
                self.assertEqual((sick.sessions(), backup.sessions()), (1, 1))

    def test_drops_every_syn(self):
        for implicit in (True, False):
            with self.subTest(implicit=implicit), Patient(GREETINGS["imap"]) as one, \
                    BlackHole(one.address) as sick, Patient(GREETINGS["imap"]) as well, \
                    balanced("imap", implicit, sick.address, well.address) as gateway:
                gateway.wait_for_metric(2, "starling_backend_up")
                with Load(lambda _: greeted(gateway.ports["in"], "imap", implicit)) as load:
                    load.wait_for(10)
                    sick.close_up()
                    load.wait_for(20)
                self.assertEqual(load.failures, [], load.figures())
                metrics = gateway.metrics()
                self.assertEqual(metrics.sum("starling_backend_up", server=sick.address), 0)
                self.assertGreater(metrics.sum("starling_backend_connect_failures_total",
                                               server=sick.address, reason="timeout"), 0)

    def test_a_plaintext_leg_too(self):
        """Mail in plaintext: the leg's greeting is swallowed, so another server can take its
        place until it is complete."""
        def mail(_):
            with connect(gateway) as client:
                client.greeting("smtp")
                client.ask("smtp", b"EHLO x\r\n", multiline=True)
                said = client.ask("smtp", b"MAIL FROM:<a@example.net>\r\n")
                if not said.startswith(b"250"):
                    raise AssertionError(said)

        for how in (fakes.close, fakes.reset, fakes.silent):
            with self.subTest(how=how.__name__), fakes.Backend(mx) as well, \
                    Changing(mx) as sick, env.gateway(
                        {"in": {"protocol": "smtp", "tls": "starttls", "policy": "opportunistic",
                                "backend": "some"}},
                        {"some": {"servers": [sick.address, well.address], "proxy_protocol": "v2"}},
                        limits={"probe_interval": "1h", "greeting_try": "500ms"}) as gateway:
                gateway.wait_for_metric(2, "starling_backend_up")
                with Load(mail) as load:
                    load.wait_for(10)
                    sick.fall_ill(how)
                    load.wait_for(20)
                self.assertEqual(load.failures, [], load.figures())
                gateway.wait_for_metric(0, "starling_backend_up", server=sick.address)


class Cancel(unittest.TestCase):
    def test_a_silent_server_holds_it_back_for_a_try(self):
        """A CancelRequest goes to all servers in turn; the limit `connect` is longer than this test
        waits."""
        request = b"\0\0\0\x10\x04\xd2\x16\x2e" + b"\0\0\0\1\0\0\0\2"
        heard = []

        def server(name, then):
            async def reads(reader, writer):
                if await reader.read(1000) == request:
                    heard.append(name)
                    await then(reader, writer)
            return fakes.Backend(reads, checked=fakes.silent)

        with server("silent", fakes.silent) as silent, server("well", fakes.close) as well, \
                env.gateway({"in": {"protocol": "postgresql", "tls": "starttls", "backend": "some"}},
                            {"some": {"servers": [silent.address, well.address],
                                      "proxy_protocol": "v2"}},
                            limits={"connect": "5m", "connect_try": "200ms"}) as gateway:
            for count in (1, 2):
                with connect(gateway) as client:
                    self.assertEqual(client.send(request).rest(), b"")
                self.assertEqual(sorted(heard), ["silent"] * count + ["well"] * count)


def connect(gateway):
    return Wire(gateway.ports["in"], timeout=40)


def expect(client, line):
    said = client.line()
    if said != line:
        raise AssertionError("said {!r}".format(said))


async def mx(reader, writer):
    """As much of a mail server as the gateway and its probe need."""
    writer.write(b"220 mx ESMTP\r\n")
    while line := await reader.readline():
        if line.startswith(b"QUIT"):
            writer.write(b"221 bye\r\n")
            return
        writer.write(b"250 ok\r\n")


async def ftp(reader, writer):
    writer.write(b"220 one\r\n")
    while await reader.readline():
        writer.write(b"200 ok\r\n")


async def irc(reader, writer):
    """As much of an IRC server as a registration and the gateway's probe need."""
    while line := await reader.readline():
        if line.startswith(b"QUIT"):
            writer.write(b"ERROR :Closing link\r\n")
            return
        if line.startswith(b"USER"):
            writer.write(b":irc 001 x :Welcome\r\n")


def answers(answer):
    """A server that answers each octet string."""
    async def serve(reader, writer):
        while await reader.read(65536):
            writer.write(answer)
    return serve


class Changing(Patient):
    def __init__(self, behaviour):
        super().__init__(b"")
        self._behaviour = self._well = behaviour


class Refusals(unittest.TestCase):
    def test_go_to_the_client_unchanged(self):
        """Another server must not let in whom this one refuses. A probe judges the server."""
        for protocol, refusal in REFUSALS.items():
            for implicit in (True, False):
                with self.subTest(protocol, implicit=implicit), \
                        fakes.Backend(fakes.says(refusal, fakes.close),
                                      checked=fakes.says(GREETINGS[protocol])) as strict, \
                        balanced(protocol, implicit, strict.address,
                                 backend={"balance": "source_hash"},
                                 limits={"probe_interval": "1h"}) as gateway:
                    gateway.wait_for_metric(1, "starling_backend_up")
                    for _ in range(5):
                        with connect(gateway) as client:
                            if not implicit:
                                client.greeting(protocol)
                                client.ask(protocol, {"imap": b"a STARTTLS\r\n", "pop3": b"STLS\r\n",
                                                      "smtp": b"STARTTLS\r\n"}[protocol])
                            self.assertEqual(client.start_tls().rest(), refusal)
                    metrics = gateway.metrics()
                    self.assertEqual(metrics.sum("starling_backend_greeting_failures_total",
                                                 reason="refusal"), 5)
                    self.assertEqual(metrics.sum("starling_backend_up"), 1,
                                     "clients alone mark no server down")


class TheOnlyServer(unittest.TestCase):
    def test_accepts_and_closes(self):
        """It is down, whatever the sessions that are left no other server try."""
        for protocol, implicit in (("imap", True), ("imap", False), ("tcp", True), ("ldap", True),
                                   ("irc", True)):
            with self.subTest(protocol, implicit=implicit), fakes.Backend(fakes.close) as sick, \
                    balanced(protocol, implicit, sick.address) as gateway:
                def attempt(_):
                    with connect(gateway) as client:
                        if not implicit:
                            client.greeting(protocol)
                            client.ask(protocol, b"s STARTTLS\r\n")
                        client.start_tls().rest()

                gateway.wait_for_metric(0, "starling_backend_up")
                seen = []
                with Load(attempt) as load:
                    while len(load.times) < 40:
                        seen.append(gateway.metrics().sum("starling_backend_up"))
                self.assertEqual(set(seen), {0.0})
                self.assertEqual(gateway.get("/readyz")[0], 200, "this process takes connections")
                self.assertEqual(gateway.get("/readyz?backends=any")[0], 503)
                self.assertEqual(gateway.get("/readyz?backends=all")[0], 503)

    def test_freezes_where_the_client_speaks_first(self):
        """What a session has said is not said again elsewhere. But its wait makes a probe, and the
        sessions behind it go to the other server."""
        request = b"GET / HTTP/1.1\r\nHost: mail.example.org\r\n\r\n"
        answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        with Changing(answers(answer)) as sick, Changing(answers(answer)) as well, \
                balanced("http", True, sick.address, well.address,
                         limits={"probe_interval": "1h"}) as gateway:
            gateway.wait_for_metric(2, "starling_backend_up")
            sick.fall_ill(fakes.silent)
            waiting = [connect(gateway).start_tls().send(request) for _ in range(8)]
            gateway.wait_for_metric(0, "starling_backend_up", server=sick.address)
            for _ in range(8):
                with connect(gateway) as client:
                    self.assertEqual(client.start_tls().send(request).exactly(len(answer)), answer)
            for client in waiting:
                client.close()

    def register(self, gateway, implicit):
        client = connect(gateway)
        if implicit:
            client.start_tls()
        else:
            client.upgrade("irc", ask=False)
        return client.send(b"NICK x\r\nUSER x 0 * :x\r\n")

    def test_an_irc_server_hangs_or_talks_nonsense(self):
        """The gateway reads it until its welcome: a client's wait, or the nonsense, makes a probe."""
        for how in (fakes.silent, fakes.says(b"\x16\x03\x01zz\r\n\r\n", fakes.silent)):
            for implicit in (True, False):
                with self.subTest(how=how.__name__, implicit=implicit), Changing(irc) as sick, \
                        Changing(irc) as well, \
                        balanced("irc", implicit, sick.address, well.address,
                                 limits={"probe_interval": "1h"}) as gateway:
                    gateway.wait_for_metric(2, "starling_backend_up")
                    sick.fall_ill(how)
                    waiting = [self.register(gateway, implicit) for _ in range(8)]
                    gateway.wait_for_metric(0, "starling_backend_up", server=sick.address)
                    for _ in range(8):
                        with self.register(gateway, implicit) as client:
                            expect(client, b":irc 001 x :Welcome\r\n")
                    for client in waiting:
                        client.close()

    def test_an_irc_client_is_not_blamed_for_its_servers_silence(self):
        for implicit in (True, False):
            with self.subTest(implicit=implicit), fakes.Backend(fakes.silent) as sick, \
                    balanced("irc", implicit, sick.address,
                             limits={"pre_relay_silence": "1s"}) as gateway:
                with self.register(gateway, implicit) as client:
                    self.assertEqual(
                        client.rest(),
                        b"ERROR :Closing link: server not available, try again later\r\n")
                gateway.wait_for_metric(1, "starling_sessions_ended_total",
                                        reason="greeting_deadline")

    def test_is_silent_on_an_implicit_port(self):
        """The session ends when the limit of greetings says so, with words of the protocol."""
        for protocol, begin in (("imap", b"* BYE"), ("smtp", b"4"), ("pop3", b"-ERR"),
                                ("nntp", b"400"), ("ftp", b"4")):
            with self.subTest(protocol), fakes.Backend(fakes.silent) as sick, \
                    balanced(protocol, True, sick.address, limits={"greeting": "1s"}) as gateway, \
                    connect(gateway) as client:
                said = client.start_tls().rest()
                self.assertTrue(said.startswith(begin), said)
                self.assertEqual(gateway.wait_for_metric(
                    1, "starling_sessions_ended_total", reason="greeting_deadline"), 1)


class WellForProbesOnly(unittest.TestCase):
    """Whatever probes say, sessions remember what they have met."""

    def sick(self, behaviour):
        return fakes.Backend(behaviour, checked=fakes.says(GREETINGS["imap"]))

    def test_a_retry_takes_nobodys_turn(self):
        """A server that closes gets its share of the sessions, and no more."""
        for balance, others in (("round_robin", [1]), ("round_robin", [1, 1]), ("round_robin", [2]),
                                ("least_sessions", [1]), ("least_sessions", [1, 1])):
            with self.subTest(balance, others=others), contextlib.ExitStack() as stack:
                sick = stack.enter_context(self.sick(fakes.close))
                well = [(stack.enter_context(Patient(GREETINGS["imap"])), weight)
                        for weight in others]
                gateway = stack.enter_context(balanced(
                    "imap", True, sick.address,
                    *({"address": server.address, "weight": weight} for server, weight in well),
                    backend={"balance": balance}, workers=1))
                gateway.wait_for_metric(1 + len(well), "starling_backend_up")
                for _ in range(30):
                    greeted(gateway.ports["in"], "imap", True)
                share = 30 / (1 + sum(others))
                self.assertAlmostEqual(len(sick.proxied), share, delta=2)

    def test_one_client_finds_out_that_a_server_is_silent(self):
        """The next one to find out has its turn after `probe_retry`."""
        for implicit in (True, False):
            with self.subTest(implicit=implicit), self.sick(fakes.silent) as sick, \
                    Patient(GREETINGS["imap"]) as well, \
                    balanced("imap", implicit, sick.address, well.address, workers=1,
                             limits={"probe_retry": "1h", "probe_retry_max": "1h"}) as gateway:
                gateway.wait_for_metric(2, "starling_backend_up")
                for _ in range(12):
                    greeted(gateway.ports["in"], "imap", implicit)
                self.assertEqual(len(sick.proxied), 1)
                self.assertEqual(gateway.metrics().sum("starling_backend_up"), 2)


class Slow(unittest.TestCase):
    def test_servers_that_are_all_alike_serve_all(self):
        """Each of them alone would. The clients that wait first may go from one to the other."""
        async def slow(reader, writer):
            await asyncio.sleep(1.6)
            await fakes.says(GREETINGS["imap"], fakes.echo)(reader, writer)

        well = fakes.says(GREETINGS["imap"])
        for implicit in (True, False):
            with self.subTest(implicit=implicit), fakes.Backend(slow, checked=well) as one, \
                    fakes.Backend(slow, checked=well) as two, \
                    balanced("imap", implicit, one.address, two.address,
                             limits={"greeting": "2s", "probe_retry": "1h",
                                     "probe_retry_max": "1h"}) as gateway:
                gateway.wait_for_metric(2, "starling_backend_up")
                port = gateway.ports["in"]
                with Load(lambda _: greeted(port, "imap", implicit)) as load:
                    load.wait_for(4)
                    load.forgive()
                    load.wait_for(16)
                self.assertEqual(load.failures, [], load.figures())

    def test_full_and_dead_servers_shorten_nothing(self):
        async def slow(reader, writer):
            await asyncio.sleep(1)
            await fakes.says(GREETINGS["imap"], fakes.echo)(reader, writer)

        with fakes.Backend(slow, checked=fakes.says(GREETINGS["imap"])) as one, \
                Patient(GREETINGS["imap"]) as full, \
                balanced("imap", True, one.address, {"address": full.address, "max_sessions": 1},
                         harness.DOWN) as gateway:
            gateway.wait_for_metric(2, "starling_backend_up")
            with contextlib.ExitStack() as stack:
                while not full.sessions():
                    stack.enter_context(connect(gateway)).start_tls().greeting("imap")
                with Load(lambda _: greeted(gateway.ports["in"], "imap", True)) as load:
                    load.wait_for(12)
                self.assertEqual(load.failures, [], load.figures())
                self.assertEqual(full.sessions(), 1)


class Readiness(unittest.TestCase):
    def test_of_backends_is_asked_for(self):
        with Patient(GREETINGS["imap"]) as well, env.gateway(
                {"in": {"protocol": "imap", "tls": "implicit", "backend": "one"},
                 "out": {"protocol": "imap", "tls": "implicit", "backend": "two"}},
                {"one": well.address, "two": harness.DOWN}) as gateway:
            gateway.wait_for_metric(0, "starling_backend_up", backend="two")
            gateway.wait_for_metric(1, "starling_backend_up", backend="one")
            self.assertEqual(gateway.get("/readyz"), (200, "ok\n"))
            self.assertEqual(gateway.get("/readyz?backends=any"),
                             (503, "every server of backend two is down\n"))
            self.assertEqual(gateway.get("/readyz?backends=all")[0], 200)
            self.assertEqual(gateway.get("/readyz?backends=none")[0], 400)
