"""Programs in a Python of their own, in which nothing is imported yet."""

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]


def fresh(program, folder=ROOT):
    """What a program prints."""
    return _run(textwrap.dedent(program), folder).stdout.strip()


def loaded(program, *modules, folder=ROOT):
    """Which of the modules a program has loaded at its end; prints its CPU time."""
    program = textwrap.dedent(program)
    end = f"""
import sys, time
print(*[name for name in {modules!r} if name in sys.modules], file=sys.stderr)
print(f"{{time.process_time():.3f}} s of CPU", file=sys.stderr)
"""
    *_, names, cpu = _run(program + end, folder).stderr.splitlines()
    print(f"{cpu}: {program}")
    return names.split()


def _run(program, folder):
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done
