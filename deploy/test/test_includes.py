#!/usr/bin/python3
"""The check of includes finds each kind of fault, and no fault where there is none."""

import os
import tempfile
import unittest

import includes

_MACRO = 'deps = deps + ["//protocols/contract:negotiator", "//protocols/frames"]'


class Includes(unittest.TestCase):
    def faults(self, files):
        with tempfile.TemporaryDirectory() as top:
            for place, text in dict(files, **{"deploy/build/protocol.bzl": _MACRO}).items():
                os.makedirs(os.path.dirname(os.path.join(top, place)), exist_ok=True)
                with open(os.path.join(top, place), "w", encoding="utf-8") as f:
                    f.write(text)
            return includes.faults(top, sorted(place for place in files if not place.endswith(".bazel")))

    def test_libraries(self):
        build = {"gateway/tls/BUILD.bazel": "", "gateway/log/BUILD.bazel": "", "gateway/io/uring/BUILD.bazel": ""}
        for place, header, good in (
                ("gateway/tls/a.cc", "<openssl/ssl.h>", True),
                ("gateway/log/a.cc", "<openssl/ssl.h>", False),
                ("gateway/log/a.cc", '"openssl/ssl.h"', False),
                ("gateway/io/uring/a.h", "<liburing.h>", True),
                ("gateway/tls/a.h", "<liburing.h>", False),
                ("gateway/tls/a.h", "<yaml-cpp/yaml.h>", False),
                ("gateway/tls/a.h", "<expat.h>", False),
                ("gateway/log/a.h", "<llhttp.h>", False),
                ("gateway/log/a.cc", "<prometheus/counter.h>", False),
                ("gateway/log/a.cc", "<boost/asio.hpp>", False),
                ("gateway/log/a.cc", "<sys/socket.h>", True),
        ):
            found = self.faults(dict(build, **{place: "#include " + header + "\n"}))
            self.assertEqual(found == [], good, (place, header, found))

    def test_protocols_are_pure(self):
        build = {"protocols/imap/BUILD.bazel": 'starling_protocol(name = "imap")\n'}
        for place, header, good in (
                ("protocols/imap/imap.cc", "<string>", True),
                ("protocols/imap/imap.cc", "<arpa/inet.h>", True),
                ("protocols/imap/imap.cc", "<sys/socket.h>", False),
                ("protocols/imap/imap.cc", "<unistd.h>", False),
                ("protocols/imap/imap.h", "<chrono>", False),
                ("protocols/imap/imap.h", "<mutex>", False),
                ("protocols/imap/imap_test.cc", "<fstream>", True),
        ):
            found = self.faults(dict(build, **{place: "#include " + header + "\n"}))
            self.assertEqual(found == [], good, (place, header, found))

    def test_packages(self):
        files = {
            "gateway/log/log.h": "",
            "gateway/worker/worker.h": "",
            "gateway/worker/stages/stages.h": "",
            "protocols/imap/imap.h": "",
            "protocols/frames/dialogue.h": "",
            "gateway/log/BUILD.bazel": 'visibility = [\n    "//gateway/worker:__pkg__",\n]',
            "gateway/worker/BUILD.bazel": 'deps = ["//gateway/log"]',
            "protocols/imap/BUILD.bazel": 'starling_protocol(name = "imap")\n',
            "protocols/pop3/BUILD.bazel": 'starling_protocol(name = "pop3")\n',
            "protocols/frames/BUILD.bazel": "",
        }
        for place, header, good in (
                ("gateway/worker/worker.cc", "gateway/log/log.h", True),
                ("gateway/worker/worker.cc", "gateway/worker/worker.h", True),
                ("gateway/worker/stages/a.cc", "gateway/worker/worker.h", True),
                ("gateway/worker/worker.cc", "gateway/worker/stages/stages.h", True),
                ("gateway/worker/stages/a.cc", "gateway/log/log.h", True),
                ("gateway/worker/stages/a.cc", "protocols/imap/imap.h", False),
                ("gateway/log/log.cc", "gateway/worker/worker.h", False),
                ("gateway/log/log.cc", "gateway/worker/stages/stages.h", False),
                ("protocols/imap/imap.cc", "protocols/frames/dialogue.h", True),
                ("protocols/pop3/pop3.cc", "protocols/imap/imap.h", False),
                ("protocols/imap/imap.cc", "gateway/log/log.h", False),
        ):
            found = self.faults(dict(files, **{place: '#include "' + header + '"\n'}))
            self.assertEqual(found == [], good, (place, header, found))


if __name__ == "__main__":
    unittest.main()
