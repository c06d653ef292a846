"""Prepares RecBole's modules when they are imported: ``compat`` repairs them, and the plugin adds its metrics.

The hook is there as soon as the plugin is imported. The libraries that it needs (NumPy, pandas, SciPy, PyTorch) are
loaded with the first module of RecBole.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType


def install(companions: Mapping[str, Sequence[str]]) -> None:
    """Prepare the modules of RecBole that are loaded now, and the others when they are imported.

    Another call replaces the hook of the first one.

    Args:
        companions: by the name of a module of RecBole, modules to import right after it, which add something to it.
    """
    if any(name.startswith("recbole.") for name in sys.modules):
        _compat().repair_loaded()
    others = [finder for finder in sys.meta_path if type(finder).__module__ != __name__]
    sys.meta_path[:] = [_Finder(companions), *others]
    for name in companions:
        if name in sys.modules:
            _import_all(companions[name])


def _import_all(names: Sequence[str]) -> None:
    for name in names:
        import_module(name)


def _compat() -> ModuleType:
    from recbole_sigma import compat

    return compat


class _Finder:
    """Lets the other finders find a module of RecBole, and prepares the module right after its own code ran."""

    def __init__(self, companions: Mapping[str, Sequence[str]]):
        self.companions = companions

    def find_spec(self, name, path=None, target=None) -> ModuleSpec | None:
        if not name.startswith("recbole."):
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            # set on this one loader, which keeps its type, source and cache
            spec.loader.exec_module = self._prepared(spec.loader.exec_module)
        return spec

    def _prepared(self, execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def exec_module(module: ModuleType) -> None:
            _compat().execute(module, execute)
            _import_all(self.companions.get(module.__name__, ()))

        return exec_module
