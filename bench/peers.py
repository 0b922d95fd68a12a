"""The servers of the comparison: how to configure, start and stop each.

Each runs in the foreground with one worker (a thread, or a process below a master), on
the CPU of the server, with the same certificate, the same order of suites and groups,
session tickets, TCP_NODELAY, no log if the server allows that, and the backend behind a
Unix socket, which all of them support. The rest of each configuration follows the server's
own documentation for many connections.
"""

import os
import re
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

from testbed import (
    config_text, first_line, openssl_version, output_of, pinned, reserve_ports, user_name)

SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
CIPHERS = ":".join(
    "ECDHE-{}-{}".format(key, cipher)
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA"))
# Without X25519MLKEM768, which the OpenSSL of the other servers does not support.
GROUPS = "X25519:prime256v1:secp384r1"
CONNECTIONS = 9_700  # simultaneous clients: the idle sessions and some more
READY_SECONDS = 60


class NotStarted(Exception):
    """A server ended or never answered; the text has its output."""


class Setup:
    """The settings for a server: its key, listener and backend."""

    def __init__(self, backend, key="ec", starttls=None, folder=None, bulk=False, workers=1,
                 protocol="tcp", alpn=None):
        self.backend = backend    # path of the Unix socket
        self.key = key            # "ec" or "rsa"
        self.starttls = starttls  # None: TLS from the first octet; else the protocol
        self.folder = folder      # of certificates, instead of one
        self.bulk = bulk          # buffers for throughput, where that is an option
        self.workers = workers
        self.protocol = protocol  # of a listener with implicit TLS, for servers with several
        self.alpn = alpn          # that clients offer; None: none


class Peer:
    """A server under test; a subclass for each."""

    name = ""        # in tables
    program = ""
    starttls = ()    # the protocols it upgrades
    groups = ("X25519",)
    many_certificates = False  # can load a folder of them
    about = ""       # a remark for readers of the results

    def __init__(self, testbed):
        self.testbed = testbed
        self.kind = self.name  # the kind of server; `name` may differ (baseline)
        self.process = None
        self.port = None
        self.log = None

    # -- to override ------------------------------------------------------

    def write(self, setup):
        """Writes the configuration; returns the command that runs with it."""
        raise NotImplementedError

    def version(self):
        """The versions of the server and its TLS library."""
        raise NotImplementedError

    # -- common ----------------------------------------------------------

    @property
    def address(self):
        return "127.0.0.1:{}".format(self.port)

    def path(self, name):
        return os.path.join(self.testbed.folder, "{}-{}.{}".format(self.kind, self.port, name))

    def save(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def start(self, setup, cpus=None, port=None):
        """Starts it. Returns the seconds until it has completed a handshake."""
        self.port = port or reserve_ports(["any"])["any"]
        command = self.write(setup)
        self.log = open(self.path("log"), "w+b")
        began = time.monotonic()
        with pinned(cpus or self.testbed.cpus.server):
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self.output(), stderr=self.log)
        while not self.answers(setup):
            if self.process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                self.log.seek(0)
                said = self.log.read().decode("utf-8", "replace")
                self.stop()
                raise NotStarted("{} did not start: {}".format(self.name, said[-2000:]))
            time.sleep(0.002)
        return time.monotonic() - began

    def output(self):
        return self.log

    def answers(self, setup):
        """Whether a handshake succeeds; with STARTTLS, whether the server sends its greeting."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if setup.alpn:
            context.set_alpn_protocols([setup.alpn])
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as raw:
                if setup.starttls:
                    return raw.recv(1) != b""
                with context.wrap_socket(raw, server_hostname="mail.example.org"):
                    return True
        except OSError:
            return False

    def pids(self):
        """The ids of the process and its descendants."""
        found, left = [], [self.process.pid]
        while left:
            pid = left.pop()
            found.append(pid)
            try:
                with open("/proc/{0}/task/{0}/children".format(pid), encoding="ascii") as f:
                    left += map(int, f.read().split())
            except OSError:
                pass
        return found

    def stop(self):
        """Kills the process and its descendants, and waits for them."""
        if self.process is None:
            return
        below = [pid for pid in self.pids() if pid != self.process.pid]
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pid in below:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process = None
        self.log.close()


class Starling(Peer):
    """As users run it, with limits, io_uring restrictions and metrics; but without log lines
    for sessions, as the other servers."""

    name = "Starling"
    starttls = ("smtp", "imap", "pop3", "lmtp", "managesieve")
    groups = ("X25519", "X25519MLKEM768")
    many_certificates = True
    about = "with limits, io_uring restrictions and metrics; without log lines for sessions"

    io = "io_uring"

    def __init__(self, testbed, binary=None, name=None):
        super().__init__(testbed)
        self.binary = binary or testbed.binary
        self.name = name or self.name
        self.metrics = None

    def write(self, setup):
        if setup.folder:
            tls = {"certificates": [{"folder": setup.folder}]}
        else:
            tls = {"certificates": [dict(zip(("cert", "key"), self.testbed.pairs[setup.key]))]}
        self.metrics = "127.0.0.1:{}".format(reserve_ports(["any"])["any"])
        text = config_text(
            {"pairs": []},
            [{"name": "bench", "protocol": setup.starttls or setup.protocol, "bind": [self.address],
              "tls": "starttls" if setup.starttls or setup.protocol == "postgresql" else "implicit",
              "backend": "bench",
              **({"policy": "require"} if setup.starttls else {})}],
            [{"name": "bench", "servers": ["unix:" + setup.backend]}],
            self.metrics, tls=tls, workers=setup.workers, log={"sessions": "none"}, io=self.io,
            limits={"sessions": min(CONNECTIONS, self.testbed.descriptors // 2 - 300)})
        return [self.binary, "-c", self.save("yaml", text)]

    def output(self):
        return subprocess.DEVNULL

    def answers(self, setup):
        """Also asks /readyz, because another process may have done the handshake on the port."""
        try:
            with urllib.request.urlopen("http://{}/readyz".format(self.metrics), timeout=5):
                return super().answers(setup)
        except OSError:
            return False

    def version(self):
        return first_line([self.binary, "-V"])


class StarlingOnEpoll(Starling):
    """As it runs where io_uring is forbidden."""

    name = "Starling, epoll"
    about = "the same program where io_uring cannot be had (`io: epoll`)"
    io = "epoll"


class HAProxy(Peer):
    name = "HAProxy"
    program = "haproxy"
    many_certificates = True
    about = "one thread, mode tcp"

    def write(self, setup):
        certificate = setup.folder or self.testbed.bundles[setup.key]
        # The manual advises against changing the buffer size, but the default cuts bulk
        # transfers into records of less than 16 KiB.
        bulk = "  tune.bufsize 65536\n" if setup.bulk else ""
        text = """global
  nbthread {workers}
  maxconn {connections}
{bulk}  ssl-default-bind-options ssl-min-ver TLSv1.2
  ssl-default-bind-ciphersuites {suites}
  ssl-default-bind-ciphers {ciphers}
  ssl-default-bind-curves {groups}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen bench
  bind {address} ssl crt {certificate} backlog 1024
  server backend unix@{backend}
""".format(workers=setup.workers, connections=CONNECTIONS, bulk=bulk, suites=SUITES,
           ciphers=CIPHERS, groups=GROUPS, address=self.address, certificate=certificate,
           backend=setup.backend)
        return [self.program, "-db", "-q", "-f", self.save("cfg", text)]

    def version(self):
        text = output_of([self.program, "-vv"])
        return "{}, {}".format(
            re.search(r"version (\S+)", text).group(1),
            re.search(r"Running on OpenSSL version : (.*?) \d+ \w+ \d+", text).group(1))


class Nginx(Peer):
    """With the stream module; for STARTTLS, with the mail module."""

    name = "nginx"
    program = "nginx"
    starttls = ("smtp", "imap", "pop3")
    about = ("a master and one worker; stream module, and for STARTTLS the mail module, whose "
             "clients leave before a log-in, so it never calls its authentication server nor a backend")

    def write(self, setup):
        cert, key = self.testbed.pairs[setup.key]
        tls = """  ssl_certificate {cert};
  ssl_certificate_key {key};
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_ciphers {ciphers};
  ssl_conf_command Ciphersuites {suites};
  ssl_prefer_server_ciphers on;
  ssl_ecdh_curve {groups};
  ssl_session_tickets on;
""".format(cert=cert, key=key, ciphers=CIPHERS, suites=SUITES, groups=GROUPS)
        # The mail module needs auth_http, and never logs sessions.
        if setup.starttls:
            section = """mail {{
{tls}  server_name mail.example.org;
  auth_http 127.0.0.1:9/;
  server {{
    listen {address} backlog=1024;
    protocol {protocol};
    starttls only;
  }}
}}
""".format(tls=tls, address=self.address, protocol=setup.starttls)
        else:
            section = """stream {{
{tls}  access_log off;
  tcp_nodelay on;
  proxy_timeout 1h;
  proxy_buffer_size {buffer};
  server {{
    listen {address} ssl backlog=1024;
    proxy_pass unix:{backend};
  }}
}}
""".format(tls=tls, address=self.address, backend=setup.backend,
           buffer="64k" if setup.bulk else "16k")
        text = """daemon off;
user {user};
pid {pid};
error_log /dev/null crit;
worker_processes {workers};
worker_rlimit_nofile {descriptors};
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
load_module /usr/lib/nginx/modules/ngx_mail_module.so;
events {{
  worker_connections {descriptors};
  multi_accept on;
}}
{section}""".format(user=user_name(), pid=self.path("pid"), workers=setup.workers,
                    descriptors=self.testbed.descriptors, section=section)
        return [self.program, "-c", self.save("conf", text), "-e", self.path("errors")]

    def version(self):
        text = output_of([self.program, "-V"])
        return "{}, {}".format(
            re.search(r"nginx/(\S+)", text).group(1),
            re.search(r"running with (OpenSSL \S+)", text).group(1))


class Hitch(Peer):
    name = "hitch"
    program = "hitch"
    many_certificates = True
    about = "a master and one worker"

    def write(self, setup):
        source = ('pem-dir = "{}"'.format(setup.folder) if setup.folder
                  else 'pem-file = "{}"'.format(self.testbed.bundles[setup.key]))
        text = """frontend = "[127.0.0.1]:{port}"
backend = "{backend}"
{source}
workers = {workers}
backlog = 1024
daemon = off
log-level = 0
tls-protos = TLSv1.2 TLSv1.3
ciphersuites = "{suites}"
ciphers = "{ciphers}"
prefer-server-ciphers = on
ecdh-curve = "{groups}"
""".format(port=self.port, backend=setup.backend, source=source, workers=setup.workers,
           suites=SUITES, ciphers=CIPHERS, groups=GROUPS)
        if os.getuid() == 0:  # it refuses to run as root
            text += 'user = "nobody"\ngroup = "nogroup"\n'
        return [self.program, "--config=" + self.save("conf", text)]

    def version(self):
        return "{}, {}".format(
            re.search(r"hitch (\S+)", output_of([self.program, "--version"])).group(1),
            openssl_version())


class Stunnel(Peer):
    """With a thread for each connection, its only mode."""

    name = "stunnel"
    program = "stunnel4"
    starttls = ("smtp", "imap", "pop3")
    about = "one process with a thread for each connection"

    def write(self, setup):
        cert, key = self.testbed.pairs[setup.key]
        protocol = "protocol = {}\n".format(setup.starttls) if setup.starttls else ""
        text = """foreground = yes
pid =
syslog = no
debug = emerg
output = /dev/null
socket = l:TCP_NODELAY=1
[bench]
accept = {address}
connect = {backend}
{protocol}cert = {cert}
key = {key}
sslVersionMin = TLSv1.2
ciphers = {ciphers}
ciphersuites = {suites}
curves = {groups}
options = CIPHER_SERVER_PREFERENCE
TIMEOUTidle = 3600
""".format(address=self.address, backend=setup.backend, protocol=protocol, cert=cert, key=key,
           ciphers=CIPHERS, suites=SUITES, groups=GROUPS)
        return [self.program, self.save("conf", text)]

    def version(self):
        text = output_of([self.program, "-version"])
        return "{}, {}".format(
            re.search(r"stunnel (\S+)", text).group(1),
            re.search(r"Running +with (OpenSSL \S+)", text).group(1))


ALL = (Starling, StarlingOnEpoll, HAProxy, Nginx, Hitch, Stunnel)
