"""RecBole's data sets in exact time order, with each sequence stored once. Errors name the file and the line."""

from __future__ import annotations

import importlib
import os
from collections import Counter
from decimal import Decimal
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.data.interaction import Interaction
from recbole.evaluator import Register
from recbole.utils import FeatureSource, FeatureType, ModelType
from torch import Tensor

from recbole_sigma.compat import reading_with
from recbole_sigma.config import known_datasets
from recbole_sigma.config.needs import check_before_reading
from recbole_sigma.data.atomic_file import check_atomic_file, explain_failure, line_of_row, quoting, read_texts
from recbole_sigma.data.categories import METRIC, needed_by_model, read_item_categories
from recbole_sigma.data.needs import check_columns
from recbole_sigma.data.token_codes import (
    TokenCounts,
    ids_by_first_appearance,
    is_categorical,
    read_columns,
    rows_within_counts,
)
from recbole_sigma.data.duplicates import without_duplicates
from recbole_sigma.data.groups import Groups, group_rows, leave_out_counts, sort_rows
from recbole_sigma.data.removed import counts_removed, describe_size
from recbole_sigma.data.target_rows import TARGET_INDEX, HistoryLength, TargetIndex, TargetRows
from recbole_sigma.data.sequences import gather_padded, gather_ragged
from recbole_sigma.errors import ConfigError, DataError, RecBoleSigmaError, close_matches, did_you_mean

READS_PADDED_ROWS = {"DIEN", "FEARec"}
"""Models of RecBole that read the padded rows of the whole data set."""

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

HAVE_CATEGORIES = (FeatureSource.INTERACTION, FeatureSource.USER, FeatureSource.ITEM)
"""Files whose tokens are pandas categories until they have ids; RecBole makes sets of the tokens of other files."""


