"""The command line as a user runs it: a process of its own, in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def recbole_sigma(folder, *words, seconds=120):
    """The finished process of ``recbole-sigma`` with these words, with ``returncode``, ``stdout`` and ``stderr``."""
    command = [sys.executable, "-m", "recbole_sigma", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, env=environment)
