"""Tests PostgreSQL with a real server: its settings, psql, psycopg2 and TLS tools, cancel requests
with one server and with two, and which octets must not reach the server."""

import concurrent.futures
import contextlib
import hashlib
import os
import pwd
import signal
import socket
import subprocess
import threading
import time
import unittest

import psycopg2

import harness
import wire
from database import CANCEL, SSL, Database, request, start_up
from wire import Wire

env = None
server = None
gateway = None
LISTENERS = {"postgresql": {"protocol": "postgresql", "tls": "starttls", "backend": "one"}}
CANCELED = "canceling statement due to user request"


def setUpModule():
    global env, server, gateway
    env = harness.Environment(servers=False)
    server = unittest.enterModuleContext(Database())
    gateway = unittest.enterModuleContext(running(server))


def running(*servers, **more):
    """A gateway before servers."""
    keys = {"servers": [s.address for s in servers], "proxy_protocol": "none"}
    return env.gateway(LISTENERS, {"one": keys}, ready="/readyz", **more)


def settings(before=None, **more):
    """libpq's, for the gateway."""
    return {"host": "mail.example.org", "hostaddr": "127.0.0.1",
            "port": (before or gateway).ports["postgresql"], "user": server.user,
            "dbname": server.user, "password": server.password, "connect_timeout": "30",
            "sslmode": "verify-full", "sslrootcert": env.ca, "gssencmode": "disable", **more}


@contextlib.contextmanager
def connect(before=None, **more):
    """psycopg2's connection, with autocommit."""
    client = psycopg2.connect(**settings(before, **more))
    client.autocommit = True
    try:
        yield client
    finally:
        client.close()


def ask(client, query):
    """The first value of its answer."""
    with client.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]


def conninfo(**more):
    return " ".join("{}={}".format(*row) for row in settings(**more).items())


def psql(query="select 'answer=' || 6 * 7", **more):
    return harness.run(["psql", "-X", "-A", "-t", "-c", query, conninfo(**more)])


@contextlib.contextmanager
def watching(database):
    """A connection to the server itself, to see what it does."""
    client = psycopg2.connect(host="127.0.0.1", port=database.port, user=database.user,
                              dbname=database.user, password=database.password, sslmode="disable")
    client.autocommit = True
    try:
        yield client
    finally:
        client.close()


def wait_for_sleeper(database, name, seconds=30):
    """Until the session of that name sleeps there."""
    query = ("select count(*) from pg_stat_activity where application_name = '{}' and "
             "wait_event = 'PgSleep'".format(name))
    end = time.monotonic() + seconds
    with watching(database) as client:
        while ask(client, query) != 1:
            if time.monotonic() > end:
                raise AssertionError("{} does not sleep".format(name))
            time.sleep(0.02)


