"""Tests libraries for FTP with four servers: folders nested as deeply as the server allows, with long
names that are not ASCII, up and down, while the control connection is kept alive."""

import filecmp
import os
import tempfile
import unittest

from programs import Programs, harness
from ftpserver import ProFtpd, PureFtpd, PyFtpd, Vsftpd

env = None
programs = None
servers = {}
CLIENTS = ("basic-ftp", "commons-net", "suppaftp")
# A server: how deep the folders are. The first two take no line of more than 2,048 octets, Linux
# no path of more than 4,096.
DEPTH = {ProFtpd: 21, PyFtpd: 21, PureFtpd: 40, Vsftpd: 40}
FOLDER = "長い名前のフォルダー" * 3
NOOPS = 3


def setUpModule():
    global env, programs
    env = harness.Environment(servers=False)
    listeners, backends = {}, {}
    for kind in DEPTH:
        server = servers[kind] = unittest.enterModuleContext(kind())
        backends[kind.__name__] = {"servers": [server.address], "proxy_protocol": "none"}
        for tls in ("starttls", "implicit"):
            listeners[listener(kind, tls)] = {"protocol": "ftp", "tls": tls, "backend": kind.__name__}
    programs = Programs(env, unittest.enterModuleContext(env.gateway(listeners, backends)))


def listener(kind, tls):
    return kind.__name__ + ("-ftps" if tls == "implicit" else "-ftp")


def make_files(depth):
    """A folder with a big and an empty file and, so many folders below it, a third one."""
    top = tempfile.mkdtemp(dir=env.dir)
    folder = os.path.join(top, *("{}{:02}".format(FOLDER, number) for number in range(depth)))
    os.makedirs(folder)
    for path, size in ((top + "/big", 3 << 20), (top + "/empty", 0), (folder + "/ファイル", 1000)):
        with open(path, "wb") as f:
            f.write(os.urandom(size))
    return top


def files(top):
    """The files' and folders' names below one."""
    return sorted(os.path.relpath(os.path.join(folder, name), top)
                  for folder, folders, names in os.walk(top) for name in folders + names)


def given(kind, name, folder, **more):
    """The settings for a program, and the folder on the server where its files arrive."""
    server = servers[kind]
    target = "{}{} {}".format(server.uploads, name, os.path.basename(folder))
    out = tempfile.mkdtemp(dir=env.dir)
    return {"USER": server.name, "PASSWORD": server.password, "FOLDER": folder, "NAME": target,
            "OUT": out, "NOOPS": 0, **more}, server.path(target + " renamed")


class Files(unittest.TestCase):
    def check_same(self, folder, other):
        names = files(folder)
        self.assertEqual(files(other), names)
        plain = [name for name in names if os.path.isfile(os.path.join(folder, name))]
        self.assertEqual(filecmp.cmpfiles(folder, other, plain, shallow=False), (plain, [], []))

    def check_both_ways(self, kind, name, tls, folder, **more):
        values, stored = given(kind, name, folder, **more)
        output = programs.work(self, name, listener(kind, tls), tls, **values)
        self.check_same(folder, stored)
        self.check_same(folder, values["OUT"])
        return output

    def test_folders_both_ways(self):
        for kind, depth in DEPTH.items():
            for name in CLIENTS:
                for tls in ("upgrade", "implicit"):
                    with self.subTest(kind.__name__, name=name, tls=tls):
                        self.check_both_ways(kind, name, tls, make_files(depth))

    def test_kept_alive(self):
        for kind in DEPTH:
            with self.subTest(kind.__name__):
                folder = tempfile.mkdtemp(dir=env.dir)
                with open(folder + "/big", "wb") as f:
                    f.write(os.urandom(2 << 20))
                output = self.check_both_ways(kind, "commons-net", "upgrade", folder, NOOPS=NOOPS)
                self.assertRegex(output, "with [1-9][0-9]* NOOPs meanwhile")

    def test_no_log_in_without_tls(self):
        for name in CLIENTS:
            with self.subTest(name):
                values, _ = given(ProFtpd, name, make_files(1))
                programs.fail(self, "530.* AUTH TLS first", name, listener(ProFtpd, "none"), "none",
                              **values)

    def test_unknown_authority(self):
        for name in CLIENTS:
            for tls in ("upgrade", "implicit"):
                with self.subTest(name, tls=tls):
                    values, _ = given(ProFtpd, name, make_files(1))
                    programs.fail_before_a_stranger(self, name, listener(ProFtpd, tls), tls, **values)


if __name__ == "__main__":
    unittest.main()
