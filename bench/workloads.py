"""The workloads of the comparison, how to measure them, and when a run is invalid."""

import dataclasses
import time

from peers import Setup
from testbed import OtherProcesses

# The parameters that clients must negotiate for a run to be valid.
TLS13 = {"version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256", "group": "X25519",
         "certificate": "ecdsa"}
MLKEM = {**TLS13, "group": "X25519MLKEM768"}
RSA = {**TLS13, "certificate": "rsa"}
TLS12 = {**TLS13, "version": "TLSv1.2", "cipher": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}


@dataclasses.dataclass(frozen=True)
class Workload:
    """One workload. `command` is the load generator's; {name} in it stands for a size of the
    run or for the rate."""

    key: str
    title: str
    command: tuple
    unit: str               # of `figure`
    figure: str = "gateway_us"
    capacity: str = "per_second"  # the figure of throughput; "" if it means nothing
    tls: dict = dataclasses.field(default_factory=lambda: TLS13)
    resumed: bool = False
    speak: str = "echo"     # what the backend does
    setup: dict = dataclasses.field(default_factory=dict)
    only: tuple = ()        # names of peers; empty: all that can
    floor: str = ""         # "NAME figure" of a floor below
    rate_of: str = ""       # key of a workload: the rate is half the capacity of its slowest peer
    flood: bool = False     # at the same time, handshakes at full speed
    split: bool = True      # the figure is divided into user and system time

    def possible(self, peer):
        if self.only and peer.kind not in self.only:
            return False
        protocol = self.setup.get("starttls")
        return self.tls.get("group", "X25519") in peer.groups and (not protocol or protocol in peer.starttls)


def _handshakes(*options):
    # With 32 connections, clients and gateway run in lockstep and wait for each other.
    return ("handshakes", "--connections", "64", *options, "--seconds", "{seconds}")


def _echo(octets, *options):
    return ("echo", "--octets", str(octets), *options, "--seconds", "{seconds}")


def _bulk(direction, speak):
    return Workload("bulk-" + direction, "bulk, " + direction, (
        "bulk", "--direction", direction, "--connections", "4", "--seconds", "{seconds}"),
        "ms a GB", figure="gateway_ms_per_gb", capacity="gb_per_second", speak=speak,
        setup={"bulk": True})


def _active(key, idle):
    return Workload(key, "1 session echoes 512 B, {} are idle".format("{:,}".format(idle) if isinstance(
        idle, int) else "9,000"), _echo(512, "--connections", "1", "--idle", str(idle)),
        "us a round trip", capacity="", only=("Starling", "HAProxy", "hitch"))


def _first_answer(protocol, title, **more):
    # The peers do the same for every protocol, so tcp alone measures them.
    return Workload("first-answer-" + protocol, "first answer, " + title,
                ("first-answer", "--seconds", "{seconds}") + (
                    ("--alpn", more["alpn"]) if "alpn" in more else ()),
                "ms", figure="tls13_full_p50_ms", capacity="", tls={}, split=False,
                setup={"protocol": protocol, **more},
                only=() if protocol == "tcp" else ("Starling",))


