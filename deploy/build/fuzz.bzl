"""Fuzz targets that are tests as well.

starling_fuzz makes a cc_test of an LLVMFuzzerTestOneInput. Usually it is linked
with //tests:fuzz_main, which replays the corpus and then a few thousand inputs
made from it with a fixed seed: quick, and the same every time. With
--config=fuzz it is linked with libFuzzer instead:

    bazel build --config=fuzz //protocols/smtp:smtp_fuzz
    bazel-bin/protocols/smtp/smtp_fuzz -max_total_time=60 tests/corpus/smtp
"""

load("//deploy/build:copts.bzl", "STARLING_COPTS")

def starling_fuzz(name, srcs, deps, corpus = None):
    """A fuzz target.

    Args:
      name: of the target, "..._fuzz" by custom.
      srcs: one file with LLVMFuzzerTestOneInput.
      deps: what it calls.
      corpus: label of a filegroup of inputs, for example "//tests/corpus:smtp".
    """
    data = [corpus] if corpus else []
    native.cc_test(
        name = name,
        size = "small",
        srcs = srcs,
        args = ["$(locations %s)" % corpus] if corpus else [],
        copts = STARLING_COPTS,
        data = data,
        linkopts = select({
            "//tests:fuzzing": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        tags = ["fuzz"],
        # As elsewhere, so that no library is built twice.
        linkstatic = True,
        deps = deps + select({
            "//tests:fuzzing": [],
            "//conditions:default": ["//tests:fuzz_main"],
        }),
    )
