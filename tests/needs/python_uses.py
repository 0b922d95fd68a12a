"""Finds what Python files import and run. Follows an argument list from where it is written to
subprocess: through variables, attributes, and functions that return or take it.

It looks names up in all files together, so it may report a program too many. It misses none,
because it reports what it cannot follow.

Not for: which package has a program (packages.py)."""

import ast
import collections
import re

import shell_uses
from python_files import defined, dotted, imports, is_main, name_of, parameters, strings
from shell_uses import DYNAMIC, SHELLS, WRAPPERS, Use, is_ours, wraps_past

_RUNNERS = {"subprocess": ("run", "Popen", "call", "check_call", "check_output"), "shutil": ("which",),
            "pty": ("spawn",), "os": ("execv", "execvp", "execvpe", "system", "popen")}
# A parameter of a function in the tree; `before` and `behind` are the text around it.
Parameter = collections.namedtuple("Parameter", "place function name before behind")
UNKNOWN = Parameter("", "", "", "", "")
Shell = collections.namedtuple("Shell", "script")  # what a shell is given by -c
_NO_PROGRAM = (ast.Set, ast.Dict, ast.SetComp, ast.DictComp, ast.Compare)


def _joined(left, right):
    """The text of two parts, of which one may be a parameter."""
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(right, str) and isinstance(left, Parameter):
        return left._replace(behind=left.behind + right)
    return right._replace(before=(left if isinstance(left, str) else DYNAMIC) + right.before)


