"""Memory of a call in a process of its own.

Not the peak of ``getrusage``: a process begins with that of the one which started it.
"""

import subprocess
import sys

import pytest

reads_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
RESIDENT = """
def resident(what):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(what + ":")) * 1024
"""


def measured(program, *arguments):
    """The number of bytes that a program prints, which may call ``resident("VmRSS")`` and ``resident("VmHWM")``."""
    command = [sys.executable, "-c", RESIDENT + program, *map(str, arguments)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
