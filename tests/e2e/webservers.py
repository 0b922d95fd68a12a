"""A real CUPS and a real Apache, each in a private folder with the settings of deploy/RECIPES.md, and
functions that read HTTP's messages by hand.

    private_network()
    with PrintServer() as cups, WebServer() as apache:
        cups.address, apache.address

CUPS treats a client at the loopback address as local, so it listens on another address. That
address exists only in the private network of the calling process, which ends with the process."""

import ctypes
import grp
import http
import os
import shutil
import signal
import subprocess
import tempfile
import time

import harness  # noqa: F401  (puts the demonstration's modules on the path)
import proxy_v2
from ports import reserve_ports
from wire import Wire

CUPSD = "/usr/sbin/cupsd"
APACHE = "/usr/sbin/apache2"
MODULES = "/usr/lib/apache2/modules/mod_{}.so"
READY_SECONDS = 30
OUTSIDE = "192.0.2.1"  # RFC 5737: nobody's address
NEW_NETWORK = 0x40000000

# As deploy/RECIPES.md has it, without the places of files.
CUPSD_CONF = """
LogLevel info
AccessLogLevel all
Browsing Off
WebInterface No
Listen {listen}
ServerAlias mail.example.org
ServerAlias localhost
DefaultEncryption IfRequested
DefaultAuthType Basic
<Location />
  Order allow,deny
  Allow {outside}
</Location>
<Location /admin>
  AuthType Default
  Require user @SYSTEM
  Order allow,deny
</Location>
<Policy default>
  <Limit CUPS-Add-Modify-Printer CUPS-Delete-Printer CUPS-Add-Modify-Class CUPS-Delete-Class CUPS-Set-Default>
    AuthType Default
    Require user @SYSTEM
    Order deny,allow
  </Limit>
  <Limit All>
    Order deny,allow
  </Limit>
</Policy>
"""
CUPS_FILES_CONF = """
SystemGroup root
ServerRoot {dir}/etc
RequestRoot {dir}/spool
CacheDir {dir}/cache
StateDir {dir}/run
TempDir {dir}/spool/tmp
ServerKeychain {dir}/etc/ssl
AccessLog {dir}/access
ErrorLog {dir}/log
PageLog {dir}/pages
Printcap
"""
PRINTERS_CONF = """
<Printer paper>
Info Nothing comes of what is printed
DeviceURI file:///dev/null
State Idle
Accepting Yes
Shared Yes
</Printer>
"""
APACHE_CONF = """
{modules}
ServerName mail.example.org
Listen {address}
RemoteIPProxyProtocol {proxy}
PidFile {dir}/pid
ErrorLog {dir}/log
LogFormat "%a %m %U %>s" short
CustomLog {dir}/access short
User www-data
Group www-data
DocumentRoot {dir}/www
<Directory {dir}/www>
  Require all granted
</Directory>
<Location /local>
  Require local
</Location>
"""


