"""A mail of a megabyte that senders must encode with care, and the mailbox that gets it."""

import base64
import glob
import os
import random

SUBJECT = "by {name} {tls}"


def make(env, name, tls):
    """(file with the mail, its octets)."""
    rest = random.Random(name + tls)
    lines = ["From: <demo@example.org>", "To: <{}>".format(env.servers.user),
             "Date: Sat, 04 Oct 2025 10:00:00 +0000", "Subject: " + SUBJECT.format(name=name, tls=tls),
             "Message-ID: <{}.{}@example.net>".format(name, tls), "MIME-Version: 1.0",
             "Content-Type: text/plain; charset=us-ascii", "",
             ".", "..", ". A line that begins with a dot", "", "x" * 998]
    lines += [base64.b64encode(rest.randbytes(57)).decode() for _ in range((1 << 20) // 78)]
    octets = ("\r\n".join(lines) + "\r\n").encode()
    path = os.path.join(env.dir, "{}.{}.mail".format(name, tls))
    with open(path, "wb") as f:
        f.write(octets)
    return path, octets


def delivered(env, name, tls):
    """The copies of the mail in the mailbox, with CRLF."""
    mark = "\nMessage-ID: <{}.{}@example.net>\n".format(name, tls).encode()
    found = []
    for path in glob.glob("{}/mail/{}/Maildir/new/*".format(env.servers.dir, env.servers.user)):
        with open(path, "rb") as f:
            octets = f.read().replace(b"\r\n", b"\n")
        if mark in octets:
            found.append(octets.replace(b"\n", b"\r\n"))
    return found
