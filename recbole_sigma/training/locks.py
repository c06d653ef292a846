"""Locks on files, each for one process and one thread of it; the system releases them when the process ends.

They are record locks (``fcntl.lockf``). The package ``filelock`` uses ``flock``, which forked workers inherit: up to
version 3.19, the last one for Python 3.9, a lock stays taken while a worker outlives a killed process. It also offers
no way to test a lock without taking it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where nothing prevents two processes from taking the same lock
    fcntl = None

ATTEMPTS = 10
"""How often a lock is tried before it counts as taken: another process may test it at the moment, or delete its file."""

_held: set[Path] = set()
"""Files locked by this process, which opens each only once: closing any descriptor of a file releases its lock."""
_guard = threading.Lock()


class FileLock:
    """A lock on a file, which is created if it is missing.

    Args:
        path: of the file; its folder exists.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path).resolve()
        self._file = None

    def acquire(self) -> bool:
        """Take the lock; false if another process or another thread has it."""
        for _ in range(ATTEMPTS):
            with _guard:
                if self.path in _held:
                    return False
                file = open(self.path, "a")
                if _locked(file, exclusive=True) and _is_at(file, self.path):
                    self._file = file
                    _held.add(self.path)
                    return True
                file.close()
            time.sleep(0.01)
        return False

    def release(self) -> None:
        """Release the lock, if this object has it."""
        if self._file is not None:
            with _guard:
                self._file.close()
                _held.discard(self.path)
            self._file = None


@contextmanager
def lock_probe(path: str | os.PathLike) -> Iterator[bool]:
    """Whether a lock is taken; if it is free, nobody can take it within the context.

    The context itself must not take any lock.
    """
    path = Path(path).resolve()
    with _guard:
        if path in _held:
            yield True
            return
        if fcntl is None:
            yield False
            return
        try:
            file = open(path)
        except FileNotFoundError:
            yield False
            return
        with file:
            yield not _locked(file, exclusive=False)


def _locked(file, exclusive: bool) -> bool:
    """Lock an open file; false if the lock of another process forbids it."""
    if fcntl is None:
        return True
    try:
        fcntl.lockf(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:  # a file system without locks
        getLogger().warning(f"{file.name} cannot be locked ({error}); make sure that only one process uses this run")
    return True


def _is_at(file, path: Path) -> bool:
    """Whether the path still names this open file; another process may have deleted it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