class Tree:
    """All files together."""

    def __init__(self, files):
        self.files = files
        self.functions = collections.defaultdict(list)   # name: (definition, its class's name or "")
        self.values = collections.defaultdict(list)      # name or attribute: expressions
        self.calls = collections.defaultdict(list)       # name of a function: calls
        self.home = {}
        self._modules = {file.module: file for file in files}
        self._imports = {}
        for file in files:
            for node in file.owner:
                self.home[node] = file
                self._enter(file, node)

    def _enter(self, file, node):
        if isinstance(node, ast.FunctionDef):
            owner = file.owner[node][:1]
            inside = owner[0].name if owner and isinstance(owner[0], ast.ClassDef) else ""
            name = inside if inside and node.name == "__init__" else node.name
            self.functions[name].append((node, inside))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(file, target, node.value)
        elif isinstance(node, ast.AnnAssign) and node.value:
            self._bind(file, node.target, node.value)
        elif isinstance(node, (ast.For, ast.comprehension)):
            for item in self._items(node.iter):
                self._bind(file, node.target, item)
        elif isinstance(node, ast.Call):
            self.calls[name_of(node.func)].append(node)
            if name_of(node.func) == "__init__":  # super().__init__(...) calls the base's
                owner = next((o for o in file.owner[node] if isinstance(o, ast.ClassDef)), None)
                for base in owner.bases if owner else ():
                    self.calls[name_of(base)].append(node)

    @staticmethod
    def _items(expression):
        """What a loop over a literal goes through."""
        if isinstance(expression, (ast.List, ast.Tuple, ast.Set)):
            return expression.elts
        if isinstance(expression, ast.Call) and name_of(expression.func) == "items" and isinstance(
                expression.func.value, ast.Dict):
            literal = expression.func.value
            return [ast.Tuple([k, v]) for k, v in zip(literal.keys, literal.values)]
        return []

    def _bind(self, file, target, value):
        if isinstance(target, (ast.Tuple, ast.List)):
            if not isinstance(value, (ast.Tuple, ast.List)):
                value = ast.Tuple([ast.Subscript(value, ast.Constant(i)) for i in range(len(target.elts))])
                self.home.update({node: file for node in value.elts})
            for each, part in zip(target.elts, value.elts):
                self._bind(file, each, part)
        elif isinstance(target, ast.Attribute):
            self.values["." + target.attr].append(value)
            self.values[file.place, "." + target.attr].append(value)
        elif isinstance(target, ast.Name):
            self.values[file.place, target.id].append(value)
            owner = file.owner.get(target, ())
            if not owner or isinstance(owner[0], ast.ClassDef):
                self.values["." + target.id].append(value)
                self.values[file.place, "." + target.id].append(value)

    def definitions(self, call, name):
        """Of the functions of that name, those that a call can mean."""
        file, target = self.home[call], call.func
        if isinstance(target, ast.Name):
            module = file.imported.get(name, file.module)
        else:
            module = file.modules.get(dotted(target.value))
        rows = self.functions[name]
        if module:
            return [row for row in rows if self.home[row[0]].module == module]
        methods = [row for row in rows if row[1] and self.home[row[0]].module in self._known_in(file)]
        if isinstance(target.value, ast.Name) and target.value.id == "self":
            inside = next((o.name for o in file.owner[call] if isinstance(o, ast.ClassDef)), "")
            related = [row for row in methods if self._descends(row[1], inside) or self._descends(inside, row[1])]
            return related or methods
        return methods

    def _known_in(self, file):
        """The modules whose objects a file can have: its own, and all that it imports."""
        if file.module not in self._imports:
            known, pending = set(), [file.module]
            while pending:
                name = pending.pop()
                if name in self._modules and name not in known:
                    known.add(name)
                    pending += [*self._modules[name].modules.values(), *self._modules[name].imported.values()]
            self._imports[file.module] = known
        return self._imports[file.module]

    def _descends(self, name, other, seen=()):
        """Whether a class is another one or made of it."""
        bases = set().union(*(file.bases.get(name, ()) for file in self.files))
        return name == other or any(
            self._descends(base, other, (*seen, name)) for base in bases - {name, *seen})

    def used_in(self, places):
        """All nodes of these files, and those of the others' functions, classes and constants that
        they name, in turn."""
        live, names = set(), set()
        pending = [(file, statement) for file in self.files for statement in file.tree.body
                   if file.place in places or not is_main(statement)]
        while True:
            begun = [(file, s) for file, s in pending if file.place in places or defined(s) is None
                     or any(name in names or (file.place, name) in names for name in defined(s))]
            if not begun:
                return live
            pending = [row for row in pending if row not in begun]
            for file, node in ((file, node) for file, statement in begun for node in ast.walk(statement)):
                live.add(node)
                if isinstance(node, ast.Name) and node.id not in file.imported:
                    names.add((file.place, node.id))
                else:
                    names.add(name_of(node))

    # --- what an expression can be ---------------------------------------------

    def words(self, expression, seen=()):
        """The programs that an argument list can begin with, or the strings that a word can be."""
        if expression in seen:
            return set()
        seen = (*seen, expression)
        if isinstance(expression, (ast.List, ast.Tuple)):
            return self._of_list(expression.elts, seen)
        if isinstance(expression, ast.Constant):
            return {expression.value} if isinstance(expression.value, str) else set()
        if isinstance(expression, _NO_PROGRAM):
            return set()
        if isinstance(expression, ast.JoinedStr):
            return {"".join(part.value if isinstance(part, ast.Constant) else DYNAMIC
                            for part in expression.values)}
        if isinstance(expression, ast.BinOp):
            return self._sum(expression, seen)
        if isinstance(expression, ast.Call):
            name, arguments = name_of(expression.func), expression.args
            if name == "join":  # os.path's: a program in the tree, or built in it
                return {DYNAMIC + "/" + DYNAMIC}
            if name == "format":
                return {re.sub(r"\{[^}]*\}", DYNAMIC, t) if isinstance(t, str) else t
                        for t in self.words(expression.func.value, seen)}
            if name in ("get", "which", "str", "list", "tuple") and arguments:
                return self.words(arguments[-1], seen)
        if dotted(expression) == "sys.executable":
            return {"/usr/bin/python3"}
        return self._choices(expression, seen)

    def _sum(self, expression, seen):
        """Of two strings, or of two lists, of which the first has the program."""
        left = self.words(expression.left, seen)
        if self._is_list(expression.left) or self._is_list(expression.right):
            return left
        return {_joined(a, b) for a in left for b in self.words(expression.right, seen)}

    def _is_list(self, expression):
        if isinstance(expression, ast.Name):
            return any(self._is_list(each) for each in self.values[
                self.home[expression].place, expression.id] if not isinstance(each, ast.Name))
        return isinstance(expression, (ast.List, ast.Tuple, ast.ListComp)) or (
            isinstance(expression, ast.BinOp) and self._is_list(expression.left))

    def _of_list(self, elements, seen):
        found, wrapped = set(), False
        for at, element in enumerate(elements):
            if isinstance(element, ast.Starred):
                begin = self.words(element.value, seen)
                found |= begin
                if begin and all(isinstance(each, str) for each in begin):
                    break
                continue  # what a caller gives may be empty
            texts = self.words(element, seen)
            if wrapped and all(wraps_past(t if isinstance(t, str) else t.before) for t in texts):
                continue
            found |= texts
            wrapped = bool(texts & WRAPPERS)
            if not wrapped:
                break
        if found & SHELLS and len(elements) > at + 2:
            scripts = self.words(elements[at + 2], seen)
            found |= {Shell(text if isinstance(text, str) else DYNAMIC) for text in scripts}
        return found

    def _choices(self, expression, seen):
        """What names, attributes, conditions and calls stand for."""
        def union(expressions):
            return set().union(*(self.words(each, seen) for each in expressions))

        if isinstance(expression, ast.IfExp):
            return union((expression.body, expression.orelse))
        if isinstance(expression, ast.BoolOp):
            return union(expression.values)
        if isinstance(expression, ast.Subscript):
            return union(self._members(expression))
        if isinstance(expression, ast.Call):
            returned = self._returns(expression)
            return self._bound(expression, union(returned), seen) if returned else {UNKNOWN}
        if isinstance(expression, ast.Name):
            found = self._parameter(expression)
            if found:
                return found
            return union(self.values[self.home[expression].place, expression.id]) or union(
                self.values["." + expression.id]) or {UNKNOWN}
        if isinstance(expression, ast.Attribute):
            own = self.values[self.home[expression].place, "." + expression.attr]
            return union(own if own and name_of(expression.value) == "self"
                         else self.values["." + expression.attr]) or {UNKNOWN}
        return {UNKNOWN}

    def _members(self, subscript):
        """What can stand in a literal at that place, or at any."""
        whole, at = subscript.value, getattr(subscript.slice, "value", None)
        if isinstance(whole, ast.Call):
            wholes = self._returns(whole)
        elif isinstance(whole, ast.Name):
            wholes = self.values[self.home[whole].place, whole.id]
        else:
            wholes = [whole]
        found = []
        for each in wholes:
            members = each.values if isinstance(each, ast.Dict) else getattr(each, "elts", [])
            found += [members[at]] if isinstance(at, int) and at < len(members) else members
        return found

    def _parameter(self, name):
        """A name that is a parameter of a function around it."""
        file = self.home[name]
        for owner in file.owner[name]:
            if isinstance(owner, (ast.FunctionDef, ast.Lambda)) and name.id in parameters(owner):
                if isinstance(owner, ast.Lambda):
                    return {UNKNOWN}
                inside = file.owner[owner][:1]
                of_class = owner.name == "__init__" and inside and isinstance(inside[0], ast.ClassDef)
                return {Parameter(file.place, inside[0].name if of_class else owner.name, name.id, "", "")}
        return None

    def _returns(self, call):
        """What the function that is called returns."""
        name = name_of(call.func)
        found = [n.value for definition, _ in self.definitions(call, name)
                 for n in ast.walk(definition) if isinstance(n, ast.Return) and n.value]
        return found + [v.body for v in self.values[self.home[call].place, name]
                        if isinstance(v, ast.Lambda)]

    def _bound(self, call, returned, seen):
        """What a function returns, with this call's arguments for its parameters."""
        found = set()
        for each in returned:
            if isinstance(each, Parameter) and each.function == name_of(call.func):
                found |= {_around(each, value) for argument in self.arguments(call, each)
                          for value in self.words(argument, seen)}
            else:
                found.add(each)
        return found

    def arguments(self, call, parameter):
        """What a call gives for a parameter, or the parameter's default."""
        for definition, inside in self.definitions(call, parameter.function):
            if self.home[definition].place != parameter.place:
                continue
            named = [k.value for k in call.keywords if k.arg == parameter.name]
            if named:
                return named
            names = parameters(definition)
            if parameter.name not in names:
                continue
            at = names.index(parameter.name) - (1 if inside and names[:1] in (["self"], ["cls"]) else 0)
            before = call.args[:at + 1]
            if any(isinstance(each, ast.Starred) for each in before[:-1]):
                return [call.func]  # nobody can say which of them it is
            if len(before) > at >= 0:
                return before[at:]
            defaults = definition.args.defaults
            back = len(definition.args.args) - names.index(parameter.name)
            return [defaults[-back]] if 0 < back <= len(defaults) else []
        return []

    # --- the whole --------------------------------------------------------------

    def uses(self, places=None):
        """What these files use, or all of them."""
        live = self.used_in({file.place for file in self.files} if places is None else places)
        for file in self.files:
            yield from imports(file, live)
            yield from strings(file, live)
        pending, done = [], set()
        for module, names in _RUNNERS.items():
            for call in (call for name in names for call in self.calls[name]):
                if call in live and dotted(call.func) == module + "." + name_of(call.func):
                    pending += [(call, each) for each in self.words(call.args[0])]
        while pending:
            call, found = pending.pop()
            if (call, found) in done:
                continue
            done.add((call, found))
            place = "{}:{}".format(self.home[call].place, call.lineno)
            noted = self.home[call].note(call.lineno)
            if not isinstance(found, Parameter) or noted or found.function not in self.functions:
                yield from _told(found, noted, place)
                continue
            pending += [(outer, _around(found, value)) for outer in self.calls[found.function]
                        if outer in live
                        for argument in self.arguments(outer, found) for value in self.words(argument)]


def _told(found, noted, place):
    """What a call runs, as far as it can be told."""
    if noted:
        yield from (Use("command", name, place) for name in noted)
    elif isinstance(found, Shell):
        yield from shell_uses.uses(found.script.replace(DYNAMIC, "${x}"), place)
    elif isinstance(found, Parameter) or found == DYNAMIC:
        yield Use("unknown", "a command", place)
    elif found and not is_ours(found):
        yield Use("command", found.replace(DYNAMIC, "?"), place)


def _around(parameter, value):
    """A value in the place of a parameter."""
    if isinstance(value, str):
        return parameter.before + value + parameter.behind
    if isinstance(value, Parameter):
        return value._replace(before=parameter.before + value.before, behind=value.behind + parameter.behind)
    return value
