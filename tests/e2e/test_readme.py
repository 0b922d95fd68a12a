"""Tests the README's chapter on certificates as it is printed: runs its commands with its settings,
only with other folders and another user."""

import os
import pwd
import re
import ssl
import unittest

import fakes
import harness
import tls_material as tm
from wire import Wire, context

env = None
root = None
README = os.path.join(os.path.dirname(os.path.dirname(harness.HERE)), "README.md")
RELOADS = "starling_config_reloads_total"
ADDED = "starling_certificates_loaded"


def setUpModule():
    global env, root
    env = harness.Environment(servers=False)
    root = tm.Authority()


def section(title):
    """The text below a heading."""
    with open(README, encoding="utf-8") as f:
        return re.split(r"^##+ ", f.read().split("# " + title + "\n")[1], flags=re.M)[0]


def blocks(title, language=""):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", section(title), re.M | re.S)
    return [text for kind, text in found if kind == language]


def shell(commands, place):
    code, output = harness.run(["bash", "-ec", "cd '{}'\n{}".format(place, commands)])  # runs: bash
    assert code == 0, output


def served(port, name):
    """The certificate that a client gets, DER."""
    with Wire(port) as client:
        client.socket = context().wrap_socket(client.socket, server_hostname=name)
        return client.socket.getpeercert(binary_form=True)


def taken(gateway, count):
    """Waits until changed files were taken over `count` times."""
    assert gateway.wait_for_metric(count, RELOADS, trigger="files", result="success") == count


class Certbot(unittest.TestCase):
    """With a folder of this test for /etc/letsencrypt, and nobody for starling."""

    def setUp(self):
        self.place = os.path.join(env.dir, "letsencrypt")
        self.printed = blocks("From certbot to a gateway that renews itself", "sh")[0]

    def certbot(self, name, certificate, number=1):
        """As certbot does, which lets nobody but root in, and keeps of the key before
        its group and mode."""
        tm.certbot(self.place, name, certificate, number)
        for folder in ("archive", "live"):
            if number == 1 and len(os.listdir(os.path.join(self.place, folder))) == 1:
                os.chmod(os.path.join(self.place, folder), 0o700)
        archive = os.path.join(self.place, "archive", name)
        for part in ("cert", "chain", "fullchain"):
            os.chmod(os.path.join(archive, "{}{}.pem".format(part, number)), 0o644)
        if number > 1:
            before = os.stat(os.path.join(archive, "privkey{}.pem".format(number - 1)))
            key = os.path.join(archive, "privkey{}.pem".format(number))
            os.chown(key, -1, before.st_gid)
            os.chmod(key, before.st_mode & 0o777)

    def let_in(self):
        """The printed commands, except for those that make the user and the certificate."""
        commands = [line for line in self.printed.splitlines()
                    if not line.startswith(("useradd", "certbot"))]
        self.assertEqual(len(commands), 2)
        shell("\n".join(commands).replace(" starling ", " nogroup ").replace(
            "/etc/letsencrypt", self.place), self.place)

    def test_from_the_first_certificate_to_renewals(self):
        first = root.issue(["mail.example.org"])
        self.certbot("mail.example.org", first)
        tm.write(os.path.join(self.place, "live", "README"), "This directory contains ...\n")
        settings = blocks("From certbot to a gateway that renews itself", "yaml")[0]
        entry = re.search(r"- folder: (\S+)", settings).group(1)
        with fakes.Backend(fakes.echo) as backend:
            config, metrics, ports = env.configure(
                {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "echo"}},
                {"echo": backend.address}, user="nobody", group="nogroup",
                tls={"certificates": [{"folder": entry.replace("/etc/letsencrypt", self.place)}]})
            code, output = harness.run([harness.BINARY, "-t", "-c", config])
            self.assertEqual(code, 2, "nobody was let in yet")
            self.assertIn("Permission denied", output)
            self.let_in()
            code, output = harness.run([harness.BINARY, "-t", "-c", config])
            self.assertEqual(code, 0, output)
            self.assertNotIn("warning", output)
            table = blocks("From certbot to a gateway that renews itself")[-1]
            for row in ("LISTENER", "CERTIFICATE"):
                columns = [re.search(r"^ +{}.*$".format(row), text, re.M).group().split()
                           for text in (table, output)]
                self.assertEqual(*columns)
            running = harness.Gateway(config, metrics, ports).start(ready="/healthz")
            try:
                self.renew_and_add(running, ports["tcp"], first)
                self.assertEqual(running.stop(), 0)
            finally:
                running.kill()

    def renew_and_add(self, gateway, port, first):
        with open("/proc/{}/status".format(gateway.process.pid), encoding="ascii") as f:
            self.assertIn("Uid:\t{}\t".format(pwd.getpwnam("nobody").pw_uid), f.read())
        self.assertEqual(served(port, "mail.example.org"), first.der)
        for number in (2, 3):
            renewed = root.issue(["mail.example.org"])
            self.certbot("mail.example.org", renewed, number)
            taken(gateway, number - 1)
            self.assertEqual(served(port, "mail.example.org"), renewed.der)
        self.assertEqual(gateway.metrics().sum(RELOADS, result="failure"), 0)
        # Another one, which the gateway may not read yet: nothing changes, and that is said.
        added = root.issue(["imap.example.org"])
        self.certbot("imap.example.org", added)
        self.assertIsNotNone(gateway.wait_for_line(
            "rejected", "imap.example.org/privkey.pem", "Permission denied"))
        self.assertEqual(served(port, "mail.example.org"), renewed.der)
        self.let_in()
        self.assertEqual(gateway.wait_for_metric(2, ADDED), 2)
        self.assertEqual(served(port, "imap.example.org"), added.der)


