"""The trained model that a command uses."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recbole_sigma.recommend import Recommender


def load_named(options: argparse.Namespace) -> Recommender:
    """The recommender of the checkpoint that is given; prints which checkpoint it is if the newest of a folder."""
    with without_garbage_collection():
        from recbole_sigma.recommend import load

        recommender = load(options.checkpoint, options.device)
    if os.path.isdir(options.checkpoint):
        state = recommender.state
        print(f"{state['model']} of {state['config'].get('dataset')}: {recommender.path}", file=sys.stderr)
    return recommender


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
