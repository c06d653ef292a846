"""Training batches and evaluation rows against plain loops."""

import numpy as np
import pytest
import torch

from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset, create_loaders
from recbole_sigma.errors import ConfigError, DataError
from tests.data.test_dataset import random_rows, sequences, tokens


def loaders(config):
    dataset = create_dataset(config)
    return dataset, create_loaders(config, dataset)


def training_pairs(loader):
    """Item before and target of every position of an epoch."""
    pairs = []
    for batch in loader:
        ends = batch.packing.lengths.cumsum(0).tolist()
        assert batch.at_target is None and len(batch.items) == len(batch.target) == ends[-1]
        inside = [row for row in range(ends[-1] - 1) if row + 1 not in ends]
        assert torch.equal(batch.items[1:][inside], batch.target[inside])
        pairs += list(zip(batch.items.tolist(), batch.target.tolist()))
    return pairs


@pytest.mark.parametrize("max_length", [1, 4, 50])
@pytest.mark.parametrize("split", [{"LS": "valid_and_test"}, {"RS": [0.6, 0.2, 0.2]}])
def test_an_epoch_has_every_training_item_but_the_first_as_a_target_once(config_for, max_length, split):
    config = config_for(
        "SIGMA", random_rows(), MAX_ITEM_LIST_LENGTH=max_length, train_batch_size=3, eval_args={"split": split}
    )
    dataset, (train, _, _) = loaders(config)
    expected = []
    for user, items in sequences(random_rows()).items():
        if "LS" in split:
            count = len(items) - 2
        else:
            targets = train.dataset.inter_feat["user_id"] == dataset.token2id("user_id", user)
            count = 1 + int(targets.sum())
        ids = [dataset.token2id("item_id", item) for item in items[:count]]
        expected += list(zip(ids[:-1], ids[1:]))
    assert sorted(training_pairs(train)) == sorted(expected)
    assert train.targets_per_batch * len(train) == pytest.approx(len(expected))


def test_batches_hold_users_in_a_new_random_order_each_epoch_and_a_seed_fixes_them(config_for):
    def epochs(seed):
        _, (train, _, _) = loaders(config_for("SIGMA", random_rows(users=40), train_batch_size=5, seed=seed))
        return [training_pairs(train) for _ in range(3)]

    first, second, third = epochs(1)
    assert first != second != third
    assert sorted(first) == sorted(second)
    assert epochs(1) == [first, second, third]
    assert epochs(2) != [first, second, third]


@pytest.mark.parametrize("tokens_of_batch", [1, 4, 9, 30, 10_000])
def test_batches_fill_a_budget_of_tokens_as_far_as_whole_sequences_do(config_for, tokens_of_batch):
    rows = random_rows(users=40, longest=12)
    _, (train, _, _) = loaders(config_for("SIGMA", rows, train_batch_tokens=tokens_of_batch))
    batches = list(train)
    for batch, following in zip(batches, [*batches[1:], None]):
        assert len(batch.items) <= tokens_of_batch or len(batch.packing.lengths) == 1
        assert following is None or len(batch.items) + following.packing.lengths[0] > tokens_of_batch
    _, (of_users, _, _) = loaders(config_for("SIGMA", rows))
    assert sorted(training_pairs(train)) == sorted(training_pairs(of_users))
    assert len(train) == pytest.approx(len(batches), rel=0.2)
    assert train.targets_per_batch * len(train) == pytest.approx(sum(len(batch.target) for batch in batches))


def test_batches_hold_no_padding_and_only_indices_beside_the_items(config_for):
    _, (train, _, _) = loaders(config_for("SIGMA", random_rows(users=40), train_batch_size=7))
    assert len(train) == 6
    assert [len(batch.packing.lengths) for batch in train] == [7] * 5 + [5]
    assert all((batch.items > 0).all() and (batch.target > 0).all() for batch in train)


def cut_loader(config_for, rows, **settings):
    dataset, (train, _, _) = loaders(config_for("SIGMA", rows, train_targets="cut", **settings))
    return dataset, train


def cuts(dataset, batches):
    """History and target of every sequence, in tokens, in the order of the batches."""
    found = []
    for batch in batches:
        ends = batch.packing.lengths.cumsum(0)
        assert torch.equal(batch.at_target, ends - 1) and len(batch.items) == ends[-1]
        items = np.split(dataset.field2id_token["item_id"][batch.items.numpy()], ends[:-1])
        found += [(tuple(own), target) for own, target in zip(items, tokens(dataset, "item_id", batch.target))]
    return found


