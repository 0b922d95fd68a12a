"""Tests listeners that delay their greeting, with real clients in front and real servers behind:
who waits is served, and who does not is counted or refused."""

import smtplib
import threading
import unittest

import harness
import proxy_v2
from wire import Wire

DELAY = "1s"
DELAYS = "starling_greeting_delays_total"
CLIENT, OTHER, BALANCER = "127.0.0.5", "127.0.0.6", "127.0.0.7"
SOURCES = [{"from": "127.0.0.0/8", "role": "client"}, {"from": BALANCER, "role": "balancer"}]
env = None


def setUpModule():
    global env
    env = harness.Environment()


def gateway(pregreet, *names, **more):
    """Before Postfix and Dovecot."""
    listeners = {}
    for name in names:
        protocol, tls, backend, keys = harness.LISTENERS[name]
        listeners[name] = {"protocol": protocol, "tls": tls, "backend": backend,
                           "greeting_delay": DELAY, "pregreet": pregreet, **keys}
    used = {row[key] for row in listeners.values() for key in ("backend", "plaintext_backend") if key in row}
    backends = {name: "127.0.0.1:{}".format(env.servers.ports[server])
                for name, server in harness.BACKENDS.items() if name in used}
    return env.gateway(listeners, backends, ready="/readyz", sources=SOURCES, **more)


class Patient(unittest.TestCase):
    def test_real_clients_are_served(self):
        """smtplib waits; swaks and a second session are known by then."""
        with gateway("refuse", "mx", "imap") as running:
            port = running.ports["mx"]
            with smtplib.SMTP("127.0.0.1", port, source_address=(CLIENT, 0), timeout=30) as client:
                running.wait_for_metric(1, DELAYS, listener="mx", result="passed")
                client.sendmail("somebody@example.net", ["demo@example.org"],
                                "Subject: patient\r\n\r\nI wait.\r\n")
            code, output = harness.run(
                ["swaks", "--server", "127.0.0.1:{}".format(port), "--local-interface", CLIENT,
                 "--helo", "mail.example.net", "--from", "somebody@example.net", "--to",
                 "demo@example.org", "--tls", "--timeout", "30"])
            self.assertEqual(code, 0, output)
            running.wait_for_metric(1, DELAYS, listener="mx", result="known")
            # One memory for all listeners.
            with Wire(running.ports["imap"], CLIENT) as client:
                client.upgrade("imap")
                self.assertIn(b"OK", client.ask("imap", b"a NOOP\r\n"))
            running.wait_for_metric(1, DELAYS, listener="imap", result="known")
            self.assertEqual(running.metrics().sum(DELAYS, result="pregreet"), 0)

    def test_loopback_and_balancers_do_not_wait(self):
        listeners = {"mx": {"protocol": "smtp", "tls": "starttls", "backend": "one",
                            "greeting_delay": "30s"}}
        with env.gateway(listeners, {"one": harness.DOWN}) as running:
            with Wire(running.ports["mx"]) as client:
                self.assertTrue(client.line().startswith(b"220 "))
        with env.gateway(listeners, {"one": harness.DOWN}, sources=SOURCES) as running:
            with Wire(running.ports["mx"], BALANCER) as check:
                self.assertTrue(check.send(proxy_v2.local()).line().startswith(b"220 "))

    def test_behind_a_balancer_the_client_waits(self):
        """From the end of the header on; a command behind the header is too early."""
        header = proxy_v2.header(("203.0.113.9", 4000), ("192.0.2.1", 25))
        with gateway("refuse", "mx") as running:
            port = running.ports["mx"]
            with Wire(port, BALANCER) as client:
                self.assertTrue(client.send(header + b"EHLO early\r\n").line().startswith(b"521 5.5.1 "))
            with Wire(port, BALANCER) as client:
                self.assertTrue(client.send(header).line().startswith(b"220 "))
            with Wire(port, BALANCER) as client:
                self.assertTrue(client.send(header).line().startswith(b"220 "))
            for result in ("pregreet", "passed", "known"):
                self.assertEqual(running.metrics().sum(DELAYS, result=result), 1, result)


