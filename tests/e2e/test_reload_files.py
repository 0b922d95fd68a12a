"""Tests reloads for the sake of the files that a configuration names: renewed ones are noticed without
a signal, and hostile ones of every kind change nothing.

Not for: changes of the configuration itself (test_reload.py)."""

import contextlib
import os
import shutil
import socket
import ssl
import time
import unittest

import fakes
import harness
import tls_material as tm
from harness import starling
from reloads import RELOADS, connect_loop, reload, rewrite

env = None


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def served(port, name="mail.example.org", protocol=None):
    """The serial number of the certificate that a client gets."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname=name) as tls:
            return tls.getpeercert(binary_form=True)


class Files(unittest.TestCase):
    """Changed certificates are taken over without a signal."""

    def own(self):
        """Certificates of this test alone, which it may change."""
        folder = os.path.join(env.dir, self.id().rsplit(".", 1)[-1])
        os.mkdir(folder)
        return folder, starling.make_certificates(folder)

    @contextlib.contextmanager
    def gateway(self, certificates, backend):
        shared, env.certificates = env.certificates, certificates
        try:
            with env.tcp(backend.address) as gateway:
                yield gateway
        finally:
            env.certificates = shared

    def test_renewed_ones_are_noticed(self):
        folder, certificates = self.own()
        with fakes.Backend(fakes.echo) as backend, self.gateway(certificates, backend) as gateway:
            port = gateway.ports["tcp"]
            first = served(port)
            renewed = os.path.join(folder, "renewed")
            os.mkdir(renewed)
            starling.make_certificates(renewed)
            with connect_loop(port, clients=2) as loop:
                # The certificate now, its key a while later: meanwhile the old pair serves.
                shutil.copy(os.path.join(renewed, "ec.crt"), os.path.join(folder, "ec.crt"))
                end = time.monotonic() + 1
                while time.monotonic() < end:
                    self.assertEqual(served(port), first)
                os.rename(os.path.join(renewed, "ec.key"), os.path.join(folder, "ec.key"))
                gateway.wait_for_metric(1, RELOADS, result="success", trigger="files")
                second = served(port)
            self.assertNotEqual(first, second)
            self.assertEqual(loop.failures, [])
            self.assertEqual(gateway.metrics().sum(RELOADS, result="failure"), 0)
            with open(os.path.join(folder, "ec.crt"), encoding="ascii") as f:
                self.assertEqual(second, ssl.PEM_cert_to_DER_cert(f.read()))

    def test_bad_ones_are_complained_of_and_not_taken(self):
        folder = os.path.join(env.dir, "bad")
        os.mkdir(folder)
        authority = tm.Authority()
        own, other = authority.issue(["a.example"]), authority.issue(["b.example"])
        pair = own.save(folder, "a")
        at = lambda name: os.path.join(folder, name)
        files = {"a.crt": own.cert, "a.key": own.key, "keys": tm.ticket_keys(),
                 "ca.pem": authority.cert, "crl.pem": authority.crl(),
                 "a.crt.ocsp": authority.ocsp(own)}
        for name, content in files.items():
            tm.write(at(name), content, 0o600)
        os.mkdir(at("more"))
        authority.issue(["c.example"]).save(at("more"), "c")
        put = lambda path, content: (os.path.lexists(path) and os.remove(path),
                                     tm.write(path, content, 0o600))
        link = lambda path: (os.remove(path), os.symlink(os.path.basename(path), path))
        fifo = lambda path: (os.remove(path), os.mkfifo(path))
        bad = {
            "truncated": lambda path: put(path, files[os.path.basename(path)][:40]),
            "empty": lambda path: put(path, ""),
            "junk": lambda path: put(path, b"\0\xff" * 2500),
            "huge": lambda path: put(path, "A" * (2 << 20)),
            "absent": os.remove,
            "a loop": link,
            "a FIFO": fifo,
            "swapped": lambda path: put(path, other.key if path.endswith(".key") else other.cert),
        }
        rows = [("a.crt", how) for how in bad] + [("a.key", how) for how in bad]
        rows += [("a.crt.ocsp", how) for how in ("truncated", "empty", "junk", "huge", "a FIFO")]
        rows += [(name, how) for name in ("keys", "ca.pem", "crl.pem")
                 for how in ("truncated", "empty", "junk", "huge", "absent", "a loop", "a FIFO")]
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address, tls={
                "certificates": [pair, {"folder": at("more")}], "ticket_keys": at("keys"),
                "client_certificate": {"mode": "optional", "ca": at("ca.pem"),
                                       "crl": at("crl.pem")}}) as gateway:
            port = gateway.ports["tcp"]
            reload(gateway)
            descriptors = gateway.metrics().sum("process_open_fds")
            for name, how in rows:
                with self.subTest(name, how=how):
                    after = len(gateway.lines)
                    bad[how](at(name))
                    reload(gateway, "failure")
                    self.assertIsNotNone(gateway.wait_for_line(
                        "reload rejected", at("a." if name.startswith("a.") else name),
                        after=after), gateway.lines[after:])
                    self.assertEqual(served(port), own.der)
                    put(at(name), files[name])
            # Without a signal it is said once it stays so, and the good ones are taken again.
            for name in ("a.crt", "keys", "crl.pem"):
                with self.subTest(name):
                    failed = gateway.metrics().sum(RELOADS, result="failure", trigger="files")
                    fifo(at(name))
                    gateway.wait_for_metric(lambda n, f=failed: n > f, RELOADS, result="failure",
                                            trigger="files")
                    self.assertIsNotNone(gateway.wait_for_line("changed files rejected", at(name)))
                    self.assertEqual(served(port), own.der)
                    put(at(name), files[name])
            reload(gateway)
            for key in own.key.splitlines()[1:-1] + files["keys"].split():
                self.assertNotIn(key[:40], "\n".join(gateway.lines))
            # A leak of one per reload would be far more than the normal variation.
            self.assertLess(gateway.metrics().sum("process_open_fds") - descriptors, 10)

    def test_what_the_system_does_not_tell_of_is_looked_at(self):
        """Behind more links than are watched; and a reload says how often to look."""
        folder = os.path.join(env.dir, "links")
        os.mkdir(folder)
        authority = tm.Authority()
        old, new = authority.issue(["a.example"]), authority.issue(["a.example"])
        at = lambda name: os.path.join(folder, str(name))
        for name, certificate in (("old", old), ("new", new)):
            os.mkdir(at(name))
            certificate.save(at(name), "a")
        for i in range(20):
            os.mkdir(at(i))
            os.symlink(at("{}/link".format(i + 1)) if i < 19 else at("old"), at("{}/link".format(i)))
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, limits={"file_check": "1h"},
                tls={"certificates": [{"folder": at("0/link")}]}) as gateway:
            self.assertEqual(served(gateway.ports["tcp"]), old.der)
            rewrite(gateway, lambda text: text.replace('"file_check": "1h"', '"file_check": "1s"'))
            reload(gateway)
            os.symlink(at("new"), at("19/fresh"))
            os.rename(at("19/fresh"), at("19/link"))
            gateway.wait_for_metric(1, RELOADS, result="success", trigger="files")
            self.assertEqual(served(gateway.ports["tcp"]), new.der)


if __name__ == "__main__":
    unittest.main()
