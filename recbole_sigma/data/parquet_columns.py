"""Columns of Parquet as texts and seconds: the value that was meant, or an error that names column, type and row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recbole_sigma.errors import DataError

EXACT_BELOW = {"halffloat": 2**11, "float": 2**24, "double": 2**53}
"""Floats of these types below these numbers stand for one integer each."""


class Problem(Exception):
    """A value that cannot be read. ``row`` counts from 0 in the column, None if it is about all rows."""

    def __init__(self, message: str, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row


def tokens(column) -> np.ndarray:
    """The tokens of a column, as an array of texts, empty for nulls and NaN.

    Texts and bytes stay as they are, integers and whole numbers in columns of floats and decimals have no decimal
    point, and UUIDs have their usual form.

    Raises:
        Problem: the type has no exact text as a token, or a number is not a whole one or too large for its type.
    """
    types, column = _types(), _decoded(column)
    kind = column.type
    if _is_uuid(kind):
        return _uuids(column)
    if types.is_floating(kind):
        return _whole_floats(column)
    if types.is_decimal(kind):
        return _whole_decimals(column)
    plain = (
        types.is_string, types.is_large_string, types.is_integer, types.is_boolean, types.is_null, types.is_binary,
        types.is_large_binary, types.is_fixed_size_binary,
    )  # fmt: skip
    if any(is_kind(kind) for is_kind in plain) or str(kind) in (
        "string_view",
        "binary_view",
    ):
        return _texts(column)
    raise Problem(f"has the type {kind}; expected texts, whole numbers, booleans or UUIDs as tokens: convert it")


def times(column) -> np.ndarray:
    """Seconds since 1970 if the column has dates, otherwise the texts of numbers or dates, empty for nulls.

    Raises:
        Problem: the type is no time, or floats of 16 or 32 bits are too large to be exact.
    """
    import pyarrow

    types, column = _types(), _decoded(column)
    kind = column.type
    if types.is_date(kind) or types.is_timestamp(kind):
        unit = kind.unit if types.is_timestamp(kind) else "ms"
        return since_1970(column.cast(pyarrow.timestamp(unit)).to_numpy(zero_copy_only=False))
    if types.is_floating(kind):
        _refuse_inexact(
            column,
            kind,
            lambda values: np.abs(values) >= EXACT_BELOW[str(kind)],
            but=("double",),
        )
    elif types.is_time(kind) or types.is_duration(kind) or types.is_boolean(kind) or types.is_nested(kind):
        raise Problem(f"has the type {kind}; expected numbers, dates or timestamps")
    return others(column)


def others(column) -> np.ndarray:
    """The texts of ratings or titles, empty for nulls and NaN; whole numbers have no decimal point."""
    column = _decoded(column)
    if _is_uuid(column.type):
        return _uuids(column)
    if not _types().is_floating(column.type):
        return _texts(column)
    values = _floats(column)
    texts = _texts(column)
    texts[np.isnan(values)] = ""
    with np.errstate(invalid="ignore"):
        whole = (values == np.floor(values)) & (np.abs(values) < EXACT_BELOW[str(column.type)])
    texts[whole] = values[whole].astype(np.int64).astype(str)
    return texts


def since_1970(moments: np.ndarray) -> np.ndarray:
    """Seconds of a datetime64; NaN for NaT."""
    unit, _ = np.datetime_data(moments.dtype)
    count, per_second = moments.astype(np.int64), {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    if unit == "ns":  # such counts have more digits than a float64
        whole, rest = np.divmod(count, per_second)
        seconds = whole + rest / per_second
    else:
        seconds = count / per_second
    return np.where(np.isnat(moments), np.nan, seconds)


def _types():
    import pyarrow

    return pyarrow.types


def _decoded(column):
    return column.dictionary_decode() if _types().is_dictionary(column.type) else column


def _texts(column) -> np.ndarray:
    import pyarrow

    try:
        return column.cast(pyarrow.string()).fill_null("").to_numpy(zero_copy_only=False)
    except (pyarrow.ArrowException, UnicodeError) as error:
        raise Problem(f"has the type {column.type}, and no texts can be made of it ({error}); convert it") from error


def _floats(column) -> np.ndarray:
    return column.cast("float64").to_numpy(zero_copy_only=False)  # nulls are NaN


def _refuse_inexact(
    column,
    kind,
    is_wrong: Callable[[np.ndarray], np.ndarray],
    but: tuple[str, ...] = (),
) -> None:
    if str(kind) in but:
        return
    values = _floats(column)
    wrong = np.flatnonzero(is_wrong(np.nan_to_num(values)))
    if len(wrong):
        raise Problem(
            f"is {values[wrong[0]]:.17g} in a column of the type {kind}, which tells numbers apart below "
            f"{EXACT_BELOW[str(kind)]:,} only; expected integers, texts, or float64 where they are times",
            int(wrong[0]),
        )


def _whole_floats(column) -> np.ndarray:
    kind = column.type
    values = _floats(column)
    present = ~np.isnan(values)
    wrong = np.flatnonzero(present & (values != np.floor(values)) | np.isinf(values))
    if len(wrong):
        raise Problem(
            f"is {values[wrong[0]]:.17g} in a column of the type {kind}; expected whole numbers as tokens: convert "
            "the column to texts",
            int(wrong[0]),
        )
    _refuse_inexact(column, kind, lambda values: np.abs(values) >= EXACT_BELOW[str(kind)])
    texts = np.full(len(values), "", dtype=object)
    texts[present] = values[present].astype(np.int64).astype(str)
    return texts


def _whole_decimals(column) -> np.ndarray:
    import pyarrow

    try:
        return _texts(column.cast(pyarrow.decimal256(76, 0)))
    except pyarrow.ArrowException:
        values = column.to_pylist()
        row = next(row for row, value in enumerate(values) if value is not None and value != value.to_integral_value())
        raise Problem(
            f"is {values[row]} in a column of the type {column.type}; expected whole numbers as tokens: convert the "
            "column to texts",
            row,
        ) from None


def _is_uuid(kind) -> bool:
    return getattr(kind, "extension_name", None) == "arrow.uuid"


def _uuids(column) -> np.ndarray:
    missing = column.is_null().to_numpy(zero_copy_only=False)
    raw = b"".join(column.storage.fill_null(bytes(16)).to_pylist())
    digits = np.frombuffer(raw.hex().encode(), dtype="S1").reshape(len(column), 32)
    text = np.full((len(column), 36), b"-", dtype="S1")
    text[:, [place for place in range(36) if place not in (8, 13, 18, 23)]] = digits
    texts = text.view("S36").ravel().astype(str).astype(object)
    texts[missing] = ""
    return texts


def refuse(path: str, name: str, problem: Problem, start: int) -> DataError:
    """The error for a problem of a column in rows that begin with row ``start`` of the table."""
    where = path if problem.row is None else f"{path}, row {start + problem.row + 1} after the header"
    return DataError(f"{where}: {name} {problem}")
