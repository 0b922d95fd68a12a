"""The build of one protocol's folder: its library, its tests and its fuzz targets.

A protocol's BUILD file is one call:

    starling_protocol(name = "imap")

By the names of the files in the folder:

    *_test.cc               a test of that name
    *_fuzz.cc               a fuzz target; its inputs are in tests/corpus, without "_fuzz"
    *_testing.h, *_play.h   what tests and fuzz targets share
    *.h, *.cc               the protocol itself
"""

load("//deploy/build:copts.bzl", "STARLING_COPTS")
load("//deploy/build:fuzz.bzl", "starling_fuzz")

_FOR_TESTS = ["*_testing.h", "*_play.h"]

def starling_protocol(name, deps = []):
    """A protocol: reads the contract and the frames, and no other protocol.

    Args:
      name: of the folder and of the library.
      deps: libraries that only this protocol needs.
    """
    native.cc_library(
        name = name,
        srcs = native.glob(["*.cc"], exclude = ["*_test.cc", "*_fuzz.cc"]),
        hdrs = native.glob(["*.h"], exclude = _FOR_TESTS),
        copts = STARLING_COPTS,
        deps = deps + [
            "//protocols/contract:data_channel",
            "//protocols/contract:endpoint",
            "//protocols/contract:negotiator",
            "//protocols/contract:protocol_row",
            "//protocols/frames",
        ],
    )
    native.cc_library(
        name = "testing",
        testonly = True,
        hdrs = native.glob(_FOR_TESTS, allow_empty = True),
        copts = STARLING_COPTS,
        visibility = ["//visibility:private"],
        deps = [
            ":" + name,
            "//protocols/frames/testing",
        ],
    )
    for test in native.glob(["*_test.cc"]):
        native.cc_test(
            name = test[:-len(".cc")],
            srcs = [test],
            copts = STARLING_COPTS,
            deps = [
                ":testing",
                "@debian//:gtest_main",
            ],
        )
    for fuzz in native.glob(["*_fuzz.cc"]):
        starling_fuzz(
            name = fuzz[:-len(".cc")],
            srcs = [fuzz],
            corpus = "//tests/corpus:" + fuzz[:-len("_fuzz.cc")],
            deps = [":testing"],
        )