WORKLOADS = (
    Workload("full", "full handshake, TLS 1.3, ECDSA P-256, X25519", _handshakes(),
         "us a handshake", floor="ec full_us"),
    Workload("mlkem", "full handshake, TLS 1.3, ECDSA P-256, X25519MLKEM768",
         _handshakes("--group", "mlkem768"), "us a handshake", tls=MLKEM, floor="mlkem full_us"),
    Workload("rsa", "full handshake, TLS 1.3, RSA-2048, X25519", _handshakes(),
         "us a handshake", tls=RSA, setup={"key": "rsa"}, floor="rsa full_us"),
    Workload("resumed", "resumed handshake, TLS 1.3, X25519", _handshakes("--resume", "1"),
         "us a handshake", resumed=True, floor="ec resumed_us"),
    Workload("tls12", "full handshake, TLS 1.2, ECDSA P-256, X25519", _handshakes("--tls", "1.2"),
         "us a handshake", tls=TLS12, floor="tls12 full_us"),
    Workload("starttls-smtp", "STARTTLS and full handshake, SMTP", _handshakes("--starttls", "smtp"),
         "us a handshake", speak="smtp", setup={"starttls": "smtp"}),
    Workload("starttls-imap", "STARTTLS and full handshake, IMAP", _handshakes("--starttls", "imap"),
         "us a handshake", speak="imap", setup={"starttls": "imap"}),
    Workload("mail-imap", "a visit by IMAP: handshake, log-in, select, idle, fetch, log-out",
         ("mail", "--protocol", "imap", "--seconds", "{seconds}"), "us a visit", speak="imap"),
    Workload("mail-smtp", "a visit by SMTP: handshake, AUTH, a mail of 4 KiB, QUIT",
         ("mail", "--protocol", "smtp", "--seconds", "{seconds}"), "us a visit", speak="smtp"),
    Workload("echo-64", "echo of 64 B, 64 connections", _echo(64, "--connections", "64"), "us a round trip"),
    Workload("echo-512", "echo of 512 B, 64 connections", _echo(512, "--connections", "64"),
         "us a round trip"),
    Workload("echo-4096", "echo of 4 KiB, 64 connections", _echo(4096, "--connections", "64"),
         "us a round trip"),
    _bulk("up", "sink"),
    _bulk("down", "source"),
    _bulk("both", "echo"),
    Workload("idle", "idle session, after others came and went",
         ("idle", "--sessions", "{sessions}", "--churn", "{churn}"), "KiB PSS",
         figure="pss_session_kib", capacity="", split=False),
    _active("active-100", 100),
    _active("active-9000", "{idle}"),
    Workload("latency-handshake", "full handshakes, each due at its time", _handshakes("--rate", "{rate}"),
         "ms, p99", figure="handshake_p99_ms", capacity="", rate_of="full"),
    Workload("latency-echo", "echo of 512 B, each due at its time",
         _echo(512, "--connections", "64", "--rate", "{rate}"), "us, p99", figure="latency_p99_us",
         capacity="", rate_of="echo-512"),
    Workload("latency-flood", "the same while others flood it with handshakes",
         _echo(512, "--connections", "64", "--rate", "{rate}"), "us, p99", figure="latency_p99_us",
         capacity="", rate_of="echo-512", flood=True),
    _first_answer("tcp", "tcp"),
    _first_answer("http", "https"),
    _first_answer("ldap", "ldaps"),
    _first_answer("xmpp-client", "xmpps", alpn="xmpp-client"),
    _first_answer("postgresql", "direct PostgreSQL", alpn="postgresql"),
)
FIRST_ANSWERS = tuple(workload.key for workload in WORKLOADS if workload.key.startswith("first-answer-"))
BY_KEY = {workload.key: workload for workload in WORKLOADS}

FLOORS = {
    "ec": ("--key", "ec"),
    "mlkem": ("--key", "ec", "--group", "mlkem768"),
    "rsa": ("--key", "rsa"),
    "tls12": ("--key", "ec", "--tls", "1.2"),
}

# Measurements with functions of their own below.
STARTUP = "startup"
TAKEOVER = "takeover"
WORKERS = "workers"
FTP_FIRST_ANSWER = "first-answer-ftp"  # ftp_first_answer.py
OTHERS = (STARTUP, TAKEOVER, WORKERS, FTP_FIRST_ANSWER)

SATURATED = 0.9  # share of the time
DISTURBED = 0.05


