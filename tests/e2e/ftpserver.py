"""FTP servers in a private folder: ProFTPD, and pyftpdlib beside it.

    with ProFtpd() as server:
        server.address, server.files

Each listens on a free port of one loopback address, with the settings that a server
behind the gateway needs (deploy/RECIPES.md): no TLS, no masquerade, data connections
only with the host of the control connection. There is one user, whose files are in
`files`. On leaving all is stopped and removed.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import mailservers
from ports import reserve_ports

READY_SECONDS = 60
PROFTPD = "/usr/sbin/proftpd"
# A user without rights: ProFTPD lets none of id 0 log in.
NOBODY = pwd.getpwnam("nobody")

PROFTPD_CONF = """ServerName "gateway test"
ServerType standalone
DefaultServer on
DefaultAddress {host}
Port {port}
UseIPv6 {ipv6}
User {user}
Group {group}
PidFile {dir}/pid
ScoreboardFile {dir}/scoreboard
DelayTable none
DelayEngine off
SystemLog {dir}/log
TransferLog none
WtmpLog off
UseReverseDNS off
AuthPAM off
AuthOrder mod_auth_file.c
AuthUserFile {dir}/passwd
AuthGroupFile {dir}/group
RequireValidShell off
RootRevoke off
MaxInstances 200
TimeoutLinger 5
AllowOverwrite on
AllowStoreRestart on
AllowRetrieveRestart on
AllowForeignAddress off
{more}
"""
PYFTPD = """import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
authorizer = DummyAuthorizer()
authorizer.add_user("{name}", "{password}", "{files}", perm="elradfmwMT")
FTPHandler.authorizer = authorizer
FTPHandler.use_sendfile = False
FTPServer(("{host}", {port}), FTPHandler).serve_forever()
"""


class FtpServer:
    name, password = "demo", "secret words"

    def __init__(self, host="127.0.0.1"):
        self.host = host
        self.port = reserve_ports(["ftp"])["ftp"]
        self.address = "{}:{}".format("[" + host + "]" if ":" in host else host, self.port)
        self.dir = tempfile.mkdtemp(prefix="starling-ftp-")
        os.chmod(self.dir, 0o755)
        self.files = os.path.join(self.dir, "files")
        os.mkdir(self.files)
        self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self):
        self._process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=mailservers._end_with_parent)
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                with socket.create_connection((self.host, self.port), 1) as s:
                    s.settimeout(20)
                    if s.recv(3) == b"220":
                        return
            except OSError:
                pass
            if self._process.poll() is not None:
                raise AssertionError(self._process.stdout.read().decode())
            if time.monotonic() > deadline:
                raise AssertionError("no FTP server")
            time.sleep(0.05)

    def stop(self):
        """All of it, sessions included."""
        if self._process is None:
            return
        # With its children: a session lives on otherwise.
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(20)
        finally:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.stdout.close()
        self._process = None

    def path(self, name):
        return os.path.join(self.files, name)

    def put(self, name, octets):
        """A file that the user may read and write."""
        with open(self.path(name), "wb") as f:
            f.write(octets)
        if os.getuid() == 0:
            os.chown(self.path(name), NOBODY.pw_uid, NOBODY.pw_gid)

    def get(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()


class ProFtpd(FtpServer):
    def __init__(self, host="127.0.0.1", more=""):
        super().__init__(host)
        root = os.getuid() == 0
        user = NOBODY if root else pwd.getpwuid(os.getuid())
        hashed = subprocess.run(
            ["openssl", "passwd", "-6", "-stdin"], input=self.password.encode(),
            stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        os.chown(self.files, user.pw_uid, user.pw_gid)
        self._write("passwd", "{}:{}:{}:{}::{}:/bin/false\n".format(
            self.name, hashed, user.pw_uid, user.pw_gid, self.files))
        self._write("group", "demo:x:{}:\n".format(user.pw_gid))
        self._write("conf", PROFTPD_CONF.format(
            host=host, port=self.port, ipv6="on" if ":" in host else "off", dir=self.dir,
            user=user.pw_name, group="nogroup" if root else "#{}".format(user.pw_gid),
            more=more))

    def _write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        # ProFTPD refuses files of log-ins that others may read.
        os.chmod(path, 0o640)

    def command(self):
        return [PROFTPD, "-n", "-q", "-c", os.path.join(self.dir, "conf")]


class PyFtpd(FtpServer):
    """Reads commands while it sends: its replies may overtake."""

    def command(self):
        return [sys.executable, "-W", "ignore", "-c", PYFTPD.format(
            name=self.name, password=self.password, files=self.files, host=self.host,
            port=self.port)]
