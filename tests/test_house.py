"""Rules of the house that a machine can measure: sizes of folders and functions, import circles, docstrings, names, words."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("discovery", "index", "training", "web")
MOST_MODULES = 16
MEDIAN_BELOW, LONGEST = 12, 80
"""Lines of a function without its signature and docstring."""
WORDS = ("told", "asked", "said", "wished")
"""In docstrings and messages; plain English has recorded, given, requested, shows, says."""
KEPT_TEXTS = ("cannot be said yet", "nothing can be said", "wished :")
"""Values and keys of JSON that programs have read since before the words were chosen."""
NAMES = ("asked", "told", "shelf", "standing")
"""Beginnings of identifiers."""
PARTICIPLES = ("built", "chosen", "drawn", "found", "given", "grown", "held", "kept", "known", "made", "seen", "shown", "taken", "told")
NOUNS = ("embed", "ranking", "ring", "seed", "speed", "string")
"""Names that end like a gerund or a participle and are none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Module:
    """A module of the packages: its file, dotted name and syntax tree."""

    file: str
    name: str
    tree: ast.Module


@cache
def tracked() -> tuple[str, ...]:
    """Return the Python files that git tracks, without tests."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        found = [file for file in listed.stdout.splitlines() if (ROOT / file).is_file()]
    else:  # an unpacked archive
        found = [path.relative_to(ROOT).as_posix() for package in (*PACKAGES, "docs") for path in (ROOT / package).rglob("*.py")]
    return tuple(sorted(file for file in found if not file.startswith("tests/")))


@cache
def modules() -> tuple[Module, ...]:
    """Return the modules of the packages."""
    return tuple(
        Module(file=file, name=file[:-3].replace("/", ".").removesuffix(".__init__"), tree=ast.parse((ROOT / file).read_text("utf-8")))
        for file in tracked()
        if file.split("/")[0] in PACKAGES
    )


@cache
def nodes(module: Module) -> tuple[ast.AST, ...]:
    """Return all nodes of a module's syntax tree."""
    return tuple(ast.walk(module.tree))


def listed(violations: list[str]) -> str:
    """Return what a failing test prints."""
    return "\n".join([f"{len(violations)}:", *violations[:60]])


# -- folders and imports


def folders_too_full() -> list[str]:
    """Return the folders with too many modules."""
    counts = Counter(str(Path(file).parent) for file in tracked() if Path(file).name != "__init__.py")
    return [f"{folder}: {count} modules" for folder, count in counts.most_common() if count > MOST_MODULES]


