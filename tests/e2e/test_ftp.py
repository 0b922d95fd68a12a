"""Tests FTP with ProFTPD and pyftpdlib: clients with AUTH TLS and with implicit TLS, data channels
in both directions, active and passive, over IPv4 and IPv6."""

import ftplib
import hashlib
import os
import socket
import ssl
import subprocess
import unittest

import ftpserver
import harness
import wire
from ports import reserve_ports

env = None
server = None
server6 = None
other = None
gateway = None
BIG = os.urandom(1024) * 3000
LISTENERS = {"ftp": "starttls", "ftps": "implicit"}


def setUpModule():
    global env, server, server6, other, gateway
    env = harness.Environment(servers=False)
    server = unittest.enterModuleContext(ftpserver.ProFtpd())
    server6 = unittest.enterModuleContext(ftpserver.ProFtpd("::1"))
    other = unittest.enterModuleContext(ftpserver.PyFtpd())
    for each in (server, server6, other):
        each.put("big", BIG)
        each.put("empty", b"")
    listeners = {name: {"protocol": "ftp", "tls": tls, "backend": "proftpd"}
                 for name, tls in LISTENERS.items()}
    listeners["resume"] = {"protocol": "ftp", "tls": "starttls", "backend": "proftpd",
                           "ftp": {"require_resumption": True}}
    listeners["other"] = {"protocol": "ftp", "tls": "starttls", "backend": "other"}
    ports = reserve_ports([*listeners, "six"])
    listeners["six"] = {"protocol": "ftp", "tls": "starttls", "backend": "six",
                        "bind": ["[::1]:{}".format(ports["six"])]}
    gateway = unittest.enterModuleContext(env.gateway(listeners, {
        "proftpd": {"servers": [server.address], "proxy_protocol": "none"},
        "other": {"servers": [other.address], "proxy_protocol": "none"},
        "six": {"servers": [server6.address], "proxy_protocol": "none"}}, ports))


def host(listener):
    return "::1" if listener == "six" else "127.0.0.1"


def behind(listener):
    """The server that a listener leads to."""
    return {"other": other, "six": server6}.get(listener, server)


class Implicit(ftplib.FTP_TLS):
    """ftplib knows no implicit TLS."""

    def connect(self, host="", port=0, timeout=-999, source_address=None):
        self.host, self.timeout = host, timeout
        self.sock = self.context.wrap_socket(
            socket.create_connection((host, port), timeout), server_hostname="mail.example.org")
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome


class Explicit(ftplib.FTP_TLS):
    def auth(self):
        # The certificate is not for the address that the tests connect to.
        self.host = "mail.example.org"
        return super().auth()


def log_in(listener="ftp", passive=True, login=True):
    """A client inside TLS whose data is private."""
    kind = Implicit if LISTENERS.get(listener) == "implicit" else Explicit
    client = kind(context=wire.context(env.ca))
    client.connect(host(listener), gateway.ports[listener], timeout=wire.TIMEOUT)
    client.host = "mail.example.org"
    client.set_pasv(passive)
    if login:
        # With implicit TLS no AUTH is sent: it is there already.
        client.login(server.name, server.password, secure=kind is Explicit)
        client.prot_p()
    return client


def fetch(client, name, **more):
    parts = []
    client.retrbinary("RETR " + name, parts.append, **more)
    return b"".join(parts)


class Ftplib(unittest.TestCase):
    def test_files_both_ways(self):
        for listener in ("ftp", "ftps", "other", "six"):
            for passive in (True, False):
                with self.subTest(listener, passive=passive), log_in(listener, passive) as client:
                    self.assertEqual(fetch(client, "big"), BIG)
                    self.assertEqual(fetch(client, "empty"), b"")
                    name = "up-{}-{}".format(listener, passive)
                    with open(server.path("big"), "rb") as f:
                        client.storbinary("STOR " + name, f)
                    self.assertEqual(behind(listener).get(name), BIG)
                    self.assertIn(name, client.nlst())
                    self.assertIn(name, [entry for entry, _ in client.mlsd()])

    def test_extended(self):
        with log_in() as client:
            client.af = socket.AF_INET6  # makes it say EPSV and EPRT
            self.assertEqual(client.sendcmd("EPSV")[:3], "229")
            self.assertEqual(client.sendcmd("EPSV 1")[:3], "229")
            with self.assertRaisesRegex(ftplib.error_perm, r"^522 .*\(1\)"):
                client.sendcmd("EPSV 2")

    def test_restart_and_append(self):
        with log_in() as client:
            self.assertEqual(fetch(client, "big", rest=1000), BIG[1000:])
            server.put("begun", BIG[:1000])
            with open(server.path("big"), "rb") as f:
                f.seek(1000)
                client.storbinary("STOR begun", f, rest=1000)
            self.assertEqual(server.get("begun"), BIG)

    def test_a_hundred_files(self):
        with log_in() as client:
            for number in range(100):
                content = b"%d\n" % number * number
                server.put("one-of-many", content)
                self.assertEqual(fetch(client, "one-of-many"), content)
        self.assertEqual(gateway.metrics().sum("starling_worker_stale_completions_total"), 0)

    def test_features(self):
        with log_in() as client:
            features = client.sendcmd("FEAT").split("\n")
            for ours in (" AUTH TLS", " PBSZ", " PROT"):
                self.assertEqual(features.count(ours), 1)
            self.assertIn(" EPSV", features)

    def test_refusals(self):
        with log_in() as client:
            for command, code in (("CCC", "534"), ("AUTH TLS", "503"), ("LPSV", "502"),
                                  ("CPSV", "502"), ("SSCN ON", "502"), ("PROT E", "536"),
                                  ("PORT 127,0,0,2,100,100", "504"),
                                  ("PORT 127,0,0,1,3,255", "504"), ("RETR big", "425")):
                with self.subTest(command), self.assertRaises(ftplib.Error) as refused:
                    client.sendcmd(command)
                self.assertEqual(str(refused.exception)[:3], code)
            client.prot_c()
            client.sendcmd("PASV")
            with self.assertRaisesRegex(ftplib.error_perm, "^521"):
                client.sendcmd("RETR big")

    def test_a_failure_ends_the_data_channel(self):
        with log_in() as client:
            with self.assertRaisesRegex(ftplib.error_perm, "^550"):
                fetch(client, "missing")
            self.assertEqual(fetch(client, "big"), BIG)


