"""The testbed of the comparison: CPUs, certificates, backends and the load generator."""

import contextlib
import os
import platform
import pwd
import re
import resource
import subprocess
import sys
import time
from concurrent import futures

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "deploy", "demo"))
from gateway import config_text, make_certificates  # noqa: E402,F401
from ports import reserve_ports  # noqa: E402,F401


def output_of(command):
    """Everything that a command prints."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode("utf-8", "replace")


def first_line(command):
    return output_of(command).partition("\n")[0]


def openssl_version():
    return " ".join(first_line(["openssl", "version"]).split()[:2])


def user_name():
    return pwd.getpwuid(os.getuid()).pw_name


@contextlib.contextmanager
def pinned(cpus):
    """Processes started inside run on these CPUs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def running(command, **more):
    """A process that ends with the block."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **more)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def load_backend(load, address, speak, inside=()):
    """The bench's own server at an address; `inside`: words before the command, for a namespace."""
    with running([*inside, load, "backend", address, "--speak", speak],
                 stdout=subprocess.PIPE, text=True) as process:
        if process.stdout.readline() != "ready\n":
            raise SystemExit("the backend that speaks {} did not start".format(speak))
        yield process


def one_pem_file(folder, certificates):
    """The path of a file with the first certificate and its key, as HAProxy wants them."""
    path = os.path.join(folder, "bundle.pem")
    with open(path, "w", encoding="ascii") as out:
        for name in certificates["pairs"][0]:
            with open(name, encoding="ascii") as f:
                out.write(f.read())
    return path


class Cpus:
    """The CPUs of server, load and backend: a core for each if there are enough. On two
    cores, load and backend share one."""

    def __init__(self):
        cores = self.cores(os.sched_getaffinity(0))
        self.all = sorted(os.sched_getaffinity(0))
        self.server = {cores[0]}
        self.load = {cores[1 % len(cores)]}
        self.backend = {cores[2 if len(cores) > 2 else 1 % len(cores)]}
        # For two workers: a core that none of these uses, in addition.
        self.two_servers = {cores[0], cores[3]} if len(cores) > 3 else None

    @staticmethod
    def cores(allowed):
        """One CPU of each allowed core; all allowed CPUs if they are on one core."""
        seen = {}
        for cpu in sorted(allowed):
            try:
                with open("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list".format(cpu),
                          encoding="ascii") as f:
                    core = f.read()
            except OSError:
                core = str(cpu)
            seen.setdefault(core, cpu)
        return sorted(seen.values()) if len(seen) > 1 else sorted(allowed)

    def text(self):
        listed = lambda cpus: ",".join(map(str, sorted(cpus)))
        return "server on CPU {}, load on {}, backend on {}".format(
            listed(self.server), listed(self.load), listed(self.backend))


class LoadFailed(Exception):
    """The load generator failed; the text has its output."""


