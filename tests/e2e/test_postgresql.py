"""Tests PostgreSQL with a real server: psql, psycopg2 and TLS tools through the gateway, and the
server's recipe, with the reasons why other settings fail.

Not for: requests to cancel a statement (test_postgresql_cancel.py)."""

import concurrent.futures
import hashlib
import os
import pwd
import socket
import subprocess
import threading
import unittest

import psycopg2

import harness
import wire
from database import SSL, Database, request, start_up
from postgresql_front import LISTENERS, Front, ask
from wire import Wire

front = None


def setUpModule():
    global front
    front = unittest.enterModuleContext(Front())


class Psql(unittest.TestCase):
    def test_sslmodes(self):
        for mode in ("require", "verify-ca", "verify-full", "prefer", "allow"):
            with self.subTest(mode):
                status, output = front.psql(sslmode=mode)
                self.assertEqual((status, output.strip()), (0, "answer=42"), output)
                status, output = front.psql("\\conninfo", sslmode=mode)
                self.assertIn("SSL connection (protocol: TLSv1.3", output)

    def test_without_tls(self):
        before = front.gateway.metrics()
        status, output = front.psql(sslmode="disable")
        self.assertEqual(status, 2, output)
        self.assertIn("TLS is required: set sslmode to require or verify-full", output)
        for name, labels in (("starling_attacks_refused_total", {"kind": "plaintext_auth"}),
                             ("starling_sessions_ended_total", {"reason": "tls_required"})):
            value = before.sum(name, **labels) + 1
            self.assertEqual(front.gateway.wait_for_metric(value, name, **labels), value)

    def test_another_name_is_not_believed(self):
        status, output = front.psql(host="mail.example.net")
        self.assertEqual(status, 2, output)
        self.assertIn("does not match host name", output)

    def test_channel_binding(self):
        """The server does not see the TLS that its client does."""
        self.assertEqual(front.psql(channel_binding="prefer")[0], 0)
        status, output = front.psql(channel_binding="require")
        self.assertEqual(status, 2, output)
        self.assertIn("channel binding is required, but server did not offer", output)


class TlsTools(unittest.TestCase):
    def test_s_client(self):
        output = self.converse(
            ["openssl", "s_client", "-connect", "localhost:{}".format(front.gateway.ports["postgresql"]),
             "-starttls", "postgres", "-servername", "mail.example.org", "-CAfile", front.env.ca,
             "-verify_return_error", "-verify_hostname", "mail.example.org", "-nocommands"])
        self.assertIn(b"Verify return code: 0 (ok)", output)

    def test_gnutls_cli(self):
        output = self.converse(
            ["gnutls-cli", "--starttls-proto", "postgres", "--x509cafile", front.env.ca, "--port",
             str(front.gateway.ports["postgresql"]), "--verify-hostname", "mail.example.org", "localhost"])
        self.assertIn(b"Status: The certificate is trusted", output)

    def converse(self, command):
        """Says who it is, waits for the server's question, and ends; all that it printed."""
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, bufsize=0)
        timer = threading.Timer(60, child.kill)
        timer.start()
        with child:
            child.stdin.write(start_up(front.server.user) + b"\n")
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
        with Wire(front.gateway.ports["postgresql"]) as client:
            client.start_tls(wire.context(front.env.ca, ["postgresql"]))
            self.assertEqual(client.socket.selected_alpn_protocol(), "postgresql")
            self.assertEqual(client.send(start_up(front.server.user)).exactly(1), b"R")

    def test_without_it(self):
        for alpn in (None, ["http/1.1"]):
            with self.subTest(alpn), Wire(front.gateway.ports["postgresql"]) as client:
                with self.assertRaisesRegex(OSError, "no application protocol"):
                    client.start_tls(wire.context(front.env.ca, alpn))

    def test_after_a_request_nobody_need_offer_it(self):
        for alpn, chosen in ((None, None), (["postgresql"], "postgresql")):
            with self.subTest(alpn), Wire(front.gateway.ports["postgresql"]) as client:
                self.assertEqual(client.send(request(SSL)).exactly(1), b"S")
                client.start_tls(wire.context(front.env.ca, alpn))
                self.assertEqual(client.socket.selected_alpn_protocol(), chosen)
                self.assertEqual(client.send(start_up(front.server.user)).exactly(1), b"R")


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
        with front.connect() as client, client.cursor() as cursor:
            cursor.execute("create temporary table lines (line text)")
            numbers, sink = self.Numbers(size), self.Sink()
            cursor.copy_expert("copy lines from stdin", numbers, 65536)
            cursor.copy_expert("copy lines to stdout", sink, 65536)
        self.assertEqual((sink.size, sink.digest.hexdigest()), (size, numbers.digest.hexdigest()))

    def test_fifty_at_a_time(self):
        def one(number):
            with front.connect() as client:
                return ask(client, "select {} + 1".format(number))

        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            self.assertEqual(list(pool.map(one, range(50))), list(range(1, 51)))

    def test_wrong_password(self):
        with self.assertRaisesRegex(psycopg2.OperationalError, "password authentication failed"):
            psycopg2.connect(**front.settings(password="wrong"))

    def test_server_that_is_killed(self):
        with Database() as doomed, front.running(doomed) as before, front.connect(before) as client:
            self.assertEqual(ask(client, "select 1"), 1)
            doomed.kill()
            with self.assertRaises(psycopg2.OperationalError):
                ask(client, "select 1")
            with self.assertRaisesRegex(psycopg2.OperationalError, "server not available"):
                psycopg2.connect(**front.settings(before))

    def test_nothing_secret_in_the_log(self):
        with front.connect() as client:
            ask(client, "select 'secret-statement'")
            with socket.socket(fileno=os.dup(client.fileno())) as s:
                peer = "peer={}:{} ".format(*s.getsockname())
        for event in ("session established", "session ended"):
            self.assertIsNotNone(front.gateway.wait_for_line(event, peer), event)
        lines = "\n".join(front.gateway.lines)
        for secret in (front.server.password, "secret-statement", front.server.user):
            self.assertNotIn(secret, lines)


