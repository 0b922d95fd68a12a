"""Tests LDAP with a real slapd: its settings, three independent clients with StartTLS and with
implicit TLS, which client slapd sees, and which octets must not reach it."""

import ssl
import subprocess
import threading
import unittest

import ldap3

import directory
import harness
import proxy_v2
import wire
from directory import Directory, ask, bind, code, extended, sasl, search
from wire import Wire

env = None
server = None
gateway = None
LISTENERS = {
    "ldap": {"protocol": "ldap", "tls": "starttls", "backend": "slapd"},
    "ldaps": {"protocol": "ldap", "tls": "implicit", "backend": "slapd"},
}
CONFIDENTIALITY_REQUIRED = 13


def setUpModule():
    global env, server, gateway
    env = harness.Environment(servers=False)
    server = unittest.enterModuleContext(Directory())
    gateway = unittest.enterModuleContext(
        env.gateway(LISTENERS, {"slapd": server.address}, ready="/readyz"))


def inside(listener="ldap", source="127.0.0.1", running=None):
    """A connection inside TLS."""
    client = Wire((running or gateway).ports[listener], source)
    if listener == "ldap" and code(ask(client, extended(directory.START_TLS))) != 0:
        raise AssertionError("StartTLS refused")
    return client.start_tls(wire.context(env.ca))


def entries(client, base=Directory.base, attribute="mail"):
    """How many a search finds, and its result code."""
    client.send(directory.message(search(base, attribute, scope=2), 9))
    found = 0
    while True:
        answer = directory.read(client)
        if answer[1] == 0x65:
            return found, code(answer)
        found += 1


class Recipe(unittest.TestCase):
    """The server by itself, by PROXY headers written here."""

    def test_only_version_2(self):
        for header, answers in ((proxy_v2.header(), True), (proxy_v2.local(), True),
                                (proxy_v2.header(tls=False), True), (proxy_v2.v1(), False),
                                (b"", False)):
            # In one write: it may close as soon as it has seen the first octets.
            request = directory.message(bind(server.user, server.password))
            with self.subTest(header), server.call(header + request) as client:
                if answers:
                    self.assertEqual(code(directory.read(client)), 0)
                else:
                    self.assertEqual(client.rest(), b"")

    def test_true_client_in_log(self):
        for source, shown in ((("198.51.100.23", 4711), r"198\.51\.100\.23:4711"),
                              (("2001:db8::7", 4712), r"\[2001:db8::7\]:4712")):
            with server.call(proxy_v2.header(source, (source[0], 389))) as client:
                ask(client, extended(directory.WHO_AM_I))
            self.assertTrue(server.wait_for_log(r"ACCEPT from IP=" + shown))

    def test_starttls_not_offered_inside(self):
        with server.call(proxy_v2.header()) as client:
            self.assertEqual(code(ask(client, extended(directory.START_TLS))), 2)

    def test_settings_that_do_not_work_behind_the_gateway(self):
        for setting in ("security tls=1", "security ssf=1", "security simple_bind=1"):
            with self.subTest(setting), Directory(settings=setting) as strict:
                with strict.call(proxy_v2.header()) as client:
                    self.assertEqual(code(ask(client, bind(strict.user, strict.password))),
                                     CONFIDENTIALITY_REQUIRED)

    def test_access_by_address_needs_the_header(self):
        with Directory(access="by peername.ip=127.0.0.1 read ") as trusting:
            with trusting.call(proxy_v2.header(("192.0.2.7", 40000))) as client:
                self.assertEqual(entries(client), (0, 32))
            with trusting.call(proxy_v2.header(("127.0.0.1", 40000))) as client:
                self.assertEqual(entries(client), (2, 0))
            # Without it everybody comes from there.
            with env.gateway(
                    LISTENERS, {"slapd": {"servers": [trusting.plain], "proxy_protocol": "none"}},
                    ready="/readyz") as without, inside(source="127.2.0.9", running=without) as client:
                self.assertEqual(entries(client), (2, 0))

    def test_ldapi_makes_everybody_root(self):
        """Why -t warns of it."""
        keys = {"servers": ["unix:" + server.socket], "proxy_protocol": "none"}
        config = env.configure(LISTENERS, {"slapd": keys})[0]
        code_, output = harness.run([harness.BINARY, "-t", "-c", config])
        self.assertEqual(code_, 0, output)
        self.assertEqual(output.count("takes every client for the gateway's own user"), 2, output)
        with env.gateway(LISTENERS, {"slapd": keys}) as unsafe, inside(running=unsafe) as client:
            self.assertEqual(code(ask(client, sasl("EXTERNAL"))), 0)
            self.assertIn(b"gidNumber=0+uidNumber=0", ask(client, extended(directory.WHO_AM_I))[2][-1][1])
        with inside() as client:
            self.assertEqual(code(ask(client, sasl("EXTERNAL"))), 7)  # no such mechanism


