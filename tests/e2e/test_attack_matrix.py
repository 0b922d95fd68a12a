"""Tries every attack that the gateway must stop on every protocol. Each cell of tests/ATTACKS.md is
one or more conversations here, and the table shows what the gateway did.

    python3 tests/e2e/test_attack_matrix.py --write    writes the table

Not for: attacks on one protocol only (in that protocol's file), or real servers."""

import contextlib
import os
import re
import sys
import unittest

import fakes
import harness
from attack_cells import Cell
from attack_rows import ROWS
from protocol_profiles import PROFILES, Absent, Read

TOP = os.path.dirname(os.path.dirname(harness.HERE))
TABLE = os.path.join(TOP, "tests", "ATTACKS.md")
KNOWN_PROTOCOLS = re.compile(r'expected one of ([a-z0-9, -]+)')

# What these conversations do not try, most of it the same code before all protocols, and
# where it is tried: a file below the top, and a test in it (in C++ with its suite).
SHARED = (
    ("the name in a client certificate that was not verified", "tests/e2e/test_client_certificates.py",
     "test_who_comes_in"),
    ("heartbeat, early CCS, ticket bleed, ROBOT, old suites", "tests/e2e/test_scanners.py",
     "test_implicit"),
    ("renegotiation", "tests/e2e/test_attacks.py", "test_renegotiation_refused"),
    ("early data (0-RTT)", "gateway/tls/tls_handshake_test.cc", "HandshakeTable.ConnectsAndResumes"),
    ("a foreign SNI with `sni: strict`", "tests/e2e/test_certificates.py",
     "test_strict_refuses_unknown_and_absent_names"),
    ("floods of KeyUpdate", "gateway/tls/tls_session_test.cc",
     "SessionLimits.KeyUpdateIsAnsweredButNotAFlood"),
    ("records that are too long", "gateway/tls/tls_session_test.cc",
     "SessionTest.OverlongRecordsAreRefusedByTheirHeader"),
    ("an octet of a record at a time", "tests/sim/deadline_test.cc",
     "RecordDeadline.IsNotExtendedByOctets"),
    ("floods of hellos", "tests/sim/turn_test.cc", "Turn.DoesAsManyKeyOperationsAsItMay"),
    ("a full session table", "tests/e2e/test_limits.py", "test_refused_with_the_protocols_words"),
    ("too few buffers, peers that do not read", "tests/sim/simulation_test.cc",
     "Simulation.HoldsItsInvariantsAndIsReproducible"),
    ("PROXY headers from the wrong source", "tests/e2e/test_attacks.py", "test_from_a_stranger"),
    ("trust in the loopback address: SMTP's relaying", "tests/e2e/test_identity.py",
     "test_in_plaintext_and_in_tls"),
    ("trust in the loopback address: IRC's operators", "tests/e2e/test_irc_attacks.py",
     "test_trust_in_the_loopback_address"),
    ("SMTP's plaintext leg: log-in", "protocols/smtp/smtp_leg_test.cc", "SmtpLeg.WhatNeverPasses"),
    ("SMTP's plaintext leg: the upgrade in a transaction", "protocols/smtp/smtp_leg_ends_test.cc",
     "SmtpLegEnds.Upgrade"),
    ("SMTP's plaintext leg: a server that injects", "protocols/smtp/smtp_leg_ends_test.cc",
     "SmtpLegEnds.BackendsThatBreakTheProtocol"),
    ("IMAP's plaintext leg: log-in", "protocols/imap/imap_leg_test.cc",
     "ImapLeg.LogInIsRefusedAtEveryPoint"),
    ("IMAP's plaintext leg: forged mailboxes, PREAUTH, referrals", "protocols/imap/imap_leg_test.cc",
     "ImapLeg.NothingOfAMailboxPassesBeforeLogIn"),
    ("IMAP's plaintext leg: forged mailboxes, by a whole gateway", "tests/e2e/test_opportunistic.py",
     "test_forged_mailbox"),
    ("POP3's plaintext leg: log-in", "protocols/pop3/pop3_leg_test.cc",
     "Pop3Leg.LogInIsRefusedAtEveryPoint"),
    ("POP3's plaintext leg: a server that forges", "protocols/pop3/pop3_leg_test.cc",
     "Pop3Leg.WhatABackendMayNotSay"),
    ("ManageSieve's plaintext leg: log-in", "protocols/managesieve/managesieve_leg_test.cc",
     "ManageSieveLeg.LogInIsRefusedAtEveryPoint"),
    ("ManageSieve's plaintext leg: a server that forges", "protocols/managesieve/managesieve_leg_test.cc",
     "ManageSieveLeg.WhatABackendMayNotSay"),
    ("HTTP's plaintext leg: an upgrade that the gateway does not answer", "protocols/http/http_test.cc",
     "Http.OpportunisticPassesNoOtherUpgradeToTls"),
    ("HTTP's plaintext leg: log-in", "tests/e2e/test_http.py", "test_password_without_tls"),
    ("HTTP's heads that two servers might read differently", "protocols/http/http_head_test.cc",
     "HttpRequest.WhatTwoServersMightReadDifferently"),
    ("HTTP's heads, by a whole gateway", "tests/e2e/test_http_attacks.py", "test_each"),
    ("HTTP's upgrade in one of its two fields alone", "protocols/http/http_head_test.cc",
     "HttpRequest.TwoFieldsMustAgree"),
    ("FTP's data channels: strangers", "tests/e2e/test_ftp_data.py",
     "test_only_the_clients_host_is_served"),
    ("FTP's data channels: success without TLS", "tests/e2e/test_ftp_data.py",
     "test_no_success_without_tls"),
    ("FTP's data channels: another TLS session, where the listener demands resumption",
     "tests/e2e/test_ftp_data.py", "test_resumption_demanded"),
    ("PostgreSQL's cancel: to each server, once", "tests/e2e/test_postgresql_attacks.py",
     "test_every_server_gets_it_once"),
    ("PostgreSQL's cancel: with a wrong key", "tests/e2e/test_postgresql_cancel.py",
     "test_a_wrong_key_cancels_nothing"),
    ("WEBIRC by a client, in plaintext", "tests/e2e/test_irc_attacks.py",
     "test_log_in_and_claims_in_plaintext"),
    ("WEBIRC by a client, inside TLS", "tests/e2e/test_irc_attacks.py",
     "test_a_claim_inside_tls"),
    ("WEBIRC's password in printed configurations", "tests/e2e/test_irc.py",
     "test_the_password_is_never_printed"),
)