class CertManager(unittest.TestCase):
    def test_mounted_secrets_are_swapped(self):
        text = blocks("From cert-manager on Kubernetes", "yaml")[0]
        folder = os.path.basename(re.search(r"- folder: (\S+)", text).group(1))
        keys = re.search(r"ticket_keys: (\S+)", text).group(1).split("/")[-2:]
        tls, tickets = (os.path.join(env.dir, name) for name in (folder, keys[0]))
        for path in (tls, tickets):
            os.mkdir(path)
        first, renewed = (root.issue(["mail.example.org"]) for _ in range(2))
        tm.kubernetes(tls, first)
        tm.secret(tickets, {keys[1]: tm.ticket_keys()})
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address, tls={
                "certificates": [{"folder": tls}],
                "ticket_keys": os.path.join(tickets, keys[1])}) as gateway:
            port = gateway.ports["tcp"]
            self.assertEqual(served(port, "mail.example.org"), first.der)
            tm.kubernetes(tls, renewed, 2)
            taken(gateway, 1)
            self.assertEqual(served(port, "mail.example.org"), renewed.der)
            tm.secret(tickets, {keys[1]: tm.ticket_keys()}, 2)
            generation = "starling_ticket_key_generation"
            self.assertEqual(gateway.wait_for_metric(
                2, generation, source=os.path.join(tickets, keys[1])), 2)
            self.assertEqual(gateway.metrics().sum(RELOADS, result="failure"), 0)


class TicketKeys(unittest.TestCase):
    def visit(self, port, tls, session=None):
        """(whether it resumed, the session to go on with)"""
        with Wire(port) as client:
            client.socket = tls.wrap_socket(client.socket, server_hostname="mail.example.org",
                                            session=session)
            self.assertEqual(client.send(b"ping").exactly(4), b"ping")
            return client.socket.session_reused, client.socket.session

    def test_made_and_rotated_as_printed(self):
        lines = [line.replace("chgrp starling", "chgrp nogroup")
                 for line in blocks("Tickets of several gateways", "sh")[0].splitlines()]
        umask, key, make, rotate = lines
        place = os.path.join(env.dir, "rotated")
        os.mkdir(place)
        path = os.path.join(place, "ticket.keys")
        shell("\n".join((umask, key, make)), place)
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, tls={"ticket_keys": path}) as gateway:
            self.assertIsNone(gateway.wait_for_line("every user", seconds=0))
            port = gateway.ports["tcp"]
            tls = context(minimum_version=ssl.TLSVersion.TLSv1_3)
            sessions = [self.visit(port, tls)[1]]
            used = [self.first_of(path)]
            for count in range(1, 5):
                next_one = self.lines_of(path)[-1]
                shell("\n".join((umask, key, rotate)), place)
                taken(gateway, count)
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o640)
                # Known to all gateways before it is used, by Starling or by HAProxy.
                self.assertEqual(self.first_of(path), next_one)
                self.assertEqual(self.lines_of(path)[-2], used[-1])
                used.append(next_one)
                # Sessions of the last two days go on.
                for session in sessions[-2:]:
                    self.assertTrue(self.visit(port, tls, session)[0])
                sessions.append(self.visit(port, tls)[1])
            self.assertEqual(gateway.metrics().sum("starling_tls_tickets_unknown_total"), 0)
            self.assertEqual(len(set(used)), 5)
            self.assertFalse(self.visit(port, tls, sessions[0])[0])

    def lines_of(self, path):
        with open(path, encoding="ascii") as f:
            return f.read().splitlines()

    def first_of(self, path):
        return self.lines_of(path)[0]


if __name__ == "__main__":
    unittest.main()
