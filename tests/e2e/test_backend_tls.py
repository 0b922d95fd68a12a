"""Tests TLS to real servers, with the PROXY header before it, and a log-in by a client certificate
alone."""

import base64
import imaplib
import os
import smtplib
import ssl
import unittest

import harness
import mailservers
import tls_material as tm
from wire import Wire, context

NAME = "mail.internal.example"
HANDSHAKES = "starling_backend_tls_handshakes_total"
FAILURES = "starling_backend_tls_handshake_failures_total"

DOVECOT = """
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
ssl_ca = <{clients}
service imap-login {{
  inet_listener imaps_tls {{
    address = 127.0.0.1
    port = @{{imaps_tls}}
    ssl = yes
    haproxy = yes
  }}
}}
# Failures come back at once.
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
# A client that shows a certificate needs no password. Its user name is the certificate's.
auth_mechanisms = plain login external
auth_ssl_username_from_cert = yes
passdb {{
  driver = static
  mechanisms = external
  args = nopassword=y
}}
"""
MASTER = """
127.0.0.1:@{{smtps_tls}} inet n - n - - smtpd
  -o smtpd_upstream_proxy_protocol=haproxy
  -o smtpd_tls_wrappermode=yes
  -o smtpd_tls_cert_file={cert}
  -o smtpd_tls_key_file={key}
  -o smtpd_sasl_auth_enable=no
  -o mynetworks=
  -o smtpd_relay_restrictions=reject_unauth_destination
"""

env = None
material = None


class Material:
    def __init__(self, folder):
        root = tm.Authority("Servers' authority")
        clients = tm.Authority("Clients' authority")
        stranger = tm.Authority("Nobody's authority")
        self.server = root.issue([NAME]).save(folder, "server")
        self.ca = tm.write(os.path.join(folder, "servers.pem"), root.cert)
        self.other_ca = tm.write(os.path.join(folder, "strangers.pem"), stranger.cert)
        self.clients_ca = tm.write(os.path.join(folder, "clients.pem"), clients.cert)
        user = mailservers.MailServers.user
        self.user = clients.issue(client=user).save(folder, "user")
        self.forged = stranger.issue(client=user).save(folder, "forged")


def setUpModule():
    global env, material
    env = harness.Environment(servers=False)
    material = Material(env.dir)
    files = {**material.server, "clients": material.clients_ca}
    env.servers = mailservers.MailServers(
        dovecot=DOVECOT.format(**files), master=MASTER.format(**files),
        more=("imaps_tls", "smtps_tls"))
    env.servers.__enter__()
    unittest.addModuleCleanup(env.servers.stop)


def far(port, **tls):
    """A backend that is reached by TLS."""
    return {"servers": ["127.0.0.1:{}".format(env.servers.ports[port])], "proxy_protocol": "v2",
            "tls": {"verify": "required", "ca": material.ca, "name": NAME, **tls}}


LISTENERS = {
    "mx": {"protocol": "smtp", "tls": "starttls", "policy": "require", "backend": "postfix"},
    "imap": {"protocol": "imap", "tls": "starttls", "backend": "dovecot"},
    "imaps": {"protocol": "imap", "tls": "implicit", "backend": "dovecot"},
}


def gateway(**tls):
    return env.gateway(LISTENERS, {"postfix": far("smtps_tls", **tls),
                                   "dovecot": far("imaps_tls", **tls)})


def log_in(client):
    client.login(mailservers.MailServers.user, mailservers.MailServers.password)
    return client


