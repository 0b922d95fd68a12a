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
    "-Wno-missing-designated-field-initializers",
]
