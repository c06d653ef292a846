import os
from functools import cache

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors, and often a busy machine; before torch is imported

import torch  # noqa: E402

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # kernels on the CPU; before anything imports Triton, as torch.export does

import recbole_sigma  # noqa: E402, F401  before RecBole, which it repairs while it is imported

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile(
    "same examples everywhere",
    derandomize=True,
    database=None,
    deadline=30_000,  # milliseconds: nothing takes that long, whatever else the machine does
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same examples everywhere")


@pytest.fixture(scope="session")
def toy_path(tmp_path_factory):
    """Folder with the data set ``toy``: 60 users walk over 40 items, each item leading to one of two others."""
    generator = np.random.default_rng(0)
    follower = np.stack([generator.permutation(40), generator.permutation(40)])
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(60):
        item = int(generator.integers(40))
        for time in range(int(generator.integers(6, 15))):
            lines.append(f"u{user}\ti{item}\t{time}")
            item = int(follower[generator.integers(2), item])
    folder = tmp_path_factory.mktemp("data")
    (folder / "toy").mkdir()
    (folder / "toy" / "toy.inter").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def titled_toy_path(toy_path, tmp_path_factory):
    """Folder with the toy data and a title for each item, such as "The 7th" for i7."""
    folder = tmp_path_factory.mktemp("titled_toy")
    (folder / "toy").mkdir()
    (folder / "toy" / "toy.inter").write_text((toy_path / "toy" / "toy.inter").read_text())
    rows = "".join(f"i{item}\tThe {item}th\n" for item in range(40))
    (folder / "toy" / "toy.item").write_text("item_id:token\tname:token_seq\n" + rows)
    return folder


@pytest.fixture(scope="session")
def train_toy(titled_toy_path):
    """Trains a small model for an epoch on the toy data with titles and returns the path of its checkpoint.

    The same model and settings are trained once.
    """

    @cache
    def train(model, **settings):
        from recbole_sigma import run_recbole_sigma  # here: most tests do not need it
        from recbole_sigma.model import MODELS

        rules = getattr(MODELS.get(model, model), "rules", {})  # RecBole's models have none
        settings = {**{name: 8 for name in ("hidden_size", "inner_size") if name in rules}, **settings}
        common = {"data_path": str(titled_toy_path), "title_field": "name", "topk": [5], "valid_metric": "Recall@5"}
        common.update(MAX_ITEM_LIST_LENGTH=10, epochs=1, state="error")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(titled_toy_path)
            return titled_toy_path / run_recbole_sigma(model, "toy", config_dict={**common, **settings})["checkpoint"]

    return train


@pytest.fixture(scope="session")
def trained(train_toy):
    """Path of a checkpoint of SIGMA on the toy data, which has titles."""
    return train_toy("SIGMA", epochs=2)
