"""Data sets as the plugin loads them, compared with the same ones loaded by RecBole's own methods."""

import numpy as np
import pytest
import torch
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.utils import init_seed

from recbole_sigma.config import Config
from recbole_sigma.data.dataset import dataset_class
from recbole_sigma.data.ordered_dataset import OrderedDataset
from recbole_sigma.data.target_rows import TARGET_INDEX
from tests.data.real import FOLDER, require
from tests.data.test_dataset import random_rows

REAL = ["ml-1m", "amazon-beauty", "amazon-toys-games", "amazon-office-products", "amazon-beauty-sasrec"]
FILTERS = ["tokens", "items of the file", "intervals", "first of duplicates"]
"""Settings that are done with before the data sets of sequential models begin to differ from those of others."""
HOOKS = [
    "_load_feat",
    "_filter_inter_by_user_or_item",
    "_filter_by_inter_num",
    "_remap",
    "_dataframe_to_interaction",
    "_grouped_index",
    "split_by_ratio",
    "avg_actions_of_users",
    "avg_actions_of_items",
]
KNOWLEDGE = {
    "load_col": {
        "inter": ["user_id", "item_id", "rating", "timestamp"],
        "kg": ["head_id", "relation_id", "tail_id"],
        "link": ["item_id", "entity_id"],
    }
}
FEATURES = {"load_col": None}  # of all files, among them sequences of tokens
SETTINGS = {
    "defaults": {},
    "all columns": FEATURES,
    "tokens": {**FEATURES, "val_interval": {"gender": ["F"], "occupation": ["student", "writer"]}},
    "items of the file": {**FEATURES, "filter_inter_by_user_or_item": True, "val_interval": {"release_year": ["1995"]}},
    "intervals": {**FEATURES, "user_inter_num_interval": "[20,50];(90,inf)", "item_inter_num_interval": "[3,200)"},
    "first of duplicates": {"rm_dup_inter": "first"},
    "normalized": {"normalize_all": True},
    "ratios": {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}}},
    "ratios of all": {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "none"}},
    "unused": {"unused_col": {"inter": ["rating"]}},
}


def leave_one_out_by_loops(self, grouped_index, leave_one_num):
    """The rule of OrderedDataset, that a user's first interaction is not held out, in RecBole's loops."""
    if isinstance(self, SequentialDataset) or not self._in_time_order:
        return Dataset._split_index_by_leave_one_out(self, grouped_index, leave_one_num)
    groups = list(grouped_index)
    parts = Dataset._split_index_by_leave_one_out(self, [index[1:] for index in groups if index[1:]], leave_one_num)
    parts[0] += [index[0] for index in groups]
    return parts


def exact_order(self):
    """Time order as OrderedDataset has it, by pandas."""
    if self._in_time_order:
        self.inter_feat = self.inter_feat.sort_values(self.time_field, kind="stable", ignore_index=True)
        by_user = self.inter_feat.sort_values([self.uid_field, self.time_field], kind="stable")
        self.times_by_user = by_user[self.time_field].tolist()
    super(OrderedDataset, self)._change_feat_format()


def exact_sort(self, by, ascending=True):
    """The rows of all users by their unrounded times, where they are cut at one moment; RecBole's order otherwise."""
    if by == self.time_field and TARGET_INDEX in self.inter_feat and self.config["eval_args"]["group_by"] == "none":
        times = [self.times_by_user[index] for index in self.inter_feat[TARGET_INDEX].tolist()]
        self.inter_feat._reindex(torch.tensor(sorted(range(len(times)), key=times.__getitem__)))
    else:
        Dataset.sort(self, by, ascending)


def both(config, **hooks):
    """The data set of a configuration, and the one of RecBole's own methods, both split."""
    kind = dataset_class(config["model"], config["MODEL_TYPE"])
    own_methods = {name: vars(Dataset)[name] for name in HOOKS}
    loops = {
        "_split_index_by_leave_one_out": leave_one_out_by_loops,
        "_change_feat_format": exact_order,
        "sort": exact_sort,
    }
    pairs = []
    for each in (kind, type(kind.__name__, (kind,), {**own_methods, **loops, **hooks})):
        init_seed(0, True)
        dataset = each(config)
        described = [line for line in str(dataset).splitlines() if not line.startswith("removed: ")]  # not by RecBole
        pairs.append((dataset, described, dataset.build()))
    return pairs


def assert_equal(value, expected, name):
    if isinstance(expected, torch.Tensor):
        assert value.dtype == expected.dtype and torch.equal(value, expected), name
    else:
        assert value.dtype == expected.dtype, name
        np.testing.assert_array_equal(value, expected, err_msg=name)


