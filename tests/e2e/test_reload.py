"""Tests reloads of a changed configuration: under load no connection is refused or cut off, a bad
configuration changes nothing, and a thousand reloads leak nothing.

Not for: changes of the files that it names (test_reload_files.py)."""

import json
import os
import re
import socket
import time
import unittest

import fakes
import harness
from reloads import RELOADS, connect_loop, reload, rewrite
from wire import Wire

env = None
ECHO = {"protocol": "tcp", "tls": "implicit", "backend": "echo"}


def setUpModule():
    global env
    env = harness.Environment(servers=False)


class Reload(unittest.TestCase):
    def test_a_hundred_under_load_refuse_nobody(self):
        """The address stays, its listener's options change each time; another
        address comes and goes."""
        spare = harness.reserve_ports(["spare"])["spare"]
        extra = '  - {{"name": "spare", "bind": ["127.0.0.1:{}"], "protocol": "tcp", ' \
            '"tls": "implicit", "backend": "echo"}}\n'.format(spare)
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address) as gateway:
            with open(gateway.config, encoding="utf-8") as f:
                text = f.read()
            with_extra = text.replace("backends:\n", extra + "backends:\n")
            with connect_loop(gateway.ports["tcp"]) as loop:
                for turn in range(100):
                    rewrite(gateway, lambda _, t=turn: (
                        (with_extra if t % 10 == 3 else text) + "hostname: h{}.example\n".format(t)
                    ).replace("hostname: mail.example.org\n", ""))
                    reload(gateway)
                    if turn % 10 == 3:
                        with Wire(spare) as client:
                            client.start_tls()
                            self.assertEqual(client.send(b"x").exactly(1), b"x")
            self.assertEqual(loop.failures, [])
            self.assertGreater(loop.done, 100)
            self.assertEqual(gateway.metrics().sum(RELOADS, result="failure"), 0)
            self.assertEqual(gateway.metrics().sum("starling_config_generation"), 101)
            self.assertEqual(gateway.wait_for_metric(1, "starling_config_generations_alive"), 1)

    def test_sessions_keep_what_they_began_with(self):
        """An old session outlives its listener and its backend; a new one gets the
        new backend."""
        async def greet_a(reader, writer):
            writer.write(b"a")
            await fakes.echo(reader, writer)

        async def greet_b(reader, writer):
            writer.write(b"b")
            await fakes.echo(reader, writer)

        with fakes.Backend(greet_a) as a, fakes.Backend(greet_b) as b, \
                env.tcp(a.address) as gateway, Wire(gateway.ports["tcp"]) as old:
            self.assertEqual(old.start_tls().exactly(1), b"a")
            rewrite(gateway, lambda text: text.replace(a.address, b.address))
            reload(gateway)
            with Wire(gateway.ports["tcp"]) as new:
                self.assertEqual(new.start_tls().exactly(1), b"b")
            self.assertEqual(old.send(b"still").exactly(5), b"still")
            self.assertEqual(gateway.metrics().sum("starling_config_generations_alive"), 2)
            old.close()
            self.assertEqual(gateway.wait_for_metric(1, "starling_config_generations_alive"), 1)

    def test_an_address_that_vanishes_drains(self):
        other = harness.reserve_ports(["other"])["other"]
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address) as gateway:
            port = gateway.ports["tcp"]
            with Wire(port) as old:
                old.start_tls().send(b"x").exactly(1)
                rewrite(gateway, lambda text: text.replace(":{}\"".format(port),
                                                           ":{}\"".format(other)))
                reload(gateway)
                with Wire(other) as new:
                    self.assertEqual(new.start_tls().send(b"y").exactly(1), b"y")
                end = time.monotonic() + 15
                while True:  # given up once nothing comes any more
                    try:
                        socket.create_connection(("127.0.0.1", port), timeout=5).close()
                        self.assertLess(time.monotonic(), end)
                    except ConnectionRefusedError:
                        break
                self.assertEqual(old.send(b"still").exactly(5), b"still")
            # And back again.
            rewrite(gateway, lambda text: text.replace(":{}\"".format(other), ":{}\"".format(port)))
            reload(gateway)
            with Wire(port) as new:
                self.assertEqual(new.start_tls().send(b"z").exactly(1), b"z")

    def test_what_is_bad_changes_nothing_and_says_why(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address) as gateway:
            with open(gateway.config, encoding="utf-8") as f:
                good = f.read()
            taken = socket.create_server(("127.0.0.1", 0))
            self.addCleanup(taken.close)
            cases = {
                "no YAML": (lambda t: t + "]", ["invalid YAML"]),
                "an unknown option": (lambda t: t + "hostnam: x\n", ["hostnam", "did you mean"]),
                "a missing key": (lambda t: t.replace("ec.key", "absent.key"), ["absent.key"]),
                "another certificate's key":
                    (lambda t: t.replace("ec.key", "rsa.key"), ["rsa.key"]),
                "an address in use": (lambda t: t.replace(
                    "backends:\n", '  - {{"name": "x", "bind": ["127.0.0.1:{}"], "protocol": "tcp",'
                    ' "tls": "implicit", "backend": "echo"}}\nbackends:\n'.format(
                        taken.getsockname()[1])), ["listener x", "in use"]),
                "what needs a restart": (lambda t: t + "workers: 7\n", ["restart", "workers"]),
            }
            for name, (change, said) in cases.items():
                with self.subTest(name):
                    after = len(gateway.lines)
                    rewrite(gateway, lambda _, c=change: c(good))
                    reload(gateway, "failure")
                    line = gateway.wait_for_line("rejected", *said, after=after)
                    self.assertIsNotNone(line, gateway.lines[after:])
                    with Wire(gateway.ports["tcp"]) as client:
                        self.assertEqual(client.start_tls().send(b"x").exactly(1), b"x")
            self.assertEqual(gateway.metrics().sum("starling_config_generation"), 1)
            rewrite(gateway, lambda _: good)
            reload(gateway)

    def test_an_address_of_a_refused_configuration_is_not_listened_on(self):
        """Its socket was there before the policy turned out to be impossible."""
        fresh = harness.reserve_ports(["fresh"])["fresh"]
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address) as gateway:
            rewrite(gateway, lambda text: text.replace(
                "backends:\n", '  - {{"name": "fresh", "bind": ["127.0.0.1:{}"], "protocol": "tcp",'
                ' "tls": "implicit", "backend": "echo", "tls_options": '
                '{{"signature_algorithms": ["ed25519"]}}}}\nbackends:\n'.format(fresh)))
            reload(gateway, "failure")
            self.assertIsNotNone(gateway.wait_for_line("rejected", "listener fresh"))
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", fresh), timeout=20)

    def test_each_option_that_needs_a_restart_is_refused_by_name(self):
        others = {
            "workers": 7, "pin_workers": False, "user": "nobody", "group": "nogroup",
            "io": "io_uring", "ring_features": "none", "metrics.bind": "127.0.0.1:9", "log.format": "json",
            "limits.sessions": 999, "limits.crowded": 9, "limits.new_sources": 9,
            "limits.refusals": 9, "limits.handshakes_in_flight": 9,
            "limits.handshake_queue": 9, "limits.key_operations_per_turn": 9,
            "limits.output_buffers": 999, "limits.bulk_buffers": 9, "limits.small_buffers": 16, "limits.large_buffers": 32,
            "limits.armed_accepts": 9, "limits.data_listeners": 9, "limits.backlog": 9, "limits.keepalive": "9s",
            "limits.log_records": 128, "limits.ticket_key_period": "9h",
            "limits.server_unsent": 9, "limits.server_send_buffer": 9,
            "limits.server_receive_buffer": 9}
        # All that the sample file says so of.
        said, section, note = set(), "", ""
        for line in harness.run([harness.BINARY, "--sample"])[1].splitlines():
            if re.match(r" *# ", line):
                note += line
                continue
            name = re.match(r"( *)#?(\w+):", line)
            if name and not name.group(1):
                section = name.group(2)
            if name and "A change needs a restart." in note:
                said.add((section + "." if name.group(1) else "") + name.group(2))
            note = ""
        self.assertEqual(said, set(others))
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, ring_features="auto", log={"format": "logfmt"}, user="root",
                group="root") as gateway:
            with open(gateway.config, encoding="utf-8") as f:
                good = f.read()
            for name, value in others.items():
                with self.subTest(name):
                    section, _, key = name.rpartition(".")
                    lines = [line for line in good.splitlines()
                             if not line.startswith((section or key) + ":")]
                    now = re.search("^{}: (.*)$".format(section), good, re.M) if section else None
                    changed = {**json.loads(now.group(1)), key: value} if now else value
                    lines.append("{}: {}".format(section or key, json.dumps(changed)))
                    after = len(gateway.lines)
                    rewrite(gateway, lambda _, text="\n".join(lines) + "\n": text)
                    reload(gateway, "failure")
                    self.assertIsNotNone(gateway.wait_for_line(
                        "a restart is needed to change {}\"".format(name), after=after),
                        gateway.lines[after:])
            self.assertEqual(gateway.metrics().sum("starling_config_generation"), 1)

    def test_it_is_compared_with_the_start_and_not_with_the_last_reload(self):
        """An FTP listener comes back with the room that the start made for it. Without such
        room, no number of other reloads makes some."""
        async def greet(reader, writer):
            writer.write(b"220 ready\r\n")
            await fakes.echo(reader, writer)

        def remove(text, name):
            listener = re.search(r'  - \{"name": "%s".*\n' % name, text).group(0)
            return text.replace(listener, ""), listener

        listeners = {"tcp": ECHO, "ftp": {"protocol": "ftp", "tls": "starttls", "backend": "ftp"}}
        with fakes.Backend(fakes.echo) as echo, fakes.Backend(greet) as ftp:
            backends = {"echo": echo.address, "ftp": ftp.address}
            with env.gateway(listeners, backends) as gateway:
                with open(gateway.config, encoding="utf-8") as f:
                    with_ftp = f.read()
                without_ftp, listener = remove(with_ftp, "ftp")
                for turn in range(2):
                    with self.subTest("started with it", turn=turn):
                        rewrite(gateway, lambda _: without_ftp)
                        reload(gateway)
                        rewrite(gateway, lambda _: with_ftp)
                        reload(gateway)
                        with Wire(gateway.ports["ftp"]) as client:
                            self.assertEqual(client.exactly(4), b"220 ")
            with env.gateway({"tcp": ECHO}, backends) as gateway:
                with open(gateway.config, encoding="utf-8") as f:
                    without_ftp = f.read()
                listener = re.sub(r":\d+", ":{}".format(harness.reserve_ports(["f"])["f"]), listener)
                with_ftp = without_ftp.replace("backends:\n", listener + "backends:\n")
                for change, option in (
                        (lambda: with_ftp, "limits.data_listeners"),
                        (lambda: without_ftp + "workers: 7\n", "workers")):
                    for turn in range(2):
                        with self.subTest("started without it", option=option, turn=turn):
                            after = len(gateway.lines)
                            rewrite(gateway, lambda _, text=change(): text)
                            reload(gateway, "failure")
                            self.assertIsNotNone(gateway.wait_for_line(
                                "a restart is needed to change {}\"".format(option), after=after),
                                gateway.lines[after:])
                            rewrite(gateway, lambda _: without_ftp)
                            reload(gateway)

    def test_a_file_that_nobody_writes_is_not_waited_for(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address) as gateway:
            os.mkfifo(gateway.config + ".fifo")
            os.rename(gateway.config + ".fifo", gateway.config)
            reload(gateway, "failure")
            self.assertIsNotNone(gateway.wait_for_line("rejected", "FIFO"))
            with Wire(gateway.ports["tcp"]) as client:
                self.assertEqual(client.start_tls().send(b"x").exactly(1), b"x")

    def test_a_thousand_leave_nothing_behind(self):
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, workers=1) as gateway:
            def resident_and_open():
                metrics = gateway.metrics()
                return (metrics.sum("process_resident_memory_bytes"),
                        metrics.sum("process_open_fds"),
                        metrics.sum("starling_worker_descriptors_in_use"))

            def reloads(count):
                for _ in range(count):
                    reload(gateway)
                gateway.wait_for_metric(1, "starling_config_generations_alive")

            reloads(100)
            before = resident_and_open()
            reloads(900)
            after = resident_and_open()
            self.assertLess(after[1] - before[1], 10)
            self.assertEqual(after[2], before[2])
            # Of a generation of this configuration about 100 KiB; 900 would be 90 MiB.
            self.assertLess(after[0] - before[0], 4 << 20)
            with Wire(gateway.ports["tcp"]) as client:
                self.assertEqual(client.start_tls().send(b"x").exactly(1), b"x")


if __name__ == "__main__":
    unittest.main()
