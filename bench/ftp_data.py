#!/usr/bin/python3
"""Compares the cost of FTP's data channels with that of a relay: the gateway's CPU time per
gigabyte in both directions, with a server behind both that uses the same calls. Alternates
between the two and prints the ratios.

    bench/ftp_data.py [--octets N] [--rounds N] [--binary FILE]

Not for: the speed of transfers, which client and server limit here."""

import argparse
import os
import shutil
import socket
import socketserver
import ssl
import statistics
import tempfile
import threading

from testbed import TOP, config_text, make_certificates, reserve_ports
from gateway import Gateway

CHUNK = bytes(64 * 1024)


def send(connection, octets):
    for _ in range(octets // len(CHUNK)):
        connection.sendall(CHUNK)


def drain(connection):
    while connection.recv(len(CHUNK)):
        pass


class Server(socketserver.ThreadingTCPServer):
    """Calls `serve(handler)` for each connection, in a thread."""
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, serve):
        handler = type("Handler", (socketserver.StreamRequestHandler,), {"handle": serve})
        super().__init__(("127.0.0.1", 0), handler)
        self.address = "127.0.0.1:{}".format(self.server_address[1])
        threading.Thread(target=self.serve_forever, daemon=True).start()


def ftp(octets):
    def serve(self):
        self.wfile.write(b"220 ready\r\n")
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"PASV":
                data = socket.create_server(("127.0.0.1", 0))
                port = data.getsockname()[1]
                self.wfile.write(b"227 (127,0,0,1,%d,%d)\r\n" % (port >> 8, port & 255))
            elif verb in (b"RETR", b"STOR"):
                self.wfile.write(b"150 go\r\n")
                with data, data.accept()[0] as connection:
                    if verb == b"RETR":
                        send(connection, octets)
                    else:
                        drain(connection)
                self.wfile.write(b"226 done\r\n")
            else:
                self.wfile.write(b"200 ok\r\n")
    return serve


def opaque(octets):
    """The first octet says in which direction to send."""
    def serve(self):
        if self.connection.recv(1) == b"d":
            send(self.connection, octets)
        else:
            drain(self.connection)
    return serve


def tls(port):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port)))


def by_ftp(port, octets, down):
    with tls(port) as control:
        replies = control.makefile("rb")
        replies.readline()
        control.sendall(b"PASV\r\n")
        numbers = replies.readline().split(b"(")[1].split(b")")[0].split(b",")
        control.sendall(b"RETR x\r\n" if down else b"STOR x\r\n")
        with tls(int(numbers[4]) * 256 + int(numbers[5])) as data:
            if down:
                drain(data)
            else:
                send(data, octets)
            data.unwrap()
        replies.readline()
        if not replies.readline().startswith(b"226"):
            raise AssertionError("the transfer failed")


def by_relay(port, octets, down):
    with tls(port) as data:
        data.sendall(b"d" if down else b"u")
        if down:
            drain(data)
        else:
            send(data, octets)
        data.unwrap()


def cpu(pid):
    """CPU seconds that the process has used."""
    with open("/proc/{}/stat".format(pid), encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(gateway, ports, octets, rounds):
    for down in (True, False):
        costs = {}
        for _ in range(rounds):
            for name, run in (("relay", by_relay), ("ftp", by_ftp)):
                before = cpu(gateway.process.pid)
                run(ports[name], octets, down)
                spent = cpu(gateway.process.pid) - before
                costs.setdefault(name, []).append(spent / octets * 1e9)
        ratio = statistics.median(f / r for f, r in zip(costs["ftp"], costs["relay"]))
        print("{}: relay {:.2f} s/GB, ftp {:.2f} s/GB, ftp/relay {:.2f}".format(
            "down" if down else "up", statistics.median(costs["relay"]),
            statistics.median(costs["ftp"]), ratio), flush=True)


def main():
    parser = argparse.ArgumentParser(description="compares FTP's data channels with a relay")
    parser.add_argument("--octets", type=int, default=1 << 30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--binary", default=os.path.join(TOP, "bazel-bin/gateway/starling"))
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="starling-bench-")
    try:
        ports = reserve_ports(["ftp", "relay", "metrics"])
        servers = {"ftp": Server(ftp(options.octets)), "relay": Server(opaque(options.octets))}
        listeners = [{"name": name, "protocol": protocol, "tls": "implicit", "backend": name,
                      "bind": ["127.0.0.1:{}".format(ports[name])]}
                     for name, protocol in (("ftp", "ftp"), ("relay", "tcp"))]
        backends = [{"name": name, "servers": [server.address], "proxy_protocol": "none"}
                    for name, server in servers.items()]
        metrics = "127.0.0.1:{}".format(ports["metrics"])
        config = os.path.join(folder, "starling.yaml")
        with open(config, "w", encoding="ascii") as f:
            f.write(config_text(
                make_certificates(folder), listeners, backends, metrics, workers=1))
        gateway = Gateway(config, metrics, options.binary).start()
        try:
            measure(gateway, ports, options.octets, options.rounds)
        finally:
            gateway.stop()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
