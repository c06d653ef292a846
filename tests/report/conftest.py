import os

import numpy as np
import pytest

from recbole_sigma import run_recbole_sigma
from tests.model.toy_interests import ToyInterests
from tests.report.browser import started

QUICK = {"epochs": 2, "MAX_ITEM_LIST_LENGTH": 8, "topk": [3, 10], "learning_rate": 0.01}
TITLES = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "</script><script>alert(3)</script>",
    "</style><b>bold</b> &amp; %{x}",
    "'quoted' \"twice\"",
    "Ünïcödé 書",
]
"""Titles of the items in turn; read as HTML, or in another encoding, each would do harm."""


@pytest.fixture(scope="package")
def titled_path(tmp_path_factory):
    """Folder with the data set ``titled``: 60 users and 40 items, whose tokens and titles look like HTML."""
    generator = np.random.default_rng(0)
    rows = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(60):
        items = generator.permutation(40)[: generator.integers(5, 20)]
        rows += [f"<s>{user}\t<i>{item}\t{time}" for time, item in enumerate(items)]
    folder = tmp_path_factory.mktemp("titled")
    (folder / "titled").mkdir()
    (folder / "titled" / "titled.inter").write_text("\n".join(rows) + "\n")
    titles = [f"<i>{item}\t{TITLES[item % len(TITLES)]} {item}" for item in range(40)]
    (folder / "titled" / "titled.item").write_text("\n".join(["item_id:token\ttitle:token", *titles]) + "\n", "utf-8")
    return folder


@pytest.fixture(scope="package")
def train(titled_path, tmp_path_factory):
    """Trains a model on ``titled`` and returns what the run returns."""

    def trained(model, **settings):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path_factory.mktemp("run"))
            data = {"data_path": str(titled_path), "title_field": "title", "valid_metric": "Recall@10"}
            run = run_recbole_sigma(model, "titled", config_dict={**QUICK, **data, **settings})
            return {**run, "checkpoint": os.path.abspath(run["checkpoint"])}

    return trained


@pytest.fixture(scope="package")
def sigma(train):
    return train("SIGMA", num_categories=3, hidden_size=8, inner_size=8)


@pytest.fixture(scope="package")
def sasrec(train):
    return train("SASRecAP", hidden_size=8, inner_size=8)


@pytest.fixture(scope="package")
def toy(train):
    return train(ToyInterests, hidden_size=8, num_interests=3, initializer_range=0.5)


@pytest.fixture(scope="package")
def browser():
    with started() as running:
        yield running
