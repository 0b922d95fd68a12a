#!/usr/bin/python3
"""Runs a command without some system calls, as container runtimes and sandboxes do by a seccomp filter.

    forbid.py CALL=ERROR... -- COMMAND ARGUMENT...

CALL is one of CALLS. ERROR is a name of errno, or `kill`: the process must not even try. For
io_uring_setup, ERROR may have `>N` behind it: only more than N entries are forbidden."""

import ctypes
import errno
import os
import struct
import sys

CALLS = {"io_uring_setup": 425, "epoll_pwait2": 441}  # the same on all architectures
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_ERRNO, _KILL, _ALLOW = 0x00050000, 0x80000000, 0x7fff0000
_LOAD, _EQUAL, _GREATER, _RETURN = 0x20, 0x15, 0x25, 0x06
_NUMBER_AT, _ARGUMENT_AT = 0, 16  # in struct seccomp_data


def rows(rule):
    """The program's rows for one rule. A jump that is not taken falls through."""
    call, _, error = rule.partition("=")
    error, _, entries = error.partition(">")
    action = _KILL if error == "kill" else _ERRNO | getattr(errno, error)
    return [(_LOAD, 0, 0, _NUMBER_AT), (_EQUAL, 0, 3, CALLS[call]), (_LOAD, 0, 0, _ARGUMENT_AT),
            (_GREATER, 0, 1, int(entries)) if entries else (_GREATER, 0, 0, 0), (_RETURN, 0, 0, action)]


def main(arguments):
    split = arguments.index("--")
    program = [row for rule in arguments[:split] for row in rows(rule)] + [(_RETURN, 0, 0, _ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in program))
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments_ in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _MODE_FILTER, filter_)):
        if libc.prctl(*arguments_) != 0:
            sys.exit("forbid.py: prctl: " + os.strerror(ctypes.get_errno()))
    command = arguments[split + 1:]
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
