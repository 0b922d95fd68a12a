"""Tests the gateway that deploy/build-arm64.sh builds, in qemu-user, between this machine's clients and
servers: it falls back from io_uring, which the emulator lacks, and the algorithms that BoringSSL has in
assembly for arm64 agree with OpenSSL's for this machine."""

import os
import random
import unittest

import fakes
import harness
from wire import Wire

env = None
NO_RING = "io_uring is not available: io_uring_setup: Function not implemented; a sandbox or an emulator " \
    "without io_uring, such as gVisor or qemu-user"
LISTENERS = {"tcp": {"protocol": "tcp", "tls": "implicit", "backend": "echo"}}
# More than any buffer on the way holds, so that records of every size come by.
SIZE = 2_000_000


def setUpModule():
    global env
    env = harness.Environment()


class Fallback(unittest.TestCase):
    def test_it_runs_on_epoll_and_says_why(self):
        octets = random.Random(1).randbytes(SIZE)
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address) as gateway:
            with Wire(gateway.ports["tcp"]) as client:
                client.start_tls().send(octets)
                self.assertEqual(client.exactly(SIZE), octets)
            self.assertEqual(
                gateway.metrics().sum("starling_io_ring_info", ring="epoll", reason="sandbox"), 1)
            self.assertIsNotNone(gateway.wait_for_line("level=warning", "running on epoll", NO_RING, "cost="))
            self.assertIsNotNone(gateway.wait_for_line("gateway ready", "ring=epoll"))
            gateway.assert_idle(self)

    def test_the_version_names_it(self):
        code, output = harness.run([harness.BINARY, "-V"])
        self.assertEqual(code, 0, output)
        self.assertIn("\nring: epoll (sandbox): " + NO_RING, output)

    def test_it_does_not_start_where_it_must_have_io_uring(self):
        config, _, _ = env.configure(LISTENERS, {"echo": harness.DOWN}, io="io_uring")
        code, output = harness.run([harness.BINARY, "-c", config])
        self.assertEqual(code, 4, output)
        self.assertIn("starling: " + NO_RING, output)


class Handshakes(unittest.TestCase):
    """s_client verifies the certificate, so its exit code is that of the whole handshake."""

    def shaken(self, gateway, *options):
        code, output = harness.run(
            ["openssl", "s_client", "-connect", "127.0.0.1:{}".format(gateway.ports["mx"]), "-starttls", "smtp",
             "-CAfile", env.ca, "-verify_return_error", "-verify_hostname", "mail.example.org", *options],
            given=b"QUIT\r\n")
        self.assertEqual(code, 0, output)
        self.assertIn("Verify return code: 0 (ok)", output)
        return output

    def test_each_cipher_group_and_key(self):
        # The ciphers' names in TLS 1.3 and 1.2.
        ciphers = (("TLS_AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
                   ("TLS_AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
                   ("TLS_CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"))
        keys = (("ECDSA", "ECDSA+SHA256"), ("RSA", "RSA-PSS+SHA256"))
        with env.standard(["mx"]) as gateway:
            for newer, older in ciphers:
                for key, signature in keys:
                    # TLS 1.2 wants the ECDSA key's own curve among them.
                    for group in ("X25519:P-256", "P-256"):
                        with self.subTest(cipher=newer, key=key, group=group):
                            more = ("-groups", group, "-sigalgs", signature)
                            output = self.shaken(gateway, "-tls1_3", "-ciphersuites", newer, *more)
                            self.assertIn("Cipher is " + newer, output)
                            name = "ECDHE-{}-{}".format(key, older)
                            output = self.shaken(gateway, "-tls1_2", "-cipher", name, *more)
                            self.assertIn("Cipher is " + name, output)

    def test_a_mail_comes_and_is_read(self):
        """As an ordinary user, to which the gateway changes after it has bound its sockets."""
        os.chmod(env.dir, 0o755)
        for _, key in env.certificates["pairs"]:
            os.chown(key, 65534, -1)
        with env.standard(["mx", "imap"], user="nobody") as gateway:
            code, output = harness.run(
                ["swaks", "--server", "127.0.0.1:{}".format(gateway.ports["mx"]), "--tls", "--tls-verify",
                 "--tls-ca-path", env.ca, "--from", "sender@example.net", "--to", env.servers.user,
                 "--header", "Subject: from another architecture"])
            self.assertEqual(code, 0, output)
            self.assertIn("TLS started with cipher", output)
            self.assertTrue(env.servers.wait_for_log("dovecot", "saved mail to INBOX"))
            code, output = harness.run(
                ["curl", "--silent", "--show-error", "--cacert", env.ca, "--ssl-reqd", "--user",
                 "{}:{}".format(env.servers.user, env.servers.password),
                 "imap://localhost:{}/INBOX;MAILINDEX=1".format(gateway.ports["imap"])])
            self.assertEqual(code, 0, output)
            self.assertIn("Subject: from another architecture", output)
            self.assertIn("X-Gateway-TLS: yes", output)
            gateway.assert_idle(self)


if __name__ == "__main__":
    unittest.main()
