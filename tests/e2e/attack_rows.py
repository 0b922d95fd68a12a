"""The rows of the matrix of attacks (test_attack_matrix.py): functions that try an attack on a
protocol, given its cell (attack_cells.py). Each returns the text for the table."""

import ssl

import harness
import wire
from protocol_profiles import ALERT, Absent
from wire import Wire

CLIENT_HELLO = bytes.fromhex("160301002e0100002a0303") + b"\0" * 64
SSLV2_HELLO = bytes.fromhex("802e0103010015000000100100800000050000040000ff") + b"x" * 25
ESCAPES = 'a" \x1b[2J\x1b]0;injected\x07\r\n'
MARKER = b"NOOP marker\r\n"  # inside TLS; what it is told is not looked at
PROXY = b"PROXY TCP4 203.0.113.7 203.0.113.8 4242 25\r\n"


def inject(cell, first, second=b"", wait=False):
    """Sends both, the second behind the reply if `wait`; the gateway refuses them."""
    for kind in cell.profile.listeners:
        with cell.untouched(kind), cell.counted("plaintext_injection", "plaintext_injection", kind), \
                cell.session(kind) as client:
            client.send(first)
            said = cell.read_until(client, cell.profile.go_ahead_end) if wait else b""
            said += client.send(second).rest()
        cell.refused(said, go_ahead=bool(second))


def injection(*writes, wait=False):
    def run(cell):
        octets = {"upgrade": cell.profile.upgrade, "next": cell.profile.next, "sslv2": SSLV2_HELLO,
                  "both": cell.profile.upgrade + cell.profile.next,
                  "one more": cell.profile.upgrade + CLIENT_HELLO[:1]}
        inject(cell, *[octets[write] for write in writes], wait=wait)
        return "refused"
    return run


def by_octets(cell):
    """The upgrade in as many segments as it has octets: no false alarm."""
    profile = cell.profile
    begin, after = len(cell.recorder.octets), len(cell.gateway.lines)
    refused = {"name": "starling_attacks_refused_total", "listener": "in-" + cell.protocol}
    before = cell.gateway.metrics().sum(**refused)
    with cell.session(opening=False) as client:
        for octet in profile.opening + profile.upgrade:
            client.send(bytes([octet]))
        cell.read_until(client, profile.opening_end)
        said = cell.read_until(client, profile.go_ahead_end)
        cell.case.assertTrue(said.startswith(profile.go_ahead), said)
        client.start_tls(cell.tls)
        client.send(MARKER)
        cell.until(lambda: MARKER in cell.recorder.octets[begin:])
        cell.case.assertIsNotNone(cell.gateway.wait_for_line(
            "session established", "listener=in-" + cell.protocol, after=after))
    cell.case.assertEqual(cell.recorder.octets[begin:], profile.asked + MARKER)
    cell.case.assertEqual(cell.gateway.metrics().sum(**refused), before)
    return "TLS begins"


