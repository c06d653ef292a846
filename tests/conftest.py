import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors, and often a busy machine; before torch is imported

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
