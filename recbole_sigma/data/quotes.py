"""Whether the quotes of an atomic file enclose fields, as in CSV, or are text, as in ``"Heroes" (1977)``.

The format says nothing about quotes. RecBole reads them as CSV, so that a stray one swallows the rows up to the next.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from logging import getLogger
from typing import NamedTuple

BLOCK = 1 << 22
"""Number of bytes in memory at once."""


class Quotes(NamedTuple):
    """How the quotes of a file are meant.

    Attributes:
        enclose: some field begins with a quote, and all such fields are quoted as in CSV.
        span_lines: some of these fields have line ends inside.
    """

    enclose: bool
    span_lines: bool = False


def quotes_of(path: str, separator: str) -> Quotes:
    """How the quotes of a file are meant, by the whole file.

    They enclose fields if every field that begins with a quote ends with one, with quotes inside doubled. A field that
    spans lines of which each has as many columns as the header is no such field: its lines are rows. One field that is
    not quoted in this way makes all quotes of the file text; a warning names its line.

    Args:
        path: of the file.
        separator: of its columns. One of several characters is a regular expression, for which pandas takes quotes as
            text anyway.
    """
    if len(separator) != 1:
        return Quotes(enclose=False)
    state = os.stat(path)
    return _quotes(path, separator, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=32)
def _quotes(path: str, separator: str, modified: int, size: int) -> Quotes:
    starts, in_line = patterns(separator.encode())
    enclose = False
    for block in whole_lines(path):
        if b'"' in block and starts.search(block):
            enclose = True
            if starts.search(in_line.sub(b"", block)):
                return _quotes_over_lines(path, separator.encode())
    return Quotes(enclose)


def _quotes_over_lines(path: str, separator: bytes) -> Quotes:
    starts, _ = patterns(separator)
    field = _quoted(separator, inside=rb'[^"]')
    with open(path, "rb") as file:
        data = file.read()
    num_columns = data.partition(b"\n")[0].count(separator) + 1
    span_lines, position = False, 0
    while start := starts.search(data, position):
        begin = start.end() - 1
        found = field.match(data, begin)
        if found and re.search(rb"[\r\n]", found.group()):
            span_lines = True
            lines = data[data.rfind(b"\n", 0, begin) + 1 : _end_of_line(data, found.end())].split(b"\n")
            if len(lines) > 1 and all(line.count(separator) + 1 == num_columns for line in lines):
                found = None
        if not found:
            line = data.count(b"\n", 0, begin) + 1
            text = data[begin : min(_end_of_line(data, begin), begin + 60)].decode("utf-8", "replace").rstrip("\r")
            getLogger().warning(
                f"{path}, line {line}: {text} begins with a quote and is not quoted as in CSV, so all quotes of this "
                "file are read as they are, as text. If they enclose fields, correct this one: end it with a quote, "
                "and double the quotes inside"
            )
            return Quotes(enclose=False)
        position = found.end()
    return Quotes(enclose=True, span_lines=span_lines)


def _end_of_line(data: bytes, position: int) -> int:
    end = data.find(b"\n", position)
    return len(data) if end < 0 else end


@lru_cache
def patterns(separator: bytes) -> tuple[re.Pattern, re.Pattern]:
    """Patterns of a quote that begins a field, and of a quoted field without line ends."""
    starts = re.compile(rb'(?:^|(?<=[\r\n])|(?<=%s))"' % re.escape(separator))
    return starts, _quoted(separator, inside=rb'[^"\r\n]')


def _quoted(separator: bytes, inside: bytes) -> re.Pattern:
    separator = re.escape(separator)
    before, after = rb"(?:\A|(?<=[\r\n])|(?<=%s))" % separator, rb"(?=\Z|[\r\n]|%s)" % separator
    return re.compile(rb'%s"%s*(?:""%s*)*"%s' % (before, inside, inside, after))


def whole_lines(path: str) -> Iterator[bytes]:
    """The content of a file in blocks of whole lines."""
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            yield block + file.readline()