class LdapUtils(unittest.TestCase):
    # By address: libldap takes "localhost" for the name of the machine.
    def run_tool(self, tool, listener, *arguments):
        scheme = "ldaps" if listener == "ldaps" else "ldap"
        return harness.run(
            ["env", "LDAPTLS_CACERT=" + env.ca, "LDAPTLS_REQCERT=demand", tool, "-H", "{}://127.0.0.1:{}".format(scheme, gateway.ports[listener]), *arguments])

    def test_search_and_whoami(self):
        login = ["-x", "-D", server.user, "-w", server.password]
        for listener, options in (("ldap", ["-ZZ"]), ("ldaps", [])):
            with self.subTest(listener):
                status, output = self.run_tool(
                    "ldapsearch", listener, *options, *login, "-LLL", "-b", server.base,
                    "(uid=demo)", "mail")
                self.assertEqual(status, 0, output)
                self.assertIn("mail: demo@example.org", output)
                status, output = self.run_tool("ldapwhoami", listener, *options, *login)
                self.assertEqual((status, output), (0, "dn:{}\n".format(server.user)))

    def test_root_dse(self):
        status, output = self.run_tool(
            "ldapsearch", "ldap", "-ZZ", "-x", "-LLL", "-s", "base", "-b", "", "namingContexts")
        self.assertEqual(status, 0, output)
        self.assertIn("namingContexts: " + server.base, output)

    def test_without_tls(self):
        for options in ([], ["-D", server.user, "-w", server.password]):
            status, output = self.run_tool(
                "ldapsearch", "ldap", "-x", *options, "-b", server.base)
            self.assertEqual(status, CONFIDENTIALITY_REQUIRED, output)
            self.assertIn("TLS required, use StartTLS", output)


class TlsTools(unittest.TestCase):
    def test_s_client(self):
        for listener, options in (("ldap", ["-starttls", "ldap"]), ("ldaps", [])):
            with self.subTest(listener):
                output = self.converse(
                    ["openssl", "s_client", "-connect", "localhost:{}".format(gateway.ports[listener]),
                     "-servername", "mail.example.org", "-CAfile", env.ca, "-verify_return_error",
                     "-verify_hostname", "mail.example.org", "-nocommands", *options],
                    directory.message(search("", "supportedLDAPVersion")), b"supportedLDAPVersion",
                    directory.message(directory.unbind(), 2))
                self.assertIn(b"Verify return code: 0 (ok)", output)
                self.assertIn(b"supportedLDAPVersion", output)

    @staticmethod
    def converse(command, first, wanted, last):
        """Types `first`, waits until it has printed `wanted` or ends, types `last`;
        all that it printed."""
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        timer = threading.Timer(60, child.kill)
        timer.start()
        with child:
            child.stdin.write(first)
            output = b""
            while wanted not in output and (more := child.stdout.read(65536)):
                output += more
            if wanted in output:
                child.stdin.write(last)
            while more := child.stdout.read(65536):
                output += more
        timer.cancel()
        return output

    def test_gnutls_cli(self):
        # slapd closes after an invalid message: a tag, a length of ten octets, and more.
        status, output = harness.converse(
            ["gnutls-cli", "--starttls-proto", "ldap", "--x509cafile", env.ca, "--port",
             str(gateway.ports["ldap"]), "--verify-hostname", "mail.example.org", "localhost"], b"x\n" + b"y" * 20 + b"\n")
        self.assertIn("Handshake was completed", output)
        self.assertIn("Status: The certificate is trusted", output)


