"""Exact time order, rows, splits and errors of the data sets."""

import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
import torch
from recbole.data.dataset import SequentialDataset

from recbole_sigma.config import Config
from recbole_sigma.data import DescribedDataset, create_dataset, describe
from recbole_sigma.data.ordered_dataset import OrderedDataset
from recbole_sigma.errors import DataError

MODELS = ["SIGMA", "SASRec", "BPR"]
NOW = 881_250_949
SPLITS = [{"LS": "valid_and_test"}, {"LS": "valid_only"}, {"RS": [0.7, 0.1, 0.2]}]
if hasattr(SequentialDataset, "time_based_split"):  # since RecBole 1.2.1
    SPLITS.append({"TS": [0.7, 0.1, 0.2]})


def random_rows(seed=0, users=12, items=30, shortest=5, longest=25):
    """Interactions in random file order; times are whole numbers below 2**24, which float32 holds exactly."""
    generator = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        for item in generator.integers(0, items, generator.integers(shortest, longest + 1)):
            rows.append((f"u{user}", f"i{item}", int(generator.integers(0, 1000))))
    return [rows[i] for i in generator.permutation(len(rows))]


def sequences(rows):
    """Items of each user by time, ties in the order of the file."""
    by_user = {}
    for user, item, _ in sorted(rows, key=lambda row: row[2]):
        by_user.setdefault(user, []).append(item)
    return by_user


def tokens(dataset, field, ids):
    return dataset.field2id_token[field][np.atleast_1d(ids)].tolist()


def held_out(config):
    """Pairs of user and item in validation and test."""
    parts = create_dataset(config).build()
    return [
        set(
            zip(
                tokens(part, "user_id", part.inter_feat["user_id"]), tokens(part, "item_id", part.inter_feat["item_id"])
            )
        )
        for part in parts[1:]
    ]


@pytest.mark.parametrize("model", MODELS)
def test_times_closer_than_float32_can_tell_keep_their_order(config_for, model):
    steps = [40, 10, 30, 0, 20, 50]
    rows = [("u", f"i{step}", NOW + step) for step in steps] + [("v", f"i{step}", NOW - step) for step in steps]
    valid, test = held_out(config_for(model, rows))
    assert valid == {("u", "i40"), ("v", "i10")}
    assert test == {("u", "i50"), ("v", "i0")}


@pytest.mark.parametrize("model", MODELS)
def test_fractions_of_a_second_count(config_for, model):
    rows = [("u", item, f"{NOW}.{fraction}") for item, fraction in [("c", 375), ("a", 125), ("b", 25), ("d", 5)]]
    valid, test = held_out(config_for(model, rows + [("v", item, 1) for item in "abcd"]))
    assert ("u", "c") in valid and ("u", "d") in test


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("duplicates", [None, "first"])
def test_equal_times_keep_the_order_of_the_file(config_for, model, duplicates):
    items = [f"i{number}" for number in np.random.default_rng(0).permutation(200)]
    rows = [("u", item, NOW) for item in items] + [("v", item, 1) for item in items]
    valid, test = held_out(config_for(model, rows, rm_dup_inter=duplicates))
    assert valid == {("u", items[-2]), ("v", items[-2])}
    assert test == {("u", items[-1]), ("v", items[-1])}


@pytest.mark.parametrize("shortest", [1, 5])
def test_every_model_is_tested_on_the_same_items(config_for, shortest):
    rows = random_rows(shortest=shortest, longest=shortest + 4)
    splits = [held_out(config_for(model, rows)) for model in MODELS]
    assert splits[0] == splits[1] == splits[2]


def test_leave_one_out_holds_out_the_last_two_items(config_for):
    rows = random_rows()
    valid, test = held_out(config_for("SIGMA", rows))
    expected = sequences(rows)
    assert valid == {(user, items[-2]) for user, items in expected.items()}
    assert test == {(user, items[-1]) for user, items in expected.items()}


@pytest.mark.parametrize("max_length", [3, 50])
def test_a_row_is_a_target_with_its_history(config_for, max_length):
    rows = random_rows()
    dataset = create_dataset(config_for("SASRec", rows, MAX_ITEM_LIST_LENGTH=max_length))
    parts = dataset.build()
    found = []
    for part in parts:
        batch = part[np.arange(len(part))]
        for user, items, length, target in zip(
            tokens(part, "user_id", batch["user_id"]), batch["item_id_list"], batch["item_length"], batch["item_id"]
        ):
            assert not items[length:].any() and items[:length].all()
            found.append((user, *tokens(part, "item_id", items[:length]), "->", *tokens(part, "item_id", target[None])))
    expected = [
        (user, *items[max(0, end - max_length) : end], "->", items[end])
        for user, items in sequences(rows).items()
        for end in range(1, len(items))
    ]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("group_by", ["user", "none"])
