"""Tests the main job: messages of 10 MB go by STARTTLS to Postfix and come back by IMAPS from
Dovecot, octet for octet, in 50 sessions at a time."""

import concurrent.futures
import hashlib
import imaplib
import random
import smtplib
import ssl
import unittest

import harness
import wire

env = None
SESSIONS = 50
SIZE = 10_000_000


def setUpModule():
    global env
    env = harness.Environment()


def make_body(number):
    """SIZE octets of lines that are hard on a relay: dots at the beginning, long
    ones, empty ones, octets above 127. Different for each number."""
    rng = random.Random(number)
    lines, size = [b"message %d" % number], 0
    while size < SIZE:
        kind = rng.randrange(8)
        line = rng.randbytes(rng.randrange(0, 480)).hex().encode()
        if kind == 0:
            line = b"." + line
        elif kind == 1:
            line = b".."
        elif kind == 2:
            line = b"."
        elif kind == 3:
            line = "grüße ".encode() + line[:900]
        lines.append(line)
        size += len(line) + 2
    return b"\r\n".join(lines) + b"\r\n"


def deliver(port, number, body):
    """Sends one message by STARTTLS, from an address of its own."""
    source = ("127.0.1.{}".format(number + 1), 0)
    with smtplib.SMTP("127.0.0.1", port, "client.example.net", timeout=300,
                      source_address=source) as smtp:
        smtp.starttls(context=wire.context(env.ca))
        smtp.sendmail(
            "sender@example.net", [env.servers.user],
            b"Subject: job %d\r\n\r\n" % number + body, ["BODY=8BITMIME"])


def fetch(port, sequence):
    """Fetches one message by IMAPS; (its headers, the digest of its body)."""
    with imaplib.IMAP4_SSL("localhost", port, ssl_context=ssl.create_default_context(cafile=env.ca),
                           timeout=300) as imap:
        imap.login(env.servers.user, env.servers.password)
        imap.select("INBOX", readonly=True)
        message = imap.fetch(str(sequence), "(BODY.PEEK[])")[1][0][1]
    head, _, body = message.partition(b"\r\n\r\n")
    return head, hashlib.sha256(body).hexdigest()


class MainJob(unittest.TestCase):
    def test_fifty_sessions_of_ten_megabytes(self):
        bodies = [make_body(n % 5) for n in range(SESSIONS)]
        wanted = sorted(hashlib.sha256(b).hexdigest() for b in bodies)
        with env.standard(["mx", "imaps"]) as gateway, \
                concurrent.futures.ThreadPoolExecutor(SESSIONS) as pool:
            list(pool.map(lambda n: deliver(gateway.ports["mx"], n, bodies[n]), range(SESSIONS)))
            self.assertTrue(env.servers.wait_for_log(
                "dovecot", "saved mail to INBOX", count=SESSIONS, seconds=240))
            mails = list(pool.map(lambda n: fetch(gateway.ports["imaps"], n + 1), range(SESSIONS)))
            self.assertEqual(sorted(digest for _, digest in mails), wanted)
            clients = set()
            for head, _ in mails:
                self.assertIn(b"X-Gateway-TLS: yes", head)
                clients.add(head.partition(b"(unknown [")[2].partition(b"]")[0].decode())
            self.assertEqual(clients, {"127.0.1.{}".format(n + 1) for n in range(SESSIONS)})
            metrics = gateway.metrics()
            for listener in ("mx", "imaps"):
                self.assertEqual(
                    metrics.sum("starling_tls_handshakes_total", listener=listener), SESSIONS)
            self.assertEqual(
                metrics.sum("starling_starttls_upgrades_total", listener="mx"), SESSIONS)
            self.assertGreater(metrics.sum(
                "starling_bytes_total", listener="imaps", direction="upstream_in"), SESSIONS * SIZE)
            gateway.assert_idle(self)


if __name__ == "__main__":
    unittest.main()
