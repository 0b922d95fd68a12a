"""Two network namespaces, `far` and `near`, with a line between them that delays each packet.

The kernel's netem would do the same; many small kernels lack it. Here a process reads packets
from one TUN device and writes them to the other one when they are due.

Not for: lost packets, or a limit of the rate."""

import collections
import fcntl
import os
import select
import struct
import subprocess
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
MTU = 9000
FAR, NEAR = "10.211.0.1", "10.211.0.2"


def command(*words):
    subprocess.run(words, check=True, capture_output=True)


class DelayLine:
    """A context manager; `seconds`: of each direction, so a round trip takes twice as long."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.names = ["starling-{}-{}".format(end, os.getpid()) for end in ("far", "near")]
        self._child = None

    @property
    def far(self):
        """What to put before a command that runs at the far end."""
        return ["ip", "netns", "exec", self.names[0]]

    @property
    def near(self):
        return ["ip", "netns", "exec", self.names[1]]

    def __enter__(self):
        ends = []
        for number, (name, address) in enumerate(zip(self.names, (FAR, NEAR))):
            device = "sl{}-{}".format(number, os.getpid())
            end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TUN | IFF_NO_PI))
            ends.append(end)
            command("ip", "netns", "add", name)
            command("ip", "link", "set", device, "netns", name)
            inside = ["ip", "netns", "exec", name, "ip"]
            command(*inside, "link", "set", "lo", "up")  # runs: ip
            command(*inside, "address", "add", address + "/24", "dev", device)  # runs: ip
            command(*inside, "link", "set", device, "mtu", str(MTU), "txqueuelen", "20000", "up")  # runs: ip
        self._child = os.fork()
        if self._child == 0:
            try:
                self._carry(*ends)
            finally:
                os._exit(1)
        for end in ends:
            os.close(end)
        return self

    def __exit__(self, *_):
        os.kill(self._child, 9)
        os.waitpid(self._child, 0)
        for name in self.names:
            command("ip", "netns", "del", name)

    def _carry(self, far, near):
        waiting = {near: collections.deque(), far: collections.deque()}  # by where they go
        while True:
            now = time.monotonic()
            for end, packets in waiting.items():
                while packets and packets[0][0] <= now:
                    os.write(end, packets.popleft()[1])
            due = [packets[0][0] for packets in waiting.values() if packets]
            select.select([far, near], [], [], max(0, min(due) - now) if due else None)
            due_at = time.monotonic() + self.seconds
            for end, other in ((far, near), (near, far)):
                try:
                    for _ in range(256):
                        waiting[other].append((due_at, os.read(end, 65536)))
                except BlockingIOError:
                    pass
