"""The settings of the data sets on real files, where they are at hand: a folder named by RECBOLE_SIGMA_DATASETS."""

from collections import defaultdict
from pathlib import Path

import pytest

from recbole_sigma.config import Config
from recbole_sigma.data import create_dataset
from tests.data.real import FOLDER, require
from tests.data.test_dataset import held_out

COUNTS = {  # table 1 of the paper; ml-100k has its own
    "ml-100k": (938, 1_008, 54_413),
    "amazon-beauty": (22_363, 12_101, 198_502),
    "amazon-toys-games": (19_412, 11_924, 167_597),
    "amazon-office-products": (4_905, 2_420, 53_258),
}


def config_of(name, model="SIGMA"):
    if name != "ml-100k":
        require(name)
    return Config(model, name, config_dict={"data_path": FOLDER or "dataset"})


@pytest.mark.parametrize("name", COUNTS)
def test_filters_leave_the_counts_of_the_paper(name):
    dataset = create_dataset(config_of(name))
    assert (dataset.user_num - 1, dataset.item_num - 1, dataset.inter_num) == COUNTS[name]


@pytest.mark.parametrize("model", ["SIGMA", "BPR"])
def test_the_last_two_items_of_each_user_in_the_file_are_held_out(model):
    config = config_of("amazon-office-products", model)
    sequences = defaultdict(list)
    with open(Path(config["data_path"], "amazon-office-products.inter")) as file:
        next(file)
        for line in file:
            user, item, _, time = line.split("\t")
            sequences[user].append((float(time), item))
    ordered = {user: [item for _, item in sorted(items, key=lambda pair: pair[0])] for user, items in sequences.items()}
    valid, test = held_out(config)
    assert valid == {(user, items[-2]) for user, items in ordered.items()}
    assert test == {(user, items[-1]) for user, items in ordered.items()}
