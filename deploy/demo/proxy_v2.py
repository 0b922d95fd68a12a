"""PROXY protocol version 2 headers, as the gateway writes them.

Used to check that a server is ready, and by tests that connect to a server directly.
"""

import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PP2_TYPE_SSL = 0x20
PP2_SUBTYPE_SSL_VERSION = 0x21
PP2_SUBTYPE_SSL_CN = 0x22
PP2_SUBTYPE_SSL_CIPHER = 0x23
CLIENT_ISSUER = 0xE0  # defined by the gateway
CLIENT_SSL = 0x01


def _tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def ssl_tlv(version=b"TLSv1.3", cipher=b"TLS_AES_128_GCM_SHA256", client=CLIENT_SSL):
    """The TLV for a client with TLS."""
    return _tlv(
        PP2_TYPE_SSL,
        struct.pack("!BI", client, 0)
        + _tlv(PP2_SUBTYPE_SSL_VERSION, version)
        + _tlv(PP2_SUBTYPE_SSL_CIPHER, cipher),
    )


def header(source=("192.0.2.7", 40000), destination=("192.0.2.1", 25), tls=True):
    """A PROXY command for TCP over IPv4 or IPv6, depending on `source`."""
    family, code = (socket.AF_INET6, 0x21) if ":" in source[0] else (socket.AF_INET, 0x11)
    body = (
        socket.inet_pton(family, source[0])
        + socket.inet_pton(family, destination[0])
        + struct.pack("!HH", source[1], destination[1])
        + (tls if isinstance(tls, bytes) else ssl_tlv() if tls else b"")
    )
    return SIGNATURE + struct.pack("!BBH", 0x21, code, len(body)) + body


def local():
    """A LOCAL command: the server uses the addresses of the connection itself."""
    return SIGNATURE + struct.pack("!BBH", 0x20, 0, 0)


def v1(source=("192.0.2.7", 40000), destination=("192.0.2.1", 25)):
    """A version 1 header."""
    return "PROXY TCP4 {} {} {} {}\r\n".format(
        source[0], destination[0], source[1], destination[1]
    ).encode()
