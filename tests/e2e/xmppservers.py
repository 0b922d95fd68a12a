"""Prosody and ejabberd in private folders, with the settings of deploy/RECIPES.md.

    with Prosody("example.org") as server:
        server.ports["c2s"], server.ports["s2s"]

Both listen on free loopback ports and have one user per domain. They use only their folder.
Leaving the context stops and removes everything. ejabberd expects PROXY headers; Debian has no
module for Prosody that reads them."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import harness  # noqa: F401  (puts the demonstration's modules on the path)
from ports import is_free, reserve_ports

READY_SECONDS = 60

# What a client says, and what the gateway answers.
START_TLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
FEATURES = (b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
            b"</stream:features>")
_ERROR = re.compile(rb"<stream:error><([a-z-]+) xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
                    rb"<text [^>]*>[^<]+</text></stream:error></stream:stream>$")


def header(to, protocol="xmpp-client", sender=None):
    """The beginning of a stream. Characters of `to` that are not text stand for octets."""
    text = ("<stream:stream xmlns='jabber:{}' xmlns:stream='http://etherx.jabber.org/streams'{}{} "
            "to='{}' version='1.0'>").format(
        protocol.removeprefix("xmpp-"),
        " xmlns:db='jabber:server:dialback'" if protocol == "xmpp-server" else "",
        " from='{}'".format(sender) if sender else "", to)
    return text.encode("utf-8", "surrogateescape")


def error_of(octets):
    """The condition that a whole stream ends with; None if it has none."""
    if not octets.startswith(b"<?xml version='1.0'?><stream:stream xmlns='jabber:"):
        raise AssertionError("no stream: {!r}".format(octets))
    match = _ERROR.search(octets)
    return match[1].decode() if match else None


PROSODY_CONFIG = """
run_as_root = true -- of the tests alone: they have a folder of their own
pidfile = "{dir}/prosody.pid"
data_path = "{dir}/data"
plugin_paths = {{ "{dir}/plugins" }}
log = {{ debug = "{dir}/log" }}
authentication = "internal_plain"
routes = {{ {routes} }} -- see ROUTES

interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s} }}
s2s_ports = {{ {s2s} }}
c2s_direct_tls_ports = {{}}
s2s_direct_tls_ports = {{}}
{settings}
VirtualHost "{domain}"
"""
# What a server behind the gateway needs.
PROSODY_SETTINGS = """
modules_enabled = { "behind_tls", "roster", "saslauth", "tls", "dialback", "disco", "ping" }
c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = true
"""
# Whatever comes in has come by TLS: nothing else can reach the ports.
BEHIND_TLS = """
local function mark(event)
	local session = event.origin;
	if session.type == "c2s_unauthed" or session.type == "s2sin_unauthed" then
		session.secure = true;
		session.conn.starttls = false;
	end
end
module:hook("stream-features", mark, 2500);
module:hook("s2s-stream-features", mark, 2500);
"""
# Where the servers of domains are, instead of a DNS; a service has a port of its own.
ROUTES = """
local service = require "net.resolvers.service";
local basic = require "net.resolvers.basic";
local routes = module:get_option("routes");
local look_up = service.new;
function service.new(host, name, kind, more)
	if not routes[host] then return look_up(host, name, kind, more); end
	return basic.new("127.0.0.1", routes[host][name] or 9, kind, more);
end
"""

EJABBERD_CONFIG = """
hosts: [{domain}]
loglevel: debug
certfiles: []
auth_method: internal
auth_password_format: plain
s2s_use_starttls: optional
s2s_dns_timeout: 1
s2s_dns_retries: 1
outgoing_s2s_families: [ipv4]
outgoing_s2s_port: {outgoing}
listen:
  - {{port: {c2s}, ip: "127.0.0.1", module: ejabberd_c2s, use_proxy_protocol: true, starttls: false}}
  - {{port: {s2s}, ip: "127.0.0.1", module: ejabberd_s2s_in, use_proxy_protocol: true}}
acl: {{}}
modules:
  mod_disco: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
  mod_s2s_dialback: {{}}
