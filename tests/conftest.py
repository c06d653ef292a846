import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors, and often a busy machine; before torch is imported

import torch  # noqa: E402

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # kernels on the CPU; before anything imports Triton, as torch.export does

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
def trained(toy_path, tmp_path_factory):
    """Path of a checkpoint of SIGMA on the toy data, which has titles."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "toy").mkdir()
    (folder / "toy" / "toy.inter").write_text((toy_path / "toy" / "toy.inter").read_text())
    rows = "".join(f"i{item}\tThe {item}th\n" for item in range(40))
    (folder / "toy" / "toy.item").write_text("item_id:token\tname:token_seq\n" + rows)
    from recbole_sigma import run_recbole_sigma  # here: most tests do not need it

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = {"data_path": str(folder), "title_field": "name", "topk": [5], "valid_metric": "Recall@5"}
        settings.update(hidden_size=8, inner_size=8, MAX_ITEM_LIST_LENGTH=10, epochs=2, state="error")
        return folder / run_recbole_sigma("SIGMA", "toy", config_dict=settings)["checkpoint"]