class OrderedDataset(Dataset):
    """A data set of RecBole with interactions in exact time order, loaded in linear time.

    RecBole sorts by timestamps that are rounded to float32, which means steps of 64 seconds or more today (RecBole
    #2204). Here the rows are sorted by the unrounded times before. RecBole's sort keeps this order, because it is
    stable and rounding is monotonic. Interactions with equal times keep the order of the file.

    Tokens are read as categories; ids, counts and splits are computed from their codes. RecBole handles a string or
    runs a Python loop for every row; the result is the same.

    Attributes:
        item_categories: ``ItemCategories``, if the model or a metric needs them.
        times: ``[M]``, float64, the unrounded time of each interaction, if the model reads times.
        removed: what filters removed, as ``Removed`` by the name of the filter.
    """

    times: Tensor | None = None
    exact_times: Tensor | None = None  # as ``times``, if the rows of all users are split at one moment

    def _load_data(self, token, dataset_path):
        if self.benchmark_filename_list is not None and len(self.benchmark_filename_list) != 3:
            raise ConfigError(
                f"benchmark_filename has {len(self.benchmark_filename_list)} names; expected three, of the files of "
                "training, validation and test, as in [train, valid, test]"
            )
        if os.path.isdir(dataset_path):
            self._check_suffixes()
        try:
            super()._load_data(token, dataset_path)
        except DataError:
            raise
        except (OSError, RuntimeError, EOFError) as error:  # EOFError: RecBole asks before large downloads
            raise DataError(self._how_to_get_the_files(str(error))) from error
        for name, field in [("USER_ID_FIELD", self.uid_field), ("ITEM_ID_FIELD", self.iid_field)]:
            self._require_column(name, field)
        if self._in_time_order:
            self._require_column("TIME_FIELD", self.time_field)
            self._require_times()
        check_columns(self)

    def _set_alias(self, alias_name, default_value):
        super()._set_alias(alias_name, default_value)
        suffix, names = self.config["LIST_SUFFIX"], self.alias[alias_name].tolist()
        lists = [name + suffix for name in names if self._is_list_of(name)]
        self.alias[alias_name] = np.array(names + [name for name in lists if name not in names])

    def _is_list_of(self, name: str) -> bool:
        """Whether there is a column of lists of this column, which then has the same tokens."""
        kind = self.field2type.get(name + self.config["LIST_SUFFIX"])
        return self.field2type.get(name) == FeatureType.TOKEN and kind == FeatureType.TOKEN_SEQ

    def _init_alias(self):
        super()._init_alias()
        for name in self.alias:
            for field in self.config[f"alias_of_{name}"] or ():
                if field not in self.token_like_fields:
                    raise DataError(
                        f"alias_of_{name} has {field!r}; expected some of the columns of tokens that are loaded: "
                        f"{', '.join(self.token_like_fields)}"
                        + did_you_mean(close_matches(field, self.token_like_fields))
                    )
        suffix = self.config["LIST_SUFFIX"]
        self._rest_fields = [
            name for name in self._rest_fields if not (name.endswith(suffix) and self._is_list_of(name[: -len(suffix)]))
        ]

    def _get_remap_list(self, field_list):
        suffix, names = self.config["LIST_SUFFIX"], list(field_list)
        lists = [name + suffix for name in names if self._is_list_of(name)]
        return super()._get_remap_list(names + [name for name in lists if name not in names])

    def _data_processing(self):
        self.removed = {}
        super()._data_processing()
        readers = _readers_of_categories(self.config)
        if readers:
            self.item_categories = read_item_categories(self, readers)

    def _normalize(self):
        if getattr(self.config.model_class, "reads_times", False):
            self._keep_times()
        super()._normalize()

    def _keep_times(self) -> None:
        if self.benchmark_filename_list is not None:
            raise ConfigError(
                f"{self.config['model']} reads the time of each item, and benchmark_filename names files of rows, "
                f"which have rounded times or none; expected one file of interactions, {self._inter_file}"
            )
        self.times = torch.from_numpy(self.inter_feat[self.time_field].to_numpy(np.float64, copy=True))

    def _load_inter_feat(self, token, dataset_path):
        if self.benchmark_filename_list is None:
            if not os.path.isfile(self._inter_file):
                raise DataError(self._how_to_get_the_files(f"{self._inter_file} does not exist"))
        else:
            self._check_parts()
        super()._load_inter_feat(token, dataset_path)
        if self.benchmark_filename_list is not None and isinstance(self, SequentialDataset):
            self._check_lists()

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

    def _load_feat(self, filepath, source):
        load_col, _ = self._get_load_and_unload_col(source)
        if load_col == set():
            return None
        layout = self.config["field_separator"], self.config["encoding"]
        self._check_header(filepath, source, check_atomic_file(filepath, *layout))
        try:
            read = read_columns if source in HAVE_CATEGORIES else _read_at_once
            with reading_with(partial(read, quoting=quoting(filepath, layout[0]))):
                return super()._load_feat(filepath, source)
        except ValueError as error:  # of pandas: ParserError and UnicodeDecodeError are of this kind
            raise explain_failure(filepath, *layout, error) from error

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

    def _download(self):
        folder = Path(self.dataset_path)
        try:
            if self.dataset_name not in known_datasets():
                raise DataError(self._how_to_get_the_files("there is no folder and no download of this name"))
            super()._download()
        finally:
            if folder.is_dir() and not any(folder.iterdir()):  # RecBole makes it before the download
                folder.rmdir()

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

    @counts_removed("no user or no item")
    def _filter_nan_user_or_item(self):
        super()._filter_nan_user_or_item()
        self._require_rows("rows without a user or an item were removed")

    @counts_removed("val_interval")
    def _filter_by_field_value(self):
        for field in self.config["val_interval"] or {}:
            if field not in self.field2type:
                raise DataError(
                    f"val_interval has {field!r}; expected some of the columns that are loaded (load_col): "
                    f"{', '.join(self.field2type)}" + did_you_mean(close_matches(field, self.field2type))
                )
        try:
            super()._filter_by_field_value()
        except TypeError as error:
            raise DataError(
                f"val_interval = {self.config['val_interval']}: {error}; expected an interval such as [4,inf) for a "
                "column of numbers, and a list for one of tokens"
            ) from error
        self._require_rows(f"val_interval = {self.config['val_interval']} removed the last ones")

    def _set_label_by_threshold(self):
        if self._in_time_order and self.time_field in (self.config["threshold"] or ()):
            raise DataError(
                f"threshold has {self.time_field!r} (TIME_FIELD), and labels would replace the times; expected another "
                "column, such as rating"
            )
        super()._set_label_by_threshold()

    def _drop_unused_col(self):
        for name, fields in (self.config["unused_col"] or {}).items():
            if getattr(self, f"{name}_feat", None) is None:
                raise DataError(
                    f"unused_col has {name!r}, and no .{name} file is loaded; expected the suffix of a loaded file"
                )
            present = list(getattr(self, f"{name}_feat"))
            unknown = [field for field in fields if field not in present]
            if unknown and self._is_given("unused_col"):
                raise DataError(
                    f"unused_col has {unknown[0]!r} for .{name}; expected some of the columns that are loaded: "
                    f"{', '.join(present)}" + did_you_mean(close_matches(unknown[0], present))
                )
            needed = {self.uid_field, self.iid_field} & set(fields)
            if needed:
                raise DataError(f"unused_col has {', '.join(sorted(needed))}; expected columns that no model needs")
        super()._drop_unused_col()

    @counts_removed("filter_inter_by_user_or_item")
    def _filter_inter_by_user_or_item(self):
        if self.user_feat is None and self.item_feat is None:
            return
        super()._filter_inter_by_user_or_item()
        self._require_rows("filter_inter_by_user_or_item: none has its user and item in the .user and .item files")

    @counts_removed("user_inter_num_interval or item_inter_num_interval")
    def _filter_by_inter_num(self):
        """As in RecBole: remove all users and items whose counts are outside the intervals, until none is left."""
        users = self._token_counts(self.uid_field, self.user_feat, "user_inter_num_interval")
        items = self._token_counts(self.iid_field, self.item_feat, "item_inter_num_interval")
        left = rows_within_counts(users, items)
        if not left.all():
            self.inter_feat = self.inter_feat[left]
        if self.user_feat is not None:
            self.user_feat = self.user_feat[users.features_left]
        if self.item_feat is not None:
            self.item_feat = self.item_feat[items.features_left]
        intervals = ", ".join(
            f"{key} = {self.config[key]}" for key in ("user_inter_num_interval", "item_inter_num_interval")
        )
        self._require_rows(f"{intervals} removed the last ones")

    def _token_counts(self, field: str, feat: pd.DataFrame | None, setting: str) -> TokenCounts:
        intervals = self._parse_intervals_str(self.config[setting])
        return TokenCounts(
            self.inter_feat[field],
            None if feat is None else feat[field],
            partial(self._within_intervals, intervals=intervals) if intervals else None,
            intervals[0][1] if intervals else 0,
        )

    def _require_rows(self, reason: str) -> None:
        if self.inter_feat.empty:
            raise DataError(f"no interactions of {self.dataset_name!r} are left: {reason}")

    @counts_removed("rm_dup_inter")
    def _remove_duplication(self):
        keep = self.config["rm_dup_inter"]
        if keep is None:
            self._warn_of_duplicates()
            return
        if self.time_field in self.inter_feat:
            self._sort_exactly()  # RecBole's sort is not stable
        self.inter_feat = self.inter_feat.drop_duplicates([self.uid_field, self.iid_field], keep=keep)

    def _warn_of_duplicates(self) -> None:
        """Exact ones, or drop them; without times equal rows may be different events."""
        if self.benchmark_filename_list is None and self.time_field in self.inter_feat:
            key = [self.uid_field, self.iid_field, self.time_field]
            drop = bool(self.config["drop_duplicates"])
            self.inter_feat = without_duplicates(self.inter_feat, key, drop, self.dataset_name)

    def _remap(self, remap_list):
        if not all(is_categorical(feat[field]) for feat, field, _ in remap_list):
            for feat, field, _ in remap_list:
                if is_categorical(feat[field]):
                    feat[field] = feat[field].astype(object)
            return super()._remap(remap_list)
        if remap_list:
            ids, tokens = ids_by_first_appearance([feat[field] for feat, field, _ in remap_list])
            token_id = {token: id_ for id_, token in enumerate(tokens)}
            for feat, field, _ in remap_list:
                feat[field] = ids.pop(0)
                self.field2id_token.setdefault(field, tokens)
                self.field2token_id.setdefault(field, token_id)

    def _dataframe_to_interaction(self, data):
        """Convert the frame of a file, column by column; sort interactions by their exact times."""
        order = None
        if data is self.inter_feat and self._in_time_order:
            times = data[self.time_field].to_numpy()
            split, group_by = (self.config["eval_args"][key] for key in ("split", "group_by"))
            if "TS" in split or str(group_by).lower() == "none":
                self.exact_times = torch.from_numpy(times.astype(np.float64))
            if not (times[1:] >= times[:-1]).all():
                order = torch.from_numpy(np.argsort(times, kind="stable"))
                self.times = None if self.times is None else self.times[order]
                self.exact_times = None if self.exact_times is None else self.exact_times[order]
        columns = {}
        for field in list(data):
            column = super()._dataframe_to_interaction(data[[field]])[field]
            del data[field]
            columns[field] = column if order is None else column[order]
        return Interaction(columns)

    @counts_removed("items without a link to the knowledge graph")
    def _filter_link(self):
        super()._filter_link()  # of RecBole's data set with a knowledge graph
        self._require_rows("none has an item with a link to the knowledge graph")

    def __str__(self):
        return describe_size(self)

    def _sort_exactly(self) -> None:
        self.inter_feat = self.inter_feat.sort_values(self.time_field, kind="stable", ignore_index=True)

    @property
    def avg_actions_of_users(self):
        return self._mean_count(self.uid_field)

    @property
    def avg_actions_of_items(self):
        return self._mean_count(self.iid_field)

    def _mean_count(self, field: str) -> np.float64:
        count = np.bincount(np.asarray(self.inter_feat[field]))
        return count[count > 0].mean()

    def _grouped_index(self, group_by_list):
        return group_rows(group_by_list)

    def _split_index_by_leave_one_out(self, grouped_index, leave_one_num):
        """Never hold out the first interaction of a user, as in a sequential data set, whatever the model."""
        length = grouped_index.length
        if isinstance(self, SequentialDataset) or not self._in_time_order:
            return _indices(grouped_index.split(leave_out_counts(length, leave_one_num)))
        counts = np.column_stack([np.ones_like(length), leave_out_counts(length - 1, leave_one_num)])
        first, rest, *held_out = grouped_index.split(counts)
        return _indices([np.append(rest, first), *held_out])

    def time_based_split(self, ratios, group_by):
        """Split at one moment of the unrounded times."""
        if self.exact_times is None:
            return super().time_based_split(ratios, group_by)
        rounded = self.inter_feat[self.time_field]
        self.inter_feat[self.time_field] = self._exact_times_of_rows()
        parts = super().time_based_split(ratios, group_by)
        for part in parts:
            if self.time_field in part.inter_feat:
                part.inter_feat[self.time_field] = part.inter_feat[self.time_field].to(rounded.dtype)
        return parts

    def _exact_times_of_rows(self) -> Tensor:
        return self.exact_times

    def split_by_ratio(self, ratios, group_by=None):
        ratios = [ratio / sum(ratios) for ratio in ratios]
        if group_by is None:
            groups = Groups(np.arange(len(self)), np.array([len(self)]))
        else:
            groups = self._grouped_index(self.inter_feat[group_by].numpy())
        lengths, group_of_length = np.unique(groups.length, return_inverse=True)
        ends = [[*self._calcu_split_ids(length, ratios), length] for length in lengths]
        counts = np.diff(ends, axis=1, prepend=0)[group_of_length]
        self._drop_unused_col()
        return [self.copy(self.inter_feat[index]) for index in _indices(groups.split(counts))]