"""
# What it does when it has started.
EJABBERD_USER = """
ok = ejabberd_auth:try_register(<<"{user}">>, <<"{domain}">>, <<"{password}">>),
ok = file:write_file("ready", "").
"""


class _Server:
    """What both share: a child with a folder and a log."""

    user = "demo"
    password = "correct-horse"

    def __init__(self, domain):
        self.domain = domain
        self.address = self.user + "@" + domain
        self.ports = reserve_ports(["c2s", "s2s"])
        self.dir = None
        self._child = None

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="starling-xmpp-")
        try:
            command, env = self._prepare()
            with open(self.dir + "/out", "wb") as out:
                self._child = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.dir,
                    env=env, start_new_session=True)
            end = time.monotonic() + READY_SECONDS
            while not self._is_ready():
                if self._child.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("{} is not ready\n{}{}".format(
                        command[0], self._read("out"), self.log()[-2000:]))
                time.sleep(0.05)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self._child is not None:
            try:
                # ejabberd has children of its own; nothing here is worth saving.
                os.killpg(self._child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._child.wait()
            self._child = None
        if self.dir is not None:
            shutil.rmtree(self.dir, True)
            self.dir = None

    def backend(self, port):
        """As the configuration names a server."""
        return "127.0.0.1:{}".format(self.ports[port])

    def _is_ready(self):
        return not any(is_free(port) for port in self.ports.values())

    def _write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def _read(self, name):
        try:
            with open(os.path.join(self.dir, name), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def log(self):
        return self._read("log")

    def wait_for_log(self, pattern, seconds=15):
        """Whether a line that matches comes."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.log()):
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True


class Prosody(_Server):
    """`routes`: {domain: (service, port)} of other servers; `ca`: whose certificates they
    are believed by; `settings` instead of those above."""

    def __init__(self, domain, routes=None, ca=None, settings=PROSODY_SETTINGS):
        super().__init__(domain)
        self._routes = routes or {}
        self._settings = settings
        if ca:
            self._settings += 's2s_ssl = {{ cafile = "{}" }}\n'.format(ca)

    def _prepare(self):
        routes = ", ".join('["{}"] = {{ ["{}"] = {} }}'.format(domain, service, port)
                           for domain, (service, port) in self._routes.items())
        settings = self._settings.replace('modules_enabled = { ', 'modules_enabled = { "routes", ')
        self._write("plugins/mod_routes.lua", ROUTES)
        self._write("plugins/mod_behind_tls.lua", BEHIND_TLS)
        self._write("data/{}/accounts/{}.dat".format(self.domain.replace(".", "%2e"), self.user),
                    'return {{ ["password"] = "{}"; }};\n'.format(self.password))
        config = self._write("prosody.cfg.lua", PROSODY_CONFIG.format(
            dir=self.dir, domain=self.domain, routes=routes, settings=settings, **self.ports))
        return ["prosody", "-F", "--config", config], None


class Ejabberd(_Server):
    """It reads PROXY headers. `outgoing`: where other servers listen; it finds that of the
    domain "localhost" without a DNS."""

    def __init__(self, domain, outgoing=9):
        super().__init__(domain)
        self._outgoing = outgoing

    def _prepare(self):
        config = self._write("ejabberd.yml", EJABBERD_CONFIG.format(
            domain=self.domain, outgoing=self._outgoing, **self.ports))
        user = EJABBERD_USER.format(user=self.user, domain=self.domain, password=self.password)
        env = {**os.environ, "EJABBERD_CONFIG_PATH": config, "EJABBERD_LOG_PATH": self.dir + "/log",
               "ERL_LIBS": "/usr/lib/x86_64-linux-gnu", "HOME": self.dir,
               "ERL_CRASH_DUMP": self.dir + "/crash"}
        # Without a name: it needs no port mapper, and no other node finds it.
        return ["erl", "-noinput", "-mnesia", "dir", '"{}/db"'.format(self.dir), "-s", "ejabberd",
                "-eval", user], env

    def _is_ready(self):
        return os.path.exists(self.dir + "/ready")
