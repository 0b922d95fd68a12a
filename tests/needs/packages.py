"""The packages and files on a fresh machine after deploy/setup/setup.sh has installed for a purpose,
with the dependencies that apt resolves on an empty Debian.

Other packages on this machine do not matter.

Not for: what scripts use (python_uses.py, shell_uses.py)."""

import os
import re
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SETUP = os.path.join(TOP, "deploy", "setup", "setup.sh")
_DPKG = "/var/lib/dpkg"
_MERGED = re.compile(r"^/usr(?=/(bin|sbin|lib|lib64)(/|$))")
_COMMAND_FOLDERS = ("/bin/", "/sbin/")


def plain(path):
    """Without /usr where Debian has merged it with /."""
    return _MERGED.sub("", path)


def listed(purpose):
    """The packages that set-up names for a purpose."""
    return subprocess.run([SETUP, "--list", purpose], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.split()


def base():
    """The packages of every Debian: essential and required ones, and apt."""
    rows = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Essential} ${Priority}\n"], check=True,
        stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return ["apt"] + [row.split()[0] for row in rows if " yes " in row or row.endswith(" required")]


def _simulated(packages, folder):
    empty = os.path.join(folder, "status")
    with open(empty, "a", encoding="ascii"):
        pass
    # Caches of its own: they would be made anew for every call, since the status is another.
    options = {"Dir::State::status": empty, "Dir::Cache::pkgcache": os.path.join(folder, "pkgcache"),
               "Dir::Cache::srcpkgcache": os.path.join(folder, "srcpkgcache"), "Debug::NoLocking": "1"}
    return subprocess.run(
        ["apt-get", "-s", "-q", "install", "--no-install-recommends",
         *("-o{}={}".format(*option) for option in options.items()), *packages],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def closure(packages, folder):
    """Everything that apt installs for these on an empty machine. `folder` holds apt's caches."""
    done = _simulated(packages, folder)
    if done.returncode != 0:  # no lists of packages, as in a container's image
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        done = _simulated(packages, folder)
    if done.returncode != 0:
        raise SystemExit(done.stdout)
    return re.findall(r"^Inst (\S+)", done.stdout, re.M)


class Contents:
    """The files of some packages. `unknown` has the packages that are not installed here, whose
    files cannot be listed."""

    def __init__(self, packages):
        self.packages = sorted(packages)
        self.unknown = []
        self.paths = set()
        for package in self.packages:
            self._add(package)
        self.paths |= set(_alternatives(self.paths))
        self._tails = {}
        for path in self.paths:
            self._tails.setdefault(path.rpartition("/")[2], []).append(path)

    def _add(self, package):
        for name in (package, package + ":amd64"):
            path = os.path.join(_DPKG, "info", name + ".list")
            if os.path.exists(path):
                with open(path, encoding="utf-8") as f:
                    self.paths.update(plain(line.rstrip("\n")) for line in f)
                return
        self.unknown.append(package)

    def has_command(self, name):
        if "/" in name:
            return self.has_path(name)
        return any(folder + name in self.paths for folder in _COMMAND_FOLDERS)

    def has_path(self, path):
        return plain(path) in self.paths

    def has_python(self, module):
        """Whether the packages have a module of Debian's interpreter, whose library is in several."""
        folder = r"/lib/python3(\.\d+)?(/dist-packages|/lib-dynload)?/"
        wanted = re.compile(folder + re.escape(module) + r"(\.py|\.[^/]*so|/__init__\.py)?")
        return any(wanted.fullmatch(path) for name in (module, module + ".py", "__init__.py")
                   for path in self._tails.get(name, ())) or any(
                       wanted.fullmatch(path) for tail, paths in self._tails.items()
                       if tail.startswith(module + ".") for path in paths)

    def has_perl(self, module):
        end = "/" + module.replace("::", "/") + ".pm"
        return any(path.endswith(end) and "perl" in path for path in self._tails.get(
            end.rpartition("/")[2], ()))

    def has_header(self, name):
        return any(path.endswith("/" + name) and "/include/" in path for path in self._tails.get(
            name.rpartition("/")[2], ()))


def _alternatives(paths):
    """The names that update-alternatives gives to programs among `paths`."""
    folder = os.path.join(_DPKG, "alternatives")
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            lines = f.read().split("\n")
        end = lines.index("")
        links, rows = [lines[1]] + lines[3:end:2], lines[end + 1:]
        while len(rows) > len(links):  # a path, its priority, the paths of the other links
            targets = [rows[0]] + rows[2:len(links) + 1]
            yield from (plain(link) for link, target in zip(links, targets) if plain(target) in paths)
            rows = rows[len(links) + 1:]
