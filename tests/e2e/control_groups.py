"""Control groups of a test's own, with a quota of CPU time. Both versions, whichever this machine
lets the test make."""

import contextlib
import os
import tempfile


def _cpu_hierarchy():
    """(version, folder) of the hierarchy that has the CPU controller, or None without it."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        rows = [line.split(" - ") for line in mounts]
    for left, right in rows:
        folder, (kind, _, options) = left.split()[4], right.split()
        if kind == "cgroup" and "cpu" in options.split(","):
            return 1, folder
        if kind == "cgroup2":
            with open(os.path.join(folder, "cgroup.controllers"), encoding="ascii") as found:
                if "cpu" in found.read().split():
                    return 2, folder
    return None


class CpuGroup:
    """A group, and one inside it, where processes run."""

    def __init__(self, version, outer):
        self.version = version
        self.outer = outer
        self.inner = os.path.join(outer, "inner")

    def write(self, folder, name, text):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)

    def limit(self, cpus):
        """A quota of so many CPUs for the outer group; None: no quota."""
        quota = None if cpus is None else int(cpus * 100_000)
        if self.version == 1:
            self.write(self.outer, "cpu.cfs_quota_us", str(-1 if quota is None else quota))
        else:
            self.write(self.outer, "cpu.max", "{} 100000".format("max" if quota is None else quota))

    def prefix(self):
        """A command that runs another one inside the inner group."""
        return ["sh", "-c", 'echo $$ > {}/cgroup.procs && exec "$@"'.format(self.inner), "sh"]


@contextlib.contextmanager
def cpu_group(case):
    """A CpuGroup without processes. Skips the test where the machine lets it make none."""
    found = _cpu_hierarchy()
    made = []
    try:
        try:
            if found is None:
                raise OSError("no hierarchy has the CPU controller")
            version, folder = found
            group = CpuGroup(version, tempfile.mkdtemp(prefix="starling-", dir=folder))
            made.append(group.outer)
            if version == 2:
                group.write(folder, "cgroup.subtree_control", "+cpu")
                group.write(group.outer, "cgroup.subtree_control", "+cpu")
            os.mkdir(group.inner)
            made.append(group.inner)
            group.limit(None)
        except OSError as error:
            case.skipTest("cannot make a control group: {}".format(error))
        yield group
    finally:
        for folder in reversed(made):
            os.rmdir(folder)
