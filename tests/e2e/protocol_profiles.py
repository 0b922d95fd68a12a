"""A profile of each protocol for the matrix of attacks (test_attack_matrix.py): what clients
say on the way to TLS, which attacks exist, and how the gateway answers them. This file has
data, and functions that read binary answers.

An attack that does not exist in a protocol is `Absent`, with the reason."""

import dataclasses
import re

import database
import directory
import webservers
import xmppservers


@dataclasses.dataclass(frozen=True)
class Absent:
    """The protocol has no such thing, and why."""
    why: str


@dataclasses.dataclass(frozen=True)
class Read:
    """An answer that its first octets do not identify: `reader` turns the whole answer into
    `text`."""
    reader: object
    text: str


@dataclasses.dataclass(frozen=True)
class Answer:
    """Octets of an attacker and the gateway's answer `said` (its beginning, or a Read; empty:
    no answer). `kind` is the attack and `reason` the end of the session in metrics; either
    may be empty. Without a reason the session goes on. Each of `also` gets the same answer."""
    octets: bytes
    said: object
    kind: str = ""
    reason: str = ""
    also: tuple = ()
    require_only: bool = False  # a listener that lets clients go on in plaintext answers otherwise


@dataclasses.dataclass(frozen=True)
class Profile:
    greeting: bytes  # its beginning; empty: the client speaks first
    greeting_end: bytes  # its end
    upgrade: bytes
    go_ahead: bytes  # its beginning
    go_ahead_end: bytes
    next: bytes  # what a client might say next; contains "injected"
    log_in: object
    argument: object
    bare_lf: object
    nul: object
    eight_bit: object
    overlong: Answer
    stranger: Answer  # another protocol's first line
    backend: bytes  # the server's greeting on the connection after TLS
    goodbye: object  # the answer (as Answer.said) to a client that is too slow before TLS
    claim: object  # a command that claims another identity
    forging: object  # a greeting of the server that the gateway must reject
    opening: bytes = b""  # what the client must say before the upgrade
    opening_end: bytes = b""  # the end of the answer to it
    direct_tls: str = ""  # why the same port accepts TLS from the first octet; empty: it does not
    plain_words: object = b""  # the answer to plaintext on a TLS port
    plain_upgrade: bytes = b""  # and to the upgrade there, if that is another one
    part: int = -1  # the upgrade up to here is no whole command
    space: int = 0  # octets of white space allowed between the upgrade and TLS
    asked: bytes = b""  # what the gateway itself says to the server after TLS
    in_lines: bool = False  # the gateway ends a session by one line
    listeners: tuple = ("in",)  # and "opportunistic", if this policy refuses the same
    again: bytes = b""  # the answer to an upgrade inside TLS, if the gateway answers it


ALERT = b"\x15\x03\x01\0\2\2\x0a"  # unexpected_message, fatal
BAD_OCTET = {"kind": "bad_octet", "reason": "bad_octet"}
HTTP = b"POST / HTTP/1.1\r\nHost: injected.example\r\n\r\n"
STRANGER = {"kind": "cross_protocol", "reason": "cross_protocol"}
LONG = {"kind": "overlong_line", "reason": "line_too_long"}
LOG_IN = {"kind": "plaintext_auth"}
NO_CLAIM = Absent("the protocol has no command that claims an identity")
NO_FORGING = Absent("the protocol has no greeting that says who the client is")
NO_ARGUMENT = Absent("the upgrade command cannot have an argument")
EARLY = b"early backend\r\n"  # what a server might say in a protocol where the client speaks first


def stream_error(octets):
    """XMPP: the condition of the stream error; `octets` must hold nothing else."""
    if not octets.startswith(b"<stream:error>"):
        raise AssertionError("no error: {!r}".format(octets))
    return xmppservers.error_of(STREAM + octets)


def upgrade_failure(octets):
    """XMPP: the name of the element before the stream's end; `octets` must hold nothing else."""
    match = re.fullmatch(rb"<([a-z]+) xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>", octets)
    return match and match[1].decode()