def test_rows_and_splits_are_those_of_recbole_where_its_time_order_is_right(config_for, split, group_by):
    config = config_for("SASRec", random_rows(), eval_args={"split": split, "group_by": group_by})
    for ours, stock in zip(create_dataset(config).build(), SequentialDataset(config).build()):
        assert len(ours) == len(stock)
        if len(ours):
            ours, stock = ours[np.arange(len(ours))], stock[np.arange(len(stock))]
            for field in stock.columns:
                assert torch.equal(ours[field], stock[field]), field


@pytest.mark.parametrize("max_length", [1, 50])
def test_the_interaction_matrix_of_training_has_all_but_the_held_out_items(config_for, max_length):
    rows = random_rows()
    train = create_dataset(config_for("SASRec", rows, MAX_ITEM_LIST_LENGTH=max_length)).build()[0]
    matrix = train.inter_matrix("csr").toarray()
    expected = np.zeros_like(matrix)
    for user, items in sequences(rows).items():
        for item in items[:-2]:
            expected[train.token2id("user_id", user), train.token2id("item_id", item)] += 1
    np.testing.assert_array_equal(matrix, expected)


def num_training_items(count, split):
    """Of a user with ``count`` interactions; the first two always stay in training, and single ones are no sequence."""
    if count < 2:
        return 0
    return count - min({"valid_and_test": 2, "valid_only": 1, "test_only": 1}[split], count - 2)


@pytest.mark.parametrize("split", ["valid_and_test", "valid_only", "test_only"])
@pytest.mark.parametrize("max_length", [1, 50])
def test_training_sequences_are_whole_and_have_no_held_out_items(config_for, split, max_length):
    rows = random_rows(users=40, shortest=1, longest=7)
    train = create_dataset(
        config_for("SIGMA", rows, MAX_ITEM_LIST_LENGTH=max_length, eval_args={"split": {"LS": split}})
    ).build()[0]
    items, lengths = train.training_sequences()
    found = [tokens(train, "item_id", part) for part in items.split(lengths.tolist())]
    by_user = sequences(rows)
    kept = {user: own[: num_training_items(len(own), split)] for user, own in by_user.items()}
    order = [user for user in train.field2id_token["user_id"][1:].tolist() if kept[user]]
    assert found == [kept[user] for user in order]
    assert {len(own) for own in by_user.values()} == set(range(1, 8))
    counts = train.inter_matrix("csr").toarray().sum(0)
    assert torch.equal(items.bincount(minlength=train.item_num), torch.from_numpy(counts).long())


@pytest.mark.parametrize("split", [{"RS": [0.7, 0.1, 0.2]}, *SPLITS[3:]])
@pytest.mark.parametrize("group_by", ["user", "none"])
def test_training_sequences_end_where_other_splits_do(config_for, split, group_by):
    rows = random_rows()
    parts = create_dataset(config_for("SIGMA", rows, eval_args={"split": split, "group_by": group_by})).build()
    items, lengths = parts[0].training_sequences()
    ids = [parts[0].inter_feat["user_id"].unique().tolist(), items.split(lengths.tolist())]
    for user, own in zip(sorted(ids[0]), ids[1]):
        held_out = sum(int((part.inter_feat["user_id"] == user).sum()) for part in parts[1:])
        (token,) = tokens(parts[0], "user_id", user)
        expected = sequences(rows)[token]
        assert tokens(parts[0], "item_id", own) == expected[: len(expected) - held_out]


def test_a_data_set_without_files_has_no_training_sequences(config_for):
    config = config_for("SIGMA", random_rows())
    dataset = create_dataset(config)
    empty = DescribedDataset(config, describe(dataset, dataset.build()[0]))
    assert [part.tolist() for part in empty.training_sequences()] == [[], []]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "line, message",
    [
        ("u\ti\tsoon", "line 3: timestamp is 'soon'; expected a number"),
        ("u\ti", "line 3: 2 columns; expected 3"),
        ("u\ti\t1\t2", "line 3: 4 columns; expected 3"),
        ("u\ti\t", "line 3: timestamp is empty"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(config_for, model, line, message):
    rows = [("u", "a", 1), (line,), ("u", "b", 2)]
    with pytest.raises(DataError, match=f"toy.inter, {message}"):
        create_dataset(config_for(model, rows))


@pytest.mark.parametrize(
    "header, message",
    [
        ("user_id:token\titem_id:token", "no column 'timestamp'.*needs timestamps"),
        ("user:token\titem_id:token\ttimestamp:float", "no column 'user_id'"),
        ("user_id:token\titem:token\ttimestamp:float", "no column 'item_id'"),
        ("user_id\titem_id:token\ttimestamp:float", "line 1: column 'user_id'; expected name:type"),
        ("user_id:token\titem_id:token\ttimestamp:number", "line 1: column 'timestamp:number'"),
        ("user_id:token,item_id:token,timestamp:float", "line 1: column"),
    ],
)
def test_a_file_without_the_columns_needed_is_refused(write_inter, header, message):
    settings = write_inter([["u", "i", 1][: header.count("\t") + 1]], header=header)
    with pytest.raises(DataError, match=message):
        create_dataset(Config("SIGMA", "toy", config_dict=settings))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"user_inter_num_interval": "[100,inf)"}, r"user_inter_num_interval = \[100,inf\)"),
        ({"item_inter_num_interval": "[9,inf)", "user_inter_num_interval": "[2,3]"}, "item_inter_num_interval"),
        ({"val_interval": {"timestamp": "[5000,inf)"}}, "val_interval"),
    ],
)
def test_a_filter_that_leaves_nothing_is_named(config_for, settings, message):
    with pytest.raises(DataError, match=f"no interactions of 'toy' are left: .*{message}"):
        create_dataset(config_for("SIGMA", random_rows(), **settings))


