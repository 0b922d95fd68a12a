"""Tests reloads by HUP and by changed files, under load: no connection is refused or cut off, a bad
configuration changes nothing, and a thousand reloads leak nothing."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import time
import unittest

import fakes
import harness
import tls_material as tm
from harness import starling
from wire import Loop, Wire

env = None
RELOADS = "starling_config_reloads_total"
ECHO = {"protocol": "tcp", "tls": "implicit", "backend": "echo"}


def setUpModule():
    global env
    env = harness.Environment(servers=False)


def reload(gateway, result="success", trigger="signal"):
    """HUP, and the line it ends with."""
    before = gateway.metrics().sum(RELOADS, trigger=trigger)
    gateway.signal(signal.SIGHUP)
    gateway.wait_for_metric(lambda value: value > before, RELOADS, trigger=trigger)
    done = gateway.metrics()
    assert done.sum("starling_config_last_reload_success") == (result == "success"), gateway.lines[-5:]


def rewrite(gateway, change):
    """Changes the configuration file, as an editor does: a new one over it."""
    with open(gateway.config, encoding="utf-8") as f:
        text = change(f.read())
    with open(gateway.config + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(gateway.config + ".new", gateway.config)


def served(port, name="mail.example.org", protocol=None):
    """The serial number of the certificate that a client gets."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname=name) as tls:
            return tls.getpeercert(binary_form=True)


def connect_loop(port, clients=8):
    """Clients that connect, exchange a line and leave."""
    def call(_):
        with Wire(port) as client:
            client.start_tls()
            if client.send(b"ping").exactly(4) != b"ping":
                raise AssertionError("another answer")
    return Loop(call, clients)


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
            "ring_features": "none", "metrics.bind": "127.0.0.1:9", "log.format": "json",
            "limits.sessions": 999, "limits.crowded": 9, "limits.refusals": 9, "limits.handshakes_in_flight": 9,
            "limits.handshake_queue": 9, "limits.key_operations_per_turn": 9,
            "limits.output_buffers": 999, "limits.bulk_buffers": 9, "limits.small_buffers": 16, "limits.large_buffers": 32,
            "limits.armed_accepts": 9, "limits.data_listeners": 9, "limits.backlog": 9, "limits.keepalive": "9s",
            "limits.log_records": 128, "limits.ticket_key_period": "9h"}
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


