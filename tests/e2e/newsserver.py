"""INN in a private folder: innd, and a separate nnrpd.

    with NewsServer() as news:
        news.ports["nnrpd"], news.ports["innd"]

Both listen on free loopback ports, with the settings that a server behind the gateway needs
(deploy/RECIPES.md). There is one user and one newsgroup. INN uses only the folder. Leaving the
context stops and removes everything."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

import mailservers
from ports import reserve_ports

PROGRAMS = "/usr/lib/news/bin/"
READY_SECONDS = 60
FOLDERS = ("etc db run log http filter spool spool/articles spool/overview spool/incoming "
           "spool/incoming/tmp spool/outgoing spool/archive").split()

# The last line: by default nnrpd turns readers away while the machine is busy.
INN_CONF = """mta: /bin/true
organization: demonstration
domain: example.org
pathhost: news.example.org
pathnews: /usr/lib/news
pathbin: /usr/lib/news/bin
pathetc: {dir}/etc
pathdb: {dir}/db
pathrun: {dir}/run
pathlog: {dir}/log
pathhttp: {dir}/http
pathfilter: {dir}/filter
pathspool: {dir}/spool
pathtmp: {dir}/spool/incoming/tmp
hismethod: hisv6
enableoverview: true
ovmethod: tradindexed
doinnwatch: false
nnrpdloadlimit: 0
"""
READERS_CONF = """auth "gateway" {{
  hosts: "127.0.0.0/8"
  auth: "ckpasswd -f {dir}/etc/passwords"{default}
}}
access "readers" {{
  users: "*"
  newsgroups: "*"
  access: RPA
}}
"""
FILES = {
    "etc/inn.conf": INN_CONF,
    "etc/readers.conf": READERS_CONF,
    "etc/incoming.conf": 'streaming: true\nmax-connections: 8\npeer ME {{\n  hostname: "{peers}"\n}}\n',
    "etc/newsfeeds": "ME:!*::\n",
    "etc/storage.conf": "method tradspool {{\n  newsgroups: *\n  class: 0\n}}\n",
    "etc/control.ctl": "",
    "etc/expire.ctl": "*:A:1:10:never\n",
    "etc/passwords": "{user}:{hashed}\n",
    "db/active": "".join(
        name + " 0000000000 0000000001 " + flag + "\n"
        for name, flag in (
            ("control", "n"), ("control.cancel", "n"), ("junk", "n"), ("{group}", "y"))),
    "db/newsgroups": "{group}\ttests\n",
    "db/active.times": "",
    "db/history": "",
}


class NewsServer:
    """The two servers; a context manager. `peers`: who may feed innd. `default`: who
    a reader is before any log-in. `tls`: (CA, certificate, key), with which nnrpd itself
    offers STARTTLS."""

    user = "demo"
    password = "correct-horse"
    group = "example.test"

    def __init__(self, peers="127.0.0.1", default=None, tls=()):
        self._peers = peers
        self._tls = tls
        self._default = '\n  default: "{}"'.format(default) if default else ""
        self._children = []
        self.dir = None
        self.ports = {}

    def __enter__(self):
        if not os.access(PROGRAMS + "innd", os.X_OK):
            raise FileNotFoundError(PROGRAMS + "innd is missing; deploy/setup/setup.sh test installs it")
        self.dir = tempfile.mkdtemp(prefix="starling-news-")
        try:
            self.ports = reserve_ports(["innd", "nnrpd"])
            self._write()
            subprocess.run([PROGRAMS + "makedbz", "-i", "-o", "-s", "1000", "-f", self.dir + "/db/history"],
                           check=True, **self._as_news())
            self._start("innd", "-f", "-P", str(self.ports["innd"]), "-4", "127.0.0.1")
            self._wait("innd")
            self._start("nnrpd", "-D", "-f", "-p", str(self.ports["nnrpd"]), "-b", "127.0.0.1",
                        "-c", self.dir + "/etc/readers.conf")
            self._wait("nnrpd")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception):
        self.stop()

    def stop(self):
        """Stops both by their process ids and removes the folder."""
        for child in self._children:
            # Not TERM: innd heeds it only when something moves, and children that
            # serve a client stay for it. Nothing here is worth saving.
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
        self._children = []
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)
            self.dir = None

    def _write(self):
        news = pwd.getpwnam("news")
        hashed = subprocess.run(["openssl", "passwd", "-6", self.password], check=True,
                                stdout=subprocess.PIPE).stdout.decode().strip()
        values = {"dir": self.dir, "peers": self._peers, "default": self._default,
                  "user": self.user, "hashed": hashed, "group": self.group}
        for name in FOLDERS:
            os.mkdir(os.path.join(self.dir, name), 0o755)
        for name, text in FILES.items():
            with open(os.path.join(self.dir, name), "w", encoding="ascii") as f:
                f.write(text.format(**values))
        with open(self.dir + "/etc/inn.conf", "a", encoding="ascii") as f:
            for key, source in zip(("tlscafile", "tlscertfile", "tlskeyfile"), self._tls):
                f.write("{}: {}\n".format(key, shutil.copy(source, self.dir + "/etc/" + key)))
        for folder, _, files in os.walk(self.dir):
            for name in [folder, *(os.path.join(folder, f) for f in files)]:
                os.chown(name, news.pw_uid, news.pw_gid)

    def _as_news(self):
        return {"user": "news", "group": "news", "extra_groups": [],
                "env": {"PATH": "/usr/bin:/bin", "INNCONF": self.dir + "/etc/inn.conf"},
                "cwd": self.dir, "stdin": subprocess.DEVNULL}

    def _start(self, program, *arguments):
        with open("{}/{}.out".format(self.dir, program), "wb") as out:
            self._children.append(subprocess.Popen(
                [PROGRAMS + program, *arguments], start_new_session=True, stdout=out, stderr=out,
                preexec_fn=_end_with_parent, **self._as_news()))

    def _wait(self, name):
        """Until it greets."""
        end = time.monotonic() + READY_SECONDS
        while True:
            try:
                if mailservers.read_greeting(self.ports[name], b"QUIT\r\n", 5).startswith(b"200"):
                    return
            except OSError:
                pass
            if self._children[-1].poll() is not None or time.monotonic() > end:
                with open(self.dir + "/log/errlog", errors="replace") as f:
                    raise mailservers.NotReady("{} is not ready\n{}".format(name, f.read()))
            time.sleep(0.02)


def _end_with_parent():
    """In the child: a parent that is killed takes its servers with it."""
    ctypes.CDLL(None).prctl(mailservers.PR_SET_PDEATHSIG, signal.SIGTERM)
