"""Imports without the garbage collector."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """First imports inside take a third less time, and the garbage collector never looks at what they created.

    PyTorch and pandas create hundreds of thousands of objects that live as long as the process; while they are
    imported, the collector would search all of them for garbage several times. If PyTorch is loaded already, nothing
    happens.
    """
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
