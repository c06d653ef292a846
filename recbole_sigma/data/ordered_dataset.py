"""RecBole's data set in exact time order, loaded in linear time."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.data.interaction import Interaction
from recbole.evaluator import Register
from recbole.utils import FeatureSource, FeatureType
from torch import Tensor

from recbole_sigma.compat import reading_with
from recbole_sigma.config import known_datasets
from recbole_sigma.data.atomic_file import check_atomic_file, explain_failure, quoting
from recbole_sigma.data.categories import METRIC, needed_by_model, read_item_categories
from recbole_sigma.data.duplicates import without_duplicates
from recbole_sigma.data.file_checks import FileChecks
from recbole_sigma.data.groups import Groups, group_rows, leave_out_counts
from recbole_sigma.data.needs import check_columns
from recbole_sigma.data.removed import counts_removed, describe_size
from recbole_sigma.data.token_codes import (
    TokenCounts,
    ids_by_first_appearance,
    is_categorical,
    read_columns,
    rows_within_counts,
)
from recbole_sigma.errors import ConfigError, DataError, close_matches, did_you_mean
from recbole_sigma.rules import is_filter

HAVE_CATEGORIES = (FeatureSource.INTERACTION, FeatureSource.USER, FeatureSource.ITEM)
"""Files whose tokens are pandas categories until they have ids; RecBole makes sets of the tokens of other files."""


class OrderedDataset(FileChecks, Dataset):
    """A data set of RecBole with interactions in exact time order, loaded in linear time.

    RecBole sorts by timestamps that are rounded to float32, which means steps of 64 seconds or more today (RecBole
    #2204). Here the rows are sorted by the unrounded times before. RecBole's sort keeps this order, because it is
    stable and rounding is monotonic. Interactions with equal times keep the order of the file. (Where all users are cut
    at one moment, rows of sequential models with equal times go by user, as in RecBole.)

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
        kinds = (FeatureType.TOKEN, FeatureType.TOKEN_SEQ)
        tokens = [field for field, kind in self.field2type.items() if kind in kinds]  # of additional files as well
        for name in self.alias:
            for field in self.config[f"alias_of_{name}"] or ():
                if field not in tokens:
                    raise DataError(
                        f"alias_of_{name} has {field!r}; expected some of the columns of tokens that are loaded: "
                        f"{', '.join(tokens)}" + did_you_mean(close_matches(field, tokens))
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

    def _download(self):
        folder = Path(self.dataset_path)
        try:
            if self.dataset_name not in known_datasets():
                raise DataError(self._how_to_get_the_files("there is no folder and no download of this name"))
            super()._download()
        finally:
            if folder.is_dir() and not any(folder.iterdir()):  # RecBole makes it before the download
                folder.rmdir()

    @counts_removed("no user or no item")
    def _filter_nan_user_or_item(self):
        super()._filter_nan_user_or_item()
        self._require_rows("rows without a user or an item were removed")

    @counts_removed("val_interval")
    def _filter_by_field_value(self):
        for field, allowed in (self.config["val_interval"] or {}).items():
            if self.field2type.get(field) in (FeatureType.FLOAT, FeatureType.FLOAT_SEQ) and not is_filter(allowed):
                raise DataError(
                    f'val_interval has {allowed!r} for {field}; expected an interval, as in {{{field}: "[4,inf)"}}'
                )
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

    def _remove_duplication(self):
        if self.config["rm_dup_inter"] is not None:
            self._keep_one_of_repeats(self.config["rm_dup_inter"])
        elif self.benchmark_filename_list is None and self.time_field in self.inter_feat:
            self._warn_of_duplicates()
        elif self.config["drop_duplicates"]:
            raise ConfigError(
                "drop_duplicates is true, and copies cannot be told from other events: "
                + ("benchmark_filename names files of rows" if self.benchmark_filename_list else "no times are loaded")
                + "; expected one file of interactions with TIME_FIELD in load_col, or drop_duplicates: false"
            )

    @counts_removed("rm_dup_inter")
    def _keep_one_of_repeats(self, keep: str) -> None:
        if self.time_field in self.inter_feat:
            self._sort_exactly()  # RecBole's sort is not stable
        self.inter_feat = self.inter_feat.drop_duplicates([self.uid_field, self.iid_field], keep=keep)

    @counts_removed("drop_duplicates")
    def _warn_of_duplicates(self) -> None:
        """Exact ones, or drop them; without times equal rows may be different events."""
        key = [self.uid_field, self.iid_field, self.time_field]
        self.inter_feat = without_duplicates(
            self.inter_feat, key, bool(self.config["drop_duplicates"]), self.dataset_name
        )

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


def _readers_of_categories(config) -> list[str]:
    """Names of what needs the categories of items with these settings: the metric, the model, both or none."""
    readers = [METRIC] if Register(config).need("data.item_categories") else []
    return [*readers, config["model"]] if needed_by_model(config) else readers