def text_of(outcome, notes):
    """What stands in a cell."""
    if isinstance(outcome, Absent):
        if outcome.why not in notes:
            notes.append(outcome.why)
        return "- [{}]".format(notes.index(outcome.why) + 1)
    if isinstance(outcome, str):
        return outcome
    said = outcome.said
    said = said.text if isinstance(said, Read) else said.decode("ascii", "replace").strip()
    parts = ["`{}`".format(said)] if said else []
    parts += ["closed"] if outcome.reason else []
    return ", ".join(parts) or "refused"


def table_of(cells):
    """The whole file. `cells`: {(row, protocol): outcome}."""
    notes = []
    text = ["# Attacks, protocol by protocol", "",
            "`python3 tests/e2e/test_attack_matrix.py --write` makes this page. Each cell is what the built gateway did in one or",
            "more conversations, and the same test fails if the gateway does anything else. The listeners have the policy",
            "`require`. HTTP's attacks before TLS are also tried with `opportunistic`. Each protocol's own tests try the",
            "plaintext connections of `opportunistic`.", "",
            "- `Text like this` is the beginning of the gateway's answer; *closed* means that it then ended the session.",
            "- *refused*: the session ended without TLS, and no octet reached a server.",
            "- *told in its protocol*: the gateway says what is wrong in the listener's protocol, and closes.",
            "- *an alert*: TLS's own way to refuse. A number in brackets: a note below says why the attack does not apply.",
            ""]
    text += ["| attack | " + " | ".join(PROFILES) + " |", "|---|" + "---|" * len(PROFILES)]
    for name, _ in ROWS:
        texts = [text_of(cells[name, protocol], notes) for protocol in PROFILES]
        text.append("| {} | {} |".format(name, " | ".join(texts)))
    text += [""] + ["[{}] {}".format(number, why) for number, why in enumerate(notes, 1)]
    text += ["", "Other tests try these attacks. Most of them meet the same code in every protocol.", "",
             "| attack | tried in |", "|---|---|"]
    text += ["| {} | `{}`: `{}` |".format(*row) for row in SHARED]
    return "\n".join(text) + "\n"


