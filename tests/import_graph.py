"""Which file of the plugin imports which; ``python -m tests.import_graph`` prints circles, upward imports and sizes."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import recbole_sigma

PACKAGE = Path(recbole_sigma.__file__).parent
LAYERS = [
    {"cli", "__main__", "__init__"},
    {"report", "export", "serve", "tune", "comparison", "result_table", "seeds"},
    {"quick_start", "recommend"},
    {"training", "checkpoint"},
    {"evaluation"},
    {"data"},
    {"config"},
    {"model"},
    {"layers"},
    {"losses", "ops"},
    {
        *("compat", "defaults", "deprecation", "errors", "extras", "import_hook", "lazy", "precision", "processes"),
        *("rules", "safe_write", "wording", "settings", "version"),
    },
]
"""Files and folders of the plugin from top to bottom; each imports from lower layers, or from its own."""

Graph = Mapping[str, "set[str]"]


def read_graph(package: Path = PACKAGE) -> Graph:
    """The modules that each module of a package imports from the package, anywhere in its file.

    Imports inside functions and under ``TYPE_CHECKING`` count, and so does ``import_module`` of a constant name.
    ``from package.x import name`` imports the module ``package.x.name`` if there is one, and ``package.x`` (the
    ``__init__.py`` of a folder) otherwise. That Python runs the ``__init__.py`` of every folder above does not count.
    """
    files = {_module_name(path, package): path for path in package.rglob("*.py")}
    return {name: {found for found in _imported(path, files) if found in files} for name, path in files.items()}


def _module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}:{node.lineno} has a relative import; expected the full name of the module")
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in files else node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (word.value for word in node.args[:1] if isinstance(word, ast.Constant))


def circles(graph: Graph) -> list[list[str]]:
    """Groups of modules each of which imports all the others, directly or not, and modules that import themselves."""
    reached = {name: _reachable(name, graph) for name in graph}
    groups = {
        frozenset(other for other in reached[name] if name in reached[other]) for name in graph if name in reached[name]
    }
    return sorted(map(sorted, groups))


def _reachable(start: str, graph: Graph) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def layer_of(module: str) -> int:
    """The position of a module in ``LAYERS``, 0 for the top."""
    _, _, below = module.partition(".")
    name = below.partition(".")[0] or "__init__"
    for position, names in enumerate(LAYERS):
        if name in names:
            return position
    raise ValueError(f"{module} is in no layer; expected {name!r} in LAYERS of tests/import_graph.py")


def upward(graph: Graph) -> list[tuple[str, str]]:
    """The pairs of a module and one that it imports from a higher layer."""
    return sorted(
        (name, imported) for name, found in graph.items() for imported in found if layer_of(imported) < layer_of(name)
    )


def main() -> None:
    graph = read_graph()
    found, wrong = circles(graph), upward(graph)
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py"))
    print(f"circles: {len(found)}", *map(" <-> ".join, found), sep="\n  ")
    print(f"files whose imports run upwards: {len({name for name, _ in wrong})}", *map(" -> ".join, wrong), sep="\n  ")
    print(f"files: {len(graph)}\nlines: {lines:,}")


if __name__ == "__main__":
    main()
