"""Control groups of a test's own, with a quota of CPU time or a limit of memory. Both versions,
whichever this machine lets the test make."""

import contextlib
import os
import tempfile


def _hierarchy(controller):
    """(version, folder) of the hierarchy that has the controller, or None without it."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        rows = [line.split(" - ") for line in mounts]
    for left, right in rows:
        folder, (kind, _, options) = left.split()[4], right.split()
        if kind == "cgroup" and controller in options.split(","):
            return 1, folder
        if kind == "cgroup2":
            with open(os.path.join(folder, "cgroup.controllers"), encoding="ascii") as found:
                if controller in found.read().split():
                    return 2, folder
    return None


class Group:
    """A group, and one inside it, where processes run."""

    def __init__(self, version, outer):
        self.version = version
        self.outer = outer
        self.inner = os.path.join(outer, "inner")

    def write(self, folder, name, text):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)

    def prefix(self):
        """A command that runs another one inside the inner group."""
        return ["sh", "-c", 'echo $$ > {}/cgroup.procs && exec "$@"'.format(self.inner), "sh"]


class CpuGroup(Group):

    def limit(self, cpus):
        """A quota of so many CPUs for the outer group; None: no quota."""
        quota = None if cpus is None else int(cpus * 100_000)
        if self.version == 1:
            self.write(self.outer, "cpu.cfs_quota_us", str(-1 if quota is None else quota))
        else:
            self.write(self.outer, "cpu.max", "{} 100000".format("max" if quota is None else quota))


class MemoryGroup(Group):
    def limit(self, octets):
        """A limit for the outer group; None: no limit."""
        name, none = (("memory.limit_in_bytes", -1) if self.version == 1 else ("memory.max", "max"))
        self.write(self.outer, name, str(none if octets is None else octets))

    def most_used(self):
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        with open(os.path.join(self.outer, name), encoding="ascii") as file:
            return int(file.read())


@contextlib.contextmanager
def _group(case, kind, controller):
    """A group without processes. Skips the test where the machine lets it make none."""
    found = _hierarchy(controller)
    made = []
    try:
        try:
            if found is None:
                raise OSError("no hierarchy has the controller " + controller)
            version, folder = found
            group = kind(version, tempfile.mkdtemp(prefix="starling-", dir=folder))
            made.append(group.outer)
            if version == 2:
                group.write(folder, "cgroup.subtree_control", "+" + controller)
                group.write(group.outer, "cgroup.subtree_control", "+" + controller)
            os.mkdir(group.inner)
            made.append(group.inner)
            group.limit(None)
        except OSError as error:
            case.skipTest("cannot make a control group: {}".format(error))
        yield group
    finally:
        for folder in reversed(made):
            os.rmdir(folder)


def cpu_group(case):
    return _group(case, CpuGroup, "cpu")


def memory_group(case):
    return _group(case, MemoryGroup, "memory")
