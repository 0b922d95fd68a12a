"""The demonstration: Starling in front of a real Postfix and a real Dovecot.

deploy/demo.sh builds the gateway and then runs this. With --check it sends and reads
a mail; its exit code says whether that worked.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

import gateway as starling
import mailservers
from ports import is_free, reserve_ports

# name: (port, protocol, TLS, more keys)
LISTENERS = {
    "mx": (2525, "smtp", "starttls", {
        "policy": "opportunistic", "backend": "postfix", "plaintext_backend": "postfix-plain"}),
    "submission": (2587, "smtp", "starttls", {"policy": "require", "backend": "submission"}),
    "submissions": (2465, "smtp", "implicit", {"backend": "submission"}),
    "imap": (2143, "imap", "starttls", {"backend": "imap"}),
    "imaps": (2993, "imap", "implicit", {"backend": "imap"}),
    "pop3": (2110, "pop3", "starttls", {"backend": "pop3"}),
    "pop3s": (2995, "pop3", "implicit", {"backend": "pop3"}),
    "sieve": (2190, "managesieve", "starttls", {"backend": "sieve"}),
    "lmtp": (2024, "lmtp", "starttls", {"backend": "lmtp"}),
}
METRICS_PORT = 9464
# backend: name of the server's port
BACKENDS = {
    "postfix": "mx", "postfix-plain": "mx_plain", "submission": "submission",
    "imap": "imap", "pop3": "pop3", "sieve": "sieve", "lmtp": "lmtp",
}

GUIDE = """
Starling is running. It stands in front of a Postfix and a Dovecot that were
started for this demonstration in {dir}
and speaks TLS for them. There is one mail user: {user}, password {password}

In another terminal, in any folder:

  1. Send a mail over STARTTLS, as another mail server would. Look for
     "=== TLS started with cipher" and "250 2.0.0 Ok: queued":
       {swaks}

  2. Read it over STARTTLS; it has the line "X-Gateway-TLS: yes":
       {curl}

  3. The same over implicit TLS, and by POP3:
       {curl_imaps}
       {curl_pop3s}

  4. Look at the TLS session itself (type QUIT, or a1 LOGOUT, to leave):
       {s_client_smtp}
       {s_client_imap}

  5. Try to log in without TLS. The gateway says no, and no server has seen it:
       {plain}

  6. See what was counted; for example starling_starttls_upgrades_total,
     starling_tls_handshakes_total and starling_attacks_refused_total:
       curl -s http://{metrics}/metrics | grep ^starling_ | grep -v ' 0$'

