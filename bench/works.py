"""The works that the servers are compared at, and when a run of one does not count."""

import dataclasses
import time

from house import Neighbours
from peers import Setup

# What a client must have negotiated for a run to be compared.
TLS13 = {"version": "TLSv1.3", "cipher": "TLS_AES_128_GCM_SHA256", "group": "X25519",
         "certificate": "ecdsa"}
MLKEM = {**TLS13, "group": "X25519MLKEM768"}
RSA = {**TLS13, "certificate": "rsa"}
TLS12 = {**TLS13, "version": "TLSv1.2", "cipher": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}


@dataclasses.dataclass(frozen=True)
class Work:
    """One thing to do. `command` is the load generator's; {name} in it is a size of the
    run or a rate found by it."""

    key: str
    title: str
    command: tuple
    unit: str               # of `figure`
    figure: str = "gateway_us"
    capacity: str = "per_second"  # how much was done in a second; "" if that means nothing
    tls: dict = dataclasses.field(default_factory=lambda: TLS13)
    resumed: bool = False
    speak: str = "echo"     # of the backend
    setup: dict = dataclasses.field(default_factory=dict)
    only: tuple = ()        # names of peers; all that can, if empty
    floor: str = ""         # "NAME figure" of the floors below
    rate_of: str = ""       # at half the capacity of the slowest at this work
    flood: bool = False     # beside it, handshakes as fast as they go
    split: bool = True      # user and system time are told

    def possible(self, peer):
        if self.only and peer.kind not in self.only:
            return False
        protocol = self.setup.get("starttls")
        return self.tls.get("group", "X25519") in peer.groups and (not protocol or protocol in peer.starttls)


def _handshakes(*options):
    # With 32 at once clients and gateway go in step, and each waits for the other.
    return ("handshakes", "--connections", "64", *options, "--seconds", "{seconds}")


def _echo(octets, *options):
    return ("echo", "--octets", str(octets), *options, "--seconds", "{seconds}")


def _bulk(direction, speak):
    return Work("bulk-" + direction, "bulk, " + direction, (
        "bulk", "--direction", direction, "--connections", "4", "--seconds", "{seconds}"),
        "ms a GB", figure="gateway_ms_per_gb", capacity="gb_per_second", speak=speak,
        setup={"bulk": True})


def _active(key, idle):
    return Work(key, "1 session echoes 512 B, {} are idle".format("{:,}".format(idle) if isinstance(
        idle, int) else "9,000"), _echo(512, "--connections", "1", "--idle", str(idle)),
        "us a round trip", capacity="", only=("Starling", "HAProxy", "hitch"))


def _first_answer(protocol, title, **more):
    # The peers do the same whatever the protocol: they are measured once.
    return Work("first-answer-" + protocol, "first answer, " + title,
                ("first-answer", "--seconds", "{seconds}") + (
                    ("--alpn", more["alpn"]) if "alpn" in more else ()),
                "ms", figure="tls13_full_p50_ms", capacity="", tls={}, split=False,
                setup={"protocol": protocol, **more},
                only=() if protocol == "tcp" else ("Starling",))


WORKS = (
    Work("full", "full handshake, TLS 1.3, ECDSA P-256, X25519", _handshakes(),
         "us a handshake", floor="ec full_us"),
    Work("mlkem", "full handshake, TLS 1.3, ECDSA P-256, X25519MLKEM768",
         _handshakes("--group", "mlkem768"), "us a handshake", tls=MLKEM, floor="mlkem full_us"),
    Work("rsa", "full handshake, TLS 1.3, RSA-2048, X25519", _handshakes(),
         "us a handshake", tls=RSA, setup={"key": "rsa"}, floor="rsa full_us"),
    Work("resumed", "resumed handshake, TLS 1.3, X25519", _handshakes("--resume", "1"),
         "us a handshake", resumed=True, floor="ec resumed_us"),
    Work("tls12", "full handshake, TLS 1.2, ECDSA P-256, X25519", _handshakes("--tls", "1.2"),
         "us a handshake", tls=TLS12, floor="tls12 full_us"),
    Work("starttls-smtp", "STARTTLS and full handshake, SMTP", _handshakes("--starttls", "smtp"),
         "us a handshake", speak="smtp", setup={"starttls": "smtp"}),
    Work("starttls-imap", "STARTTLS and full handshake, IMAP", _handshakes("--starttls", "imap"),
         "us a handshake", speak="imap", setup={"starttls": "imap"}),
    Work("mail-imap", "a visit by IMAP: handshake, log-in, select, idle, fetch, log-out",
         ("mail", "--protocol", "imap", "--seconds", "{seconds}"), "us a visit", speak="imap"),
    Work("mail-smtp", "a visit by SMTP: handshake, AUTH, a mail of 4 KiB, QUIT",
         ("mail", "--protocol", "smtp", "--seconds", "{seconds}"), "us a visit", speak="smtp"),
    Work("echo-64", "echo of 64 B, 64 connections", _echo(64, "--connections", "64"), "us a round trip"),
    Work("echo-512", "echo of 512 B, 64 connections", _echo(512, "--connections", "64"),
         "us a round trip"),
    Work("echo-4096", "echo of 4 KiB, 64 connections", _echo(4096, "--connections", "64"),
         "us a round trip"),
    _bulk("up", "sink"),
    _bulk("down", "source"),
    _bulk("both", "echo"),
    Work("idle", "idle session, after others came and went",
         ("idle", "--sessions", "{sessions}", "--churn", "{churn}"), "KiB PSS",
         figure="pss_session_kib", capacity="", split=False),
    _active("active-100", 100),
    _active("active-9000", "{idle}"),
    Work("latency-handshake", "full handshakes, each due at its time", _handshakes("--rate", "{rate}"),
         "ms, p99", figure="handshake_p99_ms", capacity="", rate_of="full"),
    Work("latency-echo", "echo of 512 B, each due at its time",
         _echo(512, "--connections", "64", "--rate", "{rate}"), "us, p99", figure="latency_p99_us",
         capacity="", rate_of="echo-512"),
    Work("latency-flood", "the same while others flood it with handshakes",
         _echo(512, "--connections", "64", "--rate", "{rate}"), "us, p99", figure="latency_p99_us",
         capacity="", rate_of="echo-512", flood=True),
    _first_answer("tcp", "tcp"),
    _first_answer("http", "https"),
    _first_answer("ldap", "ldaps"),
    _first_answer("xmpp-client", "xmpps", alpn="xmpp-client"),
    _first_answer("postgresql", "direct PostgreSQL", alpn="postgresql"),
)
FIRST_ANSWERS = tuple(work.key for work in WORKS if work.key.startswith("first-answer-"))
BY_KEY = {work.key: work for work in WORKS}