def result(octets):
    """LDAP: the code of the answer to message 1; `octets` must hold nothing else."""
    [(_, content)] = directory.split(octets)
    number, (_, operation) = directory.split(content)
    if number != (2, b"\1"):
        raise AssertionError("no answer: {!r}".format(octets))
    return "result {}".format(directory.split(operation)[0][1][0])


def notice(octets):
    """LDAP: the code of the notice of disconnection; `octets` must hold nothing else."""
    [code] = directory.notices(octets)
    return "notice {}".format(code)


def sql_state(octets):
    """PostgreSQL: the SQLSTATE of the error, which has its text; `octets` must hold nothing else."""
    [(state, text)] = database.errors(octets)
    if SQL_TEXTS[state] != text:
        raise AssertionError("another text: {!r}".format(octets))
    return state


def status(octets):
    """HTTP: the status of the answer that ends the session; `octets` must hold nothing else."""
    if octets == webservers.REQUIRED:
        return "HTTP/1.1 426"
    code = int(octets[9:12])
    if octets != webservers.closing(code):
        raise AssertionError("no end: {!r}".format(octets))
    return "HTTP/1.1 {}".format(code)


SQL_TEXTS = {"08P01": "invalid length of startup packet", "57P05": "no request received in time",
             "28000": "TLS is required: set sslmode to require or verify-full"}
IMAP = b"a001 STARTTLS\r\n"
STREAM = b"<?xml version='1.0'?><stream:stream xmlns='jabber:"


def lines(bye, **more):
    """The common part of line protocols. `bye`: the answer before the gateway closes."""
    return {
        "bare_lf": Answer(b"NOOP injected\n", bye, **BAD_OCTET),
        "nul": Answer(b"NO\0OP injected\r\n", bye, **BAD_OCTET),
        "eight_bit": Answer(b"\xc3\xa4\xc3\xb6 injected\r\n", bye, **BAD_OCTET),
        "overlong": Answer(b"A" * 13000, bye, **LONG),
        "claim": NO_CLAIM, "forging": NO_FORGING, "go_ahead_end": b"\r\n", "in_lines": True, **more}


def mail(verb, log_in):
    """SMTP and LMTP."""
    return Profile(
        greeting=b"220 ", greeting_end=b"\r\n", upgrade=b"STARTTLS\r\n",
        go_ahead=b"220 2.0.0 ", next=verb + b" injected.example\r\nMAIL FROM:<injected@example.net>\r\n",
        log_in=log_in, argument=Answer(b"STARTTLS injected\r\n", b"501 5.5.4 "),
        backend=b"220 backend\r\n", goodbye=b"421 4.4.2 ", plain_words=b"554 5.7.10 ",
        **lines(
            b"500 5.5.2 ", stranger=Answer(HTTP, b"221 2.7.0 ", **STRANGER,
                                           also=(b"GET / HTTP/1.0\r\n", b"Host: x\r\n")),
            claim=Answer(b"XCLIENT NAME=injected\r\n", b"530 5.7.0 ", kind="identity_claim")))


def stream(protocol):
    """XMPP for clients and for servers."""
    return Profile(
        greeting=b"", greeting_end=b"", opening=xmppservers.header("example.org", protocol) + b" \n",
        opening_end=b"</stream:features>", upgrade=xmppservers.START_TLS,
        go_ahead=xmppservers.PROCEED, go_ahead_end=xmppservers.PROCEED,
        next=b"<message to='injected'/>",
        log_in=Answer(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>injected</auth>",
                      Read(stream_error, "policy-violation"), reason="tls_required", **LOG_IN),
        argument=Answer(xmppservers.START_TLS.replace(b"/>", b"><injected/></starttls>"),
                        Read(upgrade_failure, "failure"), **BAD_OCTET),
        bare_lf=Absent("XML has no lines: a line feed is white space like any other"),
        nul=Answer(b"<star\0ttls injected", Read(stream_error, "not-well-formed"), **BAD_OCTET),
        eight_bit=Answer(b"\xc3\xa4\xc3\xb6 injected", Read(stream_error, "bad-format"), **BAD_OCTET),
        overlong=Answer(b"<" + b"A" * 13000, Read(stream_error, "policy-violation"), **LONG),
        stranger=Answer(HTTP, b"", **STRANGER, also=(IMAP,)),
        backend=EARLY, goodbye=Read(xmppservers.error_of, "connection-timeout"),
        plain_words=Read(xmppservers.error_of, "policy-violation"), claim=NO_CLAIM, forging=NO_FORGING,
        space=16)


