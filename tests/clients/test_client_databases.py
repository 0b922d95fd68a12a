"""Tests libraries for databases with a real PostgreSQL and a real slapd: a megabyte there and back, many
rows and pages of entries, cancelled statements."""

import os
import unittest

from database import Database
from directory import Directory
from programs import Programs, harness

env = None
programs = None
octets = None
LISTENERS = {
    "postgresql": {"protocol": "postgresql", "tls": "starttls", "backend": "postgresql"},
    "ldap": {"protocol": "ldap", "tls": "starttls", "backend": "slapd"},
    "ldaps": {"protocol": "ldap", "tls": "implicit", "backend": "slapd"},
}
LIBRARIES = ("pgx", "pgjdbc", "asyncpg")


def setUpModule():
    global env, programs, octets
    env = harness.Environment(servers=False)
    database = unittest.enterModuleContext(Database())
    slapd = unittest.enterModuleContext(Directory())
    gateway = unittest.enterModuleContext(env.gateway(
        LISTENERS, {"postgresql": {"servers": [database.address], "proxy_protocol": "none"},
                    "slapd": slapd.address}, ready="/readyz"))
    programs = Programs(env, gateway)
    octets = os.path.join(env.dir, "octets")
    with open(octets, "wb") as f:
        f.write(os.urandom(1 << 20))


def given(server, user):
    return {"USER": user, "PASSWORD": server.password, "MAIL": octets, "BASE": Directory.base}


class PostgreSql(unittest.TestCase):
    """`required` is sslmode=require; the others verify the name as well. `direct` begins with TLS."""

    def test_queries(self):
        for name in LIBRARIES:
            for tls in ("upgrade", "required", "direct"):
                with self.subTest(name, tls=tls):
                    output = programs.work(
                        self, name, "postgresql", tls, **given(Database, Database.user))
                    for words in ("1048576 octets came back unchanged",
                                  "copied 10000 rows whose numbers are 49995000 in all", "canceled",
                                  "the connection lives on: 42"):
                        self.assertIn(words, output)
                    self.assertEqual("gave a query up, and the server ended it" in output, name == "pgx")

    def test_not_without_tls(self):
        for name in LIBRARIES:
            with self.subTest(name):
                programs.fail(self, "TLS is required: set sslmode to require or verify-full", name,
                              "postgresql", "none", **given(Database, Database.user))

    def test_unknown_authority(self):
        for name in LIBRARIES:
            for tls in ("upgrade", "direct"):
                with self.subTest(name, tls=tls):
                    programs.fail_before_a_stranger(
                        self, name, "postgresql", tls, **given(Database, Database.user))


class Ldap(unittest.TestCase):
    def test_entries(self):
        for listener, tls in (("ldap", "upgrade"), ("ldaps", "implicit")):
            with self.subTest(tls):
                output = programs.work(
                    self, "go-ldap", listener, tls, **given(Directory, Directory.admin))
                for words in ("I am dn:" + Directory.admin, "found 300 by pages of 50, 300 different",
                              "1048576 octets came back unchanged"):
                    self.assertIn(words, output)

    def test_no_bind_without_tls(self):
        programs.fail(self, 'Code 13 "Confidentiality Required": TLS required, use StartTLS', "go-ldap",
                      "ldap", "none", **given(Directory, Directory.admin))

    def test_unknown_authority(self):
        for listener, tls in (("ldap", "upgrade"), ("ldaps", "implicit")):
            with self.subTest(tls):
                programs.fail_before_a_stranger(
                    self, "go-ldap", listener, tls, **given(Directory, Directory.admin))


if __name__ == "__main__":
    unittest.main()