def rejection(workload, values):
    """Why a run is invalid; None if it is valid."""
    if values.get("lost"):
        return "{:.0f} connections lost".format(values["lost"])
    done = values.get("handshakes", values.get("visits"))
    if done is not None and values["resumed"] != (done if workload.resumed else 0):
        return "{:.0f} of {:.0f} handshakes resumed".format(values["resumed"], done)
    if values.get("hello_retries"):
        return "{:.0f} handshakes had a HelloRetryRequest".format(values["hello_retries"])
    for name, wanted in workload.tls.items():
        if values.get(name, "unknown") != wanted:
            return "{} {} instead of {}".format(name, values.get(name, "unknown"), wanted)
    return None


def disturbed(values):
    """Whether other processes used the server's CPU."""
    return values.get("others_share", 0) > DISTURBED


def limit(workload, values):
    """The bottleneck: the server ("gateway"), the load, neither, or other processes on the
    server's CPU ("others"). The load generator looks at the server's busiest thread. A server
    with a thread per connection has no busiest one; it is saturated if it used its whole CPU."""
    if disturbed(values):
        return "others"
    used = values.get(workload.figure, 0) * values.get(workload.capacity or "per_second", 0)
    scale = 1e3 if workload.figure.endswith("_ms_per_gb") else 1e6
    if values.get("limit") == "neither" and workload.capacity and used > SATURATED * scale:
        return "gateway"
    return values.get("limit")


def measure(testbed, workload, peer, sizes):
    """One run: starts a fresh server, loads it and stops it. Returns the load's figures."""
    backend = testbed.backend(workload.speak)
    peer.start(Setup(backend.path, **workload.setup))
    try:
        arguments = [word.format(**sizes) for word in workload.command]
        others = OtherProcesses(testbed.cpus.server, peer.pids())
        flood = None
        if workload.flood:
            flood = testbed.start_load("handshakes", peer, backend, "--connections", "64", "--warm-up",
                                     "0.3", "--seconds", str(sizes["seconds"] + 1), yielding=True)
        try:
            values = testbed.finish(testbed.start_load(arguments[0], peer, backend, *arguments[1:]))
            values["others_share"] = round(others.share(), 3)
        finally:
            flood_values = testbed.finish(flood) if flood else {}
        if flood:
            values["flood_per_second"] = flood_values["per_second"]
            values["flood_lost"] = flood_values["lost"]
        return values
    finally:
        peer.stop()


def measure_startup(testbed, peer, count):
    """Seconds from the process's start to the first handshake, with `count` certificates."""
    folder = testbed.many_certificates(count)
    try:
        return {"seconds": peer.start(Setup(testbed.backend("echo").path, folder=folder)),
                "certificates": count}
    finally:
        peer.stop()


def measure_workers(testbed, peer, workers, sizes):
    """Handshakes a second with `workers` workers, each on its own core."""
    backend = testbed.backend("echo")
    peer.start(Setup(backend.path, workers=workers), testbed.cpus.two_servers)
    try:
        return testbed.finish(testbed.start_load("handshakes", peer, backend, "--connections", "64",
                                             "--seconds", str(sizes["seconds"])))
    finally:
        peer.stop()


def measure_takeover(testbed, make, seconds, takeover):
    """Runs 16 clients in a loop. With `takeover`, a second gateway starts on the same port
    in the middle, and the first one gets TERM."""
    backend = testbed.backend("echo")
    first, second = make(), make()
    first.start(Setup(backend.path))
    try:
        load = testbed.start_load("handshakes", first, backend, "--connections", "16", "--warm-up", "0",
                                "--seconds", str(seconds))
        time.sleep(seconds / 4)
        if takeover:
            second.start(Setup(backend.path), port=first.port)
            first.process.terminate()
            if first.process.wait(timeout=60) != 0:
                raise SystemExit("the first gateway ended with {}".format(first.process.returncode))
            if load.poll() is not None:
                raise SystemExit("the load ended before the take-over; use more --seconds")
        values = testbed.finish(load)  # without CPU figures, because the first process is gone
        return {name: values[name] for name in ("connect_worst_ms", "handshake_worst_ms", "lost", "handshakes")}
    finally:
        first.stop()
        second.stop()