class RealServers(unittest.TestCase):
    def test_mail_goes_in_and_comes_out(self):
        user = mailservers.MailServers.user
        with gateway() as running:
            with smtplib.SMTP("127.0.0.1", running.ports["mx"], timeout=20) as smtp:
                smtp.starttls(context=context())
                smtp.ehlo("client.example.net")
                smtp.sendmail("you@example.net", [user], "Subject: by TLS twice\r\n\r\nhello\r\n")
            self.assertTrue(env.servers.wait_for_log("postfix", "status=sent"))
            with imaplib.IMAP4("127.0.0.1", running.ports["imap"], timeout=20) as imap:
                imap.starttls(context())
                log_in(imap).select()
                _, found = imap.search(None, "SUBJECT", '"by TLS twice"')
                _, parts = imap.fetch(found[0].split()[-1], "(RFC822)")
                message = parts[0][1].decode()
            self.assertIn("with ESMTPS", message)
            with imaplib.IMAP4_SSL("127.0.0.1", running.ports["imaps"], timeout=20,
                                   ssl_context=context()) as imap:
                log_in(imap).select()
            self.assertEqual(running.metrics().sum(FAILURES), 0)
            running.assert_idle(self)

    def test_postfix_resumes_sessions(self):
        # Dovecot does not: each of its login processes has ticket keys of its own.
        with env.gateway(LISTENERS, {"postfix": far("smtps_tls"), "dovecot": far("imaps_tls")},
                         workers=1) as running:
            for _ in range(4):
                with Wire(running.ports["mx"]) as client:
                    client.upgrade("smtp")
                    self.assertTrue(client.ask("smtp", b"EHLO client.example.net\r\n"))
                    client.ask("smtp", b"QUIT\r\n")
            self.assertEqual(running.wait_for_metric(3, HANDSHAKES, resumed="yes"), 3)

    def test_the_true_client_is_known_behind_it(self):
        with gateway() as running, Wire(running.ports["imaps"], "127.0.0.9").start_tls() as client:
            client.greeting("imap")
            client.ask("imap", b"a LOGIN %s %s\r\n" % (
                mailservers.MailServers.user.encode(), mailservers.MailServers.password.encode()))
            self.assertTrue(env.servers.wait_for_log(
                "dovecot", "rip=127.0.0.9, rport={}".format(client.name[1])))

    def test_servers_that_are_not_believed_are_not_talked_to(self):
        for tls in ({"name": "other.example"}, {"ca": material.other_ca}):
            with self.subTest(tls), gateway(**tls) as running:
                with Wire(running.ports["imaps"]).start_tls() as client:
                    self.assertIn(b"* BYE", client.rest())
                with Wire(running.ports["mx"]) as client:
                    client.upgrade("smtp")
                    self.assertIn(b"421 ", client.send(b"EHLO client.example.net\r\n").rest())
                self.assertEqual(running.wait_for_metric(
                    2, FAILURES, reason="server_certificate_invalid"), 2)


class External(unittest.TestCase):
    """SASL EXTERNAL (RFC 4422 appendix A): the name comes from the PROXY header,
    and only if the gateway has verified the certificate."""

    def external(self, port, who=None, authorize="", starttls=False):
        """Whether Dovecot logs this client in; the answer."""
        tls = context()
        if who:
            tls.load_cert_chain(who["cert"], who["key"])
        with Wire(port) as client:
            if starttls:
                client.upgrade("imap", tls)
            else:
                client.start_tls(tls).greeting("imap")
            response = base64.b64encode(authorize.encode()) or b"="
            return client.ask("imap", b"a AUTHENTICATE EXTERNAL %s\r\n" % response)

    def test_who_is_logged_in(self):
        options = {"client_certificate": {"mode": "optional", "ca": material.clients_ca}}
        listeners = {
            "imap": {"protocol": "imap", "tls": "starttls", "backend": "dovecot",
                     "tls_options": options},
            "imaps": {"protocol": "imap", "tls": "implicit", "backend": "dovecot",
                      "tls_options": options},
        }
        plain = {"dovecot": "127.0.0.1:{}".format(env.servers.ports["imap"])}
        with env.gateway(listeners, plain) as running:
            for name in listeners:
                with self.subTest(name):
                    ask = lambda *a: self.external(
                        running.ports[name], *a, starttls=name == "imap")
                    self.assertIn(b"a OK", ask(material.user))
                    self.assertIn(b"a NO", ask(material.user, "root@example.org"))
                    self.assertIn(b"a NO", ask(material.forged))
                    self.assertIn(b"a NO", ask())
        self.assertTrue(env.servers.wait_for_log(
            "dovecot", "user=<{}>, method=EXTERNAL".format(mailservers.MailServers.user), 2))
        # Reached by TLS, Dovecot looks at that TLS, where nobody shows a certificate.
        with env.gateway({"imaps": listeners["imaps"]}, {"dovecot": far("imaps_tls")}) as running:
            self.assertIn(b"a NO", self.external(running.ports["imaps"], material.user))


if __name__ == "__main__":
    unittest.main()