Each session writes one line here when it is established and one at its end.
Ports: {ports}
Ctrl-C ends the demonstration and removes everything.
"""


def choose_ports():
    """The usual ports; free ones instead of those that are in use."""
    wanted = {name: row[0] for name, row in LISTENERS.items()}
    wanted["metrics"] = METRICS_PORT
    taken = [name for name, port in wanted.items() if not is_free(port)]
    return {**wanted, **reserve_ports(taken)}


def write_config(folder, ports, servers):
    """Writes starling.yaml and its certificates into `folder`."""
    certificates = starling.make_certificates(folder)
    listeners = [
        {"name": name, "protocol": protocol, "bind": ["127.0.0.1:{}".format(ports[name])],
         "tls": tls, **more}
        for name, (_, protocol, tls, more) in LISTENERS.items()
    ]
    backends = [
        {"name": name, "servers": ["127.0.0.1:{}".format(servers.ports[server])],
         "proxy_protocol": "v2"}
        for name, server in BACKENDS.items()
    ]
    path = os.path.join(folder, "starling.yaml")
    with open(path, "w", encoding="ascii") as f:
        f.write(starling.config_text(
            certificates, listeners, backends, "127.0.0.1:{}".format(ports["metrics"])))
    return path, certificates["ca"]


class Commands:
    """The commands to try, for these ports."""

    def __init__(self, ports, servers, ca):
        self.ports, self.servers, self.ca = ports, servers, ca
        self.login = servers.user + ":" + servers.password

    def swaks(self, subject="hello"):
        return ["swaks", "--server", "127.0.0.1:{}".format(self.ports["mx"]), "--tls",
                "--tls-verify", "--tls-ca-path", self.ca, "--helo", "sender.example.net",
                "--from", "sender@example.net", "--to", self.servers.user,
                "--header", "Subject: " + subject]

    def curl(self, scheme, listener, path, *more):
        return ["curl", "--silent", "--show-error", "--cacert", self.ca, *more, "--user", self.login,
                "{}://localhost:{}/{}".format(scheme, self.ports[listener], path)]

    def read_imap(self, number="1"):
        return self.curl("imap", "imap", "INBOX;MAILINDEX=" + number, "--ssl-reqd")

    def s_client(self, listener, protocol):
        return ["openssl", "s_client", "-connect", "localhost:{}".format(self.ports[listener]),
                "-starttls", protocol, "-crlf", "-quiet", "-verify_return_error", "-CAfile", self.ca]


def show(command):
    """The command as typed in a shell."""
    return " ".join(
        w if all(c.isalnum() or c in "-_./:@=+" for c in w) else "'" + w + "'" for w in command)


def print_guide(commands, servers, ports):
    text = GUIDE.format(
        dir=servers.dir, user=servers.user, password=servers.password,
        swaks=show(commands.swaks()),
        curl=show(commands.read_imap()),
        curl_imaps=show(commands.curl("imaps", "imaps", "INBOX;MAILINDEX=1")),
        curl_pop3s=show(commands.curl("pop3s", "pop3s", "1")),
        s_client_smtp=show(commands.s_client("mx", "smtp")),
        s_client_imap=show(commands.s_client("imap", "imap")),
        plain=show(["curl", "--user", commands.login, "imap://localhost:{}/INBOX".format(ports["imap"])]),
        metrics="127.0.0.1:{}".format(ports["metrics"]),
        ports=", ".join("{} {}".format(n, p) for n, p in ports.items()))
    print(text, flush=True)


def run(command, title, wanted):
    """Runs one command. Returns whether it succeeded and printed `wanted`."""
    done = subprocess.run(command, capture_output=True, timeout=60)
    output = (done.stdout + done.stderr).decode("utf-8", "replace")
    good = done.returncode == 0 and wanted in output
    print("check: {}: {}".format(title, "ok" if good else "FAILED"), flush=True)
    if not good:
        print("  {}\n  exit code {}, expected 0 and '{}' in:\n{}".format(
            show(command), done.returncode, wanted, output), flush=True)
    return good


def check(gateway, commands, servers):
    """Sends and reads a mail with STARTTLS, and shows the metrics that changed."""
    before = gateway.metrics()
    subject = "starling {:08x}".format(random.getrandbits(32))
    good = run(commands.swaks(subject), "mail sent to the MX by STARTTLS", "TLS started with cipher")
    good = good and servers.wait_for_log("dovecot", r"saved mail to INBOX")
    good = good and run(commands.read_imap("*"), "mail read by IMAP with STARTTLS", subject)
    good = good and run(commands.read_imap("*"), "the mail says that it came over TLS",
                        "X-Gateway-TLS: yes")
    plain = subprocess.run(
        ["curl", "--silent", "--user", commands.login,
         "imap://localhost:{}/INBOX".format(commands.ports["imap"])], capture_output=True, timeout=60)
    print("check: log-in in plaintext refused:", "FAILED" if plain.returncode == 0 else "ok")
    good = good and plain.returncode != 0
    for listener in ("mx", "imap"):
        name = "starling_starttls_upgrades_total"
        try:
            moved = gateway.wait_for_metric(lambda v: v >= 1, name, listener=listener)
        except AssertionError:
            moved = 0
        print("check: {} of {} moved: {}".format(name, listener, "ok" if moved else "FAILED"))
        good = good and moved
    print("metrics that moved:")
    for text, old, new in gateway.metrics().moved(before):
        if "_bucket{" not in text and "_worker_" not in text:
            print("  {} {:g} -> {:g}".format(text, old, new))
    gateway.signal()
    code = gateway.wait()
    print("check: the gateway ended with exit code {}: {}".format(code, "FAILED" if code else "ok"))
    return good and code == 0


def demonstrate(checking, running, stop):
    folder = tempfile.mkdtemp(prefix="starling-demo-")
    os.chmod(folder, 0o755)  # so that other users of the machine can read ca.crt
    try:
        ports = choose_ports()
        print("demo: starting Postfix and Dovecot", flush=True)
        with mailservers.MailServers() as servers:
            path, ca = write_config(folder, ports, servers)
            print("demo: starting the gateway with " + path, flush=True)
            gateway = starling.Gateway(path, "127.0.0.1:{}".format(ports["metrics"]))
            gateway.start()
            try:
                commands = Commands(ports, servers, ca)
                if checking:
                    return 0 if check(gateway, commands, servers) else 1
                print_guide(commands, servers, ports)
                running.set()
                return follow(gateway, stop)
            finally:
                gateway.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def follow(gateway, stop):
    """Prints the gateway's lines until `stop` is set or the gateway ends."""
    shown = 0
    while not stop.is_set():
        lines = gateway.lines[shown:]
        shown += len(lines)
        for line in lines:
            print(line, flush=True)
        if gateway.process.poll() is not None and not stop.is_set():
            print("demo: the gateway has ended with exit code", gateway.process.returncode)
            return 1
        stop.wait(0.2)
    print("\ndemo: stopping", flush=True)
    return 0


def main(arguments):
    stop = threading.Event()

    def interrupted(*_):
        # During the start, and at the second signal: goes straight to the clean-up.
        if stop.is_set() or not running.is_set():
            raise SystemExit(130)
        stop.set()

    running = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    try:
        return demonstrate("--check" in arguments, running, stop)
    except (OSError, starling.NotReady, mailservers.NotReady, subprocess.SubprocessError) as problem:
        print("demo: {}".format(problem), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
