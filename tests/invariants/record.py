"""Write the numbers that the tests of this folder compare with. Run it only on purpose: when numbers are meant to move.

From the root of the repository, with the version whose numbers hold from then on:

    python -m tests.invariants.record                  # expected.json
    python -m tests.invariants.record --checkpoints    # and the checkpoints, which stand for that version for ever
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import pytest

CHECKPOINTS = Path(__file__).with_name("checkpoints")
COMMON = {"MAX_ITEM_LIST_LENGTH": 10, "epochs": 2, "topk": [5], "valid_metric": "Recall@5", "title_field": "name"}
LEARNING = {"train_batch_size": 4, "learning_rate": 0.02, "initializer_range": 0.3, "precision": "float32"}
SMALL = {**LEARNING, "hidden_size": 8, "inner_size": 8}
TRAINED = {
    "SIGMA": ("SIGMA", SMALL),
    "SIGMA-standard": ("SIGMA", {**SMALL, "prior": "standard"}),
    "SIGMA-interests": ("SIGMA", {**SMALL, "scorer": "interests"}),
    "SASRecAP": ("SASRecAP", SMALL),
    "GRU4Rec": ("GRU4Rec", {"embedding_size": 8, "hidden_size": 8, "train_batch_size": 16, "learning_rate": 0.02}),
}
"""The model and the settings of each checkpoint; so that scores lie apart, weights are not small."""


def record_checkpoints(toy_path, tmp_path, monkeypatch):
    """Train them all. Run by pytest, which has the data."""
    from recbole_sigma import run_recbole_sigma

    monkeypatch.chdir(tmp_path)  # the folder of the data stands in a checkpoint
    shutil.copytree(toy_path / "toy", "data/toy")
    titles = "".join(f"i{item}\tThe {item}th\n" for item in range(40))
    Path("data/toy/toy.item").write_text("item_id:token\tname:token_seq\n" + titles)
    for name, (model, settings) in TRAINED.items():
        result = run_recbole_sigma(model, "toy", config_dict={"data_path": "data", **COMMON, **settings})
        shutil.copy(result["checkpoint"], CHECKPOINTS / f"{name}.pth")


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.invariants.record",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--checkpoints", action="store_true", help="train the checkpoints of this folder anew")
    if parser.parse_args(words).checkpoints:
        CHECKPOINTS.mkdir(exist_ok=True)
        options = ["-o", "python_files=record.py", "-o", "python_functions=record_*"]
        if code := pytest.main([__file__, "-q", *options]):
            return code
    from tests.invariants import stored  # as the tests import it

    stored.recorded = {}
    code = pytest.main([str(Path(__file__).parent), "-q"])
    if not code:
        stored.write(stored.recorded)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