class Impatient(unittest.TestCase):
    EARLY = {"mx": (b"EHLO early.example.net\r\n", b"220 ", b"521 5.5.1 "),
             "lmtp": (b"LHLO early.example.net\r\n", b"220 ", b"521 5.5.1 "),
             "imap": (b"c CAPABILITY\r\n", b"* OK ", b"* BYE "),
             "pop3": (b"CAPA\r\n", b"+OK", b"-ERR "),
             "sieve": (b"CAPABILITY\r\n", b'"', b"BYE ")}

    def test_refused(self):
        with gateway("refuse", *self.EARLY) as running:
            for name, (command, _, refusal) in self.EARLY.items():
                with self.subTest(name), Wire(running.ports[name], CLIENT) as client:
                    said = client.send(command).rest()
                    self.assertTrue(said.startswith(refusal), said)
                    self.assertEqual(said.count(b"\r\n"), 1)
                    self.assertIsNotNone(running.wait_for_line(
                        "session ended", "listener={} ".format(name), "reason=pregreet"))
                    running.wait_for_metric(1, DELAYS, listener=name, result="pregreet")
            # Others are served meanwhile.
            with Wire(running.ports["imap"], OTHER) as client:
                self.assertTrue(client.line().startswith(b"* OK "))

    def test_counted_and_nothing_lost(self):
        """The whole of a mail's envelope before the greeting, and then the rest of the session."""
        with gateway("count", *self.EARLY) as running:
            for name, (command, greeting, _) in self.EARLY.items():
                protocol = harness.LISTENERS[name][0]
                with self.subTest(name), Wire(running.ports[name], CLIENT) as client:
                    client.send(command)
                    running.wait_for_metric(1, DELAYS, listener=name, result="pregreet")
                    self.assertIsNotNone(running.wait_for_line(
                        "client spoke before the greeting", "listener={} ".format(name), "peer=" + CLIENT))
                    self.assertTrue(client.greeting(protocol).startswith(greeting))
                    client.reply(protocol, tag=b"c", multiline=True)
                    client.socket.settimeout(0.2)
                    with self.assertRaises(TimeoutError):
                        client.receive()
            self.assertEqual(running.metrics().sum(DELAYS, result="passed"), 0)
            with Wire(running.ports["mx"], CLIENT) as client:
                client.send(b"EHLO early.example.net\r\nMAIL FROM:<a@example.net>\r\n"
                            b"RCPT TO:<demo@example.org>\r\nDATA\r\n")
                replies = [client.greeting("smtp")] + [client.reply("smtp") for _ in range(4)]
                self.assertEqual([reply[:3] for reply in replies],
                                 [b"220", b"250", b"250", b"250", b"354"], replies)
                client.send(b"Subject: early\r\n\r\n.\r\n")
                self.assertTrue(client.reply("smtp").startswith(b"250"))

    def test_a_client_that_leaves(self):
        with gateway("refuse", "mx") as running:
            Wire(running.ports["mx"], CLIENT).close()
            running.wait_for_metric(1, DELAYS, result="left")
            running.wait_for_metric(0, "starling_sessions")
            running.assert_idle(self)

    def test_over_a_reload_who_waited_is_known(self):
        with gateway("refuse", "mx") as running:
            port = running.ports["mx"]
            with Wire(port, CLIENT) as client:
                self.assertTrue(client.line().startswith(b"220 "))
            running.process.send_signal(1)
            running.wait_for_metric(1, "starling_config_reloads_total", result="success")
            with Wire(port, CLIENT) as client:
                self.assertTrue(client.line().startswith(b"220 "))
            running.wait_for_metric(1, DELAYS, result="known")

    def test_many_wait_at_once(self):
        """Each wait is its own: a hundred end together."""
        with gateway("refuse", "imap") as running:
            said = []

            def wait(number):
                with Wire(running.ports["imap"], "127.0.1.{}".format(number + 1)) as client:
                    said.append(client.line())
            threads = [threading.Thread(target=wait, args=(n,)) for n in range(100)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(len([line for line in said if line.startswith(b"* OK")]), 100)
            running.wait_for_metric(100, DELAYS, result="passed")


class Check(unittest.TestCase):
    def checked(self, **keys):
        row = {"protocol": "smtp", "tls": "starttls", "backend": "one", **keys}
        config, _, _ = env.configure({"in": row}, {"one": harness.DOWN})
        return harness.run([harness.BINARY, "-t", "-c", config])

    def test_where_it_has_no_meaning(self):
        rows = (({"tls": "implicit"}, "greeting_delay has no meaning with tls: implicit"),
                ({"protocol": "ldap"}, "greeting_delay has no meaning for ldap"),
                ({"limits": {"pre_relay": "6s"}}, "greeting_delay is not shorter than pre_relay"))
        for keys, error in rows:
            with self.subTest(keys):
                code, output = self.checked(greeting_delay="6s", **keys)
                self.assertNotEqual(code, 0)
                self.assertIn(error, output)
        code, output = self.checked(pregreet="refuse")
        self.assertEqual(code, 0, output)
        self.assertIn("pregreet has no effect without greeting_delay", output)
        self.assertNotIn("pregreet", self.checked(greeting_delay="6s", pregreet="refuse")[1])


if __name__ == "__main__":
    unittest.main()