def test_a_data_set_that_is_nowhere_is_refused_with_where_it_was_looked_for(tmp_path):
    config = Config("SIGMA", "amazon-beuty", config_dict={"data_path": str(tmp_path)})
    with pytest.raises(DataError) as error:
        create_dataset(config)
    assert "amazon-beauty" in str(error.value)
    assert str(tmp_path / "amazon-beuty" / "amazon-beuty.inter") in str(error.value)
    assert "--data_path" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_data_set_that_recbole_offers_is_downloaded_by_its_name(tmp_path, monkeypatch):
    """From a real server on this machine, in place of RecBole's."""
    (tmp_path / "site").mkdir()
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    lines += [f"u{user}\ti{(user + time) % 6}\t5\t{time}" for user in range(12) for time in range(6)]
    with zipfile.ZipFile(tmp_path / "site" / "Amazon_Beauty.zip", "w") as archive:
        archive.writestr("Amazon_Beauty.inter", "\n".join(lines) + "\n")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/Amazon_Beauty.zip"
        monkeypatch.setattr(OrderedDataset, "_get_download_url", lambda *_, **__: url)
        config = Config("SIGMA", "amazon-beauty", config_dict={"data_path": str(tmp_path / "data")})
        dataset = create_dataset(config)
        server.shutdown()
    assert (dataset.user_num - 1, dataset.item_num - 1, dataset.inter_num) == (12, 6, 72)
    assert [path.name for path in (tmp_path / "data" / "amazon-beauty").iterdir()] == ["amazon-beauty.inter"]


def test_a_download_without_a_network_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(OrderedDataset, "_get_download_url", lambda *_, **__: "http://127.0.0.1:9/none.zip")
    with pytest.raises(DataError, match="cannot be loaded(.|\n)*--data_path"):
        create_dataset(Config("SIGMA", "amazon-beauty", config_dict={"data_path": str(tmp_path)}))
    assert not list(tmp_path.iterdir())


def test_a_byte_order_mark_is_named(write_inter, tmp_path):
    settings = write_inter([("u", "a", 1), ("u", "b", 2)])
    file = tmp_path / "toy" / "toy.inter"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    with pytest.raises(DataError, match="byte order mark; set encoding: utf-8-sig"):
        create_dataset(Config("SIGMA", "toy", config_dict=settings))
    assert create_dataset(Config("SIGMA", "toy", config_dict={**settings, "encoding": "utf-8-sig"})).inter_num == 2


def test_blank_lines_and_windows_line_ends_are_read(write_inter, tmp_path):
    settings = write_inter(random_rows())
    file = tmp_path / "toy" / "toy.inter"
    expected = create_dataset(Config("SIGMA", "toy", config_dict=settings)).inter_num
    file.write_text(file.read_text().replace("\n", "\r\n", 20) + "\r\n\n")
    assert create_dataset(Config("SIGMA", "toy", config_dict=settings)).inter_num == expected


def test_users_of_a_single_item_are_no_sequences(config_for):
    with pytest.raises(DataError, match="two interactions"):
        create_dataset(config_for("SIGMA", [("u", "a", 1), ("v", "b", 1)])).build()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"load_col": {"inter": ["nothing"]}}, "load_col has 'nothing' .*no such column; expected some of user_id"),
        ({"load_col": {}}, "columns loaded: none"),
        ({"alias_of_item_id": ["other"]}, "alias_of_item_id has 'other'; expected some of the columns of tokens"),
        ({"numerical_features": ["user_id"]}, "numerical_features has 'user_id', a column of tokens"),
        ({"val_interval": {"user_id": "u1"}}, "expected an interval .* and a list for one of tokens"),
        ({"threshold": {"timestamp": 3}}, r"threshold has 'timestamp' \(TIME_FIELD\)"),
        ({"unused_col": {"user": ["age"]}}, "unused_col has 'user', and no .user file is loaded"),
        ({"unused_col": {"inter": ["item_id"]}}, "unused_col has item_id; expected columns that no model needs"),
    ],
)
def test_settings_that_do_not_fit_the_files_are_refused(config_for, settings, message):
    with pytest.raises(DataError, match=message):
        create_dataset(config_for("SASRec", random_rows(), **settings)).build()


def test_a_fault_of_the_program_is_not_called_bad_input(config_for, monkeypatch):
    def fault(self):
        raise KeyError("a fault of the program")

    monkeypatch.setattr(OrderedDataset, "_filter_by_inter_num", fault)
    with pytest.raises(KeyError):
        create_dataset(config_for("SIGMA", random_rows()))
