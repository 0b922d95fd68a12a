"""Measures the first answer of FTP for compare.py: a file of 1 kB by STOR, from the end of the
data channel's handshake to the server's 226, through Starling and with ProFTPD's own TLS.
The sockets are Python's default ones, so Nagle's algorithm is on.

Not for: the cost of a transfer (ftp_data.py)."""

import contextlib
import os
import shutil
import socket
import ssl
import statistics
import sys
import time

from testbed import TOP, config_text, reserve_ports
from gateway import Gateway

sys.path.insert(0, os.path.join(TOP, "tests", "e2e"))
import ftpserver  # noqa: E402

FILE = bytes(1000)
VERSIONS = {"tls13": ssl.TLSVersion.TLSv1_3, "tls12": ssl.TLSVersion.TLSv1_2}
# NoSessionReuseRequired: by default ProFTPD requires data channels to resume the session.
MOD_TLS = """LoadModule mod_tls.c
TLSEngine on
TLSProtocol TLSv1.2 TLSv1.3
TLSOptions NoSessionReuseRequired
TLSRSACertificateFile {cert}
TLSRSACertificateKeyFile {key}
"""


class Client:
    """A logged-in client that transfers files with TLS. Its data channels resume the control
    connection's session or none, as a call says."""

    def __init__(self, port, version, server):
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE
        self.tls.minimum_version = self.tls.maximum_version = version
        plain = socket.create_connection(("127.0.0.1", port), 20)
        self.replies = plain.makefile("rb")
        self._reply()
        plain.sendall(b"AUTH TLS\r\n")
        self._reply()
        self.replies.close()
        self.control = self.tls.wrap_socket(plain)
        self.replies = self.control.makefile("rb")
        for command in ("USER " + server.name, "PASS " + server.password, "PBSZ 0", "PROT P"):
            self.say(command)

    def say(self, command):
        self.control.sendall(command.encode() + b"\r\n")
        return self._reply()

    def _reply(self):
        line = self.replies.readline()
        while line[3:4] == b"-" or not line[:3].isdigit():
            line = self.replies.readline()
        if line[:1] not in b"123":
            raise AssertionError(line)
        return line

    def store(self, resume):
        """Seconds from the end of the handshake to the answer."""
        numbers = self.say("PASV").split(b"(")[1].split(b")")[0].split(b",")
        with socket.create_connection(
                ("127.0.0.1", int(numbers[4]) * 256 + int(numbers[5])), 20) as plain:
            self.say("STOR first")
            with self.tls.wrap_socket(
                    plain, session=self.control.session if resume else None) as data:
                began = time.monotonic()
                if resume != data.session_reused:
                    raise AssertionError("resumed: {}".format(data.session_reused))
                data.sendall(FILE)
                data.unwrap().close()
                self._reply()
                return time.monotonic() - began

    def close(self):
        self.replies.close()
        self.control.close()


def _stores(port, server, seconds):
    """Figures by name, with the load generator's names."""
    values, answers = {}, 0
    for name, version in VERSIONS.items():
        client = Client(port, version, server)
        try:
            for kind in ("full", "resumed"):
                times = []
                end = time.monotonic() + seconds / 4
                while time.monotonic() < end or not times:
                    times.append(client.store(kind == "resumed"))
                answers += len(times)
                values["{}_{}_p50_ms".format(name, kind)] = round(statistics.median(times) * 1e3, 2)
        finally:
            client.close()
    return {**values, "answers": answers}


@contextlib.contextmanager
def _starling(testbed, server):
    ports = reserve_ports(["ftp", "metrics"])
    metrics = "127.0.0.1:{}".format(ports["metrics"])
    path = os.path.join(testbed.folder, "ftp-first-answer.yaml")
    with open(path, "w", encoding="ascii") as f:
        f.write(config_text(
            {"pairs": [testbed.pairs["rsa"]]},
            [{"name": "ftp", "protocol": "ftp", "tls": "starttls", "backend": "ftp",
              "bind": ["127.0.0.1:{}".format(ports["ftp"])]}],
            [{"name": "ftp", "servers": [server.address], "proxy_protocol": "none"}],
            metrics, workers=1, log={"sessions": "none"}))
    gateway = Gateway(path, metrics, testbed.binary).start()
    try:
        yield ports["ftp"]
    finally:
        gateway.stop()


def measure(testbed, seconds):
    """The figures of one round, {server: figures}."""
    found = {}
    with ftpserver.ProFtpd() as server, _starling(testbed, server) as port:
        found["Starling"] = _stores(port, server, seconds)
    # Copies, because ProFTPD requires a key that only its user can read.
    cert, key = (shutil.copy(path, testbed.folder + "/ftp-first-answer-" + str(i))
                 for i, path in enumerate(testbed.pairs["rsa"]))
    os.chmod(key, 0o600)
    with ftpserver.ProFtpd(more=MOD_TLS.format(cert=cert, key=key)) as server:
        found["ProFTPD"] = _stores(server.port, server, seconds)
    return found
