"""Benchmarks as a user starts them."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(module, *words):
    command = [sys.executable, "-m", f"benchmarks.speed.{module}", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
