"""The trained model that a command uses."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from recbole_sigma.cli.garbage import without_garbage_collection

if TYPE_CHECKING:
    from recbole_sigma.recommend import Recommender


def load_named(options: argparse.Namespace) -> Recommender:
    """The recommender of the checkpoint that is given; prints which checkpoint it is if the newest of a folder."""
    with without_garbage_collection():
        from recbole_sigma.recommend import load

        recommender = load(options.checkpoint, options.device, average=options.average)
    if any(map(os.path.isdir, options.checkpoint)):
        state = recommender.state
        print(f"{state['model']} of {state['config'].get('dataset')}: {recommender.path}", file=sys.stderr)
    return recommender
