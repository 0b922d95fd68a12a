"""A real slapd in a private folder, with the settings of deploy/RECIPES.md, and functions that
build LDAP's messages by hand (RFC 4511), to send what no library sends.

    with Directory() as directory:
        directory.port

It expects PROXY headers on that port (pldap://). To show why a gateway must not use them, it
also has a port without PROXY headers (ldap://) and a Unix socket (ldapi://)."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

import harness  # noqa: F401  (puts the demonstration's modules on the path)
import proxy_v2
from ports import reserve_ports
from wire import Wire

SLAPD = "/usr/sbin/slapd"
SLAPADD = "/usr/sbin/slapadd"
READY_SECONDS = 30
# As deploy/RECIPES.md has it, without the places of files.
SETTINGS = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
loglevel stats
"""
DATABASE = """
database mdb
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
rootpw {password}
directory {dir}/db
maxsize 67108864
access to attrs=userPassword by anonymous auth by * none
access to * {access}by users read by * none
"""
ENTRIES = """
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: {user}
objectClass: inetOrgPerson
uid: demo
cn: Demo
sn: Demo
mail: demo@example.org
userPassword: {password}
"""

START_TLS = "1.3.6.1.4.1.1466.20037"
WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"
NOTICE = b"1.3.6.1.4.1.1466.20036"


class Directory:
    """The server; a context manager. `settings`: lines before the database;
    `access`: who may read, in addition to logged-in users."""

    base = "dc=example,dc=org"
    admin = "cn=admin,dc=example,dc=org"
    user = "uid=demo,dc=example,dc=org"
    password = "correct-horse"

    def __init__(self, settings="", access=""):
        self._settings = settings
        self._access = access
        self._child = None
        self.dir = None
        ports = reserve_ports(["proxied", "plain"])
        self.port = ports["proxied"]
        self.address = "127.0.0.1:{}".format(self.port)
        self.plain = "127.0.0.1:{}".format(ports["plain"])

    @property
    def socket(self):
        return self.dir + "/ldapi"

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="starling-ldap-")
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception):
        self.stop()

    def _start(self):
        values = {"dir": self.dir, "password": self.password, "user": self.user,
                  "access": self._access}
        os.mkdir(self.dir + "/db", 0o700)
        config = self._write("slapd.conf", SETTINGS + self._settings + DATABASE.format(**values))
        entries = self._write("entries.ldif", ENTRIES.format(**values))
        subprocess.run([SLAPADD, "-q", "-f", config, "-l", entries], check=True, capture_output=True)
        urls = "pldap://{} ldap://{} ldapi://{}".format(
            self.address, self.plain, urllib.parse.quote(self.socket, safe=""))
        with open(self.dir + "/log", "wb") as out:
            self._child = subprocess.Popen(  # with -d it stays in the foreground
                [SLAPD, "-d", "stats", "-f", config, "-h", urls], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out)
        end = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._child.poll() is not None or time.monotonic() > end:
                raise RuntimeError("slapd is not ready\n" + self.log()[-2000:])
            time.sleep(0.02)

    def _write(self, name, text):
        path = self.dir + "/" + name
        with open(path, "w", encoding="ascii") as f:
            f.write(text.lstrip())
        return path

    def _answers(self):
        try:
            with self.call(proxy_v2.local()) as wire:
                return code(ask(wire, extended(WHO_AM_I))) is not None
        except (OSError, EOFError):
            return False

    def call(self, header):
        """A connection, as the gateway makes it."""
        return Wire(self.port).send(header)

    def log(self):
        with open(self.dir + "/log", encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_for_log(self, pattern, seconds=15):
        """Whether a line that matches comes."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.log()):
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def stop(self):
        if self._child is not None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(20)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._child = None
        if self.dir is not None:
            shutil.rmtree(self.dir, True)


# --- messages ---------------------------------------------------------------


def ber(tag, content, long_form=False):
    """One element; `long_form`: with a length of four octets, however short."""
    size = len(content)
    if long_form:
        length = b"\x84" + size.to_bytes(4, "big")
    elif size < 0x80:
        length = bytes([size])
    else:
        octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
        length = bytes([0x80 + len(octets)]) + octets
    return bytes([tag]) + length + content


def message(operation, number=1, controls=b""):
    """An LDAPMessage."""
    octets = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return ber(0x30, ber(2, octets) + operation + controls)


def extended(oid, value=None):
    """An ExtendedRequest."""
    return ber(0x77, ber(0x80, oid.encode()) + (b"" if value is None else ber(0x81, value)))


def bind(name, password):
    """A simple BindRequest."""
    return ber(0x60, ber(2, b"\3") + ber(4, name.encode()) + ber(0x80, password.encode()))


def sasl(mechanism):
    """A BindRequest by SASL, with an empty response."""
    return ber(0x60, ber(2, b"\3") + ber(4, b"") + ber(0xA3, ber(4, mechanism.encode()) + ber(4, b"")))


def unbind():
    """An UnbindRequest, which has no answer."""
    return ber(0x42, b"")


def search(base, attribute, scope=0):
    """A SearchRequest for one attribute of all that has a class."""
    return ber(0x63, ber(4, base.encode()) + ber(10, bytes([scope])) + ber(10, b"\0") + ber(2, b"\0")
               + ber(2, b"\0") + ber(1, b"\0") + ber(0x87, b"objectClass")
               + ber(0x30, ber(4, attribute.encode())))


def split(octets):
    """[(tag, content), ...] of what stands in a row."""
    result = []
    while octets:
        size, begin = octets[1], 2
        if size & 0x80:
            begin += size & 0x7F
            size = int.from_bytes(octets[2:begin], "big")
        result.append((octets[0], octets[begin:begin + size]))
        octets = octets[begin + size:]
    return result


def read(wire):
    """The next message: (number, tag of the operation, its parts)."""
    head = wire.exactly(2)
    if head[1] & 0x80:
        head += wire.exactly(head[1] & 0x7F)
        size = int.from_bytes(head[2:], "big")
    else:
        size = head[1]
    number, operation = split(wire.exactly(size))[:2]
    return int.from_bytes(number[1], "big"), operation[0], split(operation[1])


def ask(wire, operation, number=1, **more):
    """Sends a request, returns the answer to it, as read() does."""
    wire.send(message(operation, number, **more))
    answer = read(wire)
    if answer[0] != number:
        raise AssertionError("an answer to {}: {}".format(number, answer))
    return answer


def code(answer):
    """The result code of an answer."""
    return answer[2][0][1][0]


def notices(octets):
    """The result codes of the notices of disconnection that are all of `octets`."""
    result = []
    for _, content in split(octets):
        number, (tag, operation) = split(content)
        parts = split(operation)
        if number != (2, b"\0") or tag != 0x78 or parts[-1] != (0x8A, NOTICE):
            raise AssertionError("no notice: {!r}".format(octets))
        result.append(parts[0][1][0])
    return result
