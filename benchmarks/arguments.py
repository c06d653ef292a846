"""Arguments of the command lines of benchmarks."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """An argument of the command line that is an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected an integer of at least 1")
    return int(text)
