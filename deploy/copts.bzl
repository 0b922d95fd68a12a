"""Compiler options of all our own targets."""

STARLING_COPTS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wshadow",
    "-Wnon-virtual-dtor",
    "-Woverloaded-virtual",
    "-Wimplicit-fallthrough",
    "-Wthread-safety",
    "-Wunreachable-code",
    "-Wvla",
    "-Wno-sign-compare",
    # Bazel's toolchain sets _FORTIFY_SOURCE=1 before we set 2.
    "-Wno-macro-redefined",
    "-Wno-missing-designated-field-initializers",
]
