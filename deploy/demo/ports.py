"""Free loopback ports."""

import random
import socket

# Below the kernel's range for outgoing connections, so that a port stays free until it is used.
LOWEST, HIGHEST = 10000, 32000

# Of this process. A port that nobody listens on yet may still be meant for somebody.
_given = set()


def is_free(port):
    """Whether nobody listens on the port of any IPv4 address."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


def reserve_ports(names):
    """A free port for each name. No port is given twice in the life of the process."""
    return {name: _reserve() for name in names}


def _reserve():
    while True:
        port = random.randrange(LOWEST, HIGHEST)
        if port not in _given and is_free(port):
            _given.add(port)
            return port


def free_row(count):
    """The first of `count` free ports in a row, where neither reserve_ports() nor the kernel takes any
    for others."""
    firsts = list(range(HIGHEST, 32768 - count))
    random.shuffle(firsts)
    return next(first for first in firsts
                if all(is_free(port) for port in range(first, first + count)))