class Recipe(unittest.TestCase):
    def test_superuser_stays_at_home(self):
        status, output = front.psql(user="postgres", dbname="postgres")
        self.assertEqual(status, 2, output)
        self.assertIn("pg_hba.conf rejects connection", output)

    def test_no_tls_inside_tls(self):
        with Wire(front.gateway.ports["postgresql"]) as client:
            self.assertEqual(client.send(request(SSL)).exactly(1), b"S")
            client.start_tls(wire.context(front.env.ca))
            self.assertEqual(client.send(request(SSL)).exactly(1), b"N")

    def test_a_server_with_tls_offers_it_inside_tls(self):
        """Which no client takes: it has TLS already."""
        with Database(certificate=front.env.certificates["pairs"][0]) as with_tls, \
                front.running(with_tls) as before:
            with Wire(before.ports["postgresql"]) as client:
                self.assertEqual(client.send(request(SSL)).exactly(1), b"S")
                client.start_tls(wire.context(front.env.ca))
                self.assertEqual(client.send(request(SSL)).exactly(1), b"S")
            with front.connect(before) as client:
                self.assertFalse(ask(
                    client, "select ssl from pg_stat_ssl where pid = pg_backend_pid()"))

    def test_what_trusts_the_gateways_address_trusts_everybody(self):
        """Why the recipe has no such line."""
        with Database(access="host all all 127.0.0.1/32 trust\n") as trusting:
            with front.running(trusting) as before:
                with front.connect(before, user="postgres", dbname="postgres", password="") as client:
                    self.assertEqual(ask(client, "show is_superuser"), "on")

    def test_hostssl_matches_nobody(self):
        with Database(access="hostssl all all 127.0.0.1/32 trust\n") as strict:
            with front.running(strict) as before, front.connect(before) as client:
                self.assertEqual(ask(client, "select 1"), 1)  # by the line behind it
                with self.assertRaisesRegex(psycopg2.OperationalError, "authentication failed"):
                    psycopg2.connect(**front.settings(before, password="wrong"))

    def test_peer_makes_everybody_the_gateways_user(self):
        own = pwd.getpwuid(os.getuid()).pw_name
        with Database("host all postgres 127.0.0.1/32 trust\n", "local all all peer\n") as local:
            keys = {"servers": ["unix:" + local.socket], "proxy_protocol": "none"}
            with front.running(local) as before, front.connect(
                    before, user="postgres", dbname="postgres", password="") as client:
                with client.cursor() as cursor:
                    cursor.execute('create role "{}" login'.format(own))
            with front.env.gateway(LISTENERS, {"one": keys}, ready="/readyz") as before:
                with front.connect(before, user=own, dbname="postgres", password="") as client:
                    self.assertEqual(ask(client, "select current_user"), own)
                with self.assertRaisesRegex(psycopg2.OperationalError, "Peer authentication failed"):
                    psycopg2.connect(**front.settings(before, user="postgres", dbname="postgres"))

    def test_unix_socket_knows_the_gateway_alone(self):
        """Why -t warns of it."""
        with Database(sockets="local all all trust\n") as local:
            keys = {"servers": ["unix:" + local.socket], "proxy_protocol": "none"}
            config = front.env.configure(LISTENERS, {"one": keys})[0]
            status, output = harness.run([harness.BINARY, "-t", "-c", config])
            self.assertEqual(status, 0, output)
            self.assertIn("takes every client for a local one", output)
            with front.env.gateway(LISTENERS, {"one": keys}, ready="/readyz") as before:
                with front.connect(before, user="postgres", dbname="postgres", password="") as client:
                    self.assertEqual(ask(client, "show is_superuser"), "on")


if __name__ == "__main__":
    unittest.main()
