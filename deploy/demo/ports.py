"""Free loopback ports."""

import random
import socket

# Below the kernel's range for outgoing connections, so that a port stays free until it is used.
LOWEST, HIGHEST = 10000, 32000


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
    """A free port for each name, all different."""
    ports = {}
    while len(ports) < len(names):
        port = random.randrange(LOWEST, HIGHEST)
        if port not in ports.values() and is_free(port):
            ports[names[len(ports)]] = port
    return ports
