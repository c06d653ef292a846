"""Do the files of a data set have what the settings name? Errors name the file and the line."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
from recbole.utils import FeatureSource, FeatureType

from recbole_sigma.config import known_datasets
from recbole_sigma.data.atomic_file import check_atomic_file, line_of_row, read_texts
from recbole_sigma.errors import DataError, close_matches, did_you_mean

TOKENS_OF = {
    "USER_ID_FIELD": "users are known by tokens, and 1 and 1.0 would be the same number",
    "ITEM_ID_FIELD": "items are known by tokens, and 1 and 1.0 would be the same number",
    **{
        f"{name}_ID_FIELD": "entities and relations are known by tokens"
        for name in ("HEAD_ENTITY", "TAIL_ENTITY", "RELATION", "ENTITY")
    },
}
"""Settings that name columns of tokens, and why they are tokens."""

TIMES_ARE_NUMBERS = (
    "times are sorted as numbers, such as seconds since 1970. For dates, `recbole-sigma prepare` writes such a file "
    "from a table"
)
SUFFIXES = ("inter", "user", "item", "kg", "link", "net")


class FileChecks:
    """Mixed into a data set of RecBole, which calls the checks while it reads the files. They raise DataError."""

    def _check_suffixes(self) -> None:
        for key in ("load_col", "unload_col"):
            for suffix in (self.config[key] or {}) if self._is_given(key) else ():
                if suffix == "inter" or os.path.isfile(f"{self._inter_file[: -len('inter')]}{suffix}"):
                    continue
                extra = self.config["additional_feat_suffix"] or []
                known = [*SUFFIXES, *([extra] if isinstance(extra, str) else extra)]
                raise DataError(
                    f"{key} has {suffix!r}, and there is no file {self.dataset_name}.{suffix} in {self.dataset_path}; "
                    f"expected suffixes of its files, of {', '.join(known)}"
                    + did_you_mean(close_matches(suffix, known))
                )

    def _check_header(self, path: str, source, columns: list[str]) -> None:
        """Check the types of the columns that ids, times and labels are read from, and the names in the settings."""
        types = dict(column.rpartition(":")[::2] for column in columns)
        suffix = getattr(source, "value", source)
        for key in ("load_col", "unload_col"):
            names = (self.config[key] or {}).get(suffix, ())
            unknown = [name for name in names if name not in types] if names != "*" else []
            if unknown and self._is_given(key):
                raise DataError(
                    f"{key} has {unknown[0]!r} for .{suffix}, and {path} has no such column; expected some of "
                    f"{', '.join(types)}" + did_you_mean(close_matches(unknown[0], types))
                )
        load_col, unload_col = self._get_load_and_unload_col(source)
        expected = {self.config[key]: ("token", key, why) for key, why in TOKENS_OF.items() if self.config[key]}
        if suffix == FeatureSource.INTERACTION.value:
            expected[self.label_field] = "float", "LABEL_FIELD", "tokens would become ids, and labels are 0 or 1"
            threshold = self.config["threshold"] or {}
            expected.update({name: ("float", "threshold", "a threshold is for numbers") for name in threshold})
            if self._in_time_order or self.config["rm_dup_inter"] is not None:
                expected[self.time_field] = "float", "TIME_FIELD", TIMES_ARE_NUMBERS
        for name, (kind, setting, why) in expected.items():
            loaded = name in types and (load_col is None or name in load_col) and name not in (unload_col or ())
            if loaded and types[name] != kind:
                raise DataError(f"{path}, line 1: {name}:{types[name]} ({setting}); expected {name}:{kind}: {why}")

    def _is_given(self, key: str) -> bool:
        """Whether the user gives this setting; RecBole's defaults name columns that many files lack."""
        return key in getattr(self.config, "external_config_dict", {})

    def _part_files(self) -> list[str]:
        return [
            os.path.join(self.dataset_path, f"{self.dataset_name}.{name}.inter")
            for name in self.benchmark_filename_list
        ]

    def _check_parts(self) -> None:
        layout, columns = (self.config["field_separator"], self.config["encoding"]), None
        for path in self._part_files():
            if not os.path.isfile(path):
                raise DataError(f"{path} does not exist; expected a file for each name in benchmark_filename")
            own = check_atomic_file(path, *layout)
            columns = columns or own
            if set(own) != set(columns):
                raise DataError(
                    f"{path}, line 1: columns {', '.join(own)}; expected {', '.join(columns)}, as in the first file of "
                    "benchmark_filename"
                )
            if line_of_row(path, 0) is None:
                raise DataError(f"{path} has a header and no rows; expected rows in each file of benchmark_filename")

    def _check_lists(self) -> None:
        """Rows of a sequential model need the items before their target."""
        name = self.iid_field + self.config["LIST_SUFFIX"]
        if self.field2type.get(name) != FeatureType.TOKEN_SEQ:
            raise DataError(
                f"{self._part_files()[0]} has no column {name}:token_seq, or load_col leaves it out; "
                f"{self.config['model']} needs the items before each target, since benchmark_filename names files of "
                f"rows. Expected that column, or one file of interactions, {self._inter_file}"
            )
        length, longest = self.inter_feat[name].map(len).to_numpy(), self.config["MAX_ITEM_LIST_LENGTH"]
        for problem, wrong, expected in (
            ("is empty", length == 0, "at least one item before each target"),
            (
                f"is longer than MAX_ITEM_LIST_LENGTH = {longest}",
                length > longest,
                f"--MAX_ITEM_LIST_LENGTH={length.max()}",
            ),
        ):
            if wrong.any():
                row = int(np.flatnonzero(wrong)[0])
                part = int(np.searchsorted(np.cumsum(self.file_size_list), row, side="right"))
                path, row = self._part_files()[part], row - sum(self.file_size_list[:part])
                raise DataError(f"{path}, line {line_of_row(path, row)}: {name} {problem}; expected {expected}")

    def _require_column(self, setting: str, field: str) -> None:
        loaded = [] if self.inter_feat is None else self.inter_feat.columns
        if field not in loaded:
            raise DataError(
                f"{self._inter_file} has no column {field!r} ({setting}), or load_col leaves it out; columns "
                f"loaded: {', '.join(map(str, loaded)) or 'none'}"
                + (". Time order (eval_args: order: TO) needs timestamps" if setting == "TIME_FIELD" else "")
            )

    def _require_times(self) -> None:
        times = self.inter_feat[self.time_field].to_numpy()
        wrong = np.flatnonzero(~np.isfinite(times))
        if len(wrong):
            line = line_of_row(self._inter_file, wrong[0])
            problem = "empty" if np.isnan(times[wrong[0]]) else times[wrong[0]]
            raise DataError(f"{self._inter_file}, line {line}: {self.time_field} is {problem}; expected a number")
        if len(times) and np.abs(times).max() > 2**53:
            self._require_exact_times(times)

    def _require_exact_times(self, times: np.ndarray) -> None:
        """Numbers above 2**53 are rounded to float64; their order is right if no two of them become the same."""
        column, layout = f"{self.time_field}:float", (self.config["field_separator"], self.config["encoding"])
        texts = read_texts(self._inter_file, *layout, usecols=[column])[column]
        pairs = pd.DataFrame({"time": times, "text": texts.to_numpy()}).drop_duplicates()
        pairs = pairs[pairs["time"].duplicated(keep=False)]
        pairs = pairs.assign(exact=pairs["text"].map(Decimal)).drop_duplicates(["time", "exact"])
        twice = pairs["time"].duplicated()
        if twice.any():
            row = twice.idxmax()
            raise DataError(
                f"{self._inter_file}, line {line_of_row(self._inter_file, row)}: {self.time_field} is "
                f"{texts[row]}, and another time differs from it by less than float64 can tell above 2**53; expected "
                "smaller numbers, such as seconds or milliseconds since 1970"
            )

    def _how_to_get_the_files(self, problem: str) -> str:
        folder = Path(self.dataset_path).parent
        present = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
        close = close_matches(self.dataset_name, {*known_datasets(), *present} - {self.dataset_name}, 3)
        return (
            f"data set {self.dataset_name!r} cannot be loaded: {problem}"
            + (f"; did you mean {' or '.join(close)}?" if close else "")
            + f"\nLooked for {self._inter_file}. Put the atomic files there, or give the folder that has "
            f"{self.dataset_name}/ with --data_path"
        )

    @property
    def _inter_file(self) -> str:
        return os.path.join(self.dataset_path, f"{self.dataset_name}.inter")

    @property
    def _in_time_order(self) -> bool:
        return self.config["eval_args"]["order"] == "TO" and self.benchmark_filename_list is None
