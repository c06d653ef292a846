"""Locks on files: one process at a time, and one thread of it; the system frees them when the process ends.

They are record locks, which work over NFS and which children of the process do not inherit: workers that live on for a
while after a killed process keep nothing locked.
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
except ImportError:  # Windows, where nothing keeps two processes from taking the same lock
    fcntl = None

ATTEMPTS = 10
"""How often a lock is tried before it counts as taken: whoever looks at it holds it for a moment, or removes it."""

_held: set[Path] = set()
"""Files locked by this process. It would lose the lock by closing any descriptor of the file: no second one is made."""
_guard = threading.Lock()


class FileLock:
    """A lock on a file, which is made where it is missing.

    Args:
        path: of the file; its folder exists.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path).resolve()
        self._file = None

    def take(self) -> bool:
        """Whether the lock is this object's now; false if another process or another thread has it."""
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
        """Give the lock back, if it is this object's."""
        if self._file is not None:
            with _guard:
                self._file.close()
                _held.discard(self.path)
            self._file = None


@contextmanager
def lock_probe(path: str | os.PathLike) -> Iterator[bool]:
    """Whether anybody has the lock on a file; if not, nobody gets it within the context, where no lock may be taken."""
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
    """Lock an open file; false if another process has a lock that forbids it."""
    if fcntl is None:
        return True
    try:
        fcntl.lockf(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:  # a file system without locks
        getLogger().warning(
            f"{file.name} cannot be locked ({error}); see to it that one process at a time is at the run"
        )
    return True


def _is_at(file, path: Path) -> bool:
    """Whether an open file is still the one of this path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