def private_network():
    """From here on this process, and all that it starts, has a network of its own: the
    loopback addresses and OUTSIDE. It must have no thread yet."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for command in (["link", "set", "lo", "up"], ["addr", "add", OUTSIDE + "/32", "dev", "lo"]):
        subprocess.run(["ip", *command], check=True)


class Server:
    """A process with a folder of its own; a context manager."""

    def __init__(self, host):
        self.port = reserve_ports(["it"])["it"]
        self.address = "{}:{}".format(host, self.port)
        self.dir = None
        self._child = None

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="starling-http-")
        os.chmod(self.dir, 0o755)
        try:
            self._child = self._start()
            end = time.monotonic() + READY_SECONDS
            while not self._answers():
                if self._child.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("{} is not ready\n{}".format(
                        type(self).__name__, self.read("output") + self.read("log")[-2000:]))
                time.sleep(0.02)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception):
        self.stop()

    def _spawn(self, *command):
        with open(self.dir + "/output", "wb") as out:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def _answers(self):
        try:
            with self.call() as wire:
                wire.send(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return response(wire)[0] == 200
        except (OSError, EOFError):
            return False

    def call(self):
        """A connection, as the gateway makes it."""
        raise NotImplementedError

    def write(self, name, text):
        with open(self.dir + "/" + name, "w", encoding="ascii") as f:
            f.write(text.lstrip())
        return self.dir + "/" + name

    def read(self, name):
        try:
            with open(self.dir + "/" + name, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_for(self, name, wanted, seconds=15):
        """Whether a file of it comes to have that text."""
        end = time.monotonic() + seconds
        while wanted not in self.read(name):
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


class PrintServer(Server):
    """CUPS with one queue, `paper`. `host`: where it listens; `settings`: more lines of
    cupsd.conf."""

    def __init__(self, host=OUTSIDE, settings=""):
        super().__init__(host)
        self._host = host
        self._settings = settings

    def _start(self):
        group = grp.getgrnam("lp").gr_gid
        for name, mode in (("etc", 0o755), ("etc/ssl", 0o700), ("spool", 0o710), ("spool/tmp", 0o1770),
                           ("cache", 0o770), ("run", 0o755)):
            os.mkdir(self.dir + "/" + name)
            os.chmod(self.dir + "/" + name, mode)
            os.chown(self.dir + "/" + name, 0, group)
        self.write("etc/printers.conf", PRINTERS_CONF)
        conf = self.write("etc/cupsd.conf", CUPSD_CONF.format(
            listen=self.address, outside=self._host) + self._settings)
        files = self.write("etc/cups-files.conf", CUPS_FILES_CONF.format(dir=self.dir))
        return self._spawn(CUPSD, "-f", "-c", conf, "-s", files)

    def call(self):
        return Wire(self.port, self._host, host=self._host)

    def printed(self, job):
        """What came to be printed: CUPS keeps it."""
        with open("{}/spool/d{:05}-001".format(self.dir, job), "rb") as f:
            return f.read()


class WebServer(Server):
    """Apache. Its root has `file`, of `content`, and `local/file` for local clients."""

    content = bytes(range(256)) * 4096  # 1 MiB

    def __init__(self, proxy=True):
        super().__init__("127.0.0.1")
        self._proxy = proxy

    def _start(self):
        os.makedirs(self.dir + "/www/local")
        for name in ("file", "local/file"):
            with open(self.dir + "/www/" + name, "wb") as f:
                f.write(self.content)
        modules = "\n".join(
            "LoadModule {}_module {}".format(name, MODULES.format(name))
            for name in ("mpm_event", "authz_core", "authz_host", "remoteip"))
        return self._spawn(APACHE, "-DFOREGROUND", "-f", self.write("apache.conf", APACHE_CONF.format(
            modules=modules, address=self.address, dir=self.dir, proxy="On" if self._proxy else "Off")))

    def call(self, header=None):
        return Wire(self.port).send(
            b"" if not self._proxy else proxy_v2.local() if header is None else header)


# --- messages ---------------------------------------------------------------

UPGRADE = (b"OPTIONS * HTTP/1.1\r\nHost: mail.example.org\r\nConnection: Upgrade\r\n"
           b"Upgrade: TLS/1.0\r\n\r\n")
GO_AHEAD = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n"
            b"Connection: Upgrade\r\n\r\n")
# What the gateway itself asks the server after the upgrade.
ASKED = b"OPTIONS * HTTP/1.1\r\nHost: mail.example.org\r\n\r\n"
REQUIRED = (b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n"
            b"Connection: Upgrade, close\r\nContent-Length: 0\r\n\r\n")


def closing(code):
    """The whole answer with which the gateway ends a session."""
    return "HTTP/1.1 {} {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".format(
        code, http.HTTPStatus(code).phrase).encode()


def request(target="/", method="GET", fields="", host="mail.example.org"):
    return "{} {} HTTP/1.1\r\nHost: {}\r\n{}\r\n".format(method, target, host, fields).encode()


def response(wire, head=False):
    """The next one: (status, {field in lower case: value}, body). `head`: it has none."""
    status = int(wire.line().split(b" ")[1])
    fields = {}
    while (line := wire.line()) != b"\r\n":
        name, value = line.decode("latin-1").split(":", 1)
        fields[name.lower()] = value.strip()
    if head or status < 200 or status in (204, 304):
        return status, fields, b""
    if fields.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(wire.line().split(b";")[0], 16):
            body += wire.exactly(size)
            wire.line()
        wire.line()
        return status, fields, body
    return status, fields, wire.exactly(int(fields.get("content-length", "0")))
