"""Memory of a call in a process of its own.

It is not the peak of ``getrusage``, which starts with that of the parent process.
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
    """The number of bytes that a program prints, or several; it may call ``resident("VmRSS")`` and
    ``resident("VmHWM")``, the memory now and its peak."""
    command = [sys.executable, "-c", RESIDENT + program, *map(str, arguments)]
    numbers = [int(number) for number in subprocess.check_output(command, text=True).split()]
    return numbers if len(numbers) > 1 else numbers[0]