class Backend:
    """A server behind the servers under test, on a Unix socket."""

    def __init__(self, testbed, speak):
        self.path = os.path.join(testbed.folder, "backend-" + speak)
        with pinned(testbed.cpus.backend):
            self.process = subprocess.Popen(
                [testbed.load, "backend", "unix:" + self.path, "--speak", speak],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit("the backend that speaks {} did not start".format(speak))
        os.chmod(self.path, 0o666)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Testbed:
    """A folder with certificates and configurations, the backends, and the load generator."""

    def __init__(self, binaries, folder):
        self.folder = folder
        os.chmod(folder, 0o711)  # servers that drop root privileges must reach the backend
        self.binary = os.path.join(binaries, "gateway", "starling")
        self.load = os.path.join(binaries, "bench", "load")
        self.cpus = Cpus()
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.descriptors = min(hard, 1_000_000)
        pairs = make_certificates(folder)["pairs"]
        self.pairs = {"ec": pairs[0], "rsa": pairs[1]}
        self.bundles = {key: self._bundle(key, *pair) for key, pair in self.pairs.items()}
        self.backends = {}

    def close(self):
        for backend in self.backends.values():
            backend.close()

    def backend(self, speak):
        """The backend with this behaviour, started on first use."""
        if speak not in self.backends:
            self.backends[speak] = Backend(self, speak)
        return self.backends[speak]

    def start_load(self, command, peer, backend, *options, yielding=False):
        """Starts a load on a server. With `yielding` it uses only idle CPU time, so that it
        does not delay another load on the same CPU."""
        return self._start(
            self.cpus.load, [command, peer.address, "--pid", ",".join(map(str, peer.pids())),
                             "--backend-pid", str(backend.process.pid), *options], yielding)

    def floor(self, *options):
        """The figures of BoringSSL alone, on the server's CPU."""
        return self.finish(self._start(self.cpus.server, ["floor", *options], False))

    def _start(self, cpus, arguments, yielding):
        def yield_to_all():
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

        with pinned(cpus):
            return subprocess.Popen(
                [self.load, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, preexec_fn=yield_to_all if yielding else None)

    @staticmethod
    def finish(process):
        """Waits for a load and returns its figures, {name: value}."""
        text, _ = process.communicate()
        if process.returncode != 0:
            raise LoadFailed("exit code {}: {}".format(process.returncode, text[-1000:]))
        values = {}
        for line in text.splitlines():
            name, found, value = line.partition("=")
            if found and not line.startswith("#"):
                try:
                    values[name] = float(value)
                except ValueError:
                    values[name] = value
        return values

    def _bundle(self, name, *files):
        path = os.path.join(self.folder, name + ".bundle.pem")
        with open(path, "w", encoding="ascii") as out:
            os.chmod(path, 0o600)
            for file in files:
                with open(file, encoding="ascii") as f:
                    out.write(f.read())
        return path

    def many_certificates(self, count):
        """A folder with `count` bundles, each with its own key and name."""
        folder = os.path.join(self.folder, "certificates-{}".format(count))
        if os.path.isdir(folder):
            return folder
        os.mkdir(folder)

        def make(number):
            name = "host{}.example.org".format(number)
            path = os.path.join(folder, name + ".pem")
            made = subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                 "-nodes", "-days", "30", "-subj", "/CN=" + name, "-addext",
                 "subjectAltName=DNS:" + name, "-keyout", "-", "-out", "-"],
                check=True, capture_output=True)
            with open(path, "wb") as f:
                os.chmod(path, 0o600)
                f.write(made.stdout)

        with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(make, range(count)))
        return folder


class OtherProcesses:
    """How much of the server's CPU other processes used. If they used much, servers did not get
    the same share, and throughput and latency are not comparable."""

    def __init__(self, cpus, pids):
        self.cpus, self.pids = cpus, pids
        self.began, self.all, self.own = self._read()

    def share(self):
        now, all_of_it, own = self._read()
        used = (all_of_it - self.all) - (own - self.own)
        return max(0, used) / os.sysconf("SC_CLK_TCK") / (now - self.began) / len(self.cpus)

    def _read(self):
        with open("/proc/stat", encoding="ascii") as f:
            lines = [line.split() for line in f if line.startswith("cpu")]
        # User, nice and system time. Interrupts serve the network, so they count as the server's.
        wanted = {"cpu{}".format(cpu) for cpu in self.cpus}
        used = sum(sum(map(int, words[1:4])) for words in lines if words[0] in wanted)
        return time.monotonic(), used, sum(map(self._ticks, self.pids))

    @staticmethod
    def _ticks(pid):
        try:
            with open("/proc/{}/stat".format(pid), encoding="utf-8") as f:
                words = f.read().rpartition(")")[2].split()
        except OSError:
            return 0
        return int(words[11]) + int(words[12])


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        found = re.search(r"^model name\s*: (.*)$", f.read(), re.M)
    return found.group(1) if found else "unknown CPU"


def machine(cpus):
    """A description of the machine, for the results."""
    return {
        "cpu": "{} x {}".format(len(cpus.all), cpu_model()),
        "kernel": "Linux " + platform.release(),
        "places": cpus.text(),
        "load_average_before": round(os.getloadavg()[0], 1),
        "commit": commit(),
    }


def commit():
    """The commit of this tree; marked as dirty if there are changes."""
    return output_of(["git", "-C", TOP, "describe", "--always", "--dirty", "--abbrev=12"]).strip()
