"""A module of the house as one file that needs none of it.

The file is the module's own text, preceded by the definitions that it imports from the house and all that
these use in turn, each as it stands in its module: there is one implementation of every equation, and a
published model translates with it.
"""

import ast
import importlib.util
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

_HOUSE = "pairbridge"


def standalone(module: str) -> str:
    """The text of the file. Raises ValueError where two modules call different things by one name."""
    bundle = _Bundle()
    for name in _parsed(module).definitions:
        bundle.take(module, name)
    return bundle.text(_parsed(module).docstring)


class _Parsed(NamedTuple):
    docstring: str
    # The text of each definition at the top of the module, with the comments above it, and names it uses.
    definitions: dict[str, tuple[str, set[str]]]
    # Where imported names come from: the statement, and of the house the module and the name there.
    imports: dict[str, tuple[ast.Import | ast.ImportFrom, str, str]]


@cache
def _parsed(module: str) -> _Parsed:
    text = Path(importlib.util.find_spec(module).origin).read_text()
    lines, tree = text.splitlines(), ast.parse(text)
    definitions, imports = {}, {}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                place = getattr(node, "module", alias.name)
                imports[alias.asname or alias.name] = (node, place, alias.name)
        for name in _defined(node):
            used = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
            definitions[name] = (_text(node, lines), used)
    return _Parsed(ast.get_docstring(tree, clean=False), definitions, imports)


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [one.id for target in targets if target for one in ast.walk(target) if isinstance(one, ast.Name)]


def _text(node: ast.stmt, lines: list[str]) -> str:
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))]) - 1
    while first and lines[first - 1].startswith("#"):
        first -= 1
    return "\n".join(lines[first : node.end_lineno])


class _Bundle:
    """Definitions in an order in which each finds those that it needs when it is run."""

    def __init__(self) -> None:
        self._homes: dict[str, str] = {}
        self._texts: list[str] = []
        self._imports: dict[str, set[str]] = defaultdict(set)

    def take(self, module: str, name: str) -> None:
        if name in self._homes:
            if self._homes[name] != module:
                raise ValueError(f"{name} is a name of both {self._homes[name]} and {module}: rename one")
            return
        self._homes[name] = module
        parsed = _parsed(module)
        text, used = parsed.definitions[name]
        for other in sorted(used - {name}):
            if other in parsed.definitions:
                self.take(module, other)
            elif other in parsed.imports:
                node, place, original = parsed.imports[other]
                if place.partition(".")[0] == _HOUSE:
                    self.take(place, original)
                elif isinstance(node, ast.ImportFrom):
                    self._imports[place].add(original)
                else:
                    self._imports[ast.unparse(node)] = set()
        # Names of one statement have one text.
        if text not in self._texts:
            self._texts.append(text)

    def text(self, docstring: str) -> str:
        lines = [
            f"from {place} import {', '.join(sorted(names))}" if names else place
            for place, names in sorted(self._imports.items())
        ]
        return "\n\n\n".join(['"""' + docstring + '"""\n\n' + "\n".join(lines), *self._texts]) + "\n"