@pytest.mark.parametrize("least, max_length", [(1, 50), (1, 2), (4, 3), (3, 50)])
def test_a_cut_is_uniform_over_the_positions_with_enough_items_before_them(config_for, least, max_length):
    rows = random_rows(users=10, items=10**6, shortest=5, longest=10)  # no item twice, so that one tells where it was
    dataset, train = cut_loader(
        config_for, rows, min_history=least, MAX_ITEM_LIST_LENGTH=max_length, train_batch_size=4
    )
    expected = {}  # by history and target: how probable they are
    for items in sequences(rows).values():
        items = items[:-2]
        positions = range(least, len(items))
        for cut in positions:
            expected[tuple(items[max(0, cut - max_length) : cut]), items[cut]] = 1 / len(positions)
    num_sequences = sum(len(items) - 2 > least for items in sequences(rows).values())
    epochs = 400
    counts = dict.fromkeys(expected, 0)
    for _ in range(epochs):
        found = cuts(dataset, train)
        assert len({target for _, target in found}) == len(found) == num_sequences
        for one in found:
            counts[one] += 1
    for one, probability in expected.items():
        deviation = (epochs * probability * (1 - probability)) ** 0.5
        assert abs(counts[one] - epochs * probability) <= 4 * deviation
    assert len(train) == -(-num_sequences // 4) and train.targets_per_batch * len(train) == num_sequences


def test_sequences_too_short_for_a_cut_are_left_out_and_counted(config_for, caplog):
    rows = [(f"u{length}", f"i{length}-{number}", number) for length in range(3, 9) for number in range(length)]
    with caplog.at_level("INFO"):
        dataset, train = cut_loader(config_for, rows, min_history=3)
    assert sorted(target for _, target in cuts(dataset, train))[0].startswith("i6")
    assert sum(len(batch.target) for batch in train) == 3
    assert "train_targets: cut leaves out 3 of 6 training sequences" in caplog.text
    with pytest.raises(
        DataError, match="no training sequence of 'toy' has an item after its first 6; expected a smaller"
    ):
        cut_loader(config_for, rows, min_history=6)


@pytest.mark.parametrize("settings", [{"train_batch_size": 3}, {"train_batch_tokens": 20}])
def test_an_epoch_of_cuts_is_drawn_again_from_the_state_at_its_beginning(config_for, settings):
    dataset, train = cut_loader(config_for, random_rows(users=200), **settings)
    _, other = cut_loader(config_for, random_rows(users=200), **settings)
    epochs = []
    for _ in range(3):
        state = train.generator.get_state()
        batches = list(train)
        train.generator.set_state(state)
        assert cuts(dataset, train.batches(2)) == cuts(dataset, batches[2:])
        assert cuts(dataset, batches) == cuts(dataset, other)
        assert len(batches) == pytest.approx(len(train), rel=0.1)
        assert train.targets_per_batch == pytest.approx(200 / len(train))
        if "train_batch_tokens" in settings:
            assert all(len(one.items) <= 20 or len(one.packing.lengths) == 1 for one in batches)
        epochs.append(cuts(dataset, batches))
    assert epochs[0] != epochs[1] != epochs[2]


def seen(history, num_rows):
    rows = [set() for _ in range(num_rows)]
    for row, item in zip(*(index.tolist() for index in history)):
        rows[row].add(item)
    return rows


@pytest.mark.parametrize("model", ["SIGMA", "SASRec", "FEARec", "BPR"])
@pytest.mark.parametrize("max_length", [2, 50])
def test_all_items_seen_before_are_left_out_for_every_model(config_for, model, max_length):
    rows = random_rows(items=20, longest=12)  # so that users repeat items
    config = config_for(model, rows, MAX_ITEM_LIST_LENGTH=max_length, eval_batch_size=5)
    dataset, (_, valid, test) = loaders(config)
    for loader, end in [(valid, -2), (test, -1)]:
        checked = 0
        for interaction, history, positive_user, positive_item in loader:
            users = tokens(dataset, "user_id", interaction["user_id"])
            for user, found, target in zip(users, seen(history, len(users)), positive_item.tolist()):
                items = sequences(rows)[user]
                assert tokens(dataset, "item_id", torch.tensor([target])) == [items[end]]
                assert found == {dataset.token2id("item_id", item) for item in items[:end]}
                checked += 1
            assert len(users) <= 5
        assert checked == 12


@pytest.mark.parametrize("model", ["SIGMA", "SASRec", "BPR"])
def test_a_loader_follows_another_rule_for_a_while(config_for, model):
    rows = random_rows(items=20, longest=12)
    dataset, (_, _, test) = loaders(config_for(model, rows, MAX_ITEM_LIST_LENGTH=2))

    def left_out():
        found, names = {}, dataset.field2id_token["item_id"]
        for interaction, history, _, positive_item in test:
            users = tokens(dataset, "user_id", interaction["user_id"])
            own = [set() for _ in users] if history is None else seen(history, len(users))
            found.update((user, {names[item] for item in items}) for user, items in zip(users, own))
        return found

    before = {user: items[:-1] for user, items in sequences(rows).items()}
    with test.under("recbole"):
        assert left_out() == {user: set(before[user]) - {items[-1]} for user, items in sequences(rows).items()}
    with test.under("kept"):
        assert left_out() == {user: set() for user in before}
    assert left_out() == {user: set(items) for user, items in before.items()}
    assert any(items[-1] in before[user] for user, items in sequences(rows).items())


@pytest.mark.parametrize("model", ["SIGMA", "SASRec", "BPR"])
def test_without_remove_seen_every_item_is_ranked(config_for, model):
    _, (_, valid, _) = loaders(config_for(model, random_rows(), remove_seen=False))
    assert all(history is None for _, history, _, _ in valid)


@pytest.mark.parametrize("model", ["SIGMA", "SASRec", "BPR"])
def test_sampled_negatives_are_items_the_user_has_not_seen(config_for, model):
    rows = random_rows(items=40, shortest=20, longest=25)
    dataset, (_, _, test) = loaders(config_for(model, rows, eval_args={"mode": "uni10"}))
    negatives = 0
    for interaction, row_index, positive_user, positive_item in test:
        for user, item, label in zip(
            tokens(dataset, "user_id", interaction["user_id"]),
            tokens(dataset, "item_id", interaction["item_id"]),
            interaction["label"].tolist(),
        ):
            if not label:
                assert item not in sequences(rows)[user]
                negatives += 1
    assert negatives == 12 * 10


@pytest.mark.parametrize("model", ["SIGMA", "SASRec", "BPR"])
def test_without_remove_seen_items_of_the_history_are_sampled_too(config_for, model):
    rows = random_rows(items=40, shortest=30, longest=35)
    dataset, (_, _, test) = loaders(config_for(model, rows, eval_args={"mode": "uni10"}, remove_seen=False))
    from_history = 0
    for interaction, *_ in test:
        users, items = (tokens(dataset, field, interaction[field]) for field in ("user_id", "item_id"))
        negative = (interaction["label"] == 0).tolist()
        from_history += sum(n and item in sequences(rows)[user] for user, item, n in zip(users, items, negative))
    assert from_history > 12  # half of the catalog is in each history


def test_evaluation_rows_of_a_user_hold_the_items_of_validation_in_the_test_history(config_for):
    rows = random_rows()
    dataset, (_, _, test) = loaders(config_for("SIGMA", rows))
    for interaction, *_ in test:
        for user, items, length in zip(
            tokens(dataset, "user_id", interaction["user_id"]), interaction["item_id_list"], interaction["item_length"]
        ):
            assert tokens(dataset, "item_id", items[:length]) == sequences(rows)[user][:-1]


def test_a_split_without_validation_has_no_loader_for_it(config_for):
    _, (_, valid, test) = loaders(config_for("SIGMA", random_rows(), eval_args={"split": {"LS": "test_only"}}))
    assert not valid and len(test.dataset) == 12
    assert np.isfinite(len(test))


def test_a_ranked_list_longer_than_the_catalog_is_refused(config_for):
    with pytest.raises(ConfigError, match="topk asks for 6 items; expected at most 5"):
        loaders(config_for("SIGMA", random_rows(items=5), topk=6, valid_metric="Recall@6"))


@pytest.mark.parametrize("remove_seen", [True, False])
def test_rows_split_in_advance_train_and_leave_out_what_their_lists_hold(tmp_path, remove_seen):
    folder = tmp_path / "toy"
    folder.mkdir()
    walks = {f"u{user}": [f"i{(user + 3 * step) % 17}" for step in range(7)] for user in range(9)}
    for part, ends in [("train", range(1, 5)), ("valid", [5]), ("test", [6])]:
        lines = ["user_id:token\titem_id_list:token_seq\titem_id:token"]
        lines += [f"{user}\t{' '.join(walk[:end])}\t{walk[end]}" for user, walk in walks.items() for end in ends]
        (folder / f"toy.{part}.inter").write_text("\n".join(lines) + "\n")
    settings = {
        "data_path": str(tmp_path),
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id_list", "item_id"]},
        "alias_of_item_id": ["item_id_list"],
        "topk": 5,
        "valid_metric": "Recall@5",
        "remove_seen": remove_seen,
    }
    dataset, (train, _, test) = loaders(Config("SIGMA", "toy", config_dict=settings))
    assert sum(len(batch["item_id"]) for batch in train) == 9 * 4
    for interaction, history, _, positive_item in test:
        users = tokens(dataset, "user_id", interaction["user_id"])
        found = seen(history, len(users)) if remove_seen else [set()] * len(users)
        for user, items in zip(users, found):
            expected = {dataset.token2id("item_id", item) for item in walks[user][:6]} if remove_seen else set()
            assert items == expected


def test_items_lie_on_the_device_and_a_batch_is_put_together_there_without_waiting(config_for):
    """Tensors of the device "meta" have no values, so that asking for one fails."""
    config = config_for("SIGMA", random_rows(users=40), train_batch_size=7)
    dataset = create_dataset(config)
    config["device"] = torch.device("meta")
    train, _, _ = create_loaders(config, dataset)
    for batch in train:
        assert batch.items.device.type == batch.target.device.type == batch.packing.position.device.type == "meta"
        assert len(batch.items) == len(batch.target) == batch.packing.lengths.sum()