class Psql(unittest.TestCase):
    def test_sslmodes(self):
        for mode in ("require", "verify-ca", "verify-full", "prefer", "allow"):
            with self.subTest(mode):
                status, output = psql(sslmode=mode)
                self.assertEqual((status, output.strip()), (0, "answer=42"), output)
                status, output = psql("\\conninfo", sslmode=mode)
                self.assertIn("SSL connection (protocol: TLSv1.3", output)

    def test_without_tls(self):
        before = gateway.metrics()
        status, output = psql(sslmode="disable")
        self.assertEqual(status, 2, output)
        self.assertIn("TLS is required: set sslmode to require or verify-full", output)
        for name, labels in (("starling_attacks_refused_total", {"kind": "plaintext_auth"}),
                             ("starling_sessions_ended_total", {"reason": "tls_required"})):
            value = before.sum(name, **labels) + 1
            self.assertEqual(gateway.wait_for_metric(value, name, **labels), value)

    def test_another_name_is_not_believed(self):
        status, output = psql(host="mail.example.net")
        self.assertEqual(status, 2, output)
        self.assertIn("does not match host name", output)

    def test_channel_binding(self):
        """The server does not see the TLS that its client does."""
        self.assertEqual(psql(channel_binding="prefer")[0], 0)
        status, output = psql(channel_binding="require")
        self.assertEqual(status, 2, output)
        self.assertIn("channel binding is required, but server did not offer", output)

    def test_interrupt(self):
        child = subprocess.Popen(
            ["psql", "-X", "-c", "select pg_sleep(100)", conninfo(application_name="interrupted")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            wait_for_sleeper(server, "interrupted")
            child.send_signal(signal.SIGINT)
            output = child.communicate(timeout=30)[0].decode()
        finally:
            child.kill()
            child.wait()
        self.assertIn(CANCELED, output)


class TlsTools(unittest.TestCase):
    def test_s_client(self):
        output = self.converse(
            ["openssl", "s_client", "-connect", "localhost:{}".format(gateway.ports["postgresql"]),
             "-starttls", "postgres", "-servername", "mail.example.org", "-CAfile", env.ca,
             "-verify_return_error", "-verify_hostname", "mail.example.org", "-nocommands"])
        self.assertIn(b"Verify return code: 0 (ok)", output)

    def test_gnutls_cli(self):
        output = self.converse(
            ["gnutls-cli", "--starttls-proto", "postgres", "--x509cafile", env.ca, "--port",
             str(gateway.ports["postgresql"]), "--verify-hostname", "mail.example.org", "localhost"])
        self.assertIn(b"Status: The certificate is trusted", output)

    def converse(self, command):
        """Says who it is, waits for the server's question, and ends; all that it printed."""
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, bufsize=0)
        timer = threading.Timer(60, child.kill)
        timer.start()
        with child:
            child.stdin.write(start_up(server.user) + b"\n")
            output = b""
            while b"SCRAM-SHA-256" not in output and (more := child.stdout.read(65536)):
                output += more
            child.stdin.close()
            child.terminate()
        timer.cancel()
        self.assertIn(b"SCRAM-SHA-256", output)
        self.assertNotIn(b"SCRAM-SHA-256-PLUS", output)
        return output


class DirectTls(unittest.TestCase):
    """As libpq 17 does it with sslnegotiation=direct: no request before TLS."""

    def test_with_alpn(self):
        with Wire(gateway.ports["postgresql"]) as client:
            client.start_tls(wire.context(env.ca, ["postgresql"]))
            self.assertEqual(client.socket.selected_alpn_protocol(), "postgresql")
            self.assertEqual(client.send(start_up(server.user)).exactly(1), b"R")

    def test_without_it(self):
        for alpn in (None, ["http/1.1"]):
            with self.subTest(alpn), Wire(gateway.ports["postgresql"]) as client:
                with self.assertRaisesRegex(OSError, "no application protocol"):
                    client.start_tls(wire.context(env.ca, alpn))

    def test_after_a_request_nobody_need_offer_it(self):
        for alpn, chosen in ((None, None), (["postgresql"], "postgresql")):
            with self.subTest(alpn), Wire(gateway.ports["postgresql"]) as client:
                self.assertEqual(client.send(request(SSL)).exactly(1), b"S")
                client.start_tls(wire.context(env.ca, alpn))
                self.assertEqual(client.socket.selected_alpn_protocol(), chosen)
                self.assertEqual(client.send(start_up(server.user)).exactly(1), b"R")


class Psycopg(unittest.TestCase):
    class Numbers:
        """`size` octets of lines, to be read; and what they were."""

        def __init__(self, size):
            self._left = size
            self._row = os.urandom(32).hex().encode() * 15 + b"x" * 63 + b"\n"
            self.digest = hashlib.sha256()

        def read(self, most):
            rows = min(self._left, most) // len(self._row)
            self._left -= rows * len(self._row)
            octets = self._row * rows
            self.digest.update(octets)
            return octets

    class Sink:
        def __init__(self):
            self.size = 0
            self.digest = hashlib.sha256()

        def write(self, octets):
            self.size += len(octets)
            self.digest.update(octets)

    def test_copy_100_mb_both_ways(self):
        size = 100 * 1024 * 1024
        with connect() as client, client.cursor() as cursor:
            cursor.execute("create temporary table lines (line text)")
            numbers, sink = self.Numbers(size), self.Sink()
            cursor.copy_expert("copy lines from stdin", numbers, 65536)
            cursor.copy_expert("copy lines to stdout", sink, 65536)
        self.assertEqual((sink.size, sink.digest.hexdigest()), (size, numbers.digest.hexdigest()))

    def test_fifty_at_a_time(self):
        def one(number):
            with connect() as client:
                return ask(client, "select {} + 1".format(number))

        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            self.assertEqual(list(pool.map(one, range(50))), list(range(1, 51)))

    def test_wrong_password(self):
        with self.assertRaisesRegex(psycopg2.OperationalError, "password authentication failed"):
            psycopg2.connect(**settings(password="wrong"))

    def test_server_that_is_killed(self):
        with Database() as doomed, running(doomed) as before, connect(before) as client:
            self.assertEqual(ask(client, "select 1"), 1)
            doomed.kill()
            with self.assertRaises(psycopg2.OperationalError):
                ask(client, "select 1")
            with self.assertRaisesRegex(psycopg2.OperationalError, "server not available"):
                psycopg2.connect(**settings(before))

    def test_nothing_secret_in_the_log(self):
        with connect() as client:
            ask(client, "select 'secret-statement'")
            with socket.socket(fileno=os.dup(client.fileno())) as s:
                peer = "peer={}:{} ".format(*s.getsockname())
        for event in ("session established", "session ended"):
            self.assertIsNotNone(gateway.wait_for_line(event, peer), event)
        lines = "\n".join(gateway.lines)
        for secret in (server.password, "secret-statement", server.user):
            self.assertNotIn(secret, lines)


class Cancel(unittest.TestCase):
    """psycopg2's cancel() is libpq 15's, which is in plaintext always."""

    def cancel(self, before, databases, name):
        """A session that sleeps at one of the databases and is woken; which one."""
        with connect(before, application_name=name) as client:
            port = int(ask(client, "show port"))
            failures = []

            def sleep():
                try:
                    ask(client, "select pg_sleep(100)")
                except psycopg2.Error as problem:
                    failures.append(problem)

            sleeper = threading.Thread(target=sleep, daemon=True)
            sleeper.start()
            wait_for_sleeper(next(d for d in databases if d.port == port), name)
            client.cancel()
            sleeper.join(30)
            self.assertFalse(sleeper.is_alive())
            self.assertIn(CANCELED, str(failures[0]))
            return port

    def test_one_server(self):
        before = gateway.metrics()
        self.cancel(gateway, [server], "one")
        name = "starling_sessions_ended_total"
        value = before.sum(name, reason="backend_closed") + 1
        self.assertEqual(gateway.wait_for_metric(value, name, reason="backend_closed"), value)
        # It is no plaintext session of its server's, and nothing to complain of.
        for name in ("starling_plaintext_sessions_total", "starling_attacks_refused_total",
                     "starling_downgrade_signals_total"):
            self.assertEqual(gateway.metrics().sum(name), before.sum(name), name)

    def test_two_servers(self):
        # With one worker sessions go to each in turn.
        with Database() as other, running(server, other, workers=1) as before:
            ports = [self.cancel(before, [server, other], "two-{}".format(n)) for n in range(4)]
            self.assertEqual(sorted(ports), sorted([server.port, other.port] * 2))
            before.assert_idle(self)

    def test_inside_tls_too(self):
        """As libpq 17 does it: that goes to a server as any session does."""
        with connect() as client:
            pid = client.info.backend_pid
            with Wire(gateway.ports["postgresql"]) as other:
                self.assertEqual(other.send(request(SSL)).exactly(1), b"S")
                other.start_tls(wire.context(env.ca))
                self.assertEqual(
                    other.send(request(CANCEL, pid.to_bytes(4, "big") + b"none")).rest(), b"")
            self.assertTrue(server.wait_for_log(
                "wrong key in cancel request for process {}".format(pid)))
            self.assertEqual(ask(client, "select 1"), 1)

    def test_a_wrong_key_cancels_nothing(self):
        with connect() as client:
            pid = client.info.backend_pid
            with Wire(gateway.ports["postgresql"]) as other:
                # Held until the server has closed: then it has been seen to.
                self.assertEqual(
                    other.send(request(CANCEL, pid.to_bytes(4, "big") + b"junk")).rest(), b"")
                self.assertIn("wrong key in cancel request for process {}".format(pid), server.log())
            self.assertEqual(ask(client, "select 1"), 1)


class Recipe(unittest.TestCase):
    def test_superuser_stays_at_home(self):
        status, output = psql(user="postgres", dbname="postgres")
        self.assertEqual(status, 2, output)
        self.assertIn("pg_hba.conf rejects connection", output)

    def test_no_tls_inside_tls(self):
        with Wire(gateway.ports["postgresql"]) as client:
            self.assertEqual(client.send(request(SSL)).exactly(1), b"S")
            client.start_tls(wire.context(env.ca))
            self.assertEqual(client.send(request(SSL)).exactly(1), b"N")

    def test_a_server_with_tls_offers_it_inside_tls(self):
        """Which no client takes: it has TLS already."""
        with Database(certificate=env.certificates["pairs"][0]) as with_tls, \
                running(with_tls) as before:
            with Wire(before.ports["postgresql"]) as client:
                self.assertEqual(client.send(request(SSL)).exactly(1), b"S")
                client.start_tls(wire.context(env.ca))
                self.assertEqual(client.send(request(SSL)).exactly(1), b"S")
            with connect(before) as client:
                self.assertFalse(ask(
                    client, "select ssl from pg_stat_ssl where pid = pg_backend_pid()"))

    def test_what_trusts_the_gateways_address_trusts_everybody(self):
        """Why the recipe has no such line."""
        with Database(access="host all all 127.0.0.1/32 trust\n") as trusting:
            with running(trusting) as before:
                with connect(before, user="postgres", dbname="postgres", password="") as client:
                    self.assertEqual(ask(client, "show is_superuser"), "on")

    def test_hostssl_matches_nobody(self):
        with Database(access="hostssl all all 127.0.0.1/32 trust\n") as strict:
            with running(strict) as before, connect(before) as client:
                self.assertEqual(ask(client, "select 1"), 1)  # by the line behind it
                with self.assertRaisesRegex(psycopg2.OperationalError, "authentication failed"):
                    psycopg2.connect(**settings(before, password="wrong"))

    def test_peer_makes_everybody_the_gateways_user(self):
        own = pwd.getpwuid(os.getuid()).pw_name
        with Database("host all postgres 127.0.0.1/32 trust\n", "local all all peer\n") as local:
            keys = {"servers": ["unix:" + local.socket], "proxy_protocol": "none"}
            with running(local) as before, connect(
                    before, user="postgres", dbname="postgres", password="") as client:
                with client.cursor() as cursor:
                    cursor.execute('create role "{}" login'.format(own))
            with env.gateway(LISTENERS, {"one": keys}, ready="/readyz") as before:
                with connect(before, user=own, dbname="postgres", password="") as client:
                    self.assertEqual(ask(client, "select current_user"), own)
                with self.assertRaisesRegex(psycopg2.OperationalError, "Peer authentication failed"):
                    psycopg2.connect(**settings(before, user="postgres", dbname="postgres"))

    def test_unix_socket_knows_the_gateway_alone(self):
        """Why -t warns of it."""
        with Database(sockets="local all all trust\n") as local:
            keys = {"servers": ["unix:" + local.socket], "proxy_protocol": "none"}
            config = env.configure(LISTENERS, {"one": keys})[0]
            status, output = harness.run([harness.BINARY, "-t", "-c", config])
            self.assertEqual(status, 0, output)
            self.assertIn("takes every client for a local one", output)
            with env.gateway(LISTENERS, {"one": keys}, ready="/readyz") as before:
                with connect(before, user="postgres", dbname="postgres", password="") as client:
                    self.assertEqual(ask(client, "show is_superuser"), "on")


if __name__ == "__main__":
    unittest.main()