FLOORS = {
    "ec": ("--key", "ec"),
    "mlkem": ("--key", "ec", "--group", "mlkem768"),
    "rsa": ("--key", "rsa"),
    "tls12": ("--key", "ec", "--tls", "1.2"),
}

# Measured by what follows, without the load generator's figures.
STARTUP = "startup"
TAKEOVER = "takeover"
WORKERS = "workers"
FIRST_STOR = "first-answer-ftp"  # first_stor.py
OTHERS = (STARTUP, TAKEOVER, WORKERS, FIRST_STOR)

SATURATED = 0.9  # share of the time, as the load generator sees it
DISTURBED = 0.05


def objection(work, values):
    """Why a run does not count at all; None if it does."""
    if values.get("lost"):
        return "{:.0f} connections lost".format(values["lost"])
    done = values.get("handshakes", values.get("visits"))
    if done is not None and values["resumed"] != (done if work.resumed else 0):
        return "{:.0f} of {:.0f} handshakes resumed".format(values["resumed"], done)
    if values.get("hello_retries"):
        return "{:.0f} hellos were asked for again".format(values["hello_retries"])
    for name, wanted in work.tls.items():
        if values.get(name, "not told") != wanted:
            return "{} {} instead of {}".format(name, values.get(name, "not told"), wanted)
    return None


def disturbed(values):
    """Whether others used the server's CPU."""
    return values.get("others_share", 0) > DISTURBED


def limit(work, values):
    """Who could do no more: the server, the load, neither, or others used the server's CPU. The load generator looks
    at the server's busiest thread; one with a thread a connection has none, but all
    of it had one CPU."""
    if disturbed(values):
        return "others"
    used = values.get(work.figure, 0) * values.get(work.capacity or "per_second", 0)
    scale = 1e3 if work.figure.endswith("_ms_per_gb") else 1e6
    if values.get("limit") == "neither" and work.capacity and used > SATURATED * scale:
        return "gateway"
    return values.get("limit")


def measure(house, work, peer, sizes):
    """One run: a fresh server, the load, the server's end. Returns what the load printed."""
    backend = house.backend(work.speak)
    peer.start(Setup(backend.path, **work.setup))
    try:
        arguments = [word.format(**sizes) for word in work.command]
        neighbours = Neighbours(house.cpus.server, peer.pids())
        flood = None
        if work.flood:
            flood = house.start_load("handshakes", peer, backend, "--connections", "64", "--warm-up",
                                     "0.3", "--seconds", str(sizes["seconds"] + 1), yielding=True)
        try:
            values = house.finish(house.start_load(arguments[0], peer, backend, *arguments[1:]))
            values["others_share"] = round(neighbours.share(), 3)
        finally:
            beside = house.finish(flood) if flood else {}
        if flood:
            values["flood_per_second"] = beside["per_second"]
            values["flood_lost"] = beside["lost"]
        return values
    finally:
        peer.stop()


def measure_startup(house, peer, count):
    """From the process's start to the first handshake, with so many certificates."""
    folder = house.many_certificates(count)
    try:
        return {"seconds": peer.start(Setup(house.backend("echo").path, folder=folder)),
                "certificates": count}
    finally:
        peer.stop()


def measure_workers(house, peer, workers, sizes):
    """Handshakes a second with so many workers, on cores that are theirs alone."""
    backend = house.backend("echo")
    peer.start(Setup(backend.path, workers=workers), house.cpus.two_servers)
    try:
        return house.finish(house.start_load("handshakes", peer, backend, "--connections", "64",
                                             "--seconds", str(sizes["seconds"])))
    finally:
        peer.stop()


def measure_takeover(house, make, seconds, takeover):
    """A loop of 16 clients; in its middle a second gateway starts on the same port and the
    first one gets TERM, or nothing happens."""
    backend = house.backend("echo")
    first, second = make(), make()
    first.start(Setup(backend.path))
    try:
        load = house.start_load("handshakes", first, backend, "--connections", "16", "--warm-up", "0",
                                "--seconds", str(seconds))
        time.sleep(seconds / 4)
        if takeover:
            second.start(Setup(backend.path), port=first.port)
            first.process.terminate()
            if first.process.wait(timeout=60) != 0:
                raise SystemExit("the first gateway ended with {}".format(first.process.returncode))
            if load.poll() is not None:
                raise SystemExit("the load ended before the take-over: it needs more --seconds")
        values = house.finish(load)  # CPU would be that of a process that is gone
        return {name: values[name] for name in ("connect_worst_ms", "handshake_worst_ms", "lost", "handshakes")}
    finally:
        first.stop()
        second.stop()