def imports_that_run(module: Module, names: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Yield the modules that a module imports, at once or later, and the lines; those for the type checker alone are left out."""
    waiting: list[ast.AST] = [module.tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(module, node)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                if inner in names or base in names:
                    yield (inner if inner in names else base), node.lineno
        waiting += ast.iter_child_nodes(node)


def absolute(module: Module, node: ast.ImportFrom) -> str:
    """Return the module that a `from` names."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".") if module.file.endswith("__init__.py") else module.name.split(".")[:-1]
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def import_circles() -> list[str]:
    """Return the groups of modules that import one another, with the lines that do."""
    names = frozenset(module.name for module in modules())
    files = {module.name: module.file for module in modules()}
    edges: dict[str, dict[str, int]] = defaultdict(dict)
    for module in modules():
        for target, line in imports_that_run(module, names):
            if target != module.name:
                edges[module.name].setdefault(target, line)
    found = []
    for group in components({name: list(edges[name]) for name in sorted(names)}):
        lines = [f"{files[one]}:{edges[one][other]} imports {other}" for one in sorted(group) for other in sorted(edges[one]) if other in group]
        found.append(f"{len(group)} modules: {'; '.join(lines)}")
    return found


def components(edges: dict[str, list[str]]) -> list[set[str]]:
    """Return the strongly connected components of more than one node (Tarjan 1972, without recursion)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    found: list[set[str]] = []
    for start in edges:
        work = [(start, iter(edges[start]))] if start not in number else []
        while work:
            node, targets = work[-1]
            if node not in number:
                number[node] = low[node] = len(number)
                path.append(node)
                on_path.add(node)
            following = next(targets, None)
            if following is not None:
                if following not in number:
                    work.append((following, iter(edges[following])))
                elif following in on_path:
                    low[node] = min(low[node], number[following])
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[node])
            if low[node] == number[node]:
                group = set(path[path.index(node) :])
                del path[path.index(node) :]
                on_path -= group
                found += [group] if len(group) > 1 else []
    return found


# -- functions and docstrings


def functions() -> Iterator[tuple[int, str]]:
    """Yield the length of each function's body and where it stands."""
    for module in modules():
        for node in nodes(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node, clean=False) is not None and len(node.body) > 1 else node.body
                yield (body[-1].end_lineno or 0) - body[0].lineno + 1, f"{module.file}:{node.lineno} {node.name}"


def functions_too_long() -> list[str]:
    """Return the functions above the longest allowed, the worst first."""
    return [f"{place}: {length} lines" for length, place in sorted(functions(), reverse=True) if length > LONGEST]


def without_docstring() -> list[str]:
    """Return the public functions, classes and methods that say nothing of themselves."""

    def inside(node: ast.Module | ast.ClassDef, file: str, before: str) -> Iterator[str]:
        for child in node.body:
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or child.name.startswith("_"):
                continue
            if ast.get_docstring(child) is None and not is_repeated(child):
                yield f"{file}:{child.lineno} {before}{child.name}"
            if isinstance(child, ast.ClassDef):
                yield from inside(child, file, f"{before}{child.name}.")

    return [found for module in modules() for found in inside(module.tree, module.file, "")]


def is_repeated(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether a definition is an overload or the setter of a property, which another definition describes."""
    return any(ast.unparse(one).endswith(("overload", ".setter", ".deleter")) for one in node.decorator_list)


# -- names and words


def modules_named_for_an_act() -> list[str]:
    """Return the modules named for a bare gerund or past participle, which do not say of what."""
    found = []
    for module in modules():
        name = Path(module.file).stem
        act = name.endswith(("ing", "ed")) or name in PARTICIPLES
        if act and "_" not in name and name not in NOUNS:
            found.append(f"{module.file}:1 {name}")
    return found


def words_to_replace() -> list[str]:
    """Return where docstrings and messages use forbidden words; a single word is a key, not a message."""
    pattern = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)
    found = []
    for module in modules():
        for node in nodes(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
                kept = [spot.span() for text in KEPT_TEXTS for spot in re.finditer(re.escape(text), node.value)]
                for match in pattern.finditer(node.value):
                    if any(start <= match.start() < stop for start, stop in kept):
                        continue
                    line = node.lineno + node.value[: match.start()].count("\n")
                    found.append(f"{module.file}:{line} {match[0]}: {' '.join(node.value[max(0, match.start() - 30) : match.end() + 30].split())}")
    return found


def identifiers(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node gives: of what is defined, of arguments, variables, attributes and keywords."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.attr


def names_to_replace() -> list[str]:
    """Return the identifiers, and modules, that begin with a forbidden word."""
    found = [f"{module.file}:1 module" for module in modules() if any(part.startswith(NAMES) for part in module.name.split("."))]
    for module in modules():
        for node in nodes(module):
            for name in identifiers(node):
                if name.lstrip("_").lower().startswith(NAMES):
                    found.append(f"{module.file}:{getattr(node, 'lineno', 1)} {name}")
    return found


def class_names_used_twice() -> list[str]:
    """Return the class names that stand for two things, with where."""
    places: dict[str, list[str]] = defaultdict(list)
    for module in modules():
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{module.file}:{node.lineno}")
    return [f"{name}: {', '.join(found)}" for name, found in sorted(places.items()) if len(found) > 1]


# -- the rules


def test_circles_are_found():
    assert components({"a": ["b", "d"], "b": ["c"], "c": ["a"], "d": [], "e": ["f"], "f": ["e", "a"]}) == [{"a", "b", "c"}, {"e", "f"}]
    assert components({"a": ["b", "c"], "b": ["c"], "c": []}) == []


def test_no_folder_holds_more_than_16_modules():
    assert folders_too_full() == []


def test_no_modules_import_one_another():
    assert import_circles() == [], listed(import_circles())


def test_functions_are_short():
    lengths = [length for length, _ in functions()]
    assert statistics.median(lengths) < MEDIAN_BELOW
    assert functions_too_long() == [], listed(functions_too_long())


def test_everything_public_has_a_docstring():
    assert without_docstring() == [], listed(without_docstring())


def test_no_module_is_named_for_a_bare_act():
    assert modules_named_for_an_act() == [], listed(modules_named_for_an_act())


def test_docstrings_and_messages_are_in_plain_words():
    assert words_to_replace() == [], listed(words_to_replace())


def test_identifiers_are_terms_of_the_field():
    assert names_to_replace() == [], listed(names_to_replace())


def test_no_class_name_stands_for_two_things():
    assert class_names_used_twice() == [], listed(class_names_used_twice())
