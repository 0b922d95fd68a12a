"""FTP servers in private folders: ProFTPD, pyftpdlib, pure-ftpd, vsftpd, and a scripted one.

    with ProFtpd() as server:
        server.address, server.files

Each listens on a free port of a loopback address, with the settings that a server behind the
gateway needs (deploy/RECIPES.md): no TLS, no masquerade, data connections only with the host
of the control connection. It has one user, whose files are in `files`; uploads go into
`uploads`. Leaving the context stops and removes everything."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

import mailservers
from ports import reserve_ports

READY_SECONDS = 60
PROFTPD = "/usr/sbin/proftpd"
# Those that Debian installs only in the place of ProFTPD: deploy/setup/setup.sh unpacks them.
UNPACKED = os.path.join(os.path.dirname(__file__), "..", "..", ".deps", "servers")
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


VSFTPD_CONF = """listen=YES
listen_address={host}
listen_port={port}
background=NO
anonymous_enable=YES
local_enable=NO
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_umask=022
anon_root={files}
ftp_username=games
nopriv_user=nobody
secure_chroot_dir={dir}/empty
seccomp_sandbox=NO
xferlog_enable=NO
"""


class FtpServer:
    name, password = "demo", "secret words"
    uploads = ""

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
        # Into a file: a server that logs much would fill a pipe that nobody reads.
        with open(self.dir + "/out", "wb") as out:
            self._process = subprocess.Popen(  # runs: proftpd /usr/bin/python3 pure-ftpd vsftpd
                self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, preexec_fn=mailservers._end_with_parent)
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
                with open(self.dir + "/out", encoding="utf-8", errors="replace") as out:
                    raise AssertionError(out.read())
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


class PureFtpd(FtpServer):
    """Answers 500 to nearly every command during a transfer, and goes on."""

    def __init__(self, host="127.0.0.1"):
        super().__init__(host)
        os.chown(self.files, NOBODY.pw_uid, NOBODY.pw_gid)
        self._users = os.path.join(self.dir, "users")
        self._tool("useradd", self.name, "-f", self._users, "-u", str(NOBODY.pw_uid),
                   "-g", str(NOBODY.pw_gid), "-d", self.files)
        self._tool("mkdb", self._users + ".pdb", "-f", self._users)

    def _tool(self, *words):
        subprocess.run(  # runs: pure-pw
            [os.path.join(UNPACKED, "usr/bin/pure-pw"), *words], stdout=subprocess.DEVNULL,
            input=(self.password + "\n").encode() * 2, check=True)

    def command(self):
        return [os.path.join(UNPACKED, "usr/sbin/pure-ftpd"), "-H", "-E", "-u", "1",
                "-S", "{},{}".format(self.host, self.port), "-l", "puredb:" + self._users + ".pdb",
                "-g", os.path.join(self.dir, "pid")]


class Vsftpd(FtpServer):
    """Reads no command during a transfer. Allows only anonymous users, because others would be the
    machine's."""
    name = "anonymous"
    uploads = "incoming/"

    def __init__(self, host="127.0.0.1"):
        super().__init__(host)
        os.mkdir(os.path.join(self.dir, "empty"))
        os.mkdir(self.path("incoming"))
        os.chmod(self.path("incoming"), 0o777)
        self._conf = os.path.join(self.dir, "conf")
        with open(self._conf, "w", encoding="utf-8") as f:
            f.write(VSFTPD_CONF.format(host=host, port=self.port, files=self.files, dir=self.dir))

    def command(self):
        return [os.path.join(UNPACKED, "usr/sbin/vsftpd"), self._conf]


class Scripted(socketserver.ThreadingTCPServer):
    """A server that does as the test says. Of a download it sends half; then it reads one
    command, answers it at once (`early`), behind the final reply (`late`), or not at all, and
    sends the rest. Of an upload it reads the command, and then all. Only for files with
    "beside" in their names. `replies` has what it says to any verb; what it was told is in
    `lines`, and what it received in `stored`, or None if it was cut off."""
    daemon_threads = True
    allow_reuse_address = True
    FILE = bytes(range(256)) * 400

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.say(self.server.greeting)
            self.data = None
            while line := self.command():
                verb = line.split()[0].upper()
                if verb == b"PASV" and verb not in self.server.replies:
                    self.data = socket.create_server(("127.0.0.1", 0))
                    port = self.data.getsockname()[1]
                    self.say(b"227 Entering (127,0,0,1,%d,%d)\r\n" % (port >> 8, port & 255))
                elif verb in (b"RETR", b"STOR"):
                    self.transfer(verb, beside=b"beside" in line)
                else:
                    self.say(self.reply(verb))

        def transfer(self, verb, beside):
            server = self.server
            self.say(b"150 go\r\n")
            with self.data, self.data.accept()[0] as connection:
                if verb == b"RETR":
                    connection.sendall(server.FILE[:len(server.FILE) // 2])
                command = self.command().split()[0].upper() if beside else b""
                if beside and server.when == "early":
                    self.say(self.reply(command))
                if verb == b"RETR":
                    with contextlib.suppress(OSError):
                        connection.sendall(server.FILE[len(server.FILE) // 2:])
                else:
                    server.stored = self.read_all(connection)
            self.say(b"226 done\r\n")
            if beside and server.when == "late":
                self.say(self.reply(command))

        def read_all(self, connection):
            parts = []
            try:
                while part := connection.recv(65536):
                    parts.append(part)
            except ConnectionResetError:
                return None
            return b"".join(parts)

        def command(self):
            line = self.rfile.readline()
            if line:  # and no end of a connection, which may be another test's
                self.server.lines.append(line)
            return line

        def reply(self, verb):
            return self.server.replies.get(verb, b"230 ok\r\n" if verb == b"PASS" else b"200 ok\r\n")

        def say(self, octets):
            self.wfile.write(octets)

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.lines, self.replies, self.when, self.stored = [], {}, "early", None
        self.greeting = b"220 scripted\r\n"
        self.address = "127.0.0.1:{}".format(self.server_address[1])
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