class Ldap3(unittest.TestCase):
    """Python's own implementation."""

    def connect(self, listener, user, **more):
        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=env.ca)
        host = ldap3.Server("localhost", gateway.ports[listener], use_ssl=listener == "ldaps", tls=tls,
                            get_info=ldap3.ALL)
        auto = ldap3.AUTO_BIND_NO_TLS if listener == "ldaps" else ldap3.AUTO_BIND_TLS_BEFORE_BIND
        return ldap3.Connection(host, user, server.password, auto_bind=auto, receive_timeout=30, **more)

    def test_writes_and_reads(self):
        photo = bytes(range(256)) * 8192  # 2 MiB in one message
        for listener in LISTENERS:
            with self.subTest(listener), self.connect(listener, server.admin) as client:
                names = ["cn={}-{},{}".format(listener, n, server.base) for n in range(200)]
                for name in names:
                    self.assertTrue(client.add(name, "inetOrgPerson", {"sn": name}), client.result)
                found = {row["dn"]: row["attributes"]["sn"] for row in client.extend.standard.paged_search(
                    server.base, "(cn={}-*)".format(listener), attributes=["sn"], paged_size=50)}
                self.assertEqual(found, {name: [name] for name in names})
                self.assertTrue(client.modify(
                    names[0], {"jpegPhoto": [(ldap3.MODIFY_REPLACE, [photo])]}), client.result)
                client.search(names[0], "(cn=*)", attributes=["jpegPhoto"])
                self.assertEqual(client.response[0]["raw_attributes"]["jpegPhoto"], [photo])
                self.assertTrue(client.delete(names[1]))
                self.assertFalse(client.compare(names[1], "sn", "x"))

    def test_wrong_password(self):
        with self.assertRaises(ldap3.core.exceptions.LDAPBindError):
            self.connect("ldap", "uid=nobody," + server.base)


class Identity(unittest.TestCase):
    def test_true_address(self):
        for number, listener in enumerate(LISTENERS, 1):
            source = "127.2.0.{}".format(number)
            with self.subTest(listener), inside(listener, source) as client:
                ask(client, extended(directory.WHO_AM_I))
                self.assertTrue(server.wait_for_log(r"ACCEPT from IP={}:{} ".format(
                    source.replace(".", r"\."), client.name[1])))

    def test_second_upgrade_is_refused(self):
        for listener in LISTENERS:
            with self.subTest(listener), inside(listener) as client:
                self.assertEqual(code(ask(client, extended(directory.START_TLS))), 2)

    def test_nothing_is_kept_of_what_came_before(self):
        """What is asked before TLS gets result 13; clients ask again inside."""
        before = gateway.metrics()
        with Wire(gateway.ports["ldap"]) as client:
            self.assertEqual(code(ask(client, search("", "supportedExtension"))), 13)
            self.assertEqual(code(ask(client, bind(server.user, server.password), 2)), 13)
            client.send(directory.message(directory.ber(0x50, b"\2"), 3))  # abandon has no answer
            self.assertEqual(code(ask(client, extended(directory.START_TLS), 4)), 0)
            client.start_tls(wire.context(env.ca))
            who = ask(client, extended(directory.WHO_AM_I), 1)
            self.assertEqual((code(who), who[2][-1][1]), (0, b""))
            self.assertEqual(code(ask(client, bind(server.user, server.password), 2)), 0)
            who = ask(client, extended(directory.WHO_AM_I), 3)
            self.assertEqual(who[2][-1][1], b"dn:" + server.user.encode())
        after = gateway.metrics()
        for name, labels in (("starling_attacks_refused_total", {"kind": "plaintext_auth"}),
                             ("starling_downgrade_signals_total", {"signal": "not_taken"})):
            self.assertTrue(after.has(name, **labels), labels)
            self.assertEqual(after.sum(name, **labels), before.sum(name, **labels) + 1, labels)

    def test_no_password_in_the_log(self):
        with Wire(gateway.ports["ldap"]) as client:
            ask(client, bind(server.user, server.password))
        with inside() as client:
            ask(client, bind(server.user, server.password))
            self.assertIsNotNone(gateway.wait_for_line("session established", str(client.name[1])))
        self.assertNotIn(server.password, "\n".join(gateway.lines))


if __name__ == "__main__":
    unittest.main()
