#!/usr/bin/python3
"""Tests that check.py finds everything that set-up does not name, in each kind of file."""

import unittest

import check
import python_files
import python_uses
import shell_uses


def shell(text):
    return {use.name for use in shell_uses.uses(text, "x.sh") if use.kind == "command"}


def python(**modules):
    """What a tree of these modules runs; what cannot be told is None."""
    files = [python_files.File(text, name + ".py") for name, text in modules.items()]
    return {use.name if use.kind == "command" else None for use in python_uses.Tree(files).uses()
            if use.kind in ("command", "unknown")}


class Without(unittest.TestCase):
    """Packages of every kind that set-up no longer names, and on which no other one depends."""

    # package: a file that uses it, and what of it
    ROWS = {
        "python3-matplotlib": ("bench/plots.py", "python matplotlib"),
        "python3-ldap3": ("tests/e2e/test_ldap.py", "python ldap3"),
        "lftp": ("tests/e2e/test_ftp.py", "command lftp"),
        "shellcheck": ("deploy/test/test.sh", "command shellcheck"),
        "clang-tidy-19": ("deploy/build/clang_tidy.sh", "command clang-tidy-19"),
        "sieve-connect": ("tests/e2e/mail_clients.py", "command sieve-connect"),
        "hitch": ("bench/peers.py", "command hitch"),
        "libnginx-mod-mail": ("bench/peers.py", "path /usr/lib/nginx/modules/ngx_mail_module.so"),
        "libyaml-cpp-dev": ("gateway/config/", "header yaml-cpp/"),
        "valgrind": ("bench/instructions.sh", "command valgrind"),
    }

    def test_each_is_missed(self):
        wrong, _ = check.findings(without=tuple(self.ROWS))
        for package, (place, what) in self.ROWS.items():
            with self.subTest(package):
                self.assertTrue(any(line.startswith(place) and what in line for line in wrong),
                                "\n".join(wrong))


class Shell(unittest.TestCase):
    def test_commands(self):
        for text, wanted in (
                ("a b | c && (d); x=$(e)", {"a", "c", "d", "e"}),
                ("exec env A=1 nice -n 5 f g", {"env", "nice", "f"}),
                ("git x | xargs -P 2 sh -c 'h \"$@\" --' i", {"git", "xargs", "sh", "h"}),
                ("f() { shift 2; \"$@\" -x; }\nf 1 2 j", {"j"}),
                ("f() { k; }\nf l", {"k"}),
                ("for p in m n; do \"$p\" -V; done", {"m", "n"}),
                ("command -v o; ./p; bazel-bin/q", set()),
                ("case $1 in r) s ;; esac", {"s"})):
            with self.subTest(text):
                self.assertEqual(shell(text), wanted)

    def test_what_cannot_be_told(self):
        kinds = [use.kind for use in shell_uses.uses('"$1" x', "x.sh")]
        self.assertEqual(kinds, ["unknown"])
        noted = shell_uses.uses('"$1" x # runs: a b', "x.sh", lambda line: ["a", "b"])
        self.assertEqual({use.name for use in noted}, {"a", "b"})


class Python(unittest.TestCase):
    RUN = "import subprocess\ndef run(command, more=()):\n    subprocess.run([*more, *command])\n"

    def test_programs(self):
        for text, wanted in (
                ("import subprocess\nsubprocess.run(['a', 'b'])", {"a"}),
                ("import subprocess\nP = '/usr/bin/'\nsubprocess.Popen([P + 'env'])", {"/usr/bin/env"}),
                ("import subprocess\nsubprocess.run(['env', 'H=' + h, 'd'])", {"env", "d"}),
                ("import shutil\nshutil.which('e')", {"e"}),
                ("import subprocess\nsubprocess.run(['sh', '-c', 'f | g'])", {"sh", "f", "g"}),
                ("import subprocess, sys\nsubprocess.run([sys.executable])", {"/usr/bin/python3"}),
                (self.RUN + "run(['h'])", {"h"}),
                (self.RUN + "def f(x):\n    return ['i', x]\nrun(f('j'))", {"i"}),
                (self.RUN + "for n, c in (('k', ['l']), ('m', ['n'])):\n    run(c)", {"l", "n"}),
                (self.RUN + "class A:\n    def __init__(self, c):\n        self.c = c\n"
                            "    def go(self):\n        run(self.c)\nA(['o'])", {"o"}),
                (self.RUN + "tool = ['q']\nrun([*tool, 'add'])", {"q"}),
                (self.RUN + "def f(before=()):\n    run([*before, 'r'])\nf(before=('s',))", {"r", "s"}),
                (self.RUN + "run(unheard_of())", {None}),
                (self.RUN + "run(unheard_of())  # runs: p", {"p"})):
            with self.subTest(text):
                self.assertEqual(python(x=text), wanted)

    def test_in_other_modules(self):
        self.assertEqual(python(x=self.RUN, y="import x\nx.run(['a'])", z="from x import run\nrun(['b'])",
                                own="def run(it):\n    pass\nrun(['c'])"), {"a", "b"})

    def test_only_what_is_used_of_an_import(self):
        library = (self.RUN + "def used():\n    run(['a'])\ndef unused():\n    run(['b'])\n"
                              "def main():\n    run(['c'])\nif __name__ == '__main__':\n    main()\n")
        files = [python_files.File("import library\ndef main():\n    library.used()\n", "bench.py"),
                 python_files.File(library, "library.py")]
        uses = python_uses.Tree(files).uses({"bench.py"})
        self.assertEqual({use.name for use in uses if use.kind == "command"}, {"a"})

    def test_interpreters(self):
        contents = type("All", (), {name: lambda self, what: True for name in (
            "has_command", "has_path", "has_python", "has_perl", "has_header")})()
        for kind, name, right in (
                ("interpreter", "/usr/bin/python3", True), ("interpreter", "/usr/bin/env python3", False),
                ("interpreter", "/usr/bin/env bash", True), ("command", "python3", False),
                ("command", "/usr/bin/python3", True)):
            with self.subTest(name):
                self.assertEqual(check.missing(check.Use(kind, name, "x"), contents) is None, right)


if __name__ == "__main__":
    unittest.main()