def assert_same_content(found, stock):
    (dataset, described, parts), (expected, expected_described, expected_parts) = found, stock
    assert described == expected_described
    assert dataset.field2type == expected.field2type and dataset.field2seqlen == expected.field2seqlen
    assert dataset.user_num == expected.user_num and dataset.item_num == expected.item_num
    assert dataset.field2token_id == expected.field2token_id
    assert set(dataset.field2id_token) == set(expected.field2id_token)
    for field, tokens in expected.field2id_token.items():
        assert_equal(dataset.field2id_token[field], tokens, field)
    assert len(parts) == len(expected_parts)
    for part, expected_part in zip(parts, expected_parts):
        for feat in expected.feat_name_list:
            columns, expected_columns = getattr(part, feat), getattr(expected_part, feat)
            assert list(columns) == list(expected_columns)
            for field in expected_columns:
                assert_equal(columns[field], expected_columns[field], f"{feat}: {field}")
    assert sum(map(len, parts)) and dataset.avg_actions_of_users == expected.avg_actions_of_users


@pytest.mark.parametrize(
    "model, name",
    [*(("BPR", name) for name in SETTINGS), *(("SIGMA", name) for name in SETTINGS if name not in FILTERS)],
)
def test_ml_100k_is_that_of_recbole(model, name):
    assert_same_content(*both(Config(model, "ml-100k", config_dict=SETTINGS[name])))


@pytest.mark.parametrize("model", ["CKE", "KGAT", "GCMC", "FEARec"])
def test_data_sets_of_their_own_are_those_of_recbole(model):
    settings = KNOWLEDGE if model in ("CKE", "KGAT") else {}
    config = Config(
        model, "ml-100k", config_dict={**settings, "item_inter_num_interval": "[60,inf)", "MAX_ITEM_LIST_LENGTH": 5}
    )
    assert_same_content(*both(config))


def test_a_random_order_is_that_of_recbole():
    config = Config("BPR", "ml-100k", config_dict={"eval_args": {"order": "RO", "split": {"RS": [0.8, 0.1, 0.1]}}})
    assert_same_content(*both(config))


@pytest.mark.parametrize(
    "model, name",
    [
        *(("SIGMA", name) for name in REAL),
        ("BPR", "amazon-office-products"),
        *(pytest.param("BPR", name, marks=pytest.mark.slow) for name in REAL if name != "amazon-office-products"),
    ],
)
def test_real_data_are_those_of_recbole(model, name):
    require(name)
    settings = {"user_inter_num_interval": "[5,inf)", "item_inter_num_interval": "[5,inf)"}
    assert_same_content(*both(Config(model, name, config_dict={"data_path": FOLDER, **settings})))


@pytest.mark.parametrize("model, separator", [("SASRec", "::"), ("BPR", "\t")])
def test_columns_that_share_ids_are_those_of_recbole(tmp_path, model, separator):
    """``friend`` has users, ``basket`` items; pandas reads long separators with its python engine."""
    generator = np.random.default_rng(0)
    lines = ["user_id:token,item_id:token,timestamp:float,friend:token,basket:token_seq,x:float_seq".split(",")]
    for user, item, time in random_rows():
        friend = "" if generator.random() < 0.1 else f"u{generator.integers(20)}"
        basket = " ".join(f"i{number}" for number in generator.integers(0, 40, generator.integers(0, 4)))
        lines.append([user, item, str(time), friend, basket, "1.5 2"])
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "toy.inter").write_text("\n".join(separator.join(line) for line in lines) + "\n")
    settings = {
        "data_path": str(tmp_path),
        "load_col": None,
        "field_separator": separator,
        "alias_of_user_id": ["friend"],
        "alias_of_item_id": ["basket"],
        "user_inter_num_interval": "[8,20]",
        "topk": 5,
        "valid_metric": "Recall@5",
    }
    assert_same_content(*both(Config(model, "toy", config_dict=settings)))


def test_files_split_in_advance_are_those_of_recbole(tmp_path):
    (tmp_path / "toy").mkdir()
    rows = random_rows()
    for number, part in enumerate(["train", "valid", "test"]):
        lines = ["user_id:token\titem_id:token\ttimestamp:float"]
        lines += [f"{user}\t{item}\t{time}" for user, item, time in rows[number::3]]
        (tmp_path / "toy" / f"toy.{part}.inter").write_text("\n".join(lines) + "\n")
    settings = {"data_path": str(tmp_path), "benchmark_filename": ["train", "valid", "test"], "topk": 5}
    config = Config("BPR", "toy", config_dict={**settings, "valid_metric": "Recall@5"})
    assert_same_content(*both(config))


def test_a_file_of_which_no_column_is_loaded_is_not_read(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "toy.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\nu\ta\t1\nu\tb\t2\n")
    (tmp_path / "toy" / "toy.item").write_text("no atomic file")
    config = Config("SIGMA", "toy", config_dict={"data_path": str(tmp_path), "topk": 1, "valid_metric": "Recall@1"})
    assert dataset_class("SIGMA", config["MODEL_TYPE"])(config).inter_num == 2
