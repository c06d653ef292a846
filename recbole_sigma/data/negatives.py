"""Is there a negative to draw? RecBole draws again until it has one, and never ends where there is none."""

from __future__ import annotations

import numpy as np
from recbole.utils import ModelType

from recbole_sigma.data.target_rows import TARGET_INDEX
from recbole_sigma.errors import ConfigError, DataError

_PHASES = ("train", "valid", "test")
_DRAWN = ("uniform", "popularity")


def check_negatives(config, dataset, datasets) -> None:
    """Check every kind of negative that is drawn with these settings.

    Args:
        config: the settings.
        dataset: the data set before the split.
        datasets: those of training, validation and test.

    Raises:
        ConfigError: more are drawn at once than there are.
        DataError: a user has had every item, an item every user, or a head has every tail; the message names it.
    """
    drawn = {phase: config[f"{phase}_neg_sample_args"] for phase in _PHASES}
    drawn = {
        phase: args["distribution"]
        for phase, args in drawn.items()
        if args["distribution"] in _DRAWN and args["sample_num"] != "none"
    }
    items = {name: _candidates(name, dataset, datasets) for name in set(drawn.values())}
    for phase, name in drawn.items():
        if len(items[name]) < 2:
            raise DataError(
                f"no negative item can be drawn for {phase}: {dataset.dataset_name!r} has {len(items[name])} items to "
                "draw from; expected at least 2"
            )
    keys = _keys_of_used(dataset, datasets)
    leaves_out_used = {"train": not config["repeatable"], "valid": config["remove_seen"], "test": config["remove_seen"]}
    for number, phase in enumerate(_PHASES):
        if phase in drawn and leaves_out_used[phase]:
            users = np.unique(np.asarray(datasets[number].inter_feat[dataset.uid_field]))
            used = np.concatenate(keys[: number + 1])
            _check_users(dataset, used, items[drawn[phase]], users, drawn)
    if _masks_items(config) and config["MAX_ITEM_LIST_LENGTH"] >= dataset.item_num - 1:
        _check_users(dataset, np.concatenate(keys), np.arange(1, dataset.item_num), None, drawn)
    if config["model"] == "LINE":
        _check_items_of_line(dataset, datasets[0])
    if config["MODEL_TYPE"] == ModelType.KNOWLEDGE:
        _check_heads(dataset)
    if config["model"] == "DGCF":
        _check_draws_of_dgcf(config, dataset, datasets[0])


def _candidates(distribution: str, dataset, datasets) -> np.ndarray:
    """Ids of the items that a distribution draws."""
    if distribution == "uniform":
        return np.arange(1, dataset.item_num)
    return np.array(sorted(datasets[0].item_counter))


def _keys_of_used(dataset, datasets) -> list[np.ndarray]:
    """For each split, ``user * item_num + item`` of its interactions; the first ones of sequences are of training."""
    parts = [[part.inter_feat] for part in datasets]
    if TARGET_INDEX in datasets[0].inter_feat:
        interactions = datasets[0].interactions
        users = interactions[dataset.uid_field].unique()
        parts[0].append(interactions[datasets[0].first_of_user[users]])
    return [
        np.concatenate(
            [
                np.asarray(rows[dataset.uid_field], np.int64) * dataset.item_num + np.asarray(rows[dataset.iid_field])
                for rows in part
            ]
        )
        for part in parts
    ]


def _check_users(dataset, used: np.ndarray, candidates: np.ndarray, users: np.ndarray | None, drawn: dict) -> None:
    """Raise DataError if one of ``users`` (all, if None) has had every candidate."""
    used = np.unique(used)
    user, item = np.divmod(used, dataset.item_num)
    is_candidate = np.zeros(dataset.item_num, bool)
    is_candidate[candidates] = True
    full = np.bincount(user[is_candidate[item]], minlength=dataset.user_num) == len(candidates)
    full = full.nonzero()[0] if users is None else users[full[users]]
    if len(full):
        name = str(dataset.id2token(dataset.uid_field, full[0]))
        who = f"user {name!r} has" if len(full) == 1 else f"user {name!r} and {len(full) - 1:,} more have"
        if len(candidates) < dataset.item_num - 1:
            raise DataError(
                f"no negative can be drawn by popularity: {who} had every item of the training data "
                f"({len(candidates)}); expected negatives that are drawn from all items: uniN in eval_args, or "
                "distribution: uniform"
            )
        raise DataError(
            f"no negative can be drawn: {who} had every item ({len(candidates)}); expected "
            f'user_inter_num_interval, as in "[0,{len(candidates) - 1}]", which leaves such users out'
            + (", or mode: full in eval_args, which ranks the catalog" if drawn.keys() - {"train"} else "")
        )


def _masks_items(config) -> bool:
    return config["transform"] == "mask_itemseq" or config["model"] == "S3Rec"


def _check_items_of_line(dataset, train) -> None:
    rows = np.asarray(train.inter_feat[dataset.iid_field], np.int64) * dataset.user_num
    items = np.unique(rows + np.asarray(train.inter_feat[dataset.uid_field])) // dataset.user_num
    full = (np.bincount(items) == dataset.user_num - 1).nonzero()[0]
    if len(full):
        item = str(dataset.id2token(dataset.iid_field, full[0]))
        raise DataError(
            f"LINE draws users without an item, and every user has had {item!r}; expected "
            f'item_inter_num_interval, as in "[0,{dataset.user_num - 2}]", which leaves such items out'
        )


def _check_heads(dataset) -> None:
    pairs = np.unique(np.stack([dataset.head_entities, dataset.tail_entities], axis=1), axis=0)
    full = (np.bincount(pairs[:, 0].astype(np.int64)) == dataset.entity_num - 1).nonzero()[0]
    if len(full):
        head = str(dataset.id2token(dataset.head_entity_field, full[0]))
        raise DataError(
            f"no negative entity can be drawn: the head {head!r} of the .kg file has a relation to every entity "
            f"({dataset.entity_num - 1}); expected a file without some of these rows"
        )


def _check_draws_of_dgcf(config, dataset, train) -> None:
    """DGCF draws in each step as many different users as items: those of the larger side, divided by the steps."""
    rows, sides = train.inter_num, (dataset.user_num, dataset.item_num)
    size = config["train_batch_size"]
    draws = max(sides) // (rows // size + 1)
    if draws > min(sides):
        raise ConfigError(
            f"train_batch_size is {size}, with which DGCF draws {draws:,} different users and items in a step, and "
            f"{dataset.dataset_name!r} has {sides[0] - 1:,} users and {sides[1] - 1:,} items; expected at most "
            f"{max(1, rows * min(sides) // max(sides)):,}"
        )
