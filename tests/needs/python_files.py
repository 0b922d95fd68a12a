"""Python files and their syntax trees: their imports, and the paths and Perl modules in their strings.

Not for: what they run (python_uses.py)."""

import ast
import re

from shell_uses import Use

_PATH = re.compile(r"(?<![\w.}])/(?:usr|bin|sbin|lib)/[\w./+-]*[\w+-]")
_PERL = re.compile(r"\buse ([A-Z]\w*(?:::\w+)+)")


class File:
    """A parsed file: in which function each node stands."""

    def __init__(self, text, place):
        self.place, self.lines = place, text.splitlines()
        self.module = place.rpartition("/")[2].removesuffix(".py")
        self.tree = ast.parse(text, place)
        self.owner = {}
        self._own(self.tree, ())
        # Names of modules, and of what comes from one, with the module's own name.
        self.modules = {a.asname or a.name: a.name for n in self.nodes(ast.Import) for a in n.names}
        self.imported = {a.asname or a.name: n.module for n in self.nodes(ast.ImportFrom) for a in n.names}
        self.bases = {n.name: {name_of(base) for base in n.bases} for n in self.nodes(ast.ClassDef)}

    def _own(self, node, owners):
        for child in ast.iter_child_nodes(node):
            self.owner[child] = owners
            inner = isinstance(child, (ast.FunctionDef, ast.Lambda, ast.ClassDef))
            self._own(child, (child,) + owners if inner else owners)

    def note(self, line):
        """What a comment `# runs: A B` on a line says."""
        _, found, names = self.lines[line - 1].partition("# runs: ")
        return names.split() if found else None

    def nodes(self, kind):
        return [node for node in self.owner if isinstance(node, kind)]


def parameters(definition):
    arguments = definition.args
    names = [a.arg for a in arguments.posonlyargs + arguments.args]
    names += [arguments.vararg.arg] if arguments.vararg else []
    return names + [a.arg for a in arguments.kwonlyargs]


def name_of(function):
    return getattr(function, "attr", getattr(function, "id", ""))


def dotted(node):
    return "{}.{}".format(dotted(node.value), node.attr) if isinstance(node, ast.Attribute) else \
        getattr(node, "id", "")


def defined(statement):
    """The names that a statement of a module defines; None for one that does something."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, ast.Assign):
        return {name_of(target) for target in statement.targets}
    return None


def is_main(statement):
    """`if __name__ == "__main__":`, which does not run when another file imports this one."""
    return isinstance(statement, ast.If) and "__name__" in ast.dump(statement.test)


def imports(file, live):
    for node in live.intersection(file.nodes((ast.Import, ast.ImportFrom))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        for name in names:
            if not getattr(node, "level", 0):
                yield Use("python", name.partition(".")[0], "{}:{}".format(file.place, node.lineno))


def strings(file, live):
    """Absolute paths of programs, modules and folders, and the Perl in strings."""
    for node in live.intersection(file.nodes(ast.Constant)):
        if isinstance(node.value, str):
            place = "{}:{}".format(file.place, node.lineno)
            yield from text_uses(node.value, place)


def text_uses(text, place):
    for path in _PATH.finditer(text):
        name = path.group()
        if text[path.end():path.end() + 1] in ("{", "%", "$", "*"):  # only its folder is known
            name = name.rpartition("/")[0]
        yield Use("path", name, place)
    for module in _PERL.findall(text):
        yield Use("perl", module, place)
