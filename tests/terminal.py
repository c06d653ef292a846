"""A command in a terminal of its own."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios


def in_terminal(words):
    """Exit code of ``recbole-sigma`` with these words, and all that a terminal of 120 columns gets to show."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "recbole_sigma", *words], stdout=slave, stderr=slave, close_fds=True
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    return process.wait(), shown.decode()
