"""Rows of interactions, and text files of them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import NamedTuple


class Row(NamedTuple):
    """An interaction. Rows stand in the order of the file, and ``line`` counts them from 0."""

    line: int
    user: str
    item: str
    time: float
    rating: float | None = None


def fields(text: str, separator: str) -> list[list[str]]:
    """The fields of each line that is not blank.

    A field that begins with a double quote ends with the next single one. Two in a row inside it are one of its text,
    and separators and line ends inside belong to it.
    """
    lines, line, field, quoted, at = [], [], "", False, 0
    while at < len(text):
        sign, following = text[at], text[at + 1 : at + 2]
        at += 1
        if quoted and sign == '"' and following == '"':
            field, at = field + sign, at + 1
        elif quoted:
            quoted = sign != '"'
            field += sign if quoted else ""
        elif sign == '"' and not field:
            quoted = True
        elif sign == separator:
            line, field = [*line, field], ""
        elif sign == "\n":
            lines.append([*line, field])
            line, field = [], ""
        else:
            field += sign
    if line or field:
        lines.append([*line, field])
    return [line for line in lines if line != [""]]


def atomic_rows(text: str) -> list[Row]:
    """The rows of an ``.inter`` file: tab-separated, with ``name:type`` in its first line."""
    header, *lines = fields(text, "\t")
    place = {column.split(":")[0]: number for number, column in enumerate(header)}
    return [
        Row(
            number,
            line[place["user_id"]],
            line[place["item_id"]],
            float(line[place["timestamp"]]),
            float(line[place["rating"]]) if "rating" in place else None,
        )
        for number, line in enumerate(lines)
    ]


def seconds(text: str) -> float:
    """A number as it is; a date in the form of ISO 8601 as seconds since 1970, in UTC if it names no zone."""
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
