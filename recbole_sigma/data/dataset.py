"""RecBole's data sets in exact time order, with sequences held once and errors that name the file and the line."""

from __future__ import annotations

import importlib
import os
from functools import cache
from pathlib import Path

import pandas as pd
import torch
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.utils import ModelType
from torch import Tensor

from recbole_sigma.config import known_datasets
from recbole_sigma.data.atomic_file import check_atomic_file, explain_failure, line_of_row
from recbole_sigma.data.sequences import gather_padded, segment_starts
from recbole_sigma.errors import DataError, RecBoleSigmaError
from recbole_sigma.settings import nearest

TARGET_INDEX = "target:index"  # no column of a file can have this name
"""Field of a row of a sequential data set: where its target stands in ``dataset.interactions``."""

READS_PADDED_ROWS = {"DIEN", "FEARec"}
"""Models of RecBole that read the padded rows of the whole data set at once."""


class OrderedDataset(Dataset):
    """A data set of RecBole whose interactions follow each other in time exactly.

    RecBole sorts by timestamps rounded to float32, steps of 64 seconds today (RecBole #2204). Here the rows are
    in the order of the unrounded values before the conversion; RecBole's own sort is stable and rounding is
    monotonic, so that it keeps this order. Equal times keep the order of the file.
    """

    def _load_data(self, token, dataset_path):
        try:
            super()._load_data(token, dataset_path)
        except DataError:
            raise
        except (OSError, RuntimeError, EOFError) as error:  # EOFError: RecBole asks before it downloads a gigabyte
            raise DataError(self._how_to_get_the_files(str(error))) from error
        for name, field in [("USER_ID_FIELD", self.uid_field), ("ITEM_ID_FIELD", self.iid_field)]:
            self._require_column(name, field)
        if self._in_time_order:
            self._require_column("TIME_FIELD", self.time_field)
            self._require_times()

    def _load_inter_feat(self, token, dataset_path):
        if self.benchmark_filename_list is None and not os.path.isfile(self._inter_file):
            raise DataError(self._how_to_get_the_files(f"{self._inter_file} does not exist"))
        super()._load_inter_feat(token, dataset_path)

    def _load_feat(self, filepath, source):
        layout = self.config["field_separator"], self.config["encoding"]
        check_atomic_file(filepath, *layout)
        try:
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
            if folder.is_dir() and not any(folder.iterdir()):  # RecBole makes it before it asks for the files
                folder.rmdir()

    def _how_to_get_the_files(self, problem: str) -> str:
        folder = Path(self.dataset_path).parent
        present = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
        close = nearest(self.dataset_name, {*known_datasets(), *present} - {self.dataset_name}, 3)
        return (
            f"data set {self.dataset_name!r} cannot be loaded: {problem}"
            + (f"; did you mean {' or '.join(close)}?" if close else "")
            + f"\nLooked for {self._inter_file}. Put the atomic files there (RecBole's download does, where there is a "
            f"network), or give the folder that holds {self.dataset_name}/ with --data_path"
        )

    @property
    def _inter_file(self) -> str:
        return os.path.join(self.dataset_path, f"{self.dataset_name}.inter")

    @property
    def _in_time_order(self) -> bool:
        return self.config["eval_args"]["order"] == "TO" and self.benchmark_filename_list is None

    def _require_column(self, setting: str, field: str) -> None:
        if field not in self.inter_feat:
            raise DataError(
                f"{self._inter_file} has no column {field!r} ({setting}), or load_col leaves it out; columns "
                f"loaded: {', '.join(map(str, self.inter_feat.columns))}"
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
        super()._filter_by_field_value()
        self._require_rows(f"val_interval = {self.config['val_interval']} removed the last of them")

    def _filter_inter_by_user_or_item(self):
        super()._filter_inter_by_user_or_item()
        self._require_rows("filter_inter_by_user_or_item: no user or item of theirs is in the .user or .item file")

    def _filter_by_inter_num(self):
        super()._filter_by_inter_num()
        intervals = ", ".join(
            f"{key} = {self.config[key]}" for key in ("user_inter_num_interval", "item_inter_num_interval")
        )
        self._require_rows(f"{intervals} removed the last of them")

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

    def _change_feat_format(self):
        if self._in_time_order and isinstance(self.inter_feat, pd.DataFrame):
            self._sort_exactly()
        super()._change_feat_format()

    def _sort_exactly(self) -> None:
        self.inter_feat = self.inter_feat.sort_values(self.time_field, kind="stable", ignore_index=True)

    def _split_index_by_leave_one_out(self, grouped_index, leave_one_num):
        """As in a sequential data set, a user's first interaction is never held out, whatever the model."""
        if isinstance(self, SequentialDataset) or not self._in_time_order:
            return super()._split_index_by_leave_one_out(grouped_index, leave_one_num)
        grouped_index = list(grouped_index)
        parts = super()._split_index_by_leave_one_out(
            [index[1:] for index in grouped_index if index[1:]], leave_one_num
        )
        parts[0] += [index[0] for index in grouped_index]
        return parts


class SequenceDataset(OrderedDataset, SequentialDataset):
    """A sequential data set that holds every interaction once.

    ``interactions`` are sorted by user and time; a row is a target and points into them, and the lists that a
    model reads are gathered when rows are asked for. RecBole writes a padded copy of the history for each row.
    """

    def data_augmentation(self):
        """Turn the interactions into rows, one for each that has a history."""
        self._aug_presets()
        self.sort(by=[self.uid_field, self.time_field])
        self.interactions = self.inter_feat
        self.user_start = segment_starts(self.interactions[self.uid_field])
        index = torch.arange(len(self.interactions))
        target_index = index[index > self.user_start]
        if not len(target_index):
            raise DataError(f"no user of {self.dataset_name!r} has two interactions; a sequence needs them")
        if self.config["model"] in READS_PADDED_ROWS:
            super().data_augmentation()
        else:
            self.inter_feat = self.interactions[target_index]
            history = target_index - self.user_start[target_index]
            self.inter_feat[self.item_list_length_field] = history.clamp(max=self.max_item_list_len)
        self.inter_feat[TARGET_INDEX] = target_index

    def __getitem__(self, index, join=True):
        rows = super().__getitem__(index, join)
        if self.config["model"] not in READS_PADDED_ROWS and TARGET_INDEX in rows:
            length = rows[self.item_list_length_field]
            start = rows[TARGET_INDEX] - length
            for field in self.interactions:
                if field != self.uid_field:
                    list_field = getattr(self, f"{field}_list_field")
                    rows[list_field] = gather_padded(self.interactions[field], start, length, self.max_item_list_len)
        return rows

    def inter_matrix(self, form="coo", value_field=None):
        """Interactions of this split, users' first ones included, as a scipy matrix ``[user_num, item_num]``."""
        if TARGET_INDEX not in self.inter_feat:  # benchmark files
            return super().inter_matrix(form, value_field)
        index = self.inter_feat[TARGET_INDEX]
        first = index[index == self.user_start[index] + 1] - 1
        rows = self.interactions[torch.cat([index, first])]
        return self._create_sparse_matrix(rows, self.uid_field, self.iid_field, form, value_field)

    def seen_before(self, target_index: Tensor) -> tuple[Tensor, Tensor]:
        """Start and number of the interactions of the same user before each target, in ``interactions``."""
        start = self.user_start[target_index]
        return start, target_index - start


def create_dataset(config) -> Dataset:
    """The data set that RecBole chooses for the model, in exact time order and with sequences held once.

    Raises:
        DataError: files that are missing or unreadable, lack a column, or leave nothing after filtering.
    """
    try:
        return dataset_class(config["model"], config["MODEL_TYPE"])(config)
    except RecBoleSigmaError:
        raise
    except (ValueError, NotImplementedError) as error:  # what RecBole says of settings that do not fit
        raise DataError(f"data set {config['dataset']!r}: {error}") from error


@cache
def dataset_class(model: str, model_type: ModelType) -> type:
    """Class of the data set of a model: RecBole's own choice with this module's behaviour in front of it."""
    module = importlib.import_module("recbole.data.dataset")
    by_type = {
        ModelType.SEQUENTIAL: "SequentialDataset",
        ModelType.KNOWLEDGE: "KnowledgeBasedDataset",
    }
    stock = getattr(module, f"{model}Dataset", None) or getattr(module, by_type.get(model_type, "Dataset"))
    ours = SequenceDataset if issubclass(stock, SequentialDataset) else OrderedDataset
    return ours if issubclass(ours, stock) else type(stock.__name__, (ours, stock), {})
