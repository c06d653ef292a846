"""Old names that still work in this release; the first use of each gives a FutureWarning with the new name."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

_warned: set[str] = set()


def warn_once(old: str, new: str) -> None:
    """Give a FutureWarning that ``old`` is now called ``new``, at its first use only."""
    if old not in _warned:
        _warned.add(old)
        warnings.warn(
            f"{old} is now {new}; the old name will be removed in the next release", FutureWarning, stacklevel=3
        )


def renamed(
    module: str, names: Mapping[str, str], otherwise: Callable[[str], Any] | None = None
) -> Callable[[str], Any]:
    """A ``__getattr__`` for a module that resolves names that moved.

    Args:
        module: name of the module.
        names: where each old name is now, as ``"package.module:name"``.
        otherwise: ``__getattr__`` for all other names; without it they raise an AttributeError.
    """

    def __getattr__(name: str) -> Any:
        if name not in names:
            if otherwise is not None:
                return otherwise(name)
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, _, new_name = names[name].partition(":")
        warn_once(f"{module}.{name}", f"{place}.{new_name}")
        return getattr(import_module(place), new_name)

    return __getattr__


def renamed_method(old: str, method: Callable) -> Callable:
    """The same method under its old name."""

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        warn_once(f"{type(self).__name__}.{old}", f"{type(self).__name__}.{method.__name__}")
        return method(self, *args, **kwargs)

    return call
