"""What kind of file a table is, by its first bytes and its name, and CSV as text, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

from recbole_sigma.errors import DataError

EXPECTED = (
    "expected CSV (.csv, also as .csv.gz, .csv.bz2, .csv.xz or .csv.zip), Parquet (.parquet, .pq, .parq), or an atomic "
    "file (.inter), whose header has name:type"
)
PARQUET = (".parquet", ".pq", ".parq")
ATOMIC = (".inter", ".item", ".user", ".kg", ".link", ".net")
PACKED = {
    ".gz": b"\x1f\x8b",
    ".bz2": b"BZh",
    ".xz": b"\xfd7zXZ\0",
    ".zip": b"PK\x03\x04",
}
"""Compressions that are read, and how their files begin."""
UNREADABLE = {
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it",
    b"\xd0\xcf\x11\xe0": "an Excel file: save the sheet as CSV",
    b"ARROW1": "an Arrow (Feather) file: save it as Parquet",
    b"ORC": "an ORC file: save it as Parquet",
    b"SQLite format 3\0": "an SQLite database: export the table as CSV",
    b"\x89HDF": "an HDF5 file: save the table as Parquet",
    b"PARE": "an encrypted Parquet file: save it without encryption",
}
DAMAGED = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    RuntimeError,  # of a zip with a password
    NotImplementedError,  # of a zip with another compression
)


def table_name(path: str | os.PathLike) -> str:
    """The name of the file without the endings of its format and compression."""
    stem, end = os.path.splitext(os.path.basename(os.fspath(path)))
    return os.path.splitext(stem)[0] if end.lower() in PACKED and stem.lower().endswith(".csv") else stem


def format_of(path: str) -> str:
    """ "csv", "parquet" or "atomic".

    Raises:
        DataError: the file is of a kind that is not read; the message names those that are.
    """
    with open(path, "rb") as file:
        head = file.read(512)
        file.seek(max(0, os.path.getsize(path) - 4))
        tail = file.read(4)
    name, end = os.path.splitext(path.lower())
    if head[:4] == tail == b"PAR1" and len(head) > 8:
        return "parquet"
    for start, kind in UNREADABLE.items():
        if head.startswith(start) and end != ".csv" and end not in ATOMIC:
            raise DataError(f"{path} is {kind}; {EXPECTED}")
    if _packing(head) is not None:
        if _packing(head) == ".zip":
            with _unpacking(path):
                _only_member(path)
        elif (os.path.splitext(name)[1] if end in PACKED else end) != ".csv":
            raise DataError(f"{path} is compressed, and its name does not say that it has CSV; {EXPECTED}")
        return "csv"
    if end in PARQUET:
        return "parquet"
    if end == ".csv" or end in PACKED and name.endswith(".csv"):
        return "csv"
    if end in ATOMIC or b":token" in head or b":float" in head:
        return "atomic"
    raise DataError(f"{path} is of no known format; {EXPECTED}")


@contextmanager
def opened_csv(path: str) -> Iterator[IO[str]]:
    """The text of a CSV file, compressed or not.

    Raises:
        DataError: it is compressed and damaged.
    """
    with open(path, "rb") as file:
        packing = _packing(file.read(8))
    with _unpacking(path), ExitStack() as stack:
        if packing == ".zip":
            archive = stack.enter_context(zipfile.ZipFile(path))
            binary = archive.open(_only_member(path))
        else:
            binary = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, None: open}[packing](path, "rb")
        stack.enter_context(binary)
        yield stack.enter_context(io.TextIOWrapper(binary, encoding="utf-8-sig", newline=""))


def _packing(head: bytes) -> str | None:
    return next(
        (end for end, start in PACKED.items() if head.startswith(start) and _is_binary(end, head)),
        None,
    )


def _is_binary(end: str, head: bytes) -> bool:
    """A text may begin with the letters of bz2."""
    return end != ".bz2" or head[4:8] in (b"1AY&", b"\x17rE8")


def _only_member(path: str) -> str:
    with zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    if "[Content_Types].xml" in names or "mimetype" in names:
        raise DataError(f"{path} is a spreadsheet; {EXPECTED}: save the sheet as CSV")
    names = [name for name in names if not name.startswith("__MACOSX/")]
    if len(names) != 1 or not names[0].lower().endswith(".csv"):
        has = ", ".join(names[:5]) + ", ..." * (len(names) > 5)
        raise DataError(f"{path} has {has or 'no file'}; expected an archive with one .csv file: unpack it")
    return names[0]


@contextmanager
def _unpacking(path: str) -> Iterator[None]:
    try:
        yield
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the operating system
            raise
        raise DataError(f"{path} cannot be unpacked: {error or 'it is cut off'}; expected a whole file") from error