def _read_at_once(read_csv, path: str, **settings) -> pd.DataFrame:
    return read_csv(path, **settings)


def _indices(rows: list[np.ndarray]) -> list[tuple[Tensor]]:
    """Indices for an ``Interaction``, which would turn plain arrays of row numbers into lists."""
    return [(torch.from_numpy(numbers),) for numbers in rows]


class SequenceDataset(OrderedDataset, SequentialDataset):
    """A sequential data set that stores every interaction once.

    A row is the index of a target in ``interactions``, which are sorted by user and time. The lists that a model reads
    are gathered when rows are read, where RecBole stores a padded copy of the history for each row.
    """

    def data_augmentation(self):
        """Turn the interactions into rows, one for each interaction that has a history."""
        self._aug_presets()
        by_user, _ = sort_rows(self.inter_feat[self.uid_field].numpy(), self.user_num)
        by_user = torch.from_numpy(by_user.astype(np.int64))
        self.exact_times = None if self.exact_times is None else self.exact_times[by_user]
        self.inter_feat._reindex(by_user)
        self.times = None if self.times is None else self.times[by_user]
        self.interactions = self.inter_feat
        user = self.interactions[self.uid_field]
        self.first_of_user = torch.searchsorted(user, torch.arange(self.user_num))
        target_index = (user[1:] == user[:-1]).nonzero().squeeze(1) + 1
        if not len(target_index):
            raise DataError(f"no user of {self.dataset_name!r} has two interactions; expected users with sequences")
        if self.config["model"] in READS_PADDED_ROWS:
            super().data_augmentation()
            self.inter_feat[TARGET_INDEX] = target_index
            return
        columns = {
            **self.interactions.interaction,
            self.item_list_length_field: HistoryLength(user, self.first_of_user, self.max_item_list_len),
            TARGET_INDEX: TargetIndex(),
        }
        self.inter_feat = TargetRows(columns, target_index)

    def sort(self, by, ascending=True):
        if by == self.time_field and self.exact_times is not None and TARGET_INDEX in self.inter_feat:
            self.inter_feat._reindex(self._exact_times_of_rows().argsort(stable=True))
        else:
            super().sort(by, ascending)

    def _exact_times_of_rows(self) -> Tensor:
        return self.exact_times[self.inter_feat[TARGET_INDEX]]

    def __getitem__(self, index, join=True):
        if not isinstance(self.inter_feat, TargetRows):
            return super().__getitem__(index, join)
        rows = self.inter_feat[index].gathered()
        if join:
            self.join(rows)
        length = rows[self.item_list_length_field]
        start = rows[TARGET_INDEX] - length
        for field in self.interactions:
            if field != self.uid_field:
                list_field = getattr(self, f"{field}_list_field")
                rows[list_field] = gather_padded(self.interactions[field], start, length, self.max_item_list_len)
        if self.times is not None:
            list_field = self.time_field + self.config["LIST_SUFFIX"]
            rows[list_field] = gather_padded(self.times, start, length, self.max_item_list_len)
        return rows

    def inter_matrix(self, form="coo", value_field=None):
        """Interactions of this split and the first ones of its users, as a scipy matrix ``[user_num, item_num]``."""
        if TARGET_INDEX not in self.inter_feat:  # benchmark files
            return super().inter_matrix(form, value_field)
        index = self.inter_feat[TARGET_INDEX]
        first = index[self.seen_before(index)[1] == 1] - 1
        rows = self.interactions[torch.cat([index, first])]
        return self._create_sparse_matrix(rows, self.uid_field, self.iid_field, form, value_field)

    def counter(self, field):
        """How often each token of a column occurs in the rows of this split and in the first interactions of users.

        On the training split these are all training interactions, the same as for a model that is not sequential.
        """
        if TARGET_INDEX not in self.inter_feat or field not in self.interactions:
            return super().counter(field)
        index = torch.cat([self._first_interactions(), self.inter_feat[TARGET_INDEX]])
        tokens, count = self.interactions[field][index].unique(return_counts=True)
        return Counter(dict(zip(tokens.tolist(), count.tolist())))

    def _first_interactions(self) -> Tensor:
        """Indices of the first interactions of all users; where the split is one moment, of those up to the last row."""
        first = self.first_of_user[self.interactions[self.uid_field].unique()]
        split_by = self.config["eval_args"]
        if "LS" in split_by["split"] or str(split_by["group_by"]).lower() == "user" or not self._in_time_order:
            return first
        times = self.interactions[self.time_field]
        return first[times[first] <= times[self.inter_feat[TARGET_INDEX]].max()]

    def seen_before(self, target_index: Tensor) -> tuple[Tensor, Tensor]:
        """Start in ``interactions``, and number, of the interactions of the same user before each target."""
        start = self.first_of_user[self.interactions[self.uid_field][target_index]]
        return start, target_index - start

    def training_spans(self) -> tuple[Tensor, Tensor]:
        """First and last training interaction, in ``interactions``, of each user who has a row in this split.

        Returns:
            Two tensors ``[B]``, in the order of the users' ids.
        """
        last = torch.full((self.user_num,), -1)
        last.scatter_reduce_(0, self.inter_feat[self.uid_field], self.inter_feat[TARGET_INDEX], "amax")
        trained = last >= 0
        return self.first_of_user[trained], last[trained]

    def training_sequences(self) -> tuple[Tensor, Tensor]:
        """Whole training sequences with their first items and without any item of validation or test.

        These are the interactions that ``inter_matrix`` counts: users without a training target are left out. Call it
        on the training split, which a model gets as its data set.

        Returns:
            Item ids ``[M]``, sequence by sequence in time order, and the lengths ``[B]``; in the order of the users'
            ids.

        Raises:
            ConfigError: ``benchmark_filename`` names files of rows, from which no sequence can be told.
        """
        if self.benchmark_filename_list is not None:
            raise ConfigError(
                f"{self.config['model']} needs whole sequences, and benchmark_filename names files of rows; expected "
                f"one file of interactions, {self._inter_file}"
            )
        first, last = self.training_spans()
        length = last - first + 1
        return gather_ragged(self.interactions[self.iid_field], first, length)[1], length


