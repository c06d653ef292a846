"""Packages that only some functions need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from recbole_sigma.errors import MissingExtraError


def require(module: str, extra: str) -> ModuleType:
    """Import a module of an optional package.

    Raises:
        MissingExtraError: it is not installed; the message names the extra that brings it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(
            f"{package} is needed for this and cannot be imported ({error}); install it with "
            f"pip install 'recbole-sigma[{extra}]'"
        ) from error