class Matrix(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.env = harness.Environment(servers=False)

    @contextlib.contextmanager
    def cell(self, protocol):
        """What a row needs of a protocol: its gateway, and the server behind it."""
        profile = PROFILES[protocol]
        recorder = fakes.Recorder(profile.backend)
        listeners = {
            "in": {"tls": "starttls", "policy": "require"},
            "slow": {"tls": "starttls", "policy": "require",
                     "limits": {"pre_relay": "300ms", "handshake": "200ms"}},
            "tls": {"tls": "implicit"}, "opportunistic": {"tls": "starttls", "policy": "opportunistic"}}
        with fakes.Backend(recorder) as backend, self.env.gateway(
                {"{}-{}".format(kind, protocol): {"protocol": protocol, "backend": "one", **keys}
                 for kind, keys in listeners.items() if kind in ("slow", "tls", *profile.listeners)},
                {"one": backend.address}, limits={"linger": "300ms"}) as gateway:
            yield Cell(self, gateway, protocol, backend, recorder)
            self.assertEqual(gateway.wait_for_metric(0, "starling_sessions"), 0)
            gateway.assert_idle(self)

    def results(self):
        outcomes = {}
        for protocol in PROFILES:
            with self.cell(protocol) as cell:
                for name, run in ROWS:
                    with self.subTest(name, protocol=protocol):
                        outcomes[name, protocol] = run(cell)
                        self.assertNotIn(b"injected", cell.recorder.octets)
        return outcomes

    def test_every_cell(self):
        outcomes = self.results()
        if len(outcomes) < len(ROWS) * len(PROFILES):
            return  # each hole is a failure of its own
        with open(TABLE, encoding="utf-8") as f:
            self.assertEqual(f.read(), table_of(outcomes), "make it anew: --write")

    def test_no_protocol_is_missing(self):
        path = self.env.write("bad.yaml", "listeners: [{name: a, protocol: nothing, tls: implicit, "
                              "bind: \"127.0.0.1:1\", backend: b}]\nbackends: [{name: b, servers: "
                              "\"unix:/b\"}]\ntls: {certificates: [{pem: x}]}\n")
        _, output = harness.run([harness.BINARY, "-t", "-c", path])
        known = set(KNOWN_PROTOCOLS.search(output).group(1).split(", "))
        self.assertEqual(known - {"tcp"}, set(PROFILES))

    def test_what_is_shared_is_tried(self):
        for _, file, test in SHARED:
            form = r"^TEST(_F|_P)?\({}, {}\) {{" if "." in test else r"^    def {}\(self"
            with self.subTest(test), open(os.path.join(TOP, file), encoding="utf-8") as f:
                self.assertRegex(f.read(), re.compile(form.format(*test.split(".")), re.MULTILINE))


def write():
    case = Matrix()
    case.setUp()
    with open(TABLE, "w", encoding="utf-8") as f:
        f.write(table_of(case.results()))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        unittest.main()
