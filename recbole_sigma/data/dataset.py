"""RecBole's data sets in exact time order, with each sequence stored once. Errors name the file and the line."""

from __future__ import annotations

import importlib
import os
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.data.interaction import Interaction
from recbole.evaluator import Register
from recbole.utils import FeatureSource, ModelType
from torch import Tensor

from recbole_sigma.compat import reading_with
from recbole_sigma.config import known_datasets
from recbole_sigma.config.needs import check_before_reading
from recbole_sigma.data.atomic_file import check_atomic_file, explain_failure, line_of_row
from recbole_sigma.data.categories import METRIC, needed_by_model, read_item_categories
from recbole_sigma.data.needs import check_columns
from recbole_sigma.data.token_codes import (
    TokenCounts,
    ids_by_first_appearance,
    is_categorical,
    read_columns,
    rows_within_counts,
)
from recbole_sigma.data.groups import Groups, group_rows, leave_out_counts, sort_rows
from recbole_sigma.data.target_rows import TARGET_INDEX, HistoryLength, TargetIndex, TargetRows
from recbole_sigma.data.sequences import gather_padded, gather_ragged
from recbole_sigma.errors import ConfigError, DataError, RecBoleSigmaError, close_matches

READS_PADDED_ROWS = {"DIEN", "FEARec"}
"""Models of RecBole that read the padded rows of the whole data set."""

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
    """

    times: Tensor | None = None

    def _load_data(self, token, dataset_path):
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

    def _init_alias(self):
        super()._init_alias()
        for name in self.alias:
            for field in self.config[f"alias_of_{name}"] or ():
                if field not in self.field2type:
                    raise DataError(
                        f"alias_of_{name} has {field!r}; expected some of the columns that are loaded: "
                        f"{', '.join(self.field2type)}"
                    )

    def _data_processing(self):
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
        if self.benchmark_filename_list is None and not os.path.isfile(self._inter_file):
            raise DataError(self._how_to_get_the_files(f"{self._inter_file} does not exist"))
        super()._load_inter_feat(token, dataset_path)

    def _load_feat(self, filepath, source):
        load_col, _ = self._get_load_and_unload_col(source)
        if load_col == set():
            return None
        layout = self.config["field_separator"], self.config["encoding"]
        check_atomic_file(filepath, *layout)
        try:
            if source not in HAVE_CATEGORIES:
                return super()._load_feat(filepath, source)
            with reading_with(read_columns):
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
        missing = self.inter_feat[self.time_field].isna().to_numpy().nonzero()[0]
        if len(missing):
            line = line_of_row(self._inter_file, missing[0])
            raise DataError(f"{self._inter_file}, line {line}: {self.time_field} is empty; expected a number")

    def _filter_nan_user_or_item(self):
        super()._filter_nan_user_or_item()
        self._require_rows("rows without a user or an item were removed")

    def _filter_by_field_value(self):
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
            needed = {self.uid_field, self.iid_field} & set(fields)
            if needed:
                raise DataError(f"unused_col has {', '.join(sorted(needed))}; expected columns that no model needs")
        super()._drop_unused_col()

    def _filter_inter_by_user_or_item(self):
        if self.user_feat is None and self.item_feat is None:
            return
        super()._filter_inter_by_user_or_item()
        self._require_rows("filter_inter_by_user_or_item: none has its user and item in the .user and .item files")

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
        keep = self.config["rm_dup_inter"]
        if keep is None:
            return
        if self.time_field in self.inter_feat:
            self._sort_exactly()  # RecBole's sort is not stable
        self.inter_feat = self.inter_feat.drop_duplicates([self.uid_field, self.iid_field], keep=keep)

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
            if not (times[1:] >= times[:-1]).all():
                order = torch.from_numpy(np.argsort(times, kind="stable"))
                self.times = None if self.times is None else self.times[order]
        columns = {}
        for field in list(data):
            column = super()._dataframe_to_interaction(data[[field]])[field]
            del data[field]
            columns[field] = column if order is None else column[order]
        return Interaction(columns)

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
