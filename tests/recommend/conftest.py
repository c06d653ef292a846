import pytest

from recbole_sigma import run_recbole_sigma

SMALL = {"hidden_size": 8, "inner_size": 8, "MAX_ITEM_LIST_LENGTH": 10, "epochs": 2, "state": "error"}


@pytest.fixture(scope="session")
def trained(toy_path, tmp_path_factory):
    """Path of a checkpoint of SIGMA on the toy data, which has titles."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "toy").mkdir()
    (folder / "toy" / "toy.inter").write_text((toy_path / "toy" / "toy.inter").read_text())
    rows = "".join(f"i{item}\tThe {item}th\n" for item in range(40))
    (folder / "toy" / "toy.item").write_text("item_id:token\tname:token_seq\n" + rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = {"data_path": str(folder), "title_field": "name", "topk": [5], "valid_metric": "Recall@5", **SMALL}
        return folder / run_recbole_sigma("SIGMA", "toy", config_dict=settings)["checkpoint"]