def _readers_of_categories(config) -> list[str]:
    """Names of what needs the categories of items with these settings: the metric, the model, both or none."""
    readers = [METRIC] if Register(config).need("data.item_categories") else []
    return [*readers, config["model"]] if needed_by_model(config) else readers


def create_dataset(config) -> Dataset:
    """The data set of a model, of the kind that RecBole chooses, in exact time order and with sequences stored once.

    Args:
        config: the settings, a ``Config``.

    Returns:
        The filtered data set, with ids for tokens; ``create_loaders`` splits it.

    Raises:
        ConfigError: settings that do not fit the model, such as no ``category_field`` where it needs categories.
        DataError: a file is missing or unreadable or lacks a column, or no interaction is left after filtering.
    """
    check_before_reading(config)
    try:
        return dataset_class(config["model"], config["MODEL_TYPE"])(config)
    except RecBoleSigmaError:
        raise
    except (ValueError, NotImplementedError) as error:  # RecBole's errors for settings that do not fit
        raise DataError(f"data set {config['dataset']!r}: {error}") from error


@cache
def dataset_class(model: str, model_type: ModelType) -> type:
    """Class of the data set of a model: RecBole's choice for it, with the behaviour of this module in front.

    Some models have another class in RecBole, which it finds by their type or name, such as ``KnowledgeBasedDataset``
    and ``KSRDataset``. A class for these is made with ``type(...)``, because this module's class has to come before
    RecBole's in the order of inheritance, and RecBole decides which one that is.
    """
    module = importlib.import_module("recbole.data.dataset")
    by_type = {
        ModelType.SEQUENTIAL: "SequentialDataset",
        ModelType.KNOWLEDGE: "KnowledgeBasedDataset",
    }
    stock = getattr(module, f"{model}Dataset", None) or getattr(module, by_type.get(model_type, "Dataset"))
    ours = SequenceDataset if issubclass(stock, SequentialDataset) else OrderedDataset
    return ours if issubclass(ours, stock) else type(stock.__name__, (ours, stock), {})
