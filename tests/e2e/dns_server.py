"""A real DNS server (Knot) with a zone that a test changes while the gateway runs, and real servers
at several addresses with one port, as the pods of a headless Service have them."""

import os
import signal
import socket
import subprocess
import threading
import time

from ports import reserve_ports
from sick_servers import pass_on

ZONE = "mail.test"
CONFIG = """server:
  listen: [ 127.0.0.1@{port} ]
  rundir: {dir}
  tcp-workers: 1
  udp-workers: 1
  background-workers: 1
database:
  storage: {dir}
control:
  listen: {dir}/knot.sock
log:
  - target: stderr
    any: warning
zone:
  - domain: {zone}.
    file: {dir}/zone
    zonefile-load: whole
    zonefile-sync: -1
    journal-content: none
"""
# Nothing in it holds for longer than a second, unless a record says so.
HEAD = """$ORIGIN {zone}.
$TTL 1
@ SOA ns.{zone}. hostmaster.{zone}. {serial} 3600 600 86400 1
@ NS ns
ns A 127.0.0.1
"""


class DnsServer:
    """A context manager. `records`: lines of a zone file, relative to `zone`."""

    def __init__(self, folder, records=(), zone=ZONE):
        self._zone = zone
        self._dir = os.path.join(folder, "knot-{}".format(time.monotonic_ns()))
        os.mkdir(self._dir)
        self._serial = 0
        self._process = None
        self._port = reserve_ports(["dns"])["dns"]
        self.address = "127.0.0.1:{}".format(self._port)
        self._write(records)

    def _path(self, name):
        return os.path.join(self._dir, name)

    def _write(self, records):
        self._serial += 1
        with open(self._path("zone"), "w", encoding="ascii") as f:
            f.write(HEAD.format(zone=self._zone, serial=self._serial) + "\n".join(records) + "\n")

    def _control(self, *command):
        return subprocess.run(["knotc", "-b", "-s", self._path("knot.sock"), *command],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def set(self, *records):
        """From now on the zone has these records alone."""
        self._write(records)
        done = self._control("zone-reload", self._zone)
        if done.returncode != 0:
            raise AssertionError(done.stdout)

    def pause(self):
        """From now on it does not answer."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def start(self):
        with open(self._path("conf"), "w", encoding="ascii") as f:
            f.write(CONFIG.format(port=self._port, dir=self._dir, zone=self._zone))
        with open(self._path("log"), "ab") as log:
            self._process = subprocess.Popen(["knotd", "-c", self._path("conf")],
                                             stdout=log, stderr=log)
        end = time.monotonic() + 20
        while self._control("zone-status", self._zone, "+serial").returncode != 0:
            if self._process.poll() is not None or time.monotonic() > end:
                with open(self._path("log"), encoding="utf-8", errors="replace") as log:
                    raise AssertionError("knotd does not start\n" + log.read())
            time.sleep(0.05)

    def stop(self):
        if self._process.poll() is None:
            self.go_on()
            self._process.kill()
        self._process.wait()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def resolve(self, **more):
        """The section of the gateway's configuration that has it asked, often."""
        return {"servers": [self.address], "min": "200ms", "timeout": "1s", **more}


def addresses(name, *hosts):
    """Records of those hosts' addresses."""
    return ["{} {} {}".format(name, "AAAA" if ":" in host else "A", host) for host in hosts]


class Front:
    """A context manager: `server`, "address:port", at an address of its own."""

    def __init__(self, host, port, server):
        self.host, self.port = host, port
        self.address = "{}:{}".format(host, port)
        self.accepted = 0  # connections, with those of probes
        server_host, server_port = server.rsplit(":", 1)
        self._server = (server_host, int(server_port))
        self._socket = None
        self._thread = None

    def open(self):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((self.host, self.port))
        self._socket.listen(128)
        self._thread = threading.Thread(target=self._accept, args=(self._socket,), daemon=True)
        self._thread.start()

    def _accept(self, listening):
        while True:
            try:
                client = listening.accept()[0]
            except OSError:
                return
            self.accepted += 1
            pass_on(client, self._server)

    def close(self):
        """Nobody listens there any more. Connections go on."""
        if self._socket is None:
            return
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._thread.join()
        self._socket.close()
        self._socket = None

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *_):
        self.close()