class Files(unittest.TestCase):
    """Changed certificates are taken over without a signal."""

    def own(self):
        """Certificates of this test alone, which it may change."""
        folder = os.path.join(env.dir, self.id().rsplit(".", 1)[-1])
        os.mkdir(folder)
        return folder, starling.make_certificates(folder)

    @contextlib.contextmanager
    def gateway(self, certificates, backend):
        shared, env.certificates = env.certificates, certificates
        try:
            with env.tcp(backend.address) as gateway:
                yield gateway
        finally:
            env.certificates = shared

    def test_renewed_ones_are_noticed(self):
        folder, certificates = self.own()
        with fakes.Backend(fakes.echo) as backend, self.gateway(certificates, backend) as gateway:
            port = gateway.ports["tcp"]
            first = served(port)
            renewed = os.path.join(folder, "renewed")
            os.mkdir(renewed)
            starling.make_certificates(renewed)
            with connect_loop(port, clients=2) as loop:
                # The certificate now, its key a while later: meanwhile the old pair serves.
                shutil.copy(os.path.join(renewed, "ec.crt"), os.path.join(folder, "ec.crt"))
                end = time.monotonic() + 1
                while time.monotonic() < end:
                    self.assertEqual(served(port), first)
                os.rename(os.path.join(renewed, "ec.key"), os.path.join(folder, "ec.key"))
                gateway.wait_for_metric(1, RELOADS, result="success", trigger="files")
                second = served(port)
            self.assertNotEqual(first, second)
            self.assertEqual(loop.failures, [])
            self.assertEqual(gateway.metrics().sum(RELOADS, result="failure"), 0)
            with open(os.path.join(folder, "ec.crt"), encoding="ascii") as f:
                self.assertEqual(second, ssl.PEM_cert_to_DER_cert(f.read()))

    def test_bad_ones_are_complained_of_and_not_taken(self):
        folder = os.path.join(env.dir, "bad")
        os.mkdir(folder)
        authority = tm.Authority()
        own, other = authority.issue(["a.example"]), authority.issue(["b.example"])
        pair = own.save(folder, "a")
        at = lambda name: os.path.join(folder, name)
        files = {"a.crt": own.cert, "a.key": own.key, "keys": tm.ticket_keys(),
                 "ca.pem": authority.cert, "crl.pem": authority.crl(),
                 "a.crt.ocsp": authority.ocsp(own)}
        for name, content in files.items():
            tm.write(at(name), content, 0o600)
        os.mkdir(at("more"))
        authority.issue(["c.example"]).save(at("more"), "c")
        put = lambda path, content: (os.path.lexists(path) and os.remove(path),
                                     tm.write(path, content, 0o600))
        link = lambda path: (os.remove(path), os.symlink(os.path.basename(path), path))
        fifo = lambda path: (os.remove(path), os.mkfifo(path))
        bad = {
            "truncated": lambda path: put(path, files[os.path.basename(path)][:40]),
            "empty": lambda path: put(path, ""),
            "junk": lambda path: put(path, b"\0\xff" * 2500),
            "huge": lambda path: put(path, "A" * (2 << 20)),
            "absent": os.remove,
            "a loop": link,
            "a FIFO": fifo,
            "swapped": lambda path: put(path, other.key if path.endswith(".key") else other.cert),
        }
        rows = [("a.crt", how) for how in bad] + [("a.key", how) for how in bad]
        rows += [("a.crt.ocsp", how) for how in ("truncated", "empty", "junk", "huge", "a FIFO")]
        rows += [(name, how) for name in ("keys", "ca.pem", "crl.pem")
                 for how in ("truncated", "empty", "junk", "huge", "absent", "a loop", "a FIFO")]
        with fakes.Backend(fakes.echo) as backend, env.tcp(backend.address, tls={
                "certificates": [pair, {"folder": at("more")}], "ticket_keys": at("keys"),
                "client_certificate": {"mode": "optional", "ca": at("ca.pem"),
                                       "crl": at("crl.pem")}}) as gateway:
            port = gateway.ports["tcp"]
            reload(gateway)
            descriptors = gateway.metrics().sum("process_open_fds")
            for name, how in rows:
                with self.subTest(name, how=how):
                    after = len(gateway.lines)
                    bad[how](at(name))
                    reload(gateway, "failure")
                    self.assertIsNotNone(gateway.wait_for_line(
                        "reload rejected", at("a." if name.startswith("a.") else name),
                        after=after), gateway.lines[after:])
                    self.assertEqual(served(port), own.der)
                    put(at(name), files[name])
            # Without a signal it is said once it stays so, and the good ones are taken again.
            for name in ("a.crt", "keys", "crl.pem"):
                with self.subTest(name):
                    failed = gateway.metrics().sum(RELOADS, result="failure", trigger="files")
                    fifo(at(name))
                    gateway.wait_for_metric(lambda n, f=failed: n > f, RELOADS, result="failure",
                                            trigger="files")
                    self.assertIsNotNone(gateway.wait_for_line("changed files rejected", at(name)))
                    self.assertEqual(served(port), own.der)
                    put(at(name), files[name])
            reload(gateway)
            for key in own.key.splitlines()[1:-1] + files["keys"].split():
                self.assertNotIn(key[:40], "\n".join(gateway.lines))
            # A leak of one per reload would be far more than the normal variation.
            self.assertLess(gateway.metrics().sum("process_open_fds") - descriptors, 10)

    def test_what_the_system_does_not_tell_of_is_looked_at(self):
        """Behind more links than are watched; and a reload says how often to look."""
        folder = os.path.join(env.dir, "links")
        os.mkdir(folder)
        authority = tm.Authority()
        old, new = authority.issue(["a.example"]), authority.issue(["a.example"])
        at = lambda name: os.path.join(folder, str(name))
        for name, certificate in (("old", old), ("new", new)):
            os.mkdir(at(name))
            certificate.save(at(name), "a")
        for i in range(20):
            os.mkdir(at(i))
            os.symlink(at("{}/link".format(i + 1)) if i < 19 else at("old"), at("{}/link".format(i)))
        with fakes.Backend(fakes.echo) as backend, env.tcp(
                backend.address, limits={"file_check": "1h"},
                tls={"certificates": [{"folder": at("0/link")}]}) as gateway:
            self.assertEqual(served(gateway.ports["tcp"]), old.der)
            rewrite(gateway, lambda text: text.replace('"file_check": "1h"', '"file_check": "1s"'))
            reload(gateway)
            os.symlink(at("new"), at("19/fresh"))
            os.rename(at("19/fresh"), at("19/link"))
            gateway.wait_for_metric(1, RELOADS, result="success", trigger="files")
            self.assertEqual(served(gateway.ports["tcp"]), new.der)


if __name__ == "__main__":
    unittest.main()
