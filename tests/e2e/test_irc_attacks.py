"""Tests IRC's own attacks: log-ins and claims of another identity in plaintext and inside TLS, other
protocols, an upgrade inside TLS, and operators that a server trusts by their address.

Not for: attacks on every protocol (test_attack_matrix.py)."""

import unittest

import fakes
import harness
import ircservers
from irc_front import LISTENERS, Front
from wire import Wire

front = None


def setUpModule():
    global front
    front = unittest.enterModuleContext(Front())


class Attacks(unittest.TestCase):
    def test_log_in_and_claims_in_plaintext(self):
        commands = ((b"PASS secret", "plaintext_auth"), (b"OPER o secret", "plaintext_auth"),
                    (b"AUTHENTICATE PLAIN", "plaintext_auth"),
                    (b"WEBIRC secret x 127.0.0.1 127.0.0.1", "identity_claim"))
        with fakes.Backend(fakes.echo) as backend, front.one(backend.address, proxy="v2") as gateway_:
            for command, kind in commands:
                before = gateway_.metrics()
                with self.subTest(command), Wire(gateway_.ports["in"]) as client:
                    client.send(b"CAP LS\r\n").line()
                    self.assertRegex(client.send(command + b"\r\n").line(), b"^:mail.example.org 451 ")
                rows = [("starling_attacks_refused_total", {"kind": kind})]
                if kind == "plaintext_auth":
                    rows.append(("starling_downgrade_signals_total", {"signal": "not_taken"}))
                for name, labels in rows:
                    wanted = before.sum(name, **labels) + 1
                    self.assertEqual(gateway_.wait_for_metric(wanted, name, **labels), wanted)
            self.assertFalse([line for line in gateway_.lines if "secret" in line])
            self.assertEqual(backend.proxied, [])

    def test_other_protocols(self):
        with front.one(harness.DOWN) as gateway_, Wire(gateway_.ports["in"]) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nNICK x\r\n")
            self.assertEqual(client.rest(), b"ERROR :Another protocol is spoken here\r\n")
            self.assertEqual(gateway_.wait_for_metric(
                1, "starling_attacks_refused_total", kind="cross_protocol", protocol="irc"), 1)
        with front.one(harness.DOWN, tls="implicit") as gateway_, Wire(gateway_.ports["in"]) as client:
            self.assertRegex(client.send(b"NICK x\r\nUSER x 0 * :x\r\n").rest(),
                             b"^ERROR :Closing link: TLS is spoken here ")

    def test_upgrade_again(self):
        for listener in LISTENERS:
            with self.subTest(listener), front.client(listener, "127.0.0.41") as client:
                client.enter_tls().register().send(b"STARTTLS\r\n")
                self.assertRegex(client.until("421", "691", "451"), "STARTTLS|SSL")

    def test_a_claim_inside_tls(self):
        for listener in LISTENERS:
            with self.subTest(listener), front.client(listener, "127.0.0.42") as client:
                client.enter_tls().send(b"WEBIRC wrong x 127.0.0.1 127.0.0.1\r\n")
                if LISTENERS[listener][1] == "ngircd":
                    # As if the gateway's own password were wrong.
                    self.assertEqual(client.rest(), b"ERROR :Closing link: server not available, "
                                     b"try again later\r\n")
                else:
                    client.register()
                    self.assertEqual(client.host(), client.source)

    def test_trust_in_the_loopback_address(self):
        """As operator by the right password: only where the client itself may be one."""
        oper = "OPER {} {}\r\n".format("{}", ircservers.OPER_PASSWORD)
        with front.client("inspircd", "127.0.0.43") as client:
            client.enter_tls().register().send(oper.format("trusting").encode())
            self.assertIn(" 491 ", client.until("381", "491"))
            client.send(oper.format("o").encode())
            self.assertIn(" 381 ", client.until("381", "491"))


if __name__ == "__main__":
    unittest.main()
