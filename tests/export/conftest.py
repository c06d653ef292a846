from functools import cache

import pytest

from recbole_sigma import run_recbole_sigma

SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 10, "epochs": 1, "state": "error"}
OF_STOCK = {"MAX_ITEM_LIST_LENGTH": 10, "epochs": 1, "state": "error"}


@pytest.fixture(scope="session")
def train(toy_path, tmp_path_factory):
    """Trains a model for an epoch on the toy data, which has titles, and returns the path of its checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "toy").mkdir()
    (folder / "toy" / "toy.inter").write_text((toy_path / "toy" / "toy.inter").read_text())
    rows = "".join(f"i{item}\tThe “{item}th”\n" for item in range(40))
    (folder / "toy" / "toy.item").write_text("item_id:token\tname:token_seq\n" + rows, encoding="utf-8")

    @cache
    def run(model, **settings):
        own = SMALL if model in ("SIGMA", "SASRecAP") or isinstance(model, type) else OF_STOCK
        common = {"data_path": str(folder), "title_field": "name", "topk": [5], "valid_metric": "Recall@5"}
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            result = run_recbole_sigma(model, "toy", config_dict={**common, **own, **settings})
        return folder / result["checkpoint"]

    return run