PROFILES = {
    "smtp": mail(b"EHLO", Answer(b"AUTH PLAIN aW5qZWN0ZWQ=\r\n", b"538 5.7.11 ", **LOG_IN)),
    "lmtp": mail(b"LHLO", Answer(b"AUTH PLAIN aW5qZWN0ZWQ=\r\n", b"538 5.7.11 ", **LOG_IN)),
    "imap": Profile(
        greeting=b"* OK ", greeting_end=b"\r\n", upgrade=b"s STARTTLS\r\n",
        go_ahead=b"s OK ", next=b"i NOOP\r\ni LOGIN injected x\r\n",
        log_in=Answer(b"a LOGIN injected x\r\n", b"a NO [PRIVACYREQUIRED] ", **LOG_IN),
        argument=Answer(b"a STARTTLS injected\r\n", b"a BAD "),
        backend=b"* OK backend\r\n", goodbye=b"* BYE ", plain_words=b"* BYE [PRIVACYREQUIRED] ",
        **lines(
            b"* BYE ", stranger=Answer(HTTP, b"* BYE ", **STRANGER),
            forging=Answer(b"* PREAUTH injected\r\n", b"* BYE ", kind="preauth",
                           reason="backend_preauth"))),
    "pop3": Profile(
        greeting=b"+OK", greeting_end=b"\r\n", upgrade=b"STLS\r\n", go_ahead=b"+OK ",
        next=b"CAPA\r\nUSER injected\r\n",
        log_in=Answer(b"USER injected\r\n", b"-ERR [SYS/PERM] ", **LOG_IN),
        argument=Answer(b"STLS injected\r\n", b"-ERR "),
        backend=b"+OK backend\r\n", goodbye=b"-ERR ", plain_words=b"-ERR [SYS/PERM] ",
        **lines(b"-ERR ", stranger=Answer(HTTP, b"-ERR ", **STRANGER),
                claim=Answer(b"XCLIENT ADDR=injected\r\n", b"-ERR ", kind="identity_claim"))),
    "managesieve": Profile(
        greeting=b'"IMPLEMENTATION"', greeting_end=b'OK "', upgrade=b"STARTTLS\r\n",
        go_ahead=b'OK "', next=b'NOOP "injected"\r\n',
        log_in=Answer(b'AUTHENTICATE "PLAIN" "aW5qZWN0ZWQ="\r\n', b"NO (ENCRYPT-NEEDED) ", **LOG_IN),
        argument=Answer(b"STARTTLS injected\r\n", b"NO "),
        backend=b'"IMPLEMENTATION" "backend"\r\nOK "backend"\r\n', goodbye=b"BYE ",
        plain_words=b"BYE (ENCRYPT-NEEDED) ",
        **lines(b"BYE ", stranger=Answer(HTTP, b"BYE ", **STRANGER),
                claim=Answer(b'XCLIENT "injected"\r\n', b"NO ", kind="identity_claim"))),
    "nntp": Profile(
        greeting=b"200 ", greeting_end=b"\r\n", upgrade=b"STARTTLS\r\n", go_ahead=b"382 ",
        next=b"MODE READER\r\nAUTHINFO USER injected\r\n",
        log_in=Answer(b"AUTHINFO USER injected\r\n", b"483 ", **LOG_IN),
        argument=Answer(b"STARTTLS injected\r\n", b"501 "),
        backend=b"200 backend\r\n", goodbye=b"400 ", plain_words=b"502 ",
        **lines(b"400 ", stranger=Answer(HTTP, b"400 ", **STRANGER))),
    "xmpp-client": stream("xmpp-client"),
    "xmpp-server": stream("xmpp-server"),
    "acap": Profile(
        greeting=b"* ACAP ", greeting_end=b"\r\n", upgrade=b"s STARTTLS\r\n", go_ahead=b"s OK ",
        next=b'i NOOP\r\ni AUTHENTICATE "injected"\r\n',
        log_in=Answer(b'a AUTHENTICATE "injected"\r\n', b"a NO (ENCRYPT-NEEDED) ", **LOG_IN),
        argument=Answer(b"a STARTTLS injected\r\n", b"a BAD "),
        backend=b'* ACAP (IMPLEMENTATION "backend")\r\n', goodbye=b"* BYE ",
        plain_words=b"* BYE (ENCRYPT-NEEDED) ",
        **lines(b"* BYE ", stranger=Answer(HTTP, b"* BYE ", **STRANGER))),
    "irc": Profile(
        greeting=b"", greeting_end=b"", upgrade=b"STARTTLS\r\n", go_ahead=b":mail.example.org 670 ",
        next=b"NICK injected\r\nOPER injected x\r\n",
        log_in=Answer(b"OPER injected x\r\n", b":mail.example.org 451 ", **LOG_IN),
        argument=Answer(b"STARTTLS injected\r\n", b":mail.example.org 691 "),
        backend=b":backend 001 demo :Welcome\r\n", goodbye=b"ERROR :", plain_words=b"ERROR :",
        **lines(b"ERROR :", stranger=Answer(HTTP, b"ERROR :", **STRANGER),
                claim=Answer(b"WEBIRC injected x 127.0.0.1 127.0.0.1\r\n", b":mail.example.org 451 ",
                             kind="identity_claim"))),
    "ldap": Profile(
        greeting=b"", greeting_end=b"",
        upgrade=directory.message(directory.extended(directory.START_TLS)),
        go_ahead=bytes.fromhex("300c02010178070a010004000400"),
        go_ahead_end=bytes.fromhex("0a010004000400"),
        next=directory.message(directory.bind("cn=injected", "injected"), 2),
        log_in=Answer(directory.message(directory.bind("cn=injected", "injected")),
                      Read(result, "result 13"), **LOG_IN),
        argument=Answer(directory.message(directory.extended(directory.START_TLS, b"injected")),
                        Read(result, "result 2")),
        bare_lf=Answer(b"\n", Read(notice, "notice 2"), **BAD_OCTET),
        nul=Answer(b"\0", Read(notice, "notice 2"), **BAD_OCTET),
        eight_bit=Answer(b"\xc3\xa4\xc3\xb6\r\n", Read(notice, "notice 2"), **BAD_OCTET),
        overlong=Answer(b"\x30\x84\x7f\xff\xff\xff", Read(notice, "notice 2"), **LONG,
                        also=(b"\x30\x84\xff\xff\xff\xff",
                              directory.message(directory.ber(0x68, b"x" * 8193)))),
        stranger=Answer(HTTP, b"", **STRANGER, also=(IMAP,)),
        backend=EARLY, goodbye=Read(notice, "notice 52"), plain_words=Read(notice, "notice 13"),
        claim=NO_CLAIM, forging=NO_FORGING),
    "ftp": Profile(
        greeting=b"220 ", greeting_end=b"\r\n", upgrade=b"AUTH TLS\r\n", go_ahead=b"234 ",
        next=b"USER injected\r\n",
        log_in=Answer(b"USER injected\r\n", b"530 ", **LOG_IN),
        argument=Answer(b"AUTH TLS injected\r\n", b"501 "),
        backend=b"220 backend\r\n", goodbye=b"421 ", plain_words=b"421 ",
        again=b"503 TLS is active already\r\n",
        **lines(b"421 ", stranger=Answer(HTTP, b"421 ", **STRANGER))),
    "postgresql": Profile(
        greeting=b"", greeting_end=b"", upgrade=database.request(database.SSL),
        go_ahead=b"S", go_ahead_end=b"S", next=database.start_up("injected"),
        log_in=Answer(database.start_up("injected"), Read(sql_state, "28000"),
                      reason="tls_required", **LOG_IN),
        argument=Answer(database.request(database.SSL, b"injected"), Read(sql_state, "08P01"),
                        **BAD_OCTET),
        bare_lf=Answer(b"\n\n\n\n", Read(sql_state, "08P01"), **LONG),
        nul=Answer(b"\0" * 8, Read(sql_state, "08P01"), **BAD_OCTET),
        eight_bit=Answer(b"\xc3\xa4\xc3\xb6\r\n", Read(sql_state, "08P01"), **LONG),
        overlong=Answer(b"\x7f\xff\xff\xff", Read(sql_state, "08P01"), **LONG,
                        also=(b"\xff\xff\xff\xff", database.request(database.VERSION, b"x" * 9993))),
        stranger=Answer(HTTP, b"", **STRANGER, also=(IMAP,)),
        backend=EARLY, goodbye=Read(sql_state, "57P05"), plain_words=ALERT, claim=NO_CLAIM,
        forging=NO_FORGING,
        direct_tls="the gateway accepts it from clients that name the protocol by ALPN"),
    "http": Profile(
        greeting=b"", greeting_end=b"", upgrade=webservers.UPGRADE, go_ahead=webservers.GO_AHEAD,
        go_ahead_end=b"\r\n\r\n", next=webservers.request("/injected"), asked=webservers.ASKED,
        log_in=Answer(webservers.request(fields="Authorization: Basic injected\r\n"),
                      Read(status, "HTTP/1.1 426"), reason="tls_required", require_only=True, **LOG_IN),
        argument=Answer(webservers.UPGRADE[:-2] + b"Content-Length: 8\r\n\r\ninjected",
                        Read(status, "HTTP/1.1 426"), reason="tls_required"),
        overlong=Answer(b"A" * 13000, Read(status, "HTTP/1.1 431"), **LONG, also=(
            b"x" * 8193, webservers.request("/", "POST", "A: " + "x" * 8192 + "\r\n"))),
        stranger=Answer(b"EHLO injected.example\r\n", b"", **STRANGER, also=(IMAP,)),
        backend=EARLY, goodbye=Read(status, "HTTP/1.1 408"), plain_words=b"HTTP/1.1 400 ",
        claim=Answer(webservers.request(fields="X-Forwarded-For: injected\r\n"),
                     Read(status, "HTTP/1.1 426"), reason="tls_required", require_only=True),
        forging=NO_FORGING, direct_tls="the port also accepts TLS from the first octet",
        bare_lf=Answer(b"GET /injected HTTP/1.1\n", Read(status, "HTTP/1.1 400"), **BAD_OCTET,
                       also=(webservers.UPGRADE.replace(b"\r\n", b"\n"),)),
        nul=Answer(b"GET /\0injected HTTP/1.1\r\n", Read(status, "HTTP/1.1 400"), **BAD_OCTET,
                   also=(b"OPTIONS\0* HTTP/1.1\r\n",)),
        eight_bit=Answer(b"\xc3\xa4\xc3\xb6 /injected HTTP/1.1\r\n", Read(status, "HTTP/1.1 400"),
                         **BAD_OCTET, also=(b"OPTIONS \xc3\xa4 HTTP/1.1\r\n",)),
        listeners=("in", "opportunistic")),
    "telnet": Profile(
        greeting=b"\xff\xfd\x2e", greeting_end=b"\x2e", upgrade=b"\xff\xfb\x2e\xff\xfa\x2e\x01\xff\xf0",
        go_ahead=b"\xff\xfa\x2e\x01\xff\xf0", go_ahead_end=b"\xf0", next=b"injected\r\n",
        log_in=Absent("Telnet has no log-in command"), argument=NO_ARGUMENT,
        bare_lf=Absent("the protocol has no lines"), nul=Absent("NUL is an octet like others"),
        eight_bit=Absent("Telnet itself uses octets of 8 bits"),
        overlong=Answer(b"\xff\xfa\x18" + b"A" * 13000, b"\r\nToo much without TLS\r\n",
                        reason="too_many_errors"),
        stranger=Answer(HTTP, b"\r\nAnother protocol ", **STRANGER),
        backend=EARLY, goodbye=b"\r\nNo command ", part=2,
        plain_words=b"\r\nTLS is spoken here ", plain_upgrade=ALERT, claim=NO_CLAIM, forging=NO_FORGING),
}