class OtherClients(unittest.TestCase):
    """Each verifies the certificate."""

    def url(self, listener, name=""):
        scheme = "ftps" if LISTENERS.get(listener) == "implicit" else "ftp"
        return "{}://mail.example.org:{}/{}".format(scheme, gateway.ports[listener], name)

    def curl(self, listener, *options):
        at = "mail.example.org:{}:[{}]".format(gateway.ports[listener], host(listener))
        return harness.run(["curl", "-sS", "--cacert", env.ca, "--resolve", at, "--ssl-reqd",
                            "-u", "demo:secret words", *options])

    def test_curl(self):
        for listener in ("ftp", "ftps", "resume", "other", "six"):
            # Passive only: bookworm's curl 7.88 begins no TLS on an active data connection.
            # Over IPv6 it says EPSV whatever it is told.
            for options in ([], ["--disable-epsv"]) if listener != "six" else ([],):
                with self.subTest(listener, options=options):
                    name = "-".join(["from-curl", listener, *options])
                    got = os.path.join(env.dir, name)
                    code, output = self.curl(listener, *options, "-o", got, self.url(listener, "big"))
                    self.assertEqual(code, 0, output)
                    with open(got, "rb") as f:
                        self.assertEqual(hashlib.sha256(f.read()).digest(),
                                         hashlib.sha256(BIG).digest())
                    code, output = self.curl(
                        listener, *options, "-T", got, self.url(listener, name))
                    self.assertEqual(code, 0, output)
                    self.assertEqual(behind(listener).get(name), BIG)

    def lftp(self, listener, *commands, passive=True, sync=True):
        # It knows no --resolve; the address is among the certificate's names.
        at = "{}://127.0.0.1:{}".format(
            "ftps" if LISTENERS.get(listener) == "implicit" else "ftp", gateway.ports[listener])
        settings = ["set cmd:fail-exit true", "set ftp:ssl-force true",
                    "set ftp:ssl-protect-data true", "set ssl:verify-certificate true",
                    "set ssl:ca-file " + env.ca, "set net:max-retries 2", "set net:timeout 20",
                    "set ftp:passive-mode {}".format("on" if passive else "off"),
                    "set ftp:sync-mode {}".format("on" if sync else "off"),
                    "open -u demo,'secret words' " + at]
        return harness.run(["lftp", "-c", "; ".join([*settings, *commands])])

    def test_lftp(self):
        for listener in (*LISTENERS, "resume"):
            for passive in (True, False):
                for sync in (True, False):
                    with self.subTest(listener, passive=passive, sync=sync):
                        name = "from-lftp-{}-{}-{}".format(listener, passive, sync)
                        got = os.path.join(env.dir, name)
                        code, output = self.lftp(
                            listener, "get big -o " + got, "put {} -o {}".format(got, name),
                            "cls", passive=passive, sync=sync)
                        self.assertEqual(code, 0, output)
                        with open(got, "rb") as f:
                            self.assertEqual(f.read(), BIG)
                        self.assertEqual(server.get(name), BIG)
                        self.assertIn(name, output)

    def test_lftp_says_what_fails(self):
        """Also where a command behind it does not."""
        code, output = self.lftp("ftp", "put {} -o missing/file".format(env.ca), "cls")
        self.assertNotEqual(code, 0, output)

    def test_s_client(self):
        for listener, options in (("ftp", ["-starttls", "ftp"]), ("ftps", [])):
            with self.subTest(listener):
                code, output = harness.run(
                    ["openssl", "s_client", "-quiet", "-connect",
                     "localhost:{}".format(gateway.ports[listener]), "-CAfile", env.ca,
                     "-verify_return_error", "-verify_hostname", "mail.example.org", "-crlf",
                     *options], b"QUIT\n")
                self.assertEqual(code, 0, output)
                self.assertIn("221 ", output)


if __name__ == "__main__":
    unittest.main()