def white_space(cell):
    """Behind the upgrade: as much as may stand there, where any may, and one octet more; and
    what is no white space, behind some."""
    allowed, upgrade = cell.profile.space, cell.profile.upgrade
    blanks = b" \n\r\t" * 5
    inject(cell, upgrade + blanks[:allowed + 1])
    inject(cell, upgrade, blanks[:allowed + 1], wait=True)
    inject(cell, upgrade + b"\n\v")
    inject(cell, upgrade + b"\n" + cell.profile.next)
    if not allowed:
        inject(cell, upgrade + b"\r\n")
    if not allowed:
        return "refused"
    inject(cell, upgrade + b"\n", b"\n" + cell.profile.next, wait=True)
    inject(cell, upgrade + b"\n" * (allowed // 2 + 1), b"\n" * (allowed // 2), wait=True)
    for before in range(allowed + 1):
        begin = len(cell.recorder.octets)
        with cell.session() as client:
            client.send(upgrade + blanks[:before])
            cell.read_until(client, cell.profile.go_ahead_end)
            client.send(blanks[before:allowed])
            client.start_tls(cell.tls)
            client.send(MARKER)
            cell.until(lambda: MARKER in cell.recorder.octets[begin:])
        cell.case.assertEqual(cell.recorder.octets[begin:], MARKER)
    return "dropped, up to {} octets".format(allowed)


def told(field, opening=True):
    def run(cell):
        fact = getattr(cell.profile, field)
        return fact if isinstance(fact, Absent) else cell.tell(fact, opening)
    return run


def fresh_leg(cell):
    """What was said before TLS never reaches the server, nor what the server says
    before TLS the client."""
    log_in, profile = cell.profile.log_in, cell.profile
    before, begin = len(cell.backend.proxied), len(cell.recorder.octets)
    first = profile.next if isinstance(log_in, Absent) else log_in.octets
    ends = not isinstance(log_in, Absent) and log_in.reason
    if ends:  # where a log-in is the end, the upgrade needs a session of its own
        with cell.session() as client:
            cell.case.assertNotIn(b"backend", client.send(first).rest())
    with cell.session() as client:
        client.send((b"" if ends else first) + profile.upgrade)
        said = client.until(profile.go_ahead)
        if not profile.go_ahead.endswith(profile.go_ahead_end):
            said += client.until(profile.go_ahead_end)
        cell.case.assertNotIn(b"backend", said)
        cell.case.assertEqual(len(cell.backend.proxied), before)
        client.start_tls(cell.tls)
        if not profile.greeting:
            cell.case.assertEqual(client.exactly(len(profile.backend)), profile.backend)
        client.send(MARKER)
        cell.until(lambda: MARKER in cell.recorder.octets[begin:])
        brought = cell.recorder.octets[begin:]
    cell.case.assertTrue(brought.endswith(MARKER), brought)
    cell.case.assertNotIn(b"injected", brought)
    cell.case.assertEqual(len(cell.backend.proxied), before + 1)
    return "a fresh connection"


def upgrade_again(cell):
    with cell.session() as client:
        cell.upgrade(client)
        client.start_tls(cell.tls)
        client.send(cell.profile.upgrade)
        if cell.profile.again:
            said = cell.read_until(client, cell.profile.again)
            cell.case.assertNotIn(cell.profile.go_ahead, said)
            return "refused by the gateway"
        # Inside TLS the server answers it; the recipes make sure that it refuses.
        cell.until(lambda: cell.profile.upgrade in cell.recorder.octets)
    return "passed to the server"


def tls_first(octets):
    def run(cell):
        if cell.profile.direct_tls and octets == CLIENT_HELLO:
            return Absent(cell.profile.direct_tls)
        for kind in cell.profile.listeners:
            with cell.untouched(kind), cell.counted("tls_on_plain_port", "tls_on_plain_port", kind), \
                    cell.session(kind, opening=False) as client:
                said = client.send(octets).rest()
            cell.case.assertEqual(said, ALERT)
        return "an alert"
    return run


def refused_on_tls_port(cell, octets):
    with cell.counted("plain_on_tls_port", "plain_on_tls_port", "tls"):
        with Wire(cell.gateway.ports["tls-" + cell.protocol]) as client:
            return client.send(octets).rest()


def plaintext_first(cell):
    profile = cell.profile
    for octets, words in ((profile.opening or profile.next, profile.plain_words),
                          (profile.opening + profile.upgrade, profile.plain_upgrade or profile.plain_words)):
        cell.compare(refused_on_tls_port(cell, octets), words)
    return "an alert" if profile.plain_words == ALERT else "told in its protocol"


def proxy_header(cell):
    """The gateway does not believe it: otherwise it would wait for TLS after the header."""
    refused_on_tls_port(cell, PROXY)
    return "not believed"


def slow(cell):
    """The first octet of the upgrade, or as much as is no whole command, and nothing more."""
    for end in (1, cell.profile.part):
        with cell.counted("", "pre_relay_deadline", "slow"), \
                cell.session("slow", opening=False) as client:
            said = client.send(cell.profile.upgrade[:end]).rest()
        cell.compare(said, cell.profile.goodbye)
    return "told, then closed"


def stalled_handshake(cell):
    with cell.counted("", "handshake_deadline", "slow"):
        with cell.session("slow") as client:
            cell.upgrade(client)
            client.send(CLIENT_HELLO[:9]).rest()
    return "closed"


def handshake_refused(cell, context, wanted):
    name = "tls-" + cell.protocol
    failures = {"name": "starling_tls_handshake_failures_total", "listener": name}
    before = cell.gateway.metrics().sum(**failures)
    with Wire(cell.gateway.ports[name]) as client:
        with cell.case.assertRaisesRegex(ssl.SSLError, wanted):
            client.start_tls(context)
    cell.gateway.wait_for_metric(lambda v: v > before, **failures)
    return "an alert"


def old_tls(cell):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = wire.context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        outcome = handshake_refused(cell, context, "(?i)protocol.version")
    return outcome


def foreign_alpn(cell):
    """A name that the gateway does not know, and one of a listener of another protocol."""
    for name in ("smtp-of-another-kind", "imap" if cell.protocol == "http" else "http/1.1"):
        outcome = handshake_refused(cell, wire.context(alpn=[name]), "(?i)no.application.protocol")
    return outcome


def forging(cell):
    fact = cell.profile.forging
    if isinstance(fact, Absent):
        return fact
    cell.recorder.greeting, usual = fact.octets, cell.recorder.greeting
    try:
        with cell.counted(fact.kind, fact.reason), cell.session() as client:
            cell.upgrade(client)
            said = client.start_tls(cell.tls).rest()
    finally:
        cell.recorder.greeting = usual
    cell.compare(said, fact.said)
    cell.case.assertNotIn(b"injected", said)
    return fact


def escapes(cell):
    """As the name of a hello, which the line of the session's end has."""
    name = "tls-" + cell.protocol
    after = len(cell.gateway.lines)
    harness.run(["openssl", "s_client", "-servername", ESCAPES, "-connect",
                 "127.0.0.1:{}".format(cell.gateway.ports[name])])
    # The line of an earlier session may still come, so the name must stand in it.
    cell.case.assertIsNotNone(cell.gateway.wait_for_line(
        "session ended", "listener=" + name, r'sni="a\" \x1b[2j', after=after))
    for line in cell.gateway.lines:
        cell.case.assertNotRegex(line, "[\x00-\x1f\x7f]")
    return "escaped"


ROWS = (
    ("the next command after the upgrade command, in one segment", injection("both")),
    ("the same in a second segment, before the reply", injection("upgrade", "next")),
    ("the same after the reply", injection("upgrade", "next", wait=True)),
    ("an octet more than the upgrade command, in one segment", injection("one more")),
    ("an SSLv2 hello after the reply", injection("upgrade", "sslv2", wait=True)),
    ("white space after the upgrade command, before or after the reply", white_space),
    ("the upgrade command in segments of one octet", by_octets),
    ("a log-in in plaintext and then the upgrade; a server that speaks before TLS", fresh_leg),
    ("a second upgrade, inside TLS", upgrade_again),
    ("log-in in plaintext", told("log_in")),
    ("an argument to the upgrade command", told("argument")),
    ("a bare LF", told("bare_lf")),
    ("NUL", told("nul")),
    ("octets of 8 bits in a command", told("eight_bit")),
    ("an overlong command", told("overlong")),
    ("another protocol's request", told("stranger", opening=False)),
    ("a claim of another identity", told("claim")),
    ("a PROXY header from a client", proxy_header),
    ("a forged greeting from the server", forging),
    ("a part of the upgrade command, and then silence", slow),
    ("a hello, and then silence", stalled_handshake),
    ("TLS on the plaintext port", tls_first(CLIENT_HELLO)),
    ("an SSLv2 hello on the plaintext port", tls_first(SSLV2_HELLO)),
    ("plaintext on the TLS port", plaintext_first),
    ("TLS 1.0 and 1.1", old_tls),
    ("ALPN of another protocol", foreign_alpn),
    ("escape sequences meant for the log", escapes),
)
