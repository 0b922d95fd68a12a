"""Finds what shell scripts run, with shfmt's syntax trees.

Not for: what these programs run themselves, which their packages depend on."""

import collections
import json
import subprocess

Use = collections.namedtuple("Use", "kind name place")  # kind: see check.py

# Programs that run what follows them: options, numbers and assignments, then a program.
WRAPPERS = frozenset("env exec nice nohup sudo time timeout xargs".split())
SHELLS = frozenset(("sh", "bash", "/bin/sh", "/bin/bash"))
_BUILTIN = frozenset(
    ". : [ bg break builtin cd command continue echo eval exit export false getopts hash jobs kill local"
    " mapfile popd printf pushd pwd read readonly return set shift shopt source test trap true type"
    " ulimit umask unalias unset wait".split())
DYNAMIC = "\0"  # stands for text that is known only when the script runs


def is_ours(name):
    """Whether a program is in the tree or built in it."""
    return "/" in name and not name.startswith(("/usr/", "/bin/", "/sbin/", "/lib/"))


def wraps_past(word):
    """Whether a wrapper reads this word itself."""
    return word.startswith("-") or word.isdigit() or "=" in word


def _walk(node):
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _walk(child)


def _text(word):
    """A word of the script; what a variable or a command puts in is DYNAMIC."""
    return "".join(
        part.get("Value", "") if part["Type"] in ("Lit", "SglQuoted")
        else _text(part) if part["Type"] == "DblQuoted" else DYNAMIC
        for part in word.get("Parts", ()))


def _variable(word):
    """The name of the variable that a word consists of."""
    parts = word.get("Parts", ())
    if len(parts) == 1 and parts[0]["Type"] == "DblQuoted":
        parts = parts[0].get("Parts", ())
    if len(parts) == 1 and parts[0]["Type"] == "ParamExp":
        return parts[0].get("Param", {}).get("Value")
    return None


def _calls(node):
    return [n["Args"] for n in _walk(node) if n.get("Type") == "CallExpr" and n.get("Args")]


class Script:
    """One script. `note(line)` is what a comment on that line says about what it runs."""

    def __init__(self, text, place, note=lambda line: None):
        self.place, self.note = place, note
        done = subprocess.run(["shfmt", "-ln", "bash", "--to-json"], input=text, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit("{}: {}".format(place, done.stderr))
        self.tree = json.loads(done.stdout)
        self.functions = {n["Name"]["Value"]: self._passes_on(n["Body"]) for n in _walk(self.tree)
                          if n.get("Type") == "FuncDecl"}
        self.values = collections.defaultdict(set)
        for node in _walk(self.tree):
            if "Name" in node and "Value" in node and isinstance(node["Value"], dict):
                self.values[node["Name"]["Value"]].add(_text(node["Value"]))
            if node.get("Type") == "WordIter":
                self.values[node["Name"]["Value"]] |= {_text(item) for item in node.get("Items", ())}

    @staticmethod
    def _passes_on(body):
        """How many words a function keeps for itself before it runs the rest as a command."""
        calls = _calls(body)
        if not any("@" in map(_variable, call) and _variable(call[0]) == "@" for call in calls):
            return None
        shifts = [call for call in calls if _text(call[0]) == "shift"]
        return sum(int(_text(call[1])) if len(call) > 1 else 1 for call in shifts)

    def uses(self):
        for call in _calls(self.tree):
            yield from self._command(call)

    def _command(self, words):
        while words:
            name, line = _text(words[0]), words[0]["Pos"]["Line"]
            if name in self.functions:
                kept = self.functions[name]
                words = words[1 + kept:] if kept is not None else []
                continue
            if name == "command" or name in _BUILTIN - {"exec"}:
                return
            yield from self._named(name, words[0], line)
            if name in SHELLS and len(words) > 2 and _text(words[1]).endswith("c"):
                yield from Script(_text(words[2]).replace(DYNAMIC, "x"), self._at(line)).uses()
                return
            if name not in WRAPPERS:
                return
            words = words[1:]
            while words and wraps_past(_text(words[0])):
                words = words[1:]

    def _at(self, line):
        return self.place if ":" in self.place else "{}:{}".format(self.place, line)

    def _named(self, name, word, line):
        noted = self.note(line)
        if noted:
            names = noted
        elif name.startswith(DYNAMIC) and not is_ours(name):
            # "$@" is what the callers of the function pass on.
            names = () if _variable(word) == "@" else self.values.get(_variable(word), {DYNAMIC})
        else:
            names = (name,)
        for each in names:
            start, dynamic, _ = each.partition(DYNAMIC)
            if start and dynamic and any(name.startswith(start) for name in self.functions):
                continue  # one of the script's own functions, by its name
            if dynamic and not is_ours(each):
                yield Use("unknown", "a command", self._at(line))
            elif each and each not in self.functions and each != "exec" and not is_ours(each):
                yield Use("command", each, self._at(line))


def uses(text, place, note=lambda line: None):
    return Script(text, place, note).uses()
