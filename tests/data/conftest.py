import pytest

from recbole_sigma.config import Config


@pytest.fixture
def write_inter(tmp_path):
    """Write ``toy/toy.inter`` from rows of (user, item, time) and return the settings that load it unfiltered."""

    def write(rows, header="user_id:token\titem_id:token\ttimestamp:float"):
        folder = tmp_path / "toy"
        folder.mkdir(exist_ok=True)
        lines = ["\t".join(map(str, row)) for row in rows]
        (folder / "toy.inter").write_text("\n".join([header, *lines]) + "\n")
        return {"data_path": str(tmp_path)}

    return write


@pytest.fixture
def config_for(write_inter):
    """Configuration of a model on rows of (user, item, time)."""

    def make(model, rows, **settings):
        return Config(
            model, "toy", config_dict={**write_inter(rows), "topk": 5, "valid_metric": "Recall@5", **settings}
        )

    return make
