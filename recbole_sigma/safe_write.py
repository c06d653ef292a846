"""Files and folders that are written completely or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from recbole_sigma.errors import ConfigError


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


UMASK = _umask()
"""The umask. It is read once, because reading it sets it for a moment, for all threads."""

_ADVICE = "give the permission to write there, or work in another folder"


def check_folder(folder: str | os.PathLike) -> None:
    """Check that a folder can be made, or written to if it is there.

    Raises:
        ConfigError: a file is in the way, or nothing can be written there.
    """
    folder = Path(folder)
    for part in [*reversed(folder.parents), folder]:
        if part.exists() and not part.is_dir():
            raise ConfigError(
                f"{part} is a file; expected a folder, to write to {folder}: move or rename the file, or work in another "
                "folder"
            )
    present = next(part for part in (folder, *folder.parents) if part.exists())
    if not os.access(present, os.W_OK | os.X_OK):
        raise ConfigError(f"the folder {present} cannot be written to; {_ADVICE}")


def writable_folder(folder: str | os.PathLike) -> None:
    """Make a folder and those that contain it, where they are missing; raise ConfigError as ``check_folder``."""
    check_folder(folder)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be made ({error.strerror}); {_ADVICE}") from error


@contextmanager
def replace_file(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary file beside ``path``, which replaces ``path`` at the end of the context.

    It is flushed to the disk first, and gets the permissions of the old file. If the context ends in an exception, the
    old file is unchanged. A link remains a link. A killed process leaves the temporary file ``.<name>.<letters>``.

    Raises:
        ConfigError: the folder of the file cannot be made or written to.
        OSError: the file cannot be written, or the path is no regular file, for example a folder or a device.
    """
    path = Path(os.path.realpath(path))
    writable_folder(path.parent)
    if path.exists() and not path.is_file():
        raise OSError(
            f"{path} exists and is no file; expected the name of a file to write: choose another name, or move it"
        )
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~UMASK
    with _errors_named(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    temporary = Path(name)
    try:
        with _errors_named(path):
            yield temporary
        _flush(temporary)
        os.chmod(temporary, mode)  # temporary files are for their owner alone
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(path.parent)


@contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    """System errors that name no file, or the temporary file beside ``path``, name ``path`` instead."""
    try:
        yield
    except OSError as error:
        beside = os.path.join(path.parent, f".{path.name}.")
        if error.errno is None or not (error.filename is None or str(error.filename).startswith(beside)):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


@contextmanager
def replace_folder(folder: str | os.PathLike, obsolete: Iterable[str] = ()) -> Iterator[Path]:
    """A temporary folder beside ``folder`` to fill with files, which replaces ``folder`` at the end of the context.

    The files are flushed to the disk first. If the context ends in an exception, ``folder`` is unchanged. A new folder
    appears completely or not at all. If ``folder`` exists, even empty, the files move into it one by one and replace
    files of the same names. Each file is complete, but an interruption between two files leaves some new and some old
    ones. A killed process leaves the temporary folder ``.<name>.<letters>``.

    Args:
        obsolete: names of files to remove from ``folder`` before the new files move there; all others stay.

    Raises:
        ConfigError: the folder cannot be made or written to.
    """
    folder = Path(folder)
    writable_folder(folder if folder.exists() else folder.parent)
    writable_folder(folder.parent)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield temporary
        for path in temporary.iterdir():
            _flush(path)
            os.chmod(path, 0o666 & ~UMASK)
        if folder.exists():
            for name in obsolete:
                (folder / name).unlink(missing_ok=True)
            for path in temporary.iterdir():
                os.replace(path, folder / path.name)
            _flush_folder(folder)
        else:
            _flush_folder(temporary)
            os.chmod(temporary, 0o777 & ~UMASK)
            os.replace(temporary, folder)
            _flush_folder(folder.parent)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def _flush(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make a renaming survive a power failure, on systems that can open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
